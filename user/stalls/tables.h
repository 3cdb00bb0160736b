/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Copies of the kernel's tables (bpf/abi/stalls.h) as of one moment, sorted by key; and the sockets the
 * process has open. */
#ifndef CULPRIT_STALLS_TABLES_H
#define CULPRIT_STALLS_TABLES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../bpf/abi/stalls.h"
#include "report/finding.h"

struct call_row {
	uint32_t tid;
	struct stalls_call call;
};

struct sock_row {
	uint64_t inode;
	struct stalls_sock sock;
};

struct rpc_row {
	uint32_t tid;
	struct stalls_rpc rpc;
};

struct method_row {
	struct stalls_method_key key;
	struct stalls_method sum;
};

/* A descriptor of the process that is a socket, with its facts as of now. */
struct open_sock {
	int fd;
	uint64_t inode;
	struct sock_facts facts; /* .known only for sockets that sock_diag knows */
};

/* A TCP connection that is open, by both of its addresses. */
struct open_ends {
	uint64_t hash;
	size_t at; /* in open[] */
};

struct stalls_tables {
	struct call_row *call;
	size_t n_calls;
	struct sock_row *sock;
	size_t n_socks;
	struct rpc_row *rpc;
	size_t n_rpcs;
	struct method_row *method;
	size_t n_methods;
	struct open_sock *open;
	size_t n_open;
	struct open_ends *ends; /* by hash; stalls_tables_sort makes it */
	size_t n_ends;
};

/* Sorts what was filled in, and frees and makes ends[]; the lookups need it. -ENOMEM. */
int stalls_tables_sort(struct stalls_tables *t);
void stalls_tables_deinit(struct stalls_tables *t);
/* NULL: not there, or no call in flight. */
const struct stalls_call *tables_call(const struct stalls_tables *t, pid_t tid);
const struct stalls_sock *tables_sock(const struct stalls_tables *t, uint64_t inode);
/* The connection of this process with these ends: the other end of one that it has with itself. NULL: none.
 */
const struct open_sock *tables_ends(const struct stalls_tables *t, const char *local, const char *remote);
const struct stalls_rpc *tables_rpc(const struct stalls_tables *t, pid_t tid);

#endif
