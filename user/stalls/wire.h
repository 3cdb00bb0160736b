/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * RPCs as they pass on the wire: which are outstanding on which connection, and what became of the others.
 * For clients and servers whose threads do not wait for their calls one by one. Pure: takes records of
 * bpf/abi/payload.h.
 */
#ifndef CULPRIT_STALLS_WIRE_H
#define CULPRIT_STALLS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../bpf/abi/base.h"
#include "framing/framing.h"
#include "stalls/rpc.h"

#define WIRE_FRAMINGS 4

struct wire;

struct wire_ops {
	void *ctx;
	/* whether this process accepted the connection: 1, 0 (it made it), -1 not known */
	int (*accepted)(void *ctx, uint64_t inode);
	/* the connection carries none of these framings: its bytes are not wanted any more */
	void (*ignore)(void *ctx, uint64_t inode);
};

/* framing[] is borrowed; at most WIRE_FRAMINGS are used. -ENOMEM. */
int wire_create(struct wire **ret, const struct framing *const *framing, size_t n,
		const struct wire_ops *ops);
void wire_destroy(struct wire *w); /* NULL is fine */
/* Requests that are older are left out: their answers may have been taken by calls that were not seen to
 * begin. */
void wire_from(struct wire *w, uint64_t from_ns);
/* Records were lost: nothing is known any more of what is outstanding. */
void wire_gap(struct wire *w);
void wire_event(struct wire *w, const struct abi_hdr *rec);
/* Drops connections that the process does not have open any more. */
void wire_forget(struct wire *w, bool (*open)(void *ctx, uint64_t inode), void *ctx, uint64_t now_ns);

/* The request that has waited longest on one connection. */
struct wire_pending {
	uint64_t inode;
	bool ours;			 /* we asked; false: a client asked us */
	char method[FRAMING_METHOD_LEN]; /* empty: not known */
	uint64_t start_ns, id;
	pid_t tid;	     /* who sent it, or read it */
	size_t others;	     /* further requests outstanding on this connection, in the same direction */
	uint64_t slowest_ns; /* answer to this method so far, from or to anybody; 0: none came yet */
};
/* false: nothing is outstanding there. Streams that have been answered in part, calls whose own time is over,
 * and methods that may take any time, do not count. */
bool wire_oldest(const struct wire *w, uint64_t inode, bool ours, uint64_t now_ns, struct wire_pending *out);
/* All connections that have one, at most max; returns how many. */
size_t wire_all_oldest(const struct wire *w, uint64_t now_ns, struct wire_pending *v, size_t max);
/* Whether one that began in that time, after_ns excluded, still waits. */
bool wire_began(const struct wire *w, uint64_t after_ns, uint64_t until_ns, uint64_t now_ns);
size_t wire_connections(const struct wire *w);

/* Lines for the ledger, by peer, method and side; appended to *l. -ENOMEM. */
int wire_ledger(const struct wire *w, struct rpc_ledger *l, uint64_t now_ns);

/* What was not understood. */
struct wire_losses {
	uint64_t unread;  /* bytes passed over for want of a frame's begin */
	uint64_t foreign; /* connections that carry something else */
	uint64_t known;	  /* connections that are open, and in which frames were found */
	uint64_t unknown; /* those that may still carry one of the framings, but did not so far */
	uint64_t blind;	  /* HTTP/2 connections whose methods cannot be told */
	uint64_t doubt;	  /* requests whose answer may have been among what was not read */
	uint64_t full;	  /* connections, calls or methods for which there was no room */
};
struct wire_losses wire_losses(const struct wire *w);

#endif
