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
#include "trace/writes_nursery.h"
#include "trace/writes_sweep.h"
#include "trace/writes_watch.h"
#include "writes/crash.h"
#include "writes/engine.h"

struct run {
	const struct writes_opts *o;
	const struct writes_prep *p;
	struct image *image;
	struct engine *engine;
	struct transport *transport;
	struct writes_trace *trace;
	struct writes_watch *watch; /* NULL: none */
	struct writes_sweep *sweep;
	struct writes_nursery *nursery; /* NULL: no type is followed from its constructors */
	char no_watch[512];		/* why */
	bool watch_failed;
	struct crash_watch *crash;
	struct crash_trace *crash_trace; /* NULL: */
	char no_crash[256];		 /* why the target's end cannot be seen */
	struct proc_maps maps;		 /* as last looked at */
	uint64_t death_ns;		 /* the fatal signal was heard of; 0: not yet */
	bool crashed;
	struct searches *searches;
	size_t n_stories;
	struct session_usage usage;
	enum session_end end;
	uint64_t start_ns, second_ns;
	uint64_t counters[WR_C_MAX];
	double overhead_pct, store_pct; /* of one CPU, all probes and those on setters */
	unsigned stores_dropped;
	double stores_dropped_pct;
};

/* Share of one CPU that the probes took since the start; *stores: the part on inlined setters. */
double run_overhead(const struct run *r, uint64_t now_ns, double *stores);
uint64_t run_lost(const struct run *r);
/* Writes out what is ripe. */
void run_tell(struct run *r, uint64_t now_ns, bool final);
/* The rest of the findings, costs and summary to stdout. Returns enum exit_code. */
int run_report(struct run *r);

#endif
