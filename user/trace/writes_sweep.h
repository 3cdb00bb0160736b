/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Runs the sweep (user/writes/sweep.h) over the kernel's nodes table and the target's memory, within a share
 * of one CPU. */
#ifndef CULPRIT_TRACE_WRITES_SWEEP_H
#define CULPRIT_TRACE_WRITES_SWEEP_H

#include <sys/types.h>

#include "util/err.h"
#include "writes/sweep.h"

struct writes_sweep;
/* nodes_fd is kept, not owned; so are plan and engine. */
int writes_sweep_create(struct writes_sweep **ret, const struct writes_plan *plan,
			const struct engine_facts *facts, struct engine *engine, int nodes_fd, pid_t pid,
			struct err *err);
void writes_sweep_destroy(struct writes_sweep *s); /* NULL is fine */
/* What it looks with. */
struct sweep *writes_sweep_engine(struct writes_sweep *s);
/* A few batches, at most 2 % of one CPU if called every tick_ns. */
void writes_sweep_tick(struct writes_sweep *s, uint64_t now_ns, uint64_t tick_ns);
/* Rounds done, and the longest of them. */
uint64_t writes_sweep_rounds(const struct writes_sweep *s, uint64_t *longest_ns);

#endif
