/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The hooks of calls on functions of the kernel, each as a kprobe (kp_) and as fentry (fe_) program; fexit
 * (fx_) tells ends. None is of the return probe kind, of which a kernel has a limited number that calls
 * blocked for long use up. Only the struct sock and byte counts come from the functions' own arguments, whose
 * places have not changed since 4.18; all else is what the thread brought along (args_from).
 */
#ifndef CULPRIT_FUNCTIONS_BPF_H
#define CULPRIT_FUNCTIONS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "begin.bpf.h"

/* A program for each of the two ways to be at a function's entry. body(first argument, second, third, whether
 * the verifier knows what they point to). */
#define ON_ENTRY(name, function, body)                                                                       \
	SEC("kprobe")                                                                                        \
	int kp_##name(struct pt_regs *ctx)                                                                   \
	{                                                                                                    \
		return body(ctx, PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx), false);         \
	}                                                                                                    \
	ON_FENTRY(name, function, body)

#define ON_FENTRY(name, function, body)                                                                      \
	SEC("fentry/" function)                                                                              \
	int fe_##name(__u64 *ctx)                                                                            \
	{                                                                                                    \
		return body(ctx, ctx[0], ctx[1], ctx[2], true);                                              \
	}

/* For functions of one or two parameters, of which none is needed. */
#define ON_FENTRY_ANY(name, function, body)                                                                  \
	SEC("fentry/" function)                                                                              \
	int fe_##name(__u64 *ctx)                                                                            \
	{                                                                                                    \
		return body(ctx, 0, 0, 0);                                                                   \
	}

/* body(first argument, return value) of a function of n parameters. */
#define ON_FEXIT(name, n, function, body)                                                                    \
	SEC("fexit/" function)                                                                               \
	int fx_##name##_##n(__u64 *ctx)                                                                      \
	{                                                                                                    \
		return body(ctx, ctx[0], (__s64)(__s32)ctx[n]);                                              \
	}

static __noinline int fn_call(void *ctx, __u64 a0, __u64 a1, __u64 a2)
{
	return cfg_ours() ? begins(ctx, stack_user_regs()) : 0;
}

/* What the socket that a function of the kernel is called for has to do with files. */
struct sk_file {
	struct fd_file f; /* file 0: a socket that the kernel itself made */
	__u32 blocks;
	__u32 pad;
};

static __always_inline void sk_look(struct sk_file *v, __u64 sk, bool typed)
{
	struct socket *sock = FIELD(typed, (struct sock *)sk, sk_socket);
	struct file *file = sock ? FIELD(typed, sock, file) : NULL;

	v->f.file = (__u64)file;
	v->f.is_sock = 1;
	v->f.inode = v->blocks = 0;
	if (!file)
		return;
	v->f.inode =
		typed ? file->f_inode->i_ino : BPF_CORE_READ((struct socket_alloc *)sock, vfs_inode.i_ino);
	v->blocks = !(FIELD(typed, file, f_flags) & 04000); /* O_NONBLOCK */
}

static __always_inline __u64 sk_inode_by(__u64 sk, bool typed)
{
	return typed ? ((struct sock *)sk)->sk_socket->file->f_inode->i_ino : sk_inode(sk);
}

static __always_inline __u64 sk_of(__u64 sock, bool typed)
{
	return (__u64)FIELD(typed, (struct socket *)sock, sk);
}

/*
 * A call that cannot block needs no look at its arguments. Else all but the descriptor's number is known from
 * the socket, as long as the number stands for it: file systems and block devices use sockets, too.
 */
