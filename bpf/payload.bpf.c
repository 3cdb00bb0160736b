// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The first bytes of what one process sends and receives on its stream sockets, taken when the call has
 * ended: how many there are is known then, and of what was received that they are there. The buffers are the
 * calling thread's, which has not returned yet.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "lib/payload.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define MSG_SKIPPED 0x22 /* MSG_PEEK: comes again; MSG_TRUNC: never reaches the buffer */

static __always_inline int begin(struct trace_event_raw_sys_enter *ctx, __u32 form, __u32 sent)
{
	if (payload_ours())
		payload_begin(ctx->args[0], ctx->args[1], ctx->args[2], form, sent);
	return 0;
}

/* read, recvfrom (flags are its fourth argument; read has none, and nothing that can be relied on there) */
SEC("tp")
int payload_read(struct trace_event_raw_sys_enter *ctx)
{
	return begin(ctx, PAYLOAD_BUF, 0);
}

SEC("tp")
int payload_recvfrom(struct trace_event_raw_sys_enter *ctx)
{
	__u64 flags = ctx->args[3];

	return flags & MSG_SKIPPED ? 0 : begin(ctx, PAYLOAD_BUF, 0);
}

/* write, sendto */
SEC("tp")
int payload_write(struct trace_event_raw_sys_enter *ctx)
{
	return begin(ctx, PAYLOAD_BUF, 1);
}

SEC("tp")
int payload_readv(struct trace_event_raw_sys_enter *ctx)
{
	return begin(ctx, PAYLOAD_IOV, 0);
}

SEC("tp")
int payload_writev(struct trace_event_raw_sys_enter *ctx)
{
	return begin(ctx, PAYLOAD_IOV, 1);
}

SEC("tp")
int payload_recvmsg(struct trace_event_raw_sys_enter *ctx)
{
	__u64 flags = ctx->args[2];

	return flags & MSG_SKIPPED ? 0 : begin(ctx, PAYLOAD_MSG, 0);
}

SEC("tp")
int payload_sendmsg(struct trace_event_raw_sys_enter *ctx)
{
	return begin(ctx, PAYLOAD_MSG, 1);
}

SEC("tp")
int payload_exit(struct trace_event_raw_sys_exit *ctx)
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
	ret = ctx->ret;
	if (ret > 0 && ret < 0x7fffffff)
		payload_end(ctx, cfg, op, ret);
	op->entry_ns = 0;
	return 0;
}

/* The last word on a socket: what is unanswered now stays so. Behind another descriptor it may live on, and
 * is then met anew. */
SEC("tp")
int payload_close(struct trace_event_raw_sys_enter *ctx)
{
	__u32 zero = 0, fd = ctx->args[0];
	struct payload_space *s;
	struct socket *sock;
	__u64 inode = 0;

	if (!payload_ours())
		return 0;
	sock = stream_of(fd, &inode);
	if (!sock || bpf_map_delete_elem(&streams, &inode))
		return 0;
	s = bpf_map_lookup_elem(&space, &zero);
	if (!s)
		return 0;
	s->rec.entry_ns = bpf_ktime_get_ns();
	s->rec.inode = inode;
	s->rec.total = 0;
	s->rec.len = 0;
	s->rec.sent = 0;
	payload_who(&s->rec, (__u64)BPF_CORE_READ(sock, sk));
	hdr_fill(&s->rec.h, PAYLOAD_CLOSED, sizeof(s->rec) - PAYLOAD_MAX);
	emit(ctx, &s->rec, sizeof(s->rec) - PAYLOAD_MAX);
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
