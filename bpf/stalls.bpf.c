// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Follows the blocking calls of one process. No event per call: a thread's call stands in `calls` while it is
 * in flight, with the files it waits for pinned by pointer and inode; user space looks there for old ones.
 * Events are only sent for a call that lasted longer than the threshold, and for a close of a descriptor that
 * some call waits for.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "abi/stalls.h"
#include "lib/emit.bpf.h"
#include "lib/stack.bpf.h"
#include "lib/calls.bpf.h"
#include "lib/flows.bpf.h"
#include "lib/own_stack.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/*
 * Number of the call. A system call's own tracepoint has 4 bytes of it and 4 that nobody sets
 * (events/syscalls/.../format), although the kernel's type says long.
 */
static __always_inline __s32 syscall_nr(const struct trace_event_raw_sys_enter *ctx)
{
	return (__s32)ctx->id;
}

/* poll(ufds, nfds, ms), ppoll(ufds, nfds, timespec, ..) */
SEC("tp")
int enter_poll(struct trace_event_raw_sys_enter *ctx)
{
	struct stalls_cfg *cfg = cfg_ours();
	struct stalls_call *c;
	struct pollfd p;
	__u64 ufds, n;

	if (!cfg)
		return 0;
	ufds = ctx->args[0];
	n = ctx->args[1];
	c = call_begin(syscall_nr(ctx), ufds, n, ctx->args[2]);
	if (!c)
		return 0;
	if (syscall_nr(ctx) == cfg->nr_poll)
		c->timeout_ns = (__s32)ctx->args[2] < 0 ? -1 : (__s64)(__s32)ctx->args[2] * 1000000;
	else
		c->timeout_ns = timespec_read(ctx->args[2]);
	for (__u32 i = 0; i < STALLS_FDS; i++) {
		if (i >= n)
			break;
		if (bpf_probe_read_user(&p, sizeof(p), (void *)(ufds + i * sizeof(p)))) {
			lost_add(ABI_LOST_READ);
			break;
		}
		call_fd(c, i, p.fd, p.events, false);
	}
	if (n > STALLS_FDS)
		c->flags |= STALLS_CALL_MORE_FDS;
	return 0;
}

/* Where the reader of a bit set stands. In a map and not in registers, so that the verifier need not follow
 * each bit pattern. */
struct scan {
	__u64 word;
	__u32 next; /* bit number of the word to read next */
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scan);
} scan_scratch SEC(".maps");

/* The next word of the set, or the next bit of the word at hand; 0 = no more. A function of its own: kernels
 * before 6.2 refuse a loop that is entered in its middle, as compilers lay out larger ones. */
static __noinline int select_step(struct stalls_call *c, struct scan *s, __u64 set, __u32 nfds, __u16 events)
{
	__u64 low;

	if (!c || !s)
		return 0;
	if (s->word) {
		if (c->n_fds >= STALLS_FDS)
			return 0;
		low = s->word & -s->word;
		s->word ^= low;
		call_fd(c, c->n_fds, s->next - 64 + popcount(low - 1), events, false);
		return 1;
	}
	if (s->next >= nfds)
		return 0;
	if (bpf_probe_read_user(&s->word, sizeof(s->word), (void *)(set + s->next / 8))) {
		lost_add(ABI_LOST_READ);
		return 0;
	}
	if (nfds - s->next < 64)
		s->word &= (1ULL << ((nfds - s->next) & 63)) - 1;
	s->next += 64;
	return 1;
}

/* One fd_set: an array of long, as many words as nfds needs. */
static __noinline int select_set(struct stalls_call *c, __u64 set, __u32 nfds, __u16 events)
{
	__u32 zero = 0;
	struct scan *s = bpf_map_lookup_elem(&scan_scratch, &zero);

	if (!c || !set || !s)
		return 0;
	s->word = 0;
	s->next = 0;
	for (int i = 0; i < 1024 / 64 + STALLS_FDS && select_step(c, s, set, nfds, events); i++)
		;
	return 0;
}

/* select(n, in, out, ex, timeval), pselect6(n, in, out, ex, timespec, ..) */
SEC("tp")
int enter_select(struct trace_event_raw_sys_enter *ctx)
{
	struct stalls_cfg *cfg = cfg_ours();
	struct stalls_call *c;
	__u32 nfds;

	if (!cfg)
		return 0;
	nfds = ctx->args[0];
	c = call_begin(syscall_nr(ctx), nfds, ctx->args[1], ctx->args[2]);
	if (!c)
		return 0;
	c->timeout_ns = timespec_read(ctx->args[4]);
	if (syscall_nr(ctx) == cfg->nr_select && c->timeout_ns >= 0)
		c->timeout_ns = timeval_read(ctx->args[4]);
	select_set(c, ctx->args[1], nfds, 1 /* POLLIN */);
	select_set(c, ctx->args[2], nfds, 4 /* POLLOUT */);
	select_set(c, ctx->args[3], nfds, 2 /* POLLPRI */);
	if (c->n_fds >= STALLS_FDS)
		c->flags |= STALLS_CALL_MORE_FDS;
	return 0;
}

/* epoll_wait(epfd, events, max, ms), epoll_pwait(.., ms, ..), epoll_pwait2(.., timespec, ..) */
SEC("tp")
int enter_epoll(struct trace_event_raw_sys_enter *ctx)
{
	struct stalls_cfg *cfg = cfg_ours();
	struct stalls_call *c;

	if (!cfg)
		return 0;
	c = call_begin(syscall_nr(ctx), ctx->args[0], ctx->args[1], ctx->args[2]);
	if (!c)
		return 0;
	if (syscall_nr(ctx) == cfg->nr_epoll_pwait2)
		c->timeout_ns = timespec_read(ctx->args[3]);
	else
		c->timeout_ns = (__s32)ctx->args[3] < 0 ? -1 : (__s64)(__s32)ctx->args[3] * 1000000;
	call_fd(c, 0, ctx->args[0], 0, false);
	return 0;
}

