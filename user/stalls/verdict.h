/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Is this a stall, and whose? Judges one thread and one socket from kernel counters, and from what the
 * session saw. Pure: everything it goes by is in the argument. Says VERDICT_NONE wherever the facts allow a
 * healthy reading.
 */
#ifndef CULPRIT_VERDICT_H
#define CULPRIT_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "../../bpf/abi/stalls.h"
#include "report/finding.h"
#include "stalls/autopsy.h"

/*
 * tcp_info's ages are in ms, made from jiffies (10 ms at HZ=100) read one after the other: two of them closer
 * than this have no known order.
 */
#define VERDICT_AGE_MARGIN_MS 20

/* Who is to speak next on a connection. */
enum turn {
	TURN_UNKNOWN,
	TURN_QUIET, /* nothing was sent or received yet */
	TURN_PEER,  /* we sent last */
	TURN_OURS,  /* the peer sent last */
};

struct verdict_in {
	uint64_t now_ns, threshold_ns;
	/* the thread */
	enum call_class class;
	uint64_t blocked_ns; /* in this call, at least */
	bool in_rpc; /* inside a client's RPC: on its stack, or recorded and proved to be still running */
	bool has_handler; /* a function that handles requests is on its stack */
	bool reader,
		writer; /* the thread that last received from, sent to this socket, as the session saw it */
	/* how it waits for the socket; of no meaning where it does not */
	uint32_t events; /* POLLIN, POLLOUT...; reads count as POLLIN, writes and connects as POLLOUT */
	bool edge;	 /* by an edge-triggered epoll */
	bool alone;	 /* the only socket that the call waits for */
	/* on a connection that the same call waits for, too, a client has been waiting for us since right
	 * before we asked here: this is what it waits for in the end */
	bool for_client;
	bool dead; /* the call holds another file than the one behind the descriptor now */
	/* verdict_server: it waits for input, but of other descriptors than this one */
	bool elsewhere;
	/* verdict_server: nobody else could serve this connection: the process has no other thread, and no
	 * parent or child of it has the socket */
	bool sole;
	/* the file */
	enum proc_fd_kind kind;
	struct sock_facts sock;
	const struct stalls_sock *flow; /* NULL: not used in this session, or not followed */
};

struct verdict_out {
	enum verdict verdict;
	enum turn turn;
	uint64_t owed_ns; /* how long the other side (or we: TURN_OURS) owes the next word, at least; 0
			     unknown */
	bool partial; /* peer-silent: part of the reply came. server-thread-blocked: the request is not even
			 read */
};

/* A thread that waits for this file: in poll, select, epoll_wait, a read, a write or connect. */
enum verdict verdict_wait(const struct verdict_in *in, struct verdict_out *out);
/* A thread that is blocked elsewhere, and an accepted socket: does a client wait for this thread? */
enum verdict verdict_server(const struct verdict_in *in, struct verdict_out *out);
/* A thread that is blocked elsewhere, and a socket we connected: does an answer lie there that this thread
 * should read? */
enum verdict verdict_unread(const struct verdict_in *in, struct verdict_out *out);

/* For the engine's choice of sockets to look at. */
enum turn verdict_turn(const struct sock_facts *s, const struct stalls_sock *flow, uint64_t now_ns,
		       uint64_t *owed_ns);
bool verdict_is_tcp(const struct sock_facts *s);

#endif
