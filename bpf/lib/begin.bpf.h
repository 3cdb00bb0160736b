/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What happens when a call begins or ends, or a descriptor is closed: the same for every hook that tells of
 * it, because all take the system call's arguments from the registers that the thread brought along.
 */
#ifndef CULPRIT_BEGIN_BPF_H
#define CULPRIT_BEGIN_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "../abi/stalls.h"
#include "calls.bpf.h"
#include "emit.bpf.h"
#include "flows.bpf.h"
#include "stack.bpf.h"

#define MSG_PEEK_     2
#define MSG_DONTWAIT_ 0x40
#define CLOEXEC_FLAG  4 /* CLOSE_RANGE_CLOEXEC: nothing is closed */

static __always_inline __s64 ms_to_ns(__u64 arg)
{
	return (__s32)arg < 0 ? -1 : (__s64)(__s32)arg * 1000000;
}

static __always_inline int begin_poll(const struct call_args *a)
{
	__u64 ufds = a->arg[0], n = a->arg[1];
	__s64 timeout =
		STALLS_HOW_KIND(a->how) == STALLS_HOW_PPOLL ? timespec_read(a->arg[2]) : ms_to_ns(a->arg[2]);
	struct stalls_call *c;
	struct pollfd p;

	if (!timeout) {
		call_over();
		return 0;
	}
	c = call_begin(a, false);
	if (!c)
		return 0;
	c->timeout_ns = timeout;
	for (__u32 i = 0; i < STALLS_FDS; i++) {
		if (i >= n)
			break;
		if (bpf_probe_read_user(&p, sizeof(p), (void *)(ufds + i * sizeof(p)))) {
			lost_add(ABI_LOST_READ);
			break;
		}
		call_fd_look(c, i, p.fd, p.events);
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
		call_fd_look(c, c->n_fds, s->next - 64 + popcount(low - 1), events);
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

static __always_inline int begin_select(const struct call_args *a)
{
	__s64 timeout = STALLS_HOW_KIND(a->how) == STALLS_HOW_SELECT ? timeval_read(a->arg[4])
								     : timespec_read(a->arg[4]);
	struct stalls_call *c;
	__u32 nfds = a->arg[0];

	if (!a->arg[4])
		timeout = -1;
	if (!timeout) {
		call_over();
		return 0;
	}
	c = call_begin(a, false);
	if (!c)
		return 0;
	c->timeout_ns = timeout;
	select_set(c, a->arg[1], nfds, 1 /* POLLIN */);
	select_set(c, a->arg[2], nfds, 4 /* POLLOUT */);
	select_set(c, a->arg[3], nfds, 2 /* POLLPRI */);
	if (c->n_fds >= STALLS_FDS)
		c->flags |= STALLS_CALL_MORE_FDS;
	return 0;
}

static __always_inline int begin_epoll(const struct call_args *a)
{
	__s64 timeout = STALLS_HOW_KIND(a->how) == STALLS_HOW_EPOLL_TS ? timespec_read(a->arg[3])
								       : ms_to_ns(a->arg[3]);
	struct stalls_call *c;

	if (!timeout) {
		call_over();
		return 0;
	}
	c = call_begin(a, false);
	if (!c)
		return 0;
	c->timeout_ns = timeout;
	call_fd_look(c, 0, a->arg[0], 0);
	return 0;
}

/* SO_RCVTIMEO, SO_SNDTIMEO: the kernel keeps them in ticks, LONG_MAX (MAX_SCHEDULE_TIMEOUT) being infinite.
 */
static __always_inline __s64 ticks_to_ns(const struct stalls_cfg *cfg, __s64 ticks)
{
	return ticks > 1000000000000LL ? -1 : ticks * (__s64)cfg->tick_ns;
}

static __always_inline __s64 sock_timeout(const struct stalls_cfg *cfg, const struct fd_file *f, bool send)
{
	struct file *file = (void *)f->file;
	struct socket *sock = f->is_sock ? BPF_CORE_READ(file, private_data) : NULL;
	struct sock *sk = sock ? BPF_CORE_READ(sock, sk) : NULL;

	if (!sk)
		return -2;
	return ticks_to_ns(cfg, send ? BPF_CORE_READ(sk, sk_sndtimeo) : BPF_CORE_READ(sk, sk_rcvtimeo));
}

/*
 * Where ends of calls are not seen, a receive that begins like the one before and has got nothing since is
 * the same one, resumed after a signal: that wait is not over.
 */
static __always_inline bool still_receives(const struct call_args *a, __u64 inode)
{
	struct stalls_call *c = a->how & STALLS_HOW_END_KNOWN ? NULL : call_current();
	struct stalls_sock *s;

	if (!c || c->nr != a->nr || c->arg[0] != a->arg[0] || c->arg[1] != a->arg[1] ||
	    c->arg[2] != a->arg[2] || (c->flags & STALLS_CALL_PEEK))
		return false;
	s = bpf_map_lookup_elem(&socks, &inode);
	return s && s->last_send_ns < c->entry_ns && s->last_recv_ns < c->entry_ns;
}

static __always_inline __u64 msg_flags(const struct call_args *a)
{
	int at = STALLS_HOW_FLAGS_OF(a->how);

	return at == 3 ? a->arg[3] : at == 2 ? a->arg[2] : 0;
}

/* A call of read, write and their like, connect or accept that can block, on *f. */
static __always_inline int begin_io(const struct call_args *a, const struct fd_file *f, __s64 timeout_ns)
{
	__u32 kind = STALLS_HOW_KIND(a->how);
	__u64 msg = msg_flags(a);
	struct stalls_call *c;

	c = call_begin(a, kind == STALLS_HOW_RECV && f->is_sock && still_receives(a, f->inode));
	if (!c)
		return 0;
	c->timeout_ns = timeout_ns;
	if (kind == STALLS_HOW_RECV)
		c->flags |= STALLS_CALL_RECV;
	if (kind == STALLS_HOW_SEND)
		c->flags |= STALLS_CALL_SEND;
	if (msg & MSG_PEEK_)
		c->flags |= STALLS_CALL_PEEK;
	call_fd(c, 0, a->arg[0], 0, f);
	return 0;
}

/* The same by nothing but its arguments. Without a call that can block nothing is kept, unless bytes are
 * counted by what the call returns. */
static __always_inline int begin_fd(const struct stalls_cfg *cfg, const struct call_args *a)
{
	__u32 kind = STALLS_HOW_KIND(a->how);
	bool send = kind == STALLS_HOW_SEND || kind == STALLS_HOW_CONNECT;
	__u64 file = file_by(a->arg[0], true);
	struct fd_file f;

	if (cfg->bytes != STALLS_BYTES_EXIT &&
	    (!file || (msg_flags(a) & MSG_DONTWAIT_) || file_nonblocking(file))) {
		call_over();
		return 0;
	}
	fd_look(&f, file);
	return begin_io(a, &f, sock_timeout(cfg, &f, send));
}

/* The call in a goes on after a signal. */
static __always_inline int begin_again(const struct call_args *a)
{
	struct stalls_call *c = call_current();

	if (c)
		c->flags |= STALLS_CALL_RESTART;
	return 0;
}

/* Bytes by what a call returns: of the socket, and of the RPC that the thread is in. */
static __always_inline void count_returned(const struct stalls_cfg *cfg, const struct stalls_call *c,
					   __u32 bytes)
{
	bool sent = c->flags & STALLS_CALL_SEND;
	__u64 file, sk;

	flow_note(c->fd[0].inode, bytes, sent);
	if (!cfg->rpcs)
		return;
	file = file_of(c->fd[0].fd);
	sk = file == c->fd[0].file ? file_sk(file) : 0; /* not of another that has the number meanwhile */
	if (sk && sent)
		rpc_send(sk);
	else if (sk)
		rpc_recv(sk);
}

/* The thread's call in *c, which may be NULL, has returned. */
static __always_inline void call_returns(void *ctx, const struct stalls_cfg *cfg, struct stalls_call *c,
					 __s64 ret)
{
	if (!c)
		return;
	/* -ERESTARTSYS, -ERESTARTNOINTR, -ERESTARTNOHAND, -ERESTART_RESTARTBLOCK: the kernel may resume the
	 * call */
	if (ret <= -512 && ret >= -516) {
		c->flags |= STALLS_CALL_RESTART;
		return;
	}
	call_end(ctx, cfg, c, ret);
	if (cfg->bytes == STALLS_BYTES_EXIT && ret > 0 && c->n_fds == 1 && c->fd[0].is_sock &&
	    !(c->flags & STALLS_CALL_PEEK))
		count_returned(cfg, c, ret);
}

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stalls_closed);
} closed_scratch SEC(".maps");

