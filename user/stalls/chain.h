/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * For whom a stuck thread waits, for whom that one waits, and so on to the end: a lock's owner, the thread at
 * the other end of a connection in this process or another one of this machine, and in the end a peer
 * elsewhere, a disk, or a thread that is just not done; or one of the threads before, and then none of them
 * will ever go on. What the engine must be told of other processes for that.
 */
#ifndef CULPRIT_STALLS_CHAIN_H
#define CULPRIT_STALLS_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "report/finding.h"
#include "stalls/autopsy.h"
#include "stalls/tables.h"

#define CHAIN_MAX_STEPS	    16
#define CHAIN_MAX_PROCESSES 8 /* besides the target */

/* Where the other end of a connection is. */
enum peer_state {
	PEER_ELSEWHERE, /* not in the network namespace of the process */
	PEER_HELD,	/* one process has it open */
	PEER_QUEUED,	/* nobody has accepted it: a listening socket has it, which one process has open */
	PEER_SHARED,	/* several processes have it open */
	PEER_UNHELD,	/* no process that can be seen has it open */
};

struct chain_peer {
	enum peer_state state;
	pid_t pid; /* PEER_HELD, PEER_QUEUED */
	int fd;
	size_t n_holders;
	size_t unreadable;	/* processes whose descriptors could not be read */
	struct sock_facts sock; /* the other end, or the listening socket; not with PEER_ELSEWHERE */
};

/* A process as of now; what it points to stays until the look is over. */
struct chain_place {
	pid_t pid;
	char comm[FINDING_COMM_LEN];
	uint64_t now_ns;
	struct autopsy *autopsy;
	const struct stalls_tables *tables; /* open sockets; who used them as far as that was followed */
	const struct autopsy_ops *target;
};

#endif
