// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Probes on the functions of an allocator. See bpf/abi/heap.h. A block's address is known when the function
 * returns, its caller's stack when it is entered: both meet in heap_pending, by thread.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "abi/heap.h"
#include "arch.bpf.h" /* of bpf/arch/MACHINE */
#include "lib/own_stack.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct heap_cfg);
} heap_settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HEAP_SITES);
	__type(key, __u64);
	__type(value, struct heap_site);
} heap_sites SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, HEAP_BLOCKS);
	__type(key, __u64);
	__type(value, struct heap_past);
} heap_blocks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, HEAP_STACKS);
	__type(key, __u64);
	__type(value, struct heap_stack);
} heap_stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, HEAP_C_MAX);
	__type(key, __u32);
	__type(value, __u64);
} heap_counters SEC(".maps");

/* See lib/own_stack.bpf.h. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} no_session_programs SEC(".maps");

/* A call that has not returned yet. */
struct heap_call {
	struct heap_event ev; /* of the block to come */
	__u64 block;	      /* realloc: the old one; aligned: where the new one's address will stand */
	__u64 kind;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, HEAP_THREADS);
	__type(key, __u32);
	__type(value, struct heap_call);
} heap_pending SEC(".maps");

/* One hit at work: uprobe programs may be preempted by another thread's hit. */
#define LEVELS 4
struct heap_scratch {
	__u64 busy;
	struct heap_stack stack;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LEVELS);
	__type(key, __u32);
	__type(value, struct heap_scratch);
} heap_scratch SEC(".maps");

static __always_inline void count(__u32 what)
{
	__u64 *n = bpf_map_lookup_elem(&heap_counters, &what);

	if (n)
		*n += 1;
}

static __always_inline struct heap_cfg *settings(void)
{
	__u32 zero = 0;
	struct heap_cfg *c = bpf_map_lookup_elem(&heap_settings, &zero);

	if (!c || c->tgid != bpf_get_current_pid_tgid() >> 32)
		return NULL;
	count(HEAP_C_HITS);
	if (bpf_ktime_get_ns() < c->deadline_ns)
		return c;
	count(HEAP_C_DEADLINE);
	return NULL;
}

static __always_inline bool followed(const struct heap_cfg *c, __u64 size)
{
	__u64 unit = (size + HEAP_UNIT - 1) / HEAP_UNIT, word = unit / 64;

	if (word >= HEAP_SIZE_WORDS)
		return false;
	return c->sizes[word & (HEAP_SIZE_WORDS - 1)] >> (unit & 63) & 1;
}

static __always_inline bool is_code(const struct heap_cfg *c, __u64 v)
{
	for (int i = 0; i < HEAP_TEXTS; i++) {
		if (v >= c->text[i].start && v < c->text[i].end)
			return true;
	}
	return false;
}

/* Names a stack: where in it which return addresses stand, or what looks like them. */
static __noinline __u64 stack_hash(struct heap_scratch *s, struct heap_cfg *c)
{
	__u64 h = 0xcbf29ce484222325ull; /* FNV-1a */

	if (!s || !c)
		return 0;
	h = (h ^ s->stack.reg[ABI_REG_IP]) * 0x100000001b3ull;
	for (__u32 i = 0; i < HEAP_STACK_BYTES / 8; i++) {
		__u64 v;

		if (i * 8 + 8 > s->stack.len)
			break;
		v = *(__u64 *)(s->stack.data + i * 8);
		if (is_code(c, v))
			h = ((h ^ v) * 0x100000001b3ull ^ i) * 0x100000001b3ull;
	}
	return h ? h : 1;
}

static __always_inline void stack_fill(struct heap_stack *s, const struct pt_regs *r)
{
#define STACK_REG(n, member) s->reg[n] = r->member;
	ARCH_REGS(STACK_REG)
#undef STACK_REG
	s->pad = 0;
	s->len = HEAP_STACK_BYTES;
	if (!bpf_probe_read_user(s->data, HEAP_STACK_BYTES, (void *)s->reg[ABI_REG_SP]))
		return;
	s->len = HEAP_STACK_BYTES / 4; /* it ends, or is not resident further on */
	if (!bpf_probe_read_user(s->data, HEAP_STACK_BYTES / 4, (void *)s->reg[ABI_REG_SP]))
		return;
	s->len = 0;
}

