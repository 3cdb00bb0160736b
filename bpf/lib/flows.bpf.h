/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who used which socket last, and the RPC each thread is in. */
#ifndef CULPRIT_FLOWS_BPF_H
#define CULPRIT_FLOWS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "../abi/stalls.h"
#include "calls.bpf.h"
#include "emit.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STALLS_SOCKS);
	__type(key, __u64);
	__type(value, struct stalls_sock);
} socks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STALLS_CALLS);
	__type(key, __u32);
	__type(value, struct stalls_rpc);
} rpcs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STALLS_METHODS);
	__type(key, struct stalls_method_key);
	__type(value, struct stalls_method);
} methods SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stalls_method);
} empty_method SEC(".maps");

/* struct socket_alloc = {socket, inode}: SOCK_INODE of include/net/sock.h */
static __always_inline __u64 sk_inode(__u64 sk)
{
	struct socket_alloc *a = (void *)BPF_CORE_READ((struct sock *)sk, sk_socket);

	return a ? BPF_CORE_READ(a, vfs_inode.i_ino) : 0;
}

/* struct sock * of a file, 0 if it is no socket. */
static __always_inline __u64 file_sk(__u64 file)
{
	struct socket *sock;

	if (!file || !file_is_sock(file))
		return 0;
	sock = (struct socket *)BPF_CORE_READ((struct file *)file, private_data);
	return sock ? (__u64)BPF_CORE_READ(sock, sk) : 0;
}

/* The kernel sends something again on this connection. */
static __always_inline void flow_resent(__u64 sk)
{
	__u64 inode = sk_inode(sk);
	struct stalls_sock *s = inode ? bpf_map_lookup_elem(&socks, &inode) : NULL;

	if (!s)
		return; /* another process's, or not used since the session began */
	s->retransmit_ns = bpf_ktime_get_ns();
	__sync_fetch_and_add(&s->retransmits, 1);
}

static __always_inline void flow_reader(struct stalls_sock *s)
{
	struct task_struct *t;

	if (HAS_HELPER(get_current_task_btf)) {
		t = bpf_get_current_task_btf();
		s->recv_cpu_ns = t->se.sum_exec_runtime;
		s->recv_sys_ns = t->stime;
		s->recv_nvcsw = t->nvcsw;
		return;
	}
	t = (void *)bpf_get_current_task();
	s->recv_cpu_ns = BPF_CORE_READ(t, se.sum_exec_runtime);
	s->recv_sys_ns = BPF_CORE_READ(t, stime);
	s->recv_nvcsw = BPF_CORE_READ(t, nvcsw);
}

static __always_inline void flow_note(__u64 inode, __u32 bytes, bool send)
{
	struct stalls_sock *s, fresh = {};
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	__u64 now = bpf_ktime_get_ns();

	if (!inode)
		return;
	s = bpf_map_lookup_elem(&socks, &inode);
	if (!s) {
		bpf_map_update_elem(&socks, &inode, &fresh, BPF_NOEXIST);
		s = bpf_map_lookup_elem(&socks, &inode);
		if (!s) {
			lost_add(ABI_LOST_MAP);
			return;
		}
	}
	if (send) {
		if (s->last_recv_ns > s->last_send_ns)
			s->replies++;
		if (s->last_recv_ns > s->last_send_ns || !s->last_send_ns) {
			s->asked_ns = now;
			s->burst = 0;
		}
		s->last_send_ns = now;
		s->send_tid = tid;
		s->sent += bytes;
		s->burst += bytes;
	} else {
		if (s->last_send_ns > s->last_recv_ns)
			s->turns++;
		s->last_recv_ns = now;
		s->recv_tid = tid;
		s->received += bytes;
		flow_reader(s);
	}
}

/*
 * The file is being closed: makes room for the next connection, of which some programs make thousands a
 * second. Should it live on behind another descriptor, the kernel's own counters have to do for it.
 */
static __always_inline void flow_forget(__u64 file)
{
	__u64 inode;

	if (!file || !file_is_sock(file))
		return;
	inode = file_inode(file);
	bpf_map_delete_elem(&socks, &inode);
}

