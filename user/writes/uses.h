/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the judge of a store must know of a class: its relatives by name, and which functions of the module
 * have code of any of them inlined. From debuginfo; made when first asked for, once per class.
 */
#ifndef CULPRIT_USES_H
#define CULPRIT_USES_H

#include "dwarf/types.h"
#include "report/finding.h"

struct uses;
/* Of class t in d, which is kept. -errno and err. */
int uses_create(struct uses **ret, struct dbg *d, struct dbg_type t, struct err *err);
void uses_destroy(struct uses *u); /* NULL is fine */

/* Bases and derived classes; owned by u. */
const char *const *uses_related(const struct uses *u, size_t *n);
/* As judge_uses_fn; ctx is a struct uses. -1 also for code outside the module. */
int uses_frame(void *ctx, const struct frame *f);
/* The same for an address of the module. */
int uses_at(const struct uses *u, uint64_t vaddr);

#endif
