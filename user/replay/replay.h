/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A stored session as findings again, and all that it is rendered to. What is in a session file may be
 * anybody's: values of the wrong type are errors, control characters do not get through.
 */
#ifndef CULPRIT_REPLAY_REPLAY_H
#define CULPRIT_REPLAY_REPLAY_H

#include "join/join.h"
#include "report/crash.h"
#include "report/stall.h"
#include "report/timeline.h"
#include "report/write.h"
#include "store/load.h"

enum replay_kind { REPLAY_STALL, REPLAY_WRITE, REPLAY_CRASH };

/* One finding. */
struct replay_finding {
	enum replay_kind kind;
	uint64_t found_ns;	 /* CLOCK_MONOTONIC of the node, by the session's clock */
	size_t stall;		 /* REPLAY_STALL: index into stall[] */
	struct bad_write *write; /* REPLAY_WRITE; REPLAY_CRASH: what it died of, not NULL */
	struct crash *crash;	 /* REPLAY_CRASH */
};

struct replay {
	struct session *s; /* owned */
	struct report_clock clock;
	struct replay_finding *v; /* as found */
	size_t n;
	struct stall *stall;
	uint64_t *found_ns; /* of each stall */
	size_t n_stalls;
	bool has_summary;
	struct summary summary;	 /* without one: nothing but complete = false */
	struct stall_life *life; /* of each stall */
	struct timeline_row *row;
	struct log_rec *log;
	size_t n_rows, n_logs;
	struct rpc_ledger ledger;
	struct write_cost *cost;
	size_t n_costs;
};

/* Takes s over, in any case. -EBADMSG with the line that is wrong, -ENOMEM. */
int replay_open(struct replay **ret, struct session *s, struct err *err);
void replay_close(struct replay *r);				/* NULL is fine */
uint64_t replay_wall(const struct replay *r, uint64_t mono_ns); /* CLOCK_REALTIME */

/* "stalls" or "writes"; "?" unknown. */
const char *replay_command(const struct replay *r);

/* What the join engine made of several sessions. */
struct replay_joined {
	const struct joined *v;
	size_t n;
};

/* Sessions as text: who and when; findings in order of time, each client's stall with what its peer's session
 * says of it; then each session's tables and footer. */
void replay_text(FILE *f, struct replay *const *v, size_t n, const struct replay_joined *j);
/* One joined pair as text, and as a JSON line {"kind":"joined"}. */
void replay_joined_text(FILE *f, struct replay *const *v, const struct joined *j);
json_t *replay_joined_json(struct replay *const *v, const struct joined *j);
/* The lines as stored; of several sessions in order of time, with "session" and what was joined. 0 or -errno.
 */
int replay_json(FILE *f, struct replay *const *v, size_t n, const struct replay_joined *j);
/* "comm;outer;..;inner VALUE" lines, as flame graphs are made of: of stalls blocked ms, of bad writes times
 * seen. */
void replay_folded(FILE *f, struct replay *const *v, size_t n);
/* Trace Event Format, for Perfetto and chrome://tracing. */
int replay_chrome(FILE *f, struct replay *const *v, size_t n, const struct replay_joined *j);
/* One page without references to anything else. */
int replay_html(FILE *f, struct replay *const *v, size_t n, const struct replay_joined *j);

#endif