static __always_inline int fn_begin_io(struct stalls_cfg *cfg, __u64 sk, const struct sk_file *v, bool send,
				       bool typed)
{
	struct call_args a = {};
	__s64 ticks;
	__u32 kind;

	if (!v->blocks) {
		call_over();
		return 0;
	}
	if (!args_from(&a, stack_user_regs()))
		return 0;
	kind = STALLS_HOW_KIND(a.how);
	if (kind < STALLS_HOW_RECV || kind > STALLS_HOW_ACCEPT)
		return 0;
	if (kind != (send ? STALLS_HOW_SEND : STALLS_HOW_RECV) || file_by(a.arg[0], true) != v->f.file)
		return begin_fd(cfg, &a);
	if (msg_flags(&a) & MSG_DONTWAIT_) {
		call_over();
		return 0;
	}
	if (send)
		ticks = FIELD(typed, (struct sock *)sk, sk_sndtimeo);
	else
		ticks = FIELD(typed, (struct sock *)sk, sk_rcvtimeo);
	return begin_io(&a, &v->f, ticks_to_ns(cfg, ticks));
}

static __always_inline int fn_sk_recv(void *ctx, __u64 sk, __u64 a1, __u64 a2, bool typed)
{
	struct stalls_cfg *cfg = cfg_ours();
	struct sk_file v;

	if (!cfg)
		return 0;
	sk_look(&v, sk, typed);
	return fn_begin_io(cfg, sk, &v, false, typed);
}

static __always_inline int fn_sk_send(void *ctx, __u64 sk, __u64 a1, __u64 size, bool typed)
{
	struct stalls_cfg *cfg = cfg_ours();
	struct sk_file v;

	if (!cfg)
		return 0;
	sk_look(&v, sk, typed);
	fn_begin_io(cfg, sk, &v, true, typed);
	if (cfg->bytes == STALLS_BYTES_ENTRY && size)
		sent(cfg, sk, v.f.inode, size);
	return 0;
}

static __always_inline int fn_sock_recv(void *ctx, __u64 sock, __u64 a1, __u64 a2, bool typed)
{
	return cfg_ours() ? fn_sk_recv(ctx, sk_of(sock, typed), a1, a2, typed) : 0;
}

static __always_inline int fn_sock_send(void *ctx, __u64 sock, __u64 a1, __u64 size, bool typed)
{
	return cfg_ours() ? fn_sk_send(ctx, sk_of(sock, typed), a1, size, typed) : 0;
}

/* tcp_cleanup_rbuf(sk, copied): before each wait, and at the end, with all that was copied so far */
static __noinline int fn_copied(void *ctx, __u64 sk, __u64 copied, __u64 a2)
{
	struct stalls_cfg *cfg = cfg_ours();
	struct stalls_call *c;
	__u32 n = copied;

	if (!cfg || (__s32)n <= 0 || cfg->bytes != STALLS_BYTES_ENTRY)
		return 0;
	c = call_current();
	if (c && (c->flags & STALLS_CALL_PEEK))
		return 0;
	if (c && (c->flags & STALLS_CALL_RECV)) {
		n = n > c->got ? n - c->got : 0;
		c->got += n;
	}
	if (n)
		received(cfg, sk, sk_inode(sk), n);
	return 0;
}

/* unix_stream_read_actor(skb, skip, chunk, state): whose socket that is, the system call knows */
static __noinline int fn_chunk(void *ctx, __u64 chunk, __u64 a1, __u64 a2)
{
	struct stalls_cfg *cfg = cfg_ours();
	struct stalls_call *c;
	struct call_args a = {};
	__u64 sk;

	if (!cfg || cfg->bytes != STALLS_BYTES_ENTRY || (__s32)chunk <= 0)
		return 0;
	c = call_current();
	if ((c && (c->flags & STALLS_CALL_PEEK)) || !args_from(&a, stack_user_regs()) ||
	    STALLS_HOW_KIND(a.how) != STALLS_HOW_RECV)
		return 0;
	sk = file_sk(file_of(a.arg[0]));
	if (sk)
		received(cfg, sk, sk_inode(sk), (__u32)chunk);
	return 0;
}

