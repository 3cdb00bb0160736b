/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A session as its file keeps it (docs/session.md): rows as plain values, for who writes them (store.h), who
 * reads them (load.h) and who compares the two ends of a connection (join/join.h). Times are CLOCK_REALTIME
 * nanoseconds of the node, 0 = not known.
 */
#ifndef CULPRIT_STORE_SESSION_H
#define CULPRIT_STORE_SESSION_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "report/finding.h"

/* A connection of the target, as it was last seen. */
struct session_conn {
	int64_t id;
	uint64_t inode;
	uint64_t peer_inode; /* AF_UNIX: the other end's, 0 not known */
	int fd;
	char family[8];		    /* "inet", "inet6", "unix" */
	char local[64], remote[64]; /* as in struct sock_facts */
	char state[16];
	bool accepted;
	bool gone;		    /* it was not open any more when the session last looked */
	uint64_t first_ns, seen_ns; /* when the session first and last saw it open */
	uint64_t last_send_ns, last_recv_ns;
	uint32_t recv_queue; /* bytes that nobody has read, without a FIN */
	uint32_t send_queue, unacked;
	uint64_t bytes_sent, bytes_acked, bytes_received; /* TCP: by the kernel's count */
	pid_t recv_tid, send_tid; /* who last received and sent, as the session saw it; 0 not known */
};

/* A time for which an answer was outstanding on a connection. */
struct session_wait {
	int64_t id, conn; /* conn: session_conn.id */
	bool ours;	  /* the target asked; false: it is asked */
	uint64_t since_ns;
	uint64_t seen_ns;  /* when it was last seen to be outstanding */
	uint64_t until_ns; /* when the answer began; 0: outstanding when last seen, or `end` tells */
	const char *end;   /* static: "answered", "closed", NULL not ended */
	uint32_t unread;   /* bytes of the request that nobody has read */
	char method[128];  /* empty: not known */
	bool rpc_id_known;
	uint64_t rpc_id;
	/* The thread that asked; or that read the request or should read it: {"tid","comm","how","doing",
	 * "user_stack","kernel_stack"}; tid null: not known, and how tells why. Owned; NULL nothing. */
	json_t *thread;
};
void session_wait_deinit(struct session_wait *w);

#endif
