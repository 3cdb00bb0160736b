/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Copies the first bytes that a system call moved, from the buffers that its arguments name. */
#ifndef CULPRIT_PAYLOAD_BPF_H
#define CULPRIT_PAYLOAD_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "../abi/payload.h"
#include "emit.bpf.h"
#include "stack.bpf.h"

#define PAYLOAD_WAKE	(1 << 20) /* bytes that wait in the ring */
#define PAYLOAD_SKIPPED 0x22	  /* MSG_PEEK: comes again; MSG_TRUNC: never reaches the buffer */

/* The record that is being made, with room for a piece that begins right before the end and is as long as its
 * mask lets it be. */
struct payload_space {
	struct payload_rec rec;
	__u8 room[2 * PAYLOAD_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct payload_cfg);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PAYLOAD_NR_MAX);
	__type(key, __u32);
	__type(value, __u32);
} forms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PAYLOAD_CALLS);
	__type(key, __u32);
	__type(value, struct payload_op);
} ops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PAYLOAD_STREAMS);
	__type(key, __u64);
	__type(value, struct payload_stream);
} streams SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct payload_space);
} space SEC(".maps");

/* Parts of the system call interface (struct iovec, struct user_msghdr): not among the types of every kernel.
 */
struct user_iovec {
	__u64 base, len;
};

struct user_message {
	__u64 name;
	__u32 namelen, pad;
	__u64 iov, iovlen;
};

static __always_inline struct payload_cfg *payload_ours(void)
{
	__u32 zero = 0;
	struct payload_cfg *cfg = bpf_map_lookup_elem(&settings, &zero);

	if (!cfg || bpf_get_current_pid_tgid() >> 32 != cfg->tgid)
		return NULL;
	return cfg;
}

/* struct socket behind a descriptor of the current process, if it is one of a stream; 0 if not. */
static __always_inline struct socket *stream_of(__u32 fd, __u64 *inode)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *fdt = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(fdt, fd), *file = NULL;
	struct socket_alloc *alloc;
	struct inode *i;

	if (fd >= BPF_CORE_READ(fdt, max_fds))
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	if (!file)
		return NULL;
	i = BPF_CORE_READ(file, f_inode);
	if ((BPF_CORE_READ(i, i_mode) & 0170000) != 0140000)
		return NULL;
	*inode = BPF_CORE_READ(i, i_ino);
	/* struct socket_alloc = {socket, inode}: SOCKET_I of include/net/sock.h */
	alloc = (void *)i - bpf_core_field_offset(struct socket_alloc, vfs_inode);
	if (BPF_CORE_READ(alloc, socket.type) != 1 /* SOCK_STREAM */)
		return NULL;
	return &alloc->socket;
}

static __always_inline __u32 payload_how(__u32 nr)
{
	__u32 *how = bpf_map_lookup_elem(&forms, &nr);

	return how ? *how : 0;
}

/* Where the buffers are, by the system call that the thread is in. false: it skips what it receives, as
 * MSG_PEEK does. */
static __always_inline bool payload_buffers(struct payload_op *op, __u32 how, const struct pt_regs *regs)
{
	__u32 flags_arg = PAYLOAD_HAS_FLAGS(how);
	__u64 flags = 0;

	if (flags_arg == 2)
		flags = BPF_CORE_READ(regs, ARCH_SYSCALL_ARG2);
	else if (flags_arg == 3)
		flags = BPF_CORE_READ(regs, ARCH_SYSCALL_ARG3);
	if (flags & PAYLOAD_SKIPPED)
		return false;
	op->fd = BPF_CORE_READ(regs, ARCH_SYSCALL_ARG0);
	op->addr = BPF_CORE_READ(regs, ARCH_SYSCALL_ARG1);
	op->len = BPF_CORE_READ(regs, ARCH_SYSCALL_ARG2);
	op->form = PAYLOAD_FORM(how);
	op->sent = !!(how & PAYLOAD_SENDS);
	return true;
}

/* Notes the socket; false: it is one that is not to be read, or there is no room for it. */
static __always_inline bool payload_wanted(__u64 inode)
{
	struct payload_stream fresh = {}, *s = bpf_map_lookup_elem(&streams, &inode);

	if (s)
		return !s->off;
	if (bpf_map_update_elem(&streams, &inode, &fresh, BPF_NOEXIST)) {
		lost_add(ABI_LOST_MAP);
		return false;
	}
	return true;
}

static __always_inline void payload_begin(__u32 how, const struct pt_regs *regs)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct payload_op op = {}, *old;
	struct socket *sock;

	/* whose end was not seen */
	old = bpf_map_lookup_elem(&ops, &tid);
	if (old)
		old->entry_ns = 0;
	if (!payload_buffers(&op, how, regs))
		return;
	sock = stream_of(op.fd, &op.inode);
	if (!sock || !payload_wanted(op.inode))
		return;
	op.entry_ns = bpf_ktime_get_ns();
	op.sk = (__u64)BPF_CORE_READ(sock, sk);
	if (bpf_map_update_elem(&ops, &tid, &op, BPF_ANY))
		lost_add(ABI_LOST_MAP);
}

