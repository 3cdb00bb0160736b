// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A store to a watched word. Runs from the debug trap, on every CPU and for every process that has the
 * address mapped, so the process is compared first. A store made by the kernel (read(2) into the word) traps
 * in the kernel: there only the nofault helpers used here are allowed, and what is not resident is left out.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "abi/watch.h"
#include "lib/emit.bpf.h"
#include "lib/slots.bpf.h"
#include "lib/stack.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct watch_hit);
} watch_scratch SEC(".maps");

static __always_inline struct watch_slot *slot_of(__u64 addr, __u32 *no)
{
	for (__u32 i = 0; i < WATCH_SLOTS; i++) {
		__u32 key = i;
		struct watch_slot *s = bpf_map_lookup_elem(&watch_slots, &key);

		if (!s)
			return NULL;
		if (s->state != WATCH_IDLE && s->addr == addr) {
			*no = i;
			return s;
		}
	}
	return NULL;
}

/* A vfork child is another process, but it stores into our memory: it has its parent's mm. */
static __always_inline bool shares_memory(__u32 tgid)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);

	return (__u32)BPF_CORE_READ(parent, tgid) == tgid &&
	       BPF_CORE_READ(parent, mm) == BPF_CORE_READ(task, mm);
}

static __always_inline __u64 word_read(const struct watch_slot *s, __u32 *flags)
{
	__u64 v = 0;
	__u32 width = s->width;

	if (width < 1 || width > 8 || bpf_probe_read_user(&v, width, (void *)s->addr)) {
		*flags |= WATCH_HIT_NOREAD;
		return 0;
	}
	return v;
}

static __always_inline void hit_stack(struct watch_hit *h, const struct bpf_perf_event_data *ctx)
{
	const struct pt_regs *r = stack_user_regs();

	stack_regs(&h->stack, r);
	stack_copy(&h->stack);
	if (arch_event_from_user(ctx))
		return;
	h->flags |= WATCH_HIT_KERNEL;
	h->syscall = (__s32)BPF_CORE_READ(r, ARCH_SYSCALL_NR);
	h->stack.flags |= ABI_STACK_SYSCALL;
}

static __always_inline void hit_emit(void *ctx, struct watch_hit *h)
{
	__u64 len = h->stack.len;

	if (h->stack.flags & ABI_STACK_NONE)
		lost_add(ABI_LOST_STACK);
	asm volatile("" : "+r"(len)); /* the verifier is to see one value compared and used */
	if (len > ABI_STACK_BYTES)
		return;
	h->hdr.size = WATCH_HIT_HEAD + (__u32)len;
	emit(ctx, h, WATCH_HIT_HEAD + len);
}

static __always_inline void hit_record(struct watch_slot *s, __u32 no, __u32 flags, bool hot,
				       const struct bpf_perf_event_data *ctx)
{
	__u32 key = 0;
	struct watch_hit *h = bpf_map_lookup_elem(&watch_scratch, &key);

	if (!h)
		return;
	hdr_fill(&h->hdr, hot ? WATCH_KIND_HOT : WATCH_KIND_HIT, WATCH_HIT_HEAD);
	h->addr = s->addr;
	h->node = s->node;
	h->object = s->object;
	h->object_id = s->object_id;
	h->type = s->type;
	h->field = s->field;
	h->pad = 0;
	h->arming = s->arming;
	h->hits = s->hits;
	h->slot = no;
	h->width = s->width;
	h->flags = flags;
	h->syscall = -1;
	h->ip = ARCH_EVENT_IP(ctx);
	h->value = word_read(s, &h->flags);
	h->stack.len = 0;
	h->stack.flags = 0;
	if (!hot)
		hit_stack(h, ctx);
	hit_emit((void *)ctx, h);
}

/* A system call stores a word in up to eight pieces, and each of them traps, some 20 us after the one before.
 */
static __always_inline bool same_call(struct watch_slot *s, __u32 tid)
{
	__u64 now = bpf_ktime_get_ns();
	bool same = s->kernel_tid == tid && now - s->kernel_ns < 200000;

	s->kernel_tid = tid;
	s->kernel_ns = now;
	return same;
}

SEC("perf_event")
int watch_trap(struct bpf_perf_event_data *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 no = 0, flags = 0, tgid = id >> 32;
	struct watch_slot *s = slot_of(ctx->addr, &no);

	if (!s)
		return 0;
	__sync_fetch_and_add(&s->calls, 1);
	if (!s->tgid) { /* the self-test of user space: any process, no record */
		__sync_fetch_and_add(&s->hits, 1);
		return 0;
	}
	if (s->tgid != tgid) {
		if (!shares_memory(s->tgid)) {
			__sync_fetch_and_add(&s->foreign, 1);
			return 0;
		}
		flags |= WATCH_HIT_SHARED;
	}
	if (s->vptr && s->state == WATCH_ARMED) {
		__u64 vptr = 0;

		if (bpf_probe_read_user(&vptr, sizeof(vptr), (void *)s->node) || vptr != s->vptr) {
			__sync_fetch_and_add(&s->late, 1);
			return 0;
		}
	}
	if (s->state == WATCH_RELEASED) {
		__sync_fetch_and_add(&s->late, 1);
		return 0;
	}
	__sync_fetch_and_add(&s->hits, 1);
	if (s->state != WATCH_ARMED)
		return 0;
	if (arch_event_from_user(ctx) || !same_call(s, (__u32)id))
		__sync_fetch_and_add(&s->charged, 1);
	bool hot = s->charged > s->budget || s->hits > 16ull * s->budget;

	if (hot) {
		s->ended_ns = bpf_ktime_get_ns();
		s->state = WATCH_HOT;
	}
	hit_record(s, no, flags, hot, ctx);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
