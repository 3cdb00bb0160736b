// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Follows the blocking calls of one process. No event per call: a thread's call stands in `calls` while it is
 * in flight, with the files it waits for pinned by pointer and inode; user space looks there for old ones.
 * Events are only sent for a call that lasted longer than the threshold, and for a close of a descriptor that
 * some call waits for. Calls are seen by functions of the kernel (lib/functions.bpf.h) or by the tracepoints
 * of all system calls, whichever user space attaches for each kind of call.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "abi/stalls.h"
#include "lib/emit.bpf.h"
#include "lib/stack.bpf.h"
#include "lib/begin.bpf.h"
#include "lib/calls.bpf.h"
#include "lib/flows.bpf.h"
#include "lib/functions.bpf.h"
#include "lib/own_stack.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Every system call of every process comes by here: those of others leave at the first comparison. */
SEC("raw_tp/sys_enter")
int on_enter(struct bpf_raw_tracepoint_args *ctx)
{
	struct stalls_cfg *cfg = cfg_ours();

	if (!cfg || !(how_of(ctx->args[1]) & STALLS_HOW_BY_TRACEPOINT))
		return 0;
	if (HAS_HELPER(task_pt_regs))
		return begins(ctx, stack_user_regs()); /* the same, known to the verifier */
	return begins(ctx, (const struct pt_regs *)ctx->args[0]);
}

SEC("raw_tp/sys_exit")
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	const struct pt_regs *regs = (const struct pt_regs *)ctx->args[0];
	struct stalls_cfg *cfg = cfg_ours();

	if (cfg && (how_of(BPF_CORE_READ(regs, ARCH_SYSCALL_NR)) & STALLS_HOW_BY_TRACEPOINT))
		call_returns(ctx, cfg, call_current(), ctx->args[1]);
	return 0;
}

SEC("raw_tp/tcp_retransmit_skb")
int on_resent(struct bpf_raw_tracepoint_args *ctx)
{
	flow_resent(ctx->args[0]);
	return 0;
}

SEC("raw_tp/sock_send_length")
int sock_send(struct bpf_raw_tracepoint_args *ctx)
{
	struct stalls_cfg *cfg = cfg_ours();
	__s32 ret = ctx->args[1];

	if (ret > 0 && cfg)
		sent(cfg, ctx->args[0], sk_inode(ctx->args[0]), ret);
	return 0;
}

SEC("raw_tp/sock_recv_length")
int sock_recv(struct bpf_raw_tracepoint_args *ctx)
{
	struct stalls_cfg *cfg = cfg_ours();
	__s32 ret = ctx->args[1];

	if (ret > 0 && cfg && !(ctx->args[2] & MSG_PEEK_))
		received(cfg, ctx->args[0], sk_inode(ctx->args[0]), ret);
	return 0;
}

/* RpcChannel::CallMethod(this, method, ..), or a site in its prologue; see STALLS_COOKIE */
SEC("uprobe")
int rpc_call(struct pt_regs *ctx)
{
	/* all read beforehand: the verifier wants constant offsets into ctx */
	__u64 first = PT_REGS_PARM1(ctx), second = PT_REGS_PARM2(ctx), third = PT_REGS_PARM3(ctx);
	__u64 sp = PT_REGS_SP(ctx), link = ARCH_LINK(ctx), cookie = 0, method, arg;

	KEEP_OWN_STACK(ctx);
	if (!cfg_ours())
		return 0;
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_attach_cookie))
		cookie = bpf_get_attach_cookie(ctx);
	arg = STALLS_COOKIE_ARG(cookie);
	method = arg == 0 ? first : arg == 2 ? third : second;
	rpc_begin(arch_return_slot(sp, STALLS_COOKIE_RA(cookie)), link, method);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int thread_exit(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct stalls_call *c;

	if (!cfg_ours())
		return 0;
	c = bpf_map_lookup_elem(&calls, &tid);
	if (c && c->entry_ns)
		call_unwatch(c);
	bpf_map_delete_elem(&calls, &tid);
	rpc_forget(tid);
	return 0;
}
