/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `culprit stalls`: stalls.c parses and opens, stalls_run.c runs the session and closes it with the summary.
 */
#ifndef CULPRIT_CMD_STALLS_H
#define CULPRIT_CMD_STALLS_H

#include "cmd/output.h"
#include "log/follow.h"
#include "plan/rpc.h"
#include "spec/spec.h"
#include "stalls/budget.h"
#include "stalls/engine.h"
#include "stalls/pace.h"
#include "stalls/timeline.h"
#include "stalls/wire.h"
#include "store/track.h"
#include "symbol/image.h"
#include "trace/neighbours.h"
#include "trace/payload.h"
#include "trace/session.h"
#include "trace/stalls.h"
#include "trace/threads.h"
#include "trace/transport.h"

#define STALLS_LOGS 8

struct stalls_opts {
	struct common_opts common;
	uint64_t threshold_ns;
	const char *spec;
	enum call_source source;
	bool no_sock, no_calls, no_iter;
	struct framing framing[WIRE_FRAMINGS]; /* --framing */
	size_t n_framings;
	const char *log[STALLS_LOGS]; /* --log */
	size_t n_logs;
};

struct stalls_run {
	struct stalls_opts opts;
	struct output out;
	uint64_t start_ns;
	struct spec *spec;
	struct image *image;
	struct err image_err; /* why there is no image */
	struct rpc_plan rpc;
	struct threads *threads;
	struct neighbours *neighbours;
	struct stalls_trace *trace;
	struct transport *transport;
	struct stall_engine *engine;
	struct payload *payload; /* NULL: no framing is described */
	struct wire *wire;
	struct stalls_log *log; /* NULL: no --log */
	struct track *track;	/* NULL: no -o */
	uint64_t tracked_ns;
	uint64_t wire_lost; /* records lost when what is outstanding was last thrown away for it */
	struct session_usage usage;
	/* the looks */
	struct pace pace;
	uint64_t forget_ns;
	bool find_neighbours; /* it is time to see who is at the other ends */
	uint64_t looks;
	unsigned n_threads, n_calls;
	struct budget budget;
	unsigned n_dropped; /* rows of the plan, for the budget */
	bool dropped_all;   /* there is nothing left to drop */
	double runs_per_s;  /* when they were dropped */
};

/* First look: what was blocked before. Then the session may run. */
int stalls_start(struct stalls_run *r, struct err *err);
int stalls_tick(void *ctx, uint64_t now_ns, bool last, struct err *err);
void stalls_progress(void *ctx, char *buf, size_t len);
/* stalls_wire.c: RPCs by the frames on the wire, where the spec or --framing describes them. */
int stalls_wire_option(struct stalls_opts *o, const char *arg, struct err *err);
int stalls_wire_open(struct stalls_run *r, struct err *err);
int stalls_wire_start(struct stalls_run *r, struct err *err);
void stalls_wire_seed(struct stalls_run *r, const struct autopsy *a);
void stalls_wire_event(struct stalls_run *r, const struct abi_hdr *rec);
void stalls_wire_forget(struct stalls_run *r, const struct stalls_tables *now, uint64_t now_ns);
bool stalls_wire_oldest(void *run, uint64_t inode, bool ours, struct wire_pending *out);
size_t stalls_wire_all(void *run, struct wire_pending *v, size_t max);
bool stalls_wire_began(void *run, uint64_t after_ns, uint64_t until_ns);
void stalls_wire_account(struct stalls_run *r, struct summary *s);
void stalls_wire_close(struct stalls_run *r);

/* stalls_log.c: the daemon's own messages. */
int stalls_log_open(struct stalls_run *r, struct err *err);
void stalls_log_threads(struct stalls_run *r, const struct autopsy *a);
void stalls_log_read(struct stalls_run *r, bool last);
/* *rows for free(). */
int stalls_log_rows(struct stalls_run *r, const struct stall_life *lives, size_t n,
		    struct timeline_row **rows, size_t *n_rows);
void stalls_log_count(struct stalls_run *r, const struct timeline_row *rows, size_t n_rows,
		      const struct stall_life *lives, struct rpc_ledger *ledger);
void stalls_log_account(const struct stalls_run *r, struct summary *s);
void stalls_log_close(struct stalls_run *r);

/* stalls_store.c: connections for the session file. */
int stalls_store_open(struct stalls_run *r, struct err *err);
void stalls_store_look(struct stalls_run *r, const struct look *l, bool found, bool last);
void stalls_store_account(struct stalls_run *r, struct summary *s);
void stalls_store_close(struct stalls_run *r);

/* Prints tables and summary; returns the exit code. */
int stalls_finish(struct stalls_run *r, enum session_end why);

#endif