/* Keeps the caller's stack. Returns its key; 0: it could not be kept. */
static __always_inline __u64 stack_keep(const struct pt_regs *r, struct heap_cfg *c)
{
	struct heap_scratch *s = NULL;
	__u64 key = 0;

	for (__u32 level = 0; level < LEVELS; level++) {
		__u32 at = level;

		s = bpf_map_lookup_elem(&heap_scratch, &at);
		if (!s)
			return 0;
		__sync_fetch_and_add(&s->busy, 1);
		if (*(volatile __u64 *)&s->busy == 1)
			break;
		__sync_fetch_and_add(&s->busy, -1);
		s = NULL;
	}
	if (!s) {
		count(HEAP_C_BUSY);
		return 0;
	}
	stack_fill(&s->stack, r);
	if (!s->stack.len)
		count(HEAP_C_NO_STACK);
	else
		key = stack_hash(s, c);
	if (key && !bpf_map_lookup_elem(&heap_stacks, &key) &&
	    bpf_map_update_elem(&heap_stacks, &key, &s->stack, BPF_ANY)) {
		count(HEAP_C_STACKS_FULL);
		key = 0;
	}
	__sync_fetch_and_add(&s->busy, -1);
	return key;
}

static __always_inline void event_fill(struct heap_event *e, const struct pt_regs *r, struct heap_cfg *c,
				       const struct heap_site *site, __u64 size, __u8 what)
{
	__builtin_memset(e, 0, sizeof(*e));
	e->ts_ns = bpf_ktime_get_ns();
	e->tid = (__u32)bpf_get_current_pid_tgid();
	e->size = size;
	e->what = what;
	e->allocator = site->allocator;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	arch_return_address(&e->caller, PT_REGS_SP(r) + site->pushed, ARCH_LINK(r));
	e->stack = stack_keep(r, c);
}

static __always_inline void block_event(__u64 block, const struct heap_event *e)
{
	struct heap_past *p = bpf_map_lookup_elem(&heap_blocks, &block);
	__u64 at;

	if (!p) {
		struct heap_past first = {};

		bpf_map_update_elem(&heap_blocks, &block, &first, BPF_NOEXIST);
		p = bpf_map_lookup_elem(&heap_blocks, &block);
	}
	if (!p) {
		count(HEAP_C_LOST);
		return;
	}
	at = p->n; /* events of one block do not race: it is freed before it is handed out again */
	p->n = at + 1;
	p->ev[at & (HEAP_EVENTS - 1)] = *e;
	count(e->what == HEAP_FREED ? HEAP_C_FREED : HEAP_C_HANDED_OUT);
}

/* Size of a block as its allocator has it; 0: not known. Of glibc's it stands before the block, with 8 bytes
 * of overhead and flags in the low bits (malloc.c). */
static __always_inline __u64 block_size(const struct heap_site *site, __u64 block)
{
	__u64 head = 0;

	if (!site->tags || bpf_probe_read_user(&head, sizeof(head), (void *)(block - 8)))
		return 0;
	head &= ~7ull;
	return head > 8 ? head - 8 : 0;
}

static __always_inline struct heap_event *newest(__u64 block)
{
	struct heap_past *p = bpf_map_lookup_elem(&heap_blocks, &block);

	return p && p->n ? &p->ev[(p->n - 1) & (HEAP_EVENTS - 1)] : NULL;
}

#define ONE_CALL_NS 1000000 /* delete calls free: the block is freed once */

static __always_inline void released(struct pt_regs *ctx, struct heap_cfg *c, const struct heap_site *site,
				     __u64 block, __u64 size)
{
	struct heap_event e, *last;

	if (!block)
		return;
	last = newest(block);
	if (last && last->what == HEAP_HANDED_OUT) {
		size = last->size;
	} else {
		__u64 tagged = block_size(site, block);

		if (last && last->what == HEAP_FREED && last->tid == (__u32)bpf_get_current_pid_tgid() &&
		    bpf_ktime_get_ns() - last->ts_ns < ONE_CALL_NS)
			return;
		size = tagged ? tagged : size;
		if (!size) {
			count(HEAP_C_UNKNOWN_SIZE);
			return;
		}
		if (!followed(c, size)) {
			count(HEAP_C_OTHER_SIZE);
			return;
		}
	}
	event_fill(&e, ctx, c, site, size, HEAP_FREED);
	block_event(block, &e);
}

