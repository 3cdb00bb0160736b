/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sockets of a process's network namespace, by sock_diag (linux/sock_diag.h, inet_diag.h, unix_diag.h): what
 * `ss -tipmona` and `ss -x` print, as struct sock_facts. Read-only; the netlink socket is made inside the
 * namespace by a helper thread, so that the caller's own namespace never changes.
 */
#ifndef CULPRIT_SOCK_H
#define CULPRIT_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "report/finding.h"
#include "util/err.h"

struct sock_table;

/* Opens sock_diag in pid's network namespace. -EPERM, -ENOENT (no such process), -EPROTONOSUPPORT (no diag in
 * this kernel). */
int sock_table_open(struct sock_table **ret, pid_t pid, struct err *err);
void sock_table_close(struct sock_table *t); /* NULL is fine */
/* Dumps TCP (v4, v6, every state) and AF_UNIX and replaces what the table held. A missing family is noted,
 * not an error. */
int sock_table_dump(struct sock_table *t, struct err *err);
/* Facts of the socket with this inode as of the last dump or query of it. false: not there (other protocol,
 * or gone). */
bool sock_table_find(const struct sock_table *t, uint64_t inode, struct sock_facts *out);
/*
 * Asks the kernel again for one socket of the table, by exact addresses and cookie: cheap, independent of how
 * many sockets there are. -ENOENT: the kernel has it in no state any more (closed, or reset), or it was never
 * in the table (then dump).
 */
int sock_table_query(struct sock_table *t, uint64_t inode, struct sock_facts *out, struct err *err);

enum sock_peer {
	SOCK_PEER_NONE,	  /* not in this namespace, or several could be it */
	SOCK_PEER_FOUND,  /* *out is the other end */
	SOCK_PEER_QUEUED, /* nobody has accepted it yet: *out is the listening socket that holds it */
};
/* The other end of a connection, if it is in the same network namespace: TCP by both addresses, AF_UNIX by
 * inode. As of the last dump. */
enum sock_peer sock_table_peer(struct sock_table *t, const struct sock_facts *of, struct sock_facts *out);
size_t sock_table_count(const struct sock_table *t);
/* Whether that family was readable at the last dump: AF_INET, AF_INET6, AF_UNIX. */
bool sock_table_has(const struct sock_table *t, int family);

#endif
