/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The daemon's own log beside what was found: both in one order of time. A line that says that a call timed
 * out is matched to that call. Pure.
 */
#ifndef CULPRIT_STALLS_TIMELINE_H
#define CULPRIT_STALLS_TIMELINE_H

#include "log/glog.h"
#include "stalls/engine.h"
#include "stalls/rpc.h"

#define TIMELINE_MAX 4096 /* messages kept: the newest */

struct timeline {
	struct log_rec *v; /* ring */
	size_t n;	   /* put in so far */
};

/* Keeps a copy; messages of information only if keep_info. -ENOMEM. */
int timeline_add(struct timeline *t, const struct log_rec *r);
void timeline_deinit(struct timeline *t);

enum timeline_kind { TIMELINE_LOG, TIMELINE_BEGIN, TIMELINE_END };

/* One line: something of the log, or of a finding. */
struct timeline_row {
	enum timeline_kind kind;
	uint64_t real_ns;
	pid_t tid;
	const struct log_rec *log; /* LOG */
	size_t stall;		   /* BEGIN, END: which finding; LOG: the one it belongs to, or SIZE_MAX */
	bool timed_out;		   /* LOG: it says that a call timed out */
};

/*
 * Rows in order of time: begin and end of each finding, what its thread logged meanwhile, a second before and
 * after, and every message that says that a call timed out. *rows for free(). -ENOMEM.
 */
int timeline_build(const struct timeline *t, const struct stall_life *lives, size_t n,
		   const struct report_clock *c, struct timeline_row **rows, size_t *n_rows);
/* Puts begin and end of each finding among the *n_rows rows of the log, in order of time. rows has room for 2
 * * n more. */
void timeline_add_lives(struct timeline_row *rows, size_t *n_rows, const struct stall_life *lives, size_t n,
			const struct report_clock *c);
/* Adds the time-outs that the log tells since from_ns (CLOCK_REALTIME) to the ledger's lines, where it is
 * clear to which. */
void timeline_count(const struct timeline *t, const struct timeline_row *rows, size_t n_rows,
		    const struct stall_life *lives, uint64_t from_ns, struct rpc_ledger *l);

#endif