/* poll_freewait(): poll and select take themselves out of the wait queues, their last step */
static __noinline int fn_polled(void *ctx, __u64 a0, __u64 a1, __u64 a2)
{
	struct stalls_cfg *cfg = cfg_ours();
	struct stalls_call *c = cfg ? call_current() : NULL;
	__u32 kind = c ? STALLS_HOW_KIND(how_of(c->nr)) : 0;
	struct task_struct *task = (void *)bpf_get_current_task();
	bool out_of_time;

	if (!c || kind < STALLS_HOW_POLL || kind > STALLS_HOW_PSELECT)
		return 0;
	if (BPF_CORE_READ(task, thread_info.flags) & ARCH_SIGNAL_PENDING) {
		c->flags |= STALLS_CALL_RESTART;
		return 0;
	}
	/* what it will return is not known here: nothing only if its time is up */
	out_of_time = c->timeout_ns >= 0 && bpf_ktime_get_ns() - c->entry_ns >= (__u64)c->timeout_ns;
	call_end(ctx, cfg, c, !out_of_time);
	return 0;
}

static __noinline int fn_resent(void *ctx, __u64 sk, __u64 a1, __u64 a2, bool typed)
{
	flow_resent(sk);
	return 0;
}

static __noinline int fn_returns(void *ctx, __u64 a0, __s64 ret)
{
	struct stalls_cfg *cfg = cfg_ours();

	if (cfg)
		call_returns(ctx, cfg, call_current(), ret);
	return 0;
}

static __always_inline int fn_accepted(void *ctx, __u64 a0, __s64 ret)
{
	return fn_returns(ctx, a0, 0); /* a pointer */
}

/* Only by fexit: the verifier knows the argument. */
static __always_inline int fn_sk_sent(void *ctx, __u64 sk, __s64 ret)
{
	struct stalls_cfg *cfg = cfg_ours();

	if (!cfg)
		return 0;
	if (ret > 0 && cfg->bytes == STALLS_BYTES_FEXIT)
		sent(cfg, sk, sk_inode_by(sk, true), ret);
	call_returns(ctx, cfg, call_current(), ret);
	return 0;
}

static __always_inline int fn_sk_received(void *ctx, __u64 sk, __s64 ret)
{
	struct stalls_cfg *cfg = cfg_ours();
	struct stalls_call *c;

	if (!cfg)
		return 0;
	c = call_current();
	if (ret > 0 && cfg->bytes == STALLS_BYTES_FEXIT && !(c && (c->flags & STALLS_CALL_PEEK)))
		received(cfg, sk, sk_inode_by(sk, true), ret);
	call_returns(ctx, cfg, c, ret);
	return 0;
}

static __always_inline int fn_sock_sent(void *ctx, __u64 sock, __s64 ret)
{
	return cfg_ours() ? fn_sk_sent(ctx, sk_of(sock, true), ret) : 0;
}

static __always_inline int fn_sock_received(void *ctx, __u64 sock, __s64 ret)
{
	return cfg_ours() ? fn_sk_received(ctx, sk_of(sock, true), ret) : 0;
}

SEC("kprobe")
int kp_call(struct pt_regs *ctx)
{
	return fn_call(ctx, 0, 0, 0);
}

