/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The part of a module's debuginfo that a profile keeps: the entries that were looked at (dwarf/record.h),
 * what they refer to, and what they stand in.
 */
#ifndef CULPRIT_PROFILE_SLICE_H
#define CULPRIT_PROFILE_SLICE_H

#include "dwarf/dbg.h"

struct slice_die {
	uint64_t id;
	uint64_t key;	 /* the same in another build, if names and places in the source are */
	uint32_t parent; /* index, itself for a unit */
	uint16_t depth;
	bool looked_at;	 /* else only a name, or what others stand in */
	bool throughout; /* a function whose parameters are asked for at any address of it */
	bool referred;	 /* by another's attribute */
	uint32_t copy;	 /* referred: slice_label() and this are unique in the slice */
};

struct slice {
	struct slice_die *v; /* by id: parents before children, units in the order of the index */
	size_t n;
};

static inline uint32_t slice_label(const struct slice_die *x)
{
	return (uint32_t)(x->key & 0xffffff);
}

/* -ENOMEM, -EINVAL: damaged. */
int slice_make(struct slice *ret, struct dbg *d, struct err *err);
void slice_deinit(struct slice *s);
/* Does [lo, hi) hold an address at which the code of die begins (its entry, or that of one of its ranges)?
 * Places of parameters are asked for there only. */
bool slice_begins_in(void *die, uint64_t lo, uint64_t hi);
const struct slice_die *slice_find(const struct slice *s, uint64_t id);

#endif
