/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the judge of a store must know of the guarded types: relatives, types and classes that know them. From
 * plan and debuginfo. */
#ifndef CULPRIT_KIN_H
#define CULPRIT_KIN_H

#include "plan/writes.h"
#include "writes/judge.h"

struct kin;
/* plan and d are kept. -ENOMEM. */
int kin_create(struct kin **ret, const struct writes_plan *plan, struct dbg *d, struct err *err);
void kin_destroy(struct kin *k); /* NULL is fine */
/*
 * Fills type, related, knowing and uses of ask for nodes of a type of the plan; they live as long as k. ctx
 * is a struct kin. False: its relatives could not be read, so nothing is certain about stores to it. The
 * first call for a type takes a while.
 */
bool kin_ask(void *ctx, uint16_t type, struct judge_ask *ask);

#endif