static __always_inline void payload_who(struct payload_rec *r, __u64 sk)
{
	struct sock_common *c = (void *)sk;

	__builtin_memset(r->peer, 0, sizeof(r->peer));
	r->family = BPF_CORE_READ(c, skc_family);
	r->port = 0;
	r->local = 0;
	if (r->family != 2 && r->family != 10)
		return;
	r->port = BPF_CORE_READ(c, skc_dport);
	r->local = BPF_CORE_READ(c, skc_num);
	if (r->family == 2)
		BPF_CORE_READ_INTO((__u32 *)r->peer, c, skc_daddr);
	else
		BPF_CORE_READ_INTO((struct in6_addr *)r->peer, c, skc_v6_daddr);
}

/*
 * Without waking the reader, which looks by itself every 50 ms: it would be woken for every record. From some
 * filling on it is.
 */
static __always_inline void payload_emit(void *ctx, struct payload_rec *r, __u64 size)
{
	__u64 flags = BPF_RB_NO_WAKEUP;

	MASK_NOW(size, 2 * PAYLOAD_MAX - 1);
	if (!HAS_HELPER(ringbuf_output)) {
		emit(ctx, r, size);
		return;
	}
	if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > PAYLOAD_WAKE)
		flags = BPF_RB_FORCE_WAKEUP;
	if (bpf_ringbuf_output(&events, r, size, flags))
		lost_add(ABI_LOST_RING);
}

/* One piece; false: it could not be read, or there is no more room for another. want: bytes in all. */
static __always_inline bool payload_piece(struct payload_space *s, __u64 addr, __u64 len, __u32 want)
{
	__u64 at = s->rec.len, n;
	__u8 *to;

	if (at >= want || at >= PAYLOAD_MAX)
		return false;
	n = want - at;
	if (n > len)
		n = len;
	if (n > PAYLOAD_MAX)
		return false;
	MASK_NOW(at, PAYLOAD_MAX - 1);
	to = &s->rec.data[at];
	ADDRESS_NOW(to);
	MASK_NOW(n, 2 * PAYLOAD_MAX - 1);
	if (bpf_probe_read_user(to, n, (void *)addr)) {
		lost_add(ABI_LOST_READ);
		return false;
	}
	s->rec.len += n;
	return s->rec.len < want;
}

static __noinline int payload_copy(struct payload_space *s, __u64 addr, __u64 len, __u32 want, __u32 form)
{
	struct user_message m;
	struct user_iovec v;

	if (!s)
		return 0;
	if (form == PAYLOAD_BUF) {
		payload_piece(s, addr, len, want);
		return 0;
	}
	if (form == PAYLOAD_MSG) {
		if (bpf_probe_read_user(&m, sizeof(m), (void *)addr)) {
			lost_add(ABI_LOST_READ);
			return 0;
		}
		addr = m.iov;
		len = m.iovlen;
	}
	for (__u32 i = 0; i < PAYLOAD_IOVS; i++) {
		if (i >= len)
			break;
		if (bpf_probe_read_user(&v, sizeof(v), (void *)(addr + i * sizeof(v)))) {
			lost_add(ABI_LOST_READ);
			break;
		}
		if (!payload_piece(s, v.base, v.len, want))
			break;
	}
	return 0;
}

static __always_inline void payload_end(void *ctx, const struct payload_cfg *cfg, struct payload_op *op,
					__s64 ret)
{
	__u32 zero = 0, want;
	struct payload_space *s = bpf_map_lookup_elem(&space, &zero);
	__u64 len;

	if (!s)
		return;
	if (!op->sk) {
		struct socket *sock = stream_of(op->fd, &op->inode);

		if (!sock)
			return;
		op->sk = (__u64)BPF_CORE_READ(sock, sk);
	}
	s->rec.entry_ns = op->entry_ns;
	s->rec.inode = op->inode;
	s->rec.sent = op->sent;
	s->rec.total = ret;
	s->rec.len = 0;
	payload_who(&s->rec, op->sk);
	want = ret < cfg->capture ? ret : cfg->capture;
	payload_copy(s, op->addr, op->len, want, op->form);
	len = s->rec.len + sizeof(s->rec) - PAYLOAD_MAX;
	hdr_fill(&s->rec.h, PAYLOAD_BYTES, len);
	payload_emit(ctx, &s->rec, len);
}

/* The last word on a socket: what is unanswered now stays so. Behind another descriptor it may live on, and
 * is then met anew. */
static __always_inline void payload_closed(void *ctx, __u64 sk, __u64 inode)
{
	__u32 zero = 0;
	struct payload_space *s = bpf_map_lookup_elem(&space, &zero);

	if (!s || bpf_map_delete_elem(&streams, &inode))
		return;
	s->rec.entry_ns = bpf_ktime_get_ns();
	s->rec.inode = inode;
	s->rec.total = 0;
	s->rec.len = 0;
	s->rec.sent = 0;
	payload_who(&s->rec, sk);
	hdr_fill(&s->rec.h, PAYLOAD_CLOSED, sizeof(s->rec) - PAYLOAD_MAX);
	payload_emit(ctx, &s->rec, sizeof(s->rec) - PAYLOAD_MAX);
}

#endif
