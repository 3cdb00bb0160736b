/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Runs the nursery (user/writes/nursery.h) over the kernel's tables, within a share of one CPU. */
#ifndef CULPRIT_TRACE_WRITES_NURSERY_H
#define CULPRIT_TRACE_WRITES_NURSERY_H

#include "trace/writes.h"
#include "writes/nursery.h"

struct writes_nursery;
/* All are kept. */
int writes_nursery_create(struct writes_nursery **ret, const struct writes_plan *plan,
			  const struct engine_facts *facts, struct sweep *sweep,
			  const struct writes_trace *trace, struct err *err);
void writes_nursery_destroy(struct writes_nursery *n); /* NULL is fine */
/* A few batches, at most 2 % of one CPU if called every tick_ns. */
void writes_nursery_tick(struct writes_nursery *n, uint64_t now_ns, uint64_t tick_ns);
void writes_nursery_stats(const struct writes_nursery *n, struct nursery_stats *s);

#endif
