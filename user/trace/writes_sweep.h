/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Runs the sweep (user/writes/sweep.h) over the kernel's nodes table and the target's memory, one round a
 * second. */
#ifndef CULPRIT_TRACE_WRITES_SWEEP_H
#define CULPRIT_TRACE_WRITES_SWEEP_H

#include <sys/types.h>

#include "util/err.h"
#include "writes/sweep.h"

struct writes_sweep;

struct writes_sweep_account {
	uint64_t rounds, longest_ns, total_ns; /* those done, the longest of them, and all together */
	uint64_t cpu_ns;
	struct sweep_stats stats;
};

/* nodes_fd is kept, not owned; so are plan and engine. */
int writes_sweep_create(struct writes_sweep **ret, const struct writes_plan *plan,
			const struct engine_facts *facts, struct engine *engine, int nodes_fd,
			struct err *err);
void writes_sweep_destroy(struct writes_sweep *w); /* NULL is fine */
/* What it looks with. */
struct sweep *writes_sweep_engine(struct writes_sweep *w);
/* Any record of the kernel's. */
void writes_sweep_record(struct writes_sweep *w, const struct abi_hdr *rec);
/* news_lost: the kernel's counter. */
void writes_sweep_lost(struct writes_sweep *w, uint64_t news_lost);
/* To be called every tick_ns: as much of the round as is due, at most a quarter of one CPU. A tick that comes
 * late stands for those before it. */
void writes_sweep_tick(struct writes_sweep *w, uint64_t now_ns, uint64_t tick_ns);
void writes_sweep_account(const struct writes_sweep *w, struct writes_sweep_account *ret);

#endif