static __always_inline int entered(struct pt_regs *ctx)
{
	struct heap_cfg *c = settings();
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct heap_call call = {};
	struct heap_site *site;
	__u64 ip = PT_REGS_IP(ctx), size = PT_REGS_PARM1(ctx);

	if (!c)
		return 1;
	site = bpf_map_lookup_elem(&heap_sites, &ip);
	if (!site)
		return 1;
	call.kind = site->kind;
	if (site->kind == HEAP_ALLOC_N)
		size = PT_REGS_PARM1(ctx) * PT_REGS_PARM2(ctx);
	else if (site->kind == HEAP_ALIGNED || site->kind == HEAP_REALLOC)
		size = PT_REGS_PARM2(ctx);
	else if (site->kind == HEAP_ALIGNED_P)
		size = PT_REGS_PARM3(ctx);
	if (site->kind == HEAP_ALIGNED_P || site->kind == HEAP_REALLOC)
		call.block = PT_REGS_PARM1(ctx);
	if (site->kind == HEAP_REALLOC && call.block)
		released(ctx, c, site, call.block, 0);
	if (!followed(c, size)) {
		count(HEAP_C_OTHER_SIZE);
		bpf_map_delete_elem(&heap_pending, &tid);
		return 1;
	}
	event_fill(&call.ev, ctx, c, site, size, HEAP_HANDED_OUT);
	bpf_map_update_elem(&heap_pending, &tid, &call, BPF_ANY);
	return 0;
}

static __always_inline void returned(struct pt_regs *ctx)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct heap_call *p, call;
	__u64 block = PT_REGS_RC(ctx);

	p = bpf_map_lookup_elem(&heap_pending, &tid);
	if (!p)
		return;
	call = *p;
	bpf_map_delete_elem(&heap_pending, &tid);
	if (call.kind == HEAP_ALIGNED_P &&
	    (block || bpf_probe_read_user(&block, sizeof(block), (void *)call.block)))
		return;
	if (!block) {
		struct heap_event *last = call.kind == HEAP_REALLOC ? newest(call.block) : NULL;

		if (last && last->what == HEAP_FREED && last->tid == tid)
			last->what = HEAP_HANDED_OUT; /* it failed: the old block is still in use */
		return;
	}
	call.ev.ts_ns = bpf_ktime_get_ns();
	block_event(block, &call.ev);
}

SEC("uprobe.multi")
int heap_enter(struct pt_regs *ctx)
{
	KEEP_OWN_STACK(ctx);
	entered(ctx);
	return 0;
}

SEC("uprobe.multi")
int heap_return(struct pt_regs *ctx)
{
	KEEP_OWN_STACK(ctx);
	if (settings())
		returned(ctx);
	return 0;
}

/*
 * Entry and return in one program (since 6.13): returns 1 at the entry of calls that need no probe at their
 * return, which then is left alone. At a return the instruction pointer is that after the call, where no
 * probe stands.
 */
SEC("uprobe.multi")
int heap_session(struct pt_regs *ctx)
{
	__u64 ip = PT_REGS_IP(ctx);

	KEEP_OWN_STACK_BY(ctx, no_session_programs);
	if (bpf_map_lookup_elem(&heap_sites, &ip))
		return entered(ctx);
	if (settings())
		returned(ctx);
	return 0;
}

SEC("uprobe.multi")
int heap_free(struct pt_regs *ctx)
{
	struct heap_cfg *c = settings();
	struct heap_site *site;
	__u64 ip = PT_REGS_IP(ctx);

	KEEP_OWN_STACK(ctx);
	if (!c)
		return 0;
	site = bpf_map_lookup_elem(&heap_sites, &ip);
	if (site)
		released(ctx, c, site, PT_REGS_PARM1(ctx),
			 site->kind == HEAP_RELEASE_N ? PT_REGS_PARM2(ctx) : 0);
	return 0;
}
