/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Copies the first bytes that a system call moved, from the buffers that its arguments name. */
#ifndef CULPRIT_PAYLOAD_BPF_H
#define CULPRIT_PAYLOAD_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "../abi/payload.h"
#include "emit.bpf.h"

/* The record that is being made, with room for a piece that begins right before the end. */
struct payload_space {
	struct payload_rec rec;
	__u8 room[PAYLOAD_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct payload_cfg);
} settings SEC(".maps");

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

static __always_inline void payload_begin(__u32 fd, __u64 addr, __u64 len, __u32 form, __u32 sent)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct payload_op op = {.fd = fd, .form = form, .sent = sent}, *old;
	struct payload_stream fresh = {}, *s;
	struct socket *sock = stream_of(fd, &op.inode);

	/* whose end was not seen */
	old = bpf_map_lookup_elem(&ops, &tid);
	if (old)
		old->entry_ns = 0;
	if (!sock)
		return;
	s = bpf_map_lookup_elem(&streams, &op.inode);
	if (s && s->off)
		return;
	if (!s && bpf_map_update_elem(&streams, &op.inode, &fresh, BPF_NOEXIST)) {
		lost_add(ABI_LOST_MAP);
		return;
	}
	op.entry_ns = bpf_ktime_get_ns();
	op.sk = (__u64)BPF_CORE_READ(sock, sk);
	op.addr = addr;
	op.len = len;
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

/* One piece; false: it could not be read, or there is no more room for another. want: bytes in all. */
static __always_inline bool payload_piece(struct payload_space *s, __u64 addr, __u64 len, __u32 want)
{
	__u64 at = s->rec.len, n;

	if (at >= want || at >= PAYLOAD_MAX)
		return false;
	n = want - at;
	if (n > len)
		n = len;
	/* the compiler must not know better than the verifier what these checks are about */
	asm volatile("" : "+r"(n), "+r"(at));
	if (n > PAYLOAD_MAX || at >= PAYLOAD_MAX)
		return false;
	if (bpf_probe_read_user(&s->rec.data[at], n, (void *)addr)) {
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
	len = s->rec.len;
	if (len > PAYLOAD_MAX)
		len = PAYLOAD_MAX;
	len += sizeof(s->rec) - PAYLOAD_MAX;
	hdr_fill(&s->rec.h, PAYLOAD_BYTES, len);
	emit(ctx, &s->rec, len);
}

#endif
