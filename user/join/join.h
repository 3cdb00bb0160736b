/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Both ends of an RPC: what the session at the other end of a connection says of the request that a stalled
 * client waits for. Pure: compares what two sessions stored.
 *
 * A connection is the same if its addresses are mirrored (TCP), or each end's inode is the other's peer
 * (AF_UNIX, one host), and nothing contradicts: on one host the times, between hosts, whose clocks may
 * differ, the bytes that both kernels counted or, where those were counted at different times, the times
 * within JOIN_SLACK_NS. Which request it is is told by the RPC's number where both know it.
 */
#ifndef CULPRIT_JOIN_JOIN_H
#define CULPRIT_JOIN_JOIN_H

#include "report/finding.h"
#include "store/load.h"

#define JOIN_SLACK_NS	   2000000000ULL /* by which two hosts' clocks are taken to differ at most */
#define JOIN_SAME_SLACK_NS 100000000ULL	 /* of ages that the kernel counts in ticks */

enum join_state {
	JOIN_READ,	    /* read there, not answered when last looked at */
	JOIN_UNREAD,	    /* it lies there in the receive queue */
	JOIN_ANSWERED,	    /* answered there */
	JOIN_NOT_ARRIVED,   /* the other kernel has not got all of it */
	JOIN_CLOSED,	    /* the other end was closed without an answer that was seen */
	JOIN_UNCLEAR,	    /* the connection was seen there; not what became of this request */
	JOIN_REUSED,	    /* its addresses were seen there, of another connection */
	JOIN_NO_OVERLAP,    /* the other session was at another time */
	JOIN_NO_CONNECTION, /* no session saw the other end */
};
const char *join_state_name(enum join_state s); /* as in the JSON: "read", "unread", ... */

struct join_session {
	const struct session *s;
	const struct stall *stall;
	const uint64_t *found_ns; /* of each, CLOCK_REALTIME */
	size_t n_stalls;
};

/* A stalled client, and the other end of its connection. */
struct joined {
	size_t a, stall; /* session, and which of its stalls */
	size_t b;	 /* session of the other end; SIZE_MAX none, or several with JOIN_NO_CONNECTION */
	enum join_state state;
	const struct session_conn *ca, *cb; /* NULL: not known */
	const struct session_wait *wa,
		*wb;		       /* the time for which this answer was waited for, at each end; NULL */
	size_t peer_stall;	       /* b's finding about it; SIZE_MAX none */
	uint64_t sent_ns;	       /* when the request left, by a's clock */
	uint64_t read_ns, answered_ns; /* by b's clock; 0 not known */
	uint64_t written, arrived;     /* TCP: bytes that a wrote, and b's kernel got; 0 not known */
	bool same_clock;	       /* both sessions are of one boot of one host */
	bool by_bytes;		       /* both kernels count the same bytes in both directions */
	bool by_id;		       /* both know the request's number, and it is the same */
	char why[256];		       /* UNCLEAR and what comes after it: why nothing can be said */
};

/* For each stall of a client on a connection, in order of sessions and stalls. *ret for free(). -ENOMEM. */
int join_sessions(const struct join_session *v, size_t n, struct joined **ret, size_t *n_ret);

#endif