ON_FENTRY_ANY(poll, "do_sys_poll", fn_call)
ON_FEXIT(poll, 3, "do_sys_poll", fn_returns)
ON_FENTRY_ANY(select, "do_select", fn_call)
ON_FEXIT(select, 3, "do_select", fn_returns)
ON_FENTRY_ANY(epoll, "do_epoll_wait", fn_call)
ON_FEXIT(epoll, 4, "do_epoll_wait", fn_returns)
ON_FENTRY_ANY(pipe_read, "pipe_read", fn_call)
ON_FEXIT(pipe_read, 2, "pipe_read", fn_returns)
ON_FENTRY_ANY(pipe_write, "pipe_write", fn_call)
ON_FEXIT(pipe_write, 2, "pipe_write", fn_returns)
ON_FENTRY_ANY(connect, "inet_stream_connect", fn_call)
ON_FEXIT(connect, 4, "inet_stream_connect", fn_returns)
ON_FENTRY_ANY(unix_connect, "unix_stream_connect", fn_call)
ON_FEXIT(unix_connect, 4, "unix_stream_connect", fn_returns)
ON_FENTRY_ANY(accept, "inet_csk_accept", fn_call)
ON_FEXIT(accept, 4, "inet_csk_accept", fn_accepted)
ON_FEXIT(accept, 2, "inet_csk_accept", fn_accepted)
ON_FENTRY_ANY(unix_accept, "unix_accept", fn_call)
ON_FEXIT(unix_accept, 4, "unix_accept", fn_returns)
ON_FEXIT(unix_accept, 3, "unix_accept", fn_returns)
ON_FENTRY_ANY(close, ARCH_SYSCALL "close", fn_call)
ON_FENTRY_ANY(dup2, ARCH_SYSCALL "dup2", fn_call)
ON_FENTRY_ANY(dup3, ARCH_SYSCALL "dup3", fn_call)
ON_FENTRY_ANY(close_range, ARCH_SYSCALL "close_range", fn_call)
ON_ENTRY(tcp_recv, "tcp_recvmsg", fn_sk_recv)
ON_FEXIT(tcp_recv, 6, "tcp_recvmsg", fn_sk_received)
ON_FEXIT(tcp_recv, 5, "tcp_recvmsg", fn_sk_received)
ON_FEXIT(tcp_recv, 4, "tcp_recvmsg", fn_sk_received)
ON_ENTRY(tcp_send, "tcp_sendmsg", fn_sk_send)
ON_FEXIT(tcp_send, 3, "tcp_sendmsg", fn_sk_sent)
ON_ENTRY(unix_recv, "unix_stream_recvmsg", fn_sock_recv)
ON_FEXIT(unix_recv, 4, "unix_stream_recvmsg", fn_sock_received)
ON_ENTRY(unix_send, "unix_stream_sendmsg", fn_sock_send)
ON_FEXIT(unix_send, 3, "unix_stream_sendmsg", fn_sock_sent)
ON_ENTRY(retransmit, "tcp_retransmit_skb", fn_resent)

SEC("kprobe")
int kp_copied(struct pt_regs *ctx)
{
	return fn_copied(ctx, PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), 0);
}

SEC("fentry/tcp_cleanup_rbuf")
int fe_copied(__u64 *ctx)
{
	return fn_copied(ctx, ctx[0], ctx[1], 0);
}

SEC("kprobe")
int kp_chunk(struct pt_regs *ctx)
{
	return fn_chunk(ctx, PT_REGS_PARM3(ctx), 0, 0);
}

SEC("fentry/unix_stream_read_actor")
int fe_chunk(__u64 *ctx)
{
	return fn_chunk(ctx, ctx[2], 0, 0);
}

SEC("kprobe")
int kp_polled(struct pt_regs *ctx)
{
	return fn_polled(ctx, 0, 0, 0);
}

SEC("fentry/poll_freewait")
int fe_polled(__u64 *ctx)
{
	return fn_polled(ctx, 0, 0, 0);
}

/* tcp_sendpage(sk, page, offset, size, flags): sendfile before 6.5 */
SEC("kprobe")
int kp_sendpage(struct pt_regs *ctx)
{
	return fn_sk_send(ctx, PT_REGS_PARM1(ctx), 0, PT_REGS_PARM4(ctx), false);
}

SEC("fentry/tcp_sendpage")
int fe_sendpage(__u64 *ctx)
{
	return fn_sk_send(ctx, ctx[0], 0, ctx[3], true);
}

SEC("fexit/tcp_sendpage")
int fx_sendpage_5(__u64 *ctx)
{
	return fn_sk_sent(ctx, ctx[0], (__s64)(__s32)ctx[5]);
}

#endif
