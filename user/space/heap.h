/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Blocks of glibc's malloc, told by walking the sizes that stand before each block (malloc.c, "boundary
 * tags": the same since 2.3). Nothing is assumed to be a heap: a walk counts only if it arrives exactly at
 * the heap's end.
 */
#ifndef CULPRIT_HEAP_H
#define CULPRIT_HEAP_H

#include "space/space.h"

enum heap_state {
	HEAP_NONE, /* no heap that could be walked: nothing is known */
	HEAP_USED, /* handed out (or kept in a thread's small cache of freed blocks, whose first 16 bytes are
		      overwritten) */
	HEAP_FREE,
};

struct heap_block {
	enum heap_state state;
	uint64_t addr; /* as malloc() returned it */
	uint64_t size; /* usable bytes */
};

/*
 * Tells for each of n addresses, ascending, the block it is in, into out[n]. Reads each heap that has one of
 * them once. -ENOMEM, -ESRCH.
 */
int heap_classify(const struct space *s, const uint64_t *addr, size_t n, struct heap_block *out);
/* Is a block of this many usable bytes what malloc() hands out for an object of `size` bytes? */
bool heap_fits(const struct heap_block *b, uint64_t size);

#endif
