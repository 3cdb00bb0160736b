// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See bpf/abi/crash.h. Runs when a signal is delivered to a thread of the target, and at its end: rarely. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "abi/crash.h"
#include "lib/emit.bpf.h"
#include "lib/stack.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct crash_cfg);
} crash_settings SEC(".maps");

/* That of bpf/writes.bpf.c (bpf_map__reuse_fd). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct wr_node);
} nodes SEC(".maps");

struct crash_scratch {
	struct crash_signal sig;
	struct crash_node node;
	__u64 seen[CRASH_NODES]; /* nodes sent */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct crash_scratch);
} crash_scratch SEC(".maps");

/* Signals whose default is to end the process with a core: a fault, an abort. */
#define FATAL                                                                                                \
	(1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 8 | 1u << 11 | 1u << 24 | 1u << 25 |        \
	 1u << 31)

static __always_inline bool ours(void)
{
	__u32 zero = 0;
	struct crash_cfg *cfg = bpf_map_lookup_elem(&crash_settings, &zero);

	return cfg && cfg->tgid && cfg->tgid == bpf_get_current_pid_tgid() >> 32;
}

/* If a guarded message stands at addr, sends it. */
static __noinline int look_at(void *ctx, __u64 addr, __u32 from)
{
	__u32 zero = 0;
	struct crash_scratch *s = bpf_map_lookup_elem(&crash_scratch, &zero);
	struct wr_node *n;

	if (!s || addr < 4096 || s->sig.n_nodes >= CRASH_NODES)
		return 0;
	n = bpf_map_lookup_elem(&nodes, &addr);
	if (!n)
		return 0;
	for (__u32 i = 0; i < CRASH_NODES; i++) {
		if (i < s->sig.n_nodes && s->seen[i] == addr)
			return 0;
	}
	s->seen[s->sig.n_nodes & (CRASH_NODES - 1)] = addr;
	s->sig.n_nodes++;
	hdr_fill(&s->node.hdr, CRASH_NODE, sizeof(s->node));
	s->node.addr = addr;
	s->node.from = from;
	s->node.node = *n;
	s->node.len = sizeof(s->node.bytes);
	if (bpf_probe_read_user(s->node.bytes, sizeof(s->node.bytes), (void *)addr))
		s->node.len = 0;
	emit(ctx, &s->node, sizeof(s->node));
	return 0;
}

/* Registers and the words of the stack lead to the messages the thread was at. */
static __always_inline void look_around(void *ctx, struct crash_scratch *s)
{
	for (__u32 i = 0; i < ABI_REGS; i++)
		look_at(ctx, s->sig.stack.reg[i], i);
	for (__u32 i = 0; i < CRASH_WORDS; i++) {
		if (i * 8 + 8 > s->sig.stack.len)
			break;
		look_at(ctx, *(__u64 *)(s->sig.stack.data + i * 8), CRASH_FROM_STACK + i);
	}
}

/* signal_deliver(int sig, struct kernel_siginfo *info, struct k_sigaction *ka). info may be a small number.
 */
SEC("raw_tp/signal_deliver")
int on_signal(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 zero = 0, signal = (__u32)ctx->args[0];
	struct k_sigaction *ka = (void *)ctx->args[2];
	struct crash_scratch *s;
	__u64 info[3] = {0}, len; /* include/uapi/asm-generic/siginfo.h: signo, errno, code, pad, addr */

	if (signal > 31 || !(FATAL >> signal & 1) || !ours())
		return 0;
	s = bpf_map_lookup_elem(&crash_scratch, &zero);
	if (!s)
		return 0;
	bpf_probe_read_kernel(info, sizeof(info), (void *)ctx->args[1]);
	s->sig.signal = signal;
	s->sig.code = (__s32)info[1];
	s->sig.addr = info[2];
	s->sig.handler = (__u64)BPF_CORE_READ(ka, sa.sa_handler);
	s->sig.n_nodes = 0;
	s->sig.pad = 0;
	stack_regs(&s->sig.stack, stack_user_regs());
	stack_copy(&s->sig.stack);
	if (s->sig.stack.flags & ABI_STACK_NONE)
		lost_add(ABI_LOST_STACK);
	look_around(ctx, s);
	hdr_fill(&s->sig.hdr, CRASH_SIGNAL, CRASH_SIGNAL_HEAD);
	len = s->sig.stack.len;
	asm volatile("" : "+r"(len)); /* the verifier is to see one value compared and used */
	if (len > ABI_STACK_BYTES)
		return 0;
	s->sig.hdr.size = CRASH_SIGNAL_HEAD + (__u32)len;
	emit(ctx, &s->sig, CRASH_SIGNAL_HEAD + len);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[0];
	struct crash_exit e = {};
	__u64 id = bpf_get_current_pid_tgid();

	if (!ours() || id >> 32 != (__u32)id)
		return 0;
	hdr_fill(&e.hdr, CRASH_EXIT, sizeof(e));
	e.code = (__u32)BPF_CORE_READ(task, exit_code);
	emit(ctx, &e, sizeof(e));
	return 0;
}
