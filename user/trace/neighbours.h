/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Other processes of this machine that the target talks to: whose the other end of a connection is, who of
 * them used it (followed from the first time that it is seen), and their threads as they are. For chains that
 * leave the target.
 */
#ifndef CULPRIT_TRACE_NEIGHBOURS_H
#define CULPRIT_TRACE_NEIGHBOURS_H

#include <sys/types.h>

#include "trace/threads.h"
#include "stalls/chain.h"
#include "util/err.h"

#define NEIGHBOURS_FOLLOWED 4 /* processes whose sends and receives are followed */

struct neighbours;

struct neighbours_opts {
	pid_t pid;		/* the target */
	struct threads *target; /* its sockets, dumped by others; borrowed */
	const char *btf;	/* NULL = the kernel's own */
	const char *debuginfo;	/* directory; may be NULL */
	bool no_iter;		/* threads by /proc only */
	bool no_follow;		/* do not follow sends and receives */
};

int neighbours_open(struct neighbours **ret, const struct neighbours_opts *opts, struct err *err);
void neighbours_close(struct neighbours *n); /* NULL is fine */
/*
 * At the start and now and then: follows the processes that the target asks, and those that they ask. By the
 * target's sockets as of their last dump.
 */
void neighbours_find(struct neighbours *n);
/* A look begins: what was read for the last one is read again when it is asked for. */
void neighbours_forget(struct neighbours *n);
/* As in struct stall_engine_ops. */
bool neighbours_peer(void *neighbours, pid_t of, const struct sock_facts *s, struct chain_peer *out);
bool neighbours_place(void *neighbours, pid_t pid, struct chain_place *out);
struct neighbours_account {
	unsigned followed, refused; /* processes, now; those for which there was no room so far */
	uint64_t bpf_ns; /* run time of the programs that follow them; 0 where the kernel does not count */
};
struct neighbours_account neighbours_account(const struct neighbours *n);

#endif
