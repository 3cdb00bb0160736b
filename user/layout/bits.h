/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which member a has-bit of a generated protobuf message stands for, by debuginfo. */
#ifndef CULPRIT_BITS_H
#define CULPRIT_BITS_H

#include "dwarf/types.h"

/*
 * *ret: array of *n member names ("read_perf_") by bit, NULL for a bit whose member is not known; for free().
 * The names are owned by d. Rule (measured by setting each field of real messages): protobuf 2, which has
 * k...FieldNumber constants in the debuginfo: their order; protobuf 3: rank among the has_...() of singular
 * fields outside of oneofs. -ENODATA: no such message.
 */
int guard_bit_names(struct dbg *d, struct dbg_type cls, const char ***ret, size_t *n);

#endif