/* The numbers are about to lose their files, for which calls may wait. */
static __noinline int fds_lost(void *ctx, __u32 fd, __u32 last, __u32 nr)
{
	struct stalls_closed *e;
	__u32 zero = 0;
	__u64 len;

	e = bpf_map_lookup_elem(&closed_scratch, &zero);
	if (!e)
		return 0;
	e->file = fd == last ? file_of(fd) : 0;
	if (fd == last && !e->file)
		return 0; /* not open: the call will fail */
	e->inode = e->file ? file_inode(e->file) : 0;
	e->fd = fd;
	e->last = last;
	e->nr = nr;
	e->pad = 0;
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
	return 0;
}

/*
 * close(fd); dup2(from, to), dup3(from, to, flags): `to` loses its file, unless both are the same number;
 * close_range(first, last, flags)
 */
static __always_inline int closing(void *ctx, const struct call_args *a)
{
	__u32 kind = STALLS_HOW_KIND(a->how);
	__u32 fd = kind == STALLS_HOW_DUP ? a->arg[1] : a->arg[0];
	__u32 last = kind == STALLS_HOW_CLOSE_RANGE ? a->arg[1] : fd;

	if ((kind == STALLS_HOW_DUP && (__u32)a->arg[0] == fd) ||
	    (kind == STALLS_HOW_CLOSE_RANGE && (a->arg[2] & CLOEXEC_FLAG)))
		return 0;
	if (kind == STALLS_HOW_CLOSE_RANGE || fd_watched(fd))
		return fds_lost(ctx, fd, last, a->nr);
	flow_forget(file_of(fd));
	return 0;
}

/* What the thread's registers say it has just called. */
static __noinline int begins(void *ctx, const struct pt_regs *regs)
{
	__u32 zero = 0, kind;
	struct stalls_cfg *cfg = bpf_map_lookup_elem(&settings, &zero);
	struct call_args a = {};

	if (!cfg || !args_from(&a, regs))
		return 0;
	kind = STALLS_HOW_KIND(a.how);
	if (kind == STALLS_HOW_POLL || kind == STALLS_HOW_PPOLL)
		return begin_poll(&a);
	if (kind == STALLS_HOW_SELECT || kind == STALLS_HOW_PSELECT)
		return begin_select(&a);
	if (kind == STALLS_HOW_EPOLL || kind == STALLS_HOW_EPOLL_TS)
		return begin_epoll(&a);
	if (kind >= STALLS_HOW_RECV && kind <= STALLS_HOW_ACCEPT)
		return begin_fd(cfg, &a);
	if (kind == STALLS_HOW_RESTART)
		return begin_again(&a);
	return closing(ctx, &a);
}

#endif
