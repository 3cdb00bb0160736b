/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The state of a `culprit writes` session, and its account. */
#ifndef CULPRIT_CMD_WRITES_REPORT_H
#define CULPRIT_CMD_WRITES_REPORT_H

#include "cmd/writes_run.h"
#include "story/elsewhere.h"
#include "symbol/image.h"
#include "trace/session.h"
#include "trace/transport.h"
#include "trace/writes.h"
#include "trace/writes_census.h"
#include "trace/writes_nursery.h"
#include "trace/writes_sweep.h"
#include "trace/writes_watch.h"
#include "writes/crash.h"
#include "writes/engine.h"

/* One process. */
struct run {
	pid_t pid;
	bool exited, crashed;
	bool late; /* it was started during the session */
	bool watch_failed;
	bool no_register;  /* for watchpoints: others have them */
	bool heap_stopped; /* over the budget */
	const struct writes_opts *o;
	struct output *out;
	struct writes_prep *p;
	struct image *image;
	struct engine *engine;
	struct transport *transport;
	struct writes_trace *trace;
	struct capacity capacity;   /* of its tables */
	uint64_t existing;	    /* objects of the caches' types, by vtable, when it was armed */
	double census_s;	    /* to count them */
	struct writes_watch *watch; /* NULL: none */
	struct writes_sweep *sweep;
	struct writes_nursery *nursery; /* NULL: no type is followed from its constructors */
	struct late *later;		/* libraries loaded during the session */
	char no_watch[512];		/* why */
	struct heap_trace *heap;	/* NULL: not asked for */
	double heap_pct;		/* of one CPU */
	struct crash_watch *crash;
	struct crash_trace *crash_trace; /* NULL: */
	char no_crash[256];		 /* why the target's end cannot be seen */
	struct proc_maps maps;		 /* as last looked at */
	uint64_t death_ns;		 /* the fatal signal was heard of; 0: not yet */
	struct searches *searches;
	size_t n_stories;
	uint64_t start_ns, end_ns; /* end_ns: of the process, 0 = it lives */
	uint64_t counters[WR_C_MAX];
	double overhead_pct, store_pct; /* of one CPU, all probes and those on setters */
	unsigned stores_dropped;
	double stores_dropped_pct;
};

#define RUNS_MAX (2 * COMMON_MAX_PIDS) /* those that come during the session included */

/* The session: all processes. */
struct runs {
	const struct writes_opts *o;
	struct output out;
	struct writes_targets *t;
	struct transport *transport;
	struct run *v[RUNS_MAX];
	size_t n;
	struct run *failed[RUNS_MAX]; /* could not be armed; the transport may hold its tables */
	size_t n_failed;
	struct session_usage usage;
	enum session_end end;
	uint64_t start_ns, second_ns;
	double overhead_pct, store_pct; /* of all */
	/* processes of the name that came during the session */
	pid_t seen[RUNS_MAX]; /* in the last look for them, not yet guarded */
	size_t n_seen;
	pid_t refused[RUNS_MAX]; /* that are not guarded */
	size_t n_refused;
	char refusal[256]; /* why, of the first */
};

/* Share of one CPU that the probes took since the start; *stores: the part on inlined setters. */
double run_overhead(const struct run *r, uint64_t now_ns, double *stores);
uint64_t run_lost(const struct run *r);
/* Writes out what is ripe. */
void run_tell(struct run *r, uint64_t now_ns, bool final);
/* The rest of the findings, costs and summary to stdout. Returns enum exit_code. */
int runs_report(struct runs *s);

/* Puts the probes of t's process `p` in. late: the session runs already. */
int run_add(struct runs *s, struct writes_prep *p, bool late, struct err *err);
/* If some type is followed from its constructors, and was not before. */
int run_nursery(struct run *r, struct err *err);
/* Looks for processes that ended (user/cmd/writes_procs.c). Returns how many are left. */
size_t runs_ended(struct runs *s, uint64_t now_ns);
/* Once a second, if the target was given by name: looks for new ones of it, and guards them. */
void runs_arrivals(struct runs *s);
/* None of the processes is left: is another of the name about to be guarded? */
bool runs_expected(struct runs *s);
/* What is known of a process that ended, while its tables still stand. */
void run_finish(struct run *r, uint64_t now_ns);

#endif