static __always_inline int enter_fd(struct trace_event_raw_sys_enter *ctx, __u32 dir)
{
	struct stalls_cfg *cfg = cfg_ours();
	struct stalls_call *c;

	if (!cfg)
		return 0;
	c = call_begin(syscall_nr(ctx), ctx->args[0], ctx->args[1], ctx->args[2]);
	if (!c)
		return 0;
	c->timeout_ns = -2;
	c->flags |= dir;
	call_fd(c, 0, ctx->args[0], 0, cfg->bytes_from_exit);
	return 0;
}

SEC("tp")
int enter_recv(struct trace_event_raw_sys_enter *ctx)
{
	return enter_fd(ctx, STALLS_CALL_RECV);
}

SEC("tp")
int enter_send(struct trace_event_raw_sys_enter *ctx)
{
	return enter_fd(ctx, STALLS_CALL_SEND);
}

/* connect */
SEC("tp")
int enter_conn(struct trace_event_raw_sys_enter *ctx)
{
	return enter_fd(ctx, 0);
}

/* Every call followed, and restart_syscall, ends here. */
SEC("tp")
int exit_call(struct trace_event_raw_sys_exit *ctx)
{
	struct stalls_cfg *cfg = cfg_ours();
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct stalls_call *c;

	if (!cfg)
		return 0;
	c = bpf_map_lookup_elem(&calls, &tid);
	if (!c || !c->entry_ns)
		return 0;
	/* -ERESTARTSYS, -ERESTARTNOINTR, -ERESTARTNOHAND, -ERESTART_RESTARTBLOCK: the kernel may resume the
	 * call */
	if (ctx->ret <= -512 && ctx->ret >= -516) {
		c->flags |= STALLS_CALL_RESTART;
		return 0;
	}
	call_end(ctx, cfg, c, ctx->ret);
	if (cfg->bytes_from_exit && ctx->ret > 0 && c->n_fds == 1 && c->fd[0].is_sock)
		flow_note(c->fd[0].inode, ctx->ret, c->flags & STALLS_CALL_SEND);
	return 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stalls_closed);
} closed_scratch SEC(".maps");

static __always_inline void fd_lost(struct trace_event_raw_sys_enter *ctx, __u32 fd)
{
	struct stalls_closed *e;
	__u32 zero = 0;
	__u64 len;

	e = bpf_map_lookup_elem(&closed_scratch, &zero);
	if (!e)
		return;
	e->file = file_of(fd);
	if (!e->file)
		return; /* not open: the call will fail */
	e->inode = file_inode(e->file);
	e->fd = fd;
	e->nr = syscall_nr(ctx);
	stack_regs(&e->stack, stack_user_regs());
	stack_copy(&e->stack);
	if (e->stack.flags & ABI_STACK_NONE)
		lost_add(ABI_LOST_STACK);
	len = e->stack.len;
	if (len > ABI_STACK_BYTES)
		len = ABI_STACK_BYTES;
	len += sizeof(*e) - ABI_STACK_BYTES;
	hdr_fill(&e->h, STALLS_CLOSED, len);
	emit(ctx, e, len);
}

SEC("tp")
int enter_close(struct trace_event_raw_sys_enter *ctx)
{
	__u32 fd = ctx->args[0]; /* read once, beforehand: the verifier wants constant offsets into ctx */

	if (!cfg_ours())
		return 0;
	if (fd_watched(fd))
		fd_lost(ctx, fd);
	else
		flow_forget(file_of(fd));
	return 0;
}

/* dup2(old, new), dup3(old, new, flags): `new` loses its file, unless both are the same number */
SEC("tp")
int enter_dup(struct trace_event_raw_sys_enter *ctx)
{
	__u32 from = ctx->args[0], to = ctx->args[1];

	if (cfg_ours() && from != to && fd_watched(to))
		fd_lost(ctx, to);
	return 0;
}

SEC("raw_tp/sock_send_length")
int sock_send(struct bpf_raw_tracepoint_args *ctx)
{
	__s32 ret = ctx->args[1];

	if (ret > 0 && cfg_ours()) {
		flow_note(sk_inode(ctx->args[0]), ret, true);
		rpc_send(ctx->args[0]);
	}
	return 0;
}

SEC("raw_tp/sock_recv_length")
int sock_recv(struct bpf_raw_tracepoint_args *ctx)
{
	__s32 ret = ctx->args[1];

	if (ret > 0 && !(ctx->args[2] & 2 /* MSG_PEEK */) && cfg_ours()) {
		flow_note(sk_inode(ctx->args[0]), ret, false);
		rpc_recv(ctx->args[0]);
	}
	return 0;
}

/* RpcChannel::CallMethod(this, method, ..), or a site in its prologue; see STALLS_COOKIE */
SEC("uprobe")
int rpc_call(struct pt_regs *ctx)
{
	/* all read beforehand: the verifier wants constant offsets into ctx */
	__u64 first = PT_REGS_PARM1(ctx), second = PT_REGS_PARM2(ctx), third = PT_REGS_PARM3(ctx);
	__u64 cookie = 0, method, arg;

	KEEP_OWN_STACK(ctx);
	if (!cfg_ours())
		return 0;
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_attach_cookie))
		cookie = bpf_get_attach_cookie(ctx);
	arg = STALLS_COOKIE_ARG(cookie);
	method = arg == 0 ? first : arg == 2 ? third : second;
	rpc_begin(PT_REGS_SP(ctx) + STALLS_COOKIE_PUSHED(cookie), method);
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
