/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How many objects of the guarded types are in a process, by a quick look through its memory for their
 * vtables. */
#ifndef CULPRIT_TRACE_WRITES_CENSUS_H
#define CULPRIT_TRACE_WRITES_CENSUS_H

#include <sys/types.h>

#include "plan/writes.h"

/*
 * Fills alive, plan->n_types values: words in writable memory that are a vtable of the type. Dead objects in
 * memory not reused yet are among them. After two seconds the rest is reckoned from what was seen by then.
 * All 0 if the memory cannot be read.
 */
void writes_census(const struct writes_plan *plan, pid_t pid, uint64_t *alive);

#endif
