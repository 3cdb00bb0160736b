/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The target's connections, from look to look, into the session file: new and changed ones, the times for
 * which answers were outstanding, and the thread that has the request.
 */
#ifndef CULPRIT_STORE_TRACK_H
#define CULPRIT_STORE_TRACK_H

#include "stalls/connections.h"
#include "store/store.h"

#define TRACK_CONNS  16384 /* open at a time */
#define TRACK_WAITS  65536 /* in a session */
#define TRACK_ROWS   512   /* changed connections written at one look, besides those that somebody waits on */
#define TRACK_STACKS 32	   /* threads whose stacks are taken at one look */

struct track;

int track_create(struct track **ret, struct store *s, uint64_t threshold_ns);
void track_destroy(struct track *t); /* NULL is fine */
/* After the engine has judged. clock: as of now. last: of the session, so that all is written. */
void track_look(struct track *t, struct stall_engine *e, const struct look *l,
		const struct report_clock *clock, bool last);
/* Writes what has changed since it was written. */
void track_finish(struct track *t);

struct track_account {
	uint64_t conns, waits;	/* kept */
	uint64_t no_room;	/* connections that were open at one time and are not kept */
	uint64_t waits_no_room; /* waits that are not kept */
};
struct track_account track_account(const struct track *t);

#endif
