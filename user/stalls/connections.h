/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the engine knows of the target's connections: who owes whom an answer, since when, and which thread of
 * ours has the request or asked. For the session file, where the other end's session can be compared with it.
 */
#ifndef CULPRIT_STALLS_CONNECTIONS_H
#define CULPRIT_STALLS_CONNECTIONS_H

#include "stalls/engine.h"

enum conn_turn {
	CONN_IDLE,  /* nothing is outstanding, or that is not known */
	CONN_ASKED, /* we asked, and there is no answer yet */
	CONN_OWES,  /* the peer asked, and we have not answered */
};

/* Pointers are good until the call returns. */
struct conn_view {
	const struct open_sock *o;	/* facts.known, a connection */
	const struct stalls_sock *flow; /* NULL: not used in this session, or not followed */
	enum conn_turn turn;
	uint64_t since_ns; /* CLOCK_MONOTONIC: request sent, or read; unread: came, 0 not known. 0 with
			      CONN_IDLE */
	bool on_wire;	   /* by its frames: */
	struct wire_pending wire;
};

/* Calls fn for each descriptor of this look that is a connection; dup'ed ones are several of one inode. */
void stall_engine_connections(struct stall_engine *e, const struct look *l,
			      void (*fn)(void *ctx, const struct conn_view *v), void *ctx);

/* The thread that a request waits for, or that asked. */
struct conn_thread {
	struct thread_facts *t; /* NULL: cannot be known */
	char how[STEP_LEN];	/* how it is known, or why not */
};
/* Its stacks are taken. Costs a look at the thread, and for a request read before the session at others. */
void stall_engine_conn_thread(struct stall_engine *e, const struct look *l, const struct conn_view *v,
			      struct conn_thread *out);

#endif
