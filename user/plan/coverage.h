/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How each field of each guarded type is guarded, by which of its setters, and why not better. */
#ifndef CULPRIT_PLAN_COVERAGE_H
#define CULPRIT_PLAN_COVERAGE_H

#include "plan/writes.h"
#include "report/write.h"

/* One row per field, types in the plan's order. *ret for free(); its text is the plan's. -ENOMEM. */
int plan_coverage_rows(const struct writes_plan *p, enum setters_mode mode, struct write_coverage **ret,
		       size_t *n);

#endif