static __always_inline void rpc_send(__u64 sk)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct stalls_rpc *r = bpf_map_lookup_elem(&rpcs, &tid);
	struct sock_common *c = (void *)sk;

	if (!r || r->first_send_ns)
		return;
	r->first_send_ns = bpf_ktime_get_ns();
	r->sk = sk;
	r->inode = sk_inode(sk);
	r->family = BPF_CORE_READ(c, skc_family);
	r->port = BPF_CORE_READ(c, skc_dport);
	if (r->family == 2)
		BPF_CORE_READ_INTO((__u32 *)r->peer, c, skc_daddr);
	else if (r->family == 10)
		BPF_CORE_READ_INTO((struct in6_addr *)r->peer, c, skc_v6_daddr);
	else
		r->port = 0;
}

static __always_inline void rpc_recv(__u64 sk)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct stalls_rpc *r = bpf_map_lookup_elem(&rpcs, &tid);

	if (r && r->first_send_ns && r->sk == sk)
		r->last_recv_ns = bpf_ktime_get_ns();
}

/* Bytes went out, or came in. */
static __always_inline void sent(const struct stalls_cfg *cfg, __u64 sk, __u64 inode, __u64 bytes)
{
	flow_note(inode, bytes, true);
	if (cfg->rpcs)
		rpc_send(sk);
}

static __always_inline void received(const struct stalls_cfg *cfg, __u64 sk, __u64 inode, __u64 bytes)
{
	flow_note(inode, bytes, false);
	if (cfg->rpcs)
		rpc_recv(sk);
}

static __always_inline void method_time(struct stalls_method *m, __u64 ns)
{
	__u64 us = ns / 1000;
	__u32 l = log2_of(us | 1), i;

	i = l < 2 ? l * 4 : l * 4 + ((us >> (l - 2)) & 3);
	if (i >= STALLS_BUCKETS)
		i = STALLS_BUCKETS - 1;
	m->bucket[i]++;
	if (ns > m->max_ns)
		m->max_ns = ns;
}

/* The call in *r is over: into the sums of its method and peer. */
static __always_inline void rpc_sum(const struct stalls_rpc *r)
{
	struct stalls_method_key key = {.method = r->method, .port = r->port, .family = r->family};
	struct stalls_method *m;
	__u32 zero = 0;

	__builtin_memcpy(key.peer, r->peer, sizeof(key.peer));
	m = bpf_map_lookup_elem(&methods, &key);
	if (!m) {
		m = bpf_map_lookup_elem(&empty_method, &zero);
		if (m)
			bpf_map_update_elem(&methods, &key, m, BPF_NOEXIST);
		m = bpf_map_lookup_elem(&methods, &key); /* ours, or one that another CPU put in first */
		if (!m) {
			lost_add(ABI_LOST_MAP);
			return;
		}
	}
	__sync_fetch_and_add(&m->calls, 1);
	if (!r->first_send_ns)
		__sync_fetch_and_add(&m->unsent, 1);
	else if (!r->last_recv_ns)
		__sync_fetch_and_add(&m->unanswered, 1);
	else
		method_time(m, r->last_recv_ns - r->entry_ns);
}

static __always_inline void rpc_begin(__u64 sp, __u64 link, __u64 method)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct stalls_rpc *old = bpf_map_lookup_elem(&rpcs, &tid);
	struct stalls_rpc r = {.entry_ns = bpf_ktime_get_ns(), .sp = sp, .method = method};

	if (old)
		rpc_sum(old);
	if (arch_return_address(&r.ret, sp, link))
		lost_add(ABI_LOST_READ);
	if (bpf_map_update_elem(&rpcs, &tid, &r, BPF_ANY))
		lost_add(ABI_LOST_MAP);
}

static __always_inline void rpc_forget(__u32 tid)
{
	struct stalls_rpc *r = bpf_map_lookup_elem(&rpcs, &tid);

	if (!r)
		return;
	rpc_sum(r);
	bpf_map_delete_elem(&rpcs, &tid);
}

#endif
