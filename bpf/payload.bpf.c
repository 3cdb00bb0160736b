// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The first bytes of what one process sends and receives on its stream sockets, taken when the call has
 * ended: how many there are is known then, and of what was received that they are there. The buffers are the
 * calling thread's, which has not returned yet. The end is told by the tracepoints of sockets (since 6.3),
 * which only who sends and receives passes by, or by those of all system calls.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "lib/payload.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* (sk, ret, flags), of one message that was sent or received as a whole */
static __always_inline int moved(struct bpf_raw_tracepoint_args *ctx, bool sent)
{
	struct payload_cfg *cfg = payload_ours();
	__s32 ret = ctx->args[1];
	__u64 flags = ctx->args[2], addr = ctx->args[0];
	struct sock *sk = (void *)addr;
	struct payload_op op = {.sk = addr};
	struct socket_alloc *alloc;
	const struct pt_regs *regs;
	__u32 how;

	if (!cfg || ret <= 0 || (!sent && (flags & PAYLOAD_SKIPPED)))
		return 0;
	alloc = (void *)BPF_CORE_READ(sk, sk_socket);
	if (!alloc || BPF_CORE_READ(alloc, socket.type) != 1 /* SOCK_STREAM */)
		return 0;
	regs = stack_user_regs();
	how = regs ? payload_how(BPF_CORE_READ(regs, ARCH_SYSCALL_NR)) : 0;
	if (!how || (how & PAYLOAD_CLOSES) || !!(how & PAYLOAD_SENDS) != sent ||
	    !payload_buffers(&op, how, regs))
		return 0;
	op.inode = BPF_CORE_READ(alloc, vfs_inode.i_ino);
	op.entry_ns = bpf_ktime_get_ns();
	if (payload_wanted(op.inode))
		payload_end(ctx, cfg, &op, ret);
	return 0;
}

SEC("raw_tp/sock_send_length")
int payload_sent(struct bpf_raw_tracepoint_args *ctx)
{
	return moved(ctx, true);
}

SEC("raw_tp/sock_recv_length")
int payload_received(struct bpf_raw_tracepoint_args *ctx)
{
	return moved(ctx, false);
}

/* (sk, old, new): a TCP connection whose both directions are shut, which closing does first */
SEC("raw_tp/inet_sock_set_state")
int payload_state(struct bpf_raw_tracepoint_args *ctx)
{
	struct sock *sk = (void *)ctx->args[0];
	struct socket_alloc *alloc;

	if (!payload_ours() || BPF_CORE_READ(sk, sk_shutdown) != 3 /* SHUTDOWN_MASK */)
		return 0;
	alloc = (void *)BPF_CORE_READ(sk, sk_socket);
	if (alloc)
		payload_closed(ctx, (__u64)sk, BPF_CORE_READ(alloc, vfs_inode.i_ino));
	return 0;
}

/* Every system call of every process comes by here: those of others leave at the first comparison. */
SEC("raw_tp/sys_enter")
int payload_enter(struct bpf_raw_tracepoint_args *ctx)
{
	const struct pt_regs *regs = (const struct pt_regs *)ctx->args[0];
	struct payload_cfg *cfg = payload_ours();
	struct socket *sock;
	__u64 inode = 0;
	__u32 how;

	how = cfg ? payload_how(ctx->args[1]) : 0;
	if (!how)
		return 0;
	if (!(how & PAYLOAD_CLOSES)) {
		payload_begin(how, regs);
		return 0;
	}
	sock = stream_of(BPF_CORE_READ(regs, ARCH_SYSCALL_ARG0), &inode);
	if (sock)
		payload_closed(ctx, (__u64)BPF_CORE_READ(sock, sk), inode);
	return 0;
}

SEC("raw_tp/sys_exit")
int payload_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct payload_cfg *cfg = payload_ours();
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct payload_op *op;
	__s64 ret;

	if (!cfg)
		return 0;
	op = bpf_map_lookup_elem(&ops, &tid);
	if (!op || !op->entry_ns)
		return 0;
	ret = ctx->args[1];
	if (ret > 0 && ret < 0x7fffffff)
		payload_end(ctx, cfg, op, ret);
	op->entry_ns = 0;
	return 0;
}

SEC("raw_tp/sched_process_exit")
int payload_thread_exit(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();

	if (payload_ours())
		bpf_map_delete_elem(&ops, &tid);
	return 0;
}
