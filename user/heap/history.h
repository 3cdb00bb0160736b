/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who owned the memory of a damaged word, before and now: from what the kernel kept of the blocks there.
 * Pure. */
#ifndef CULPRIT_HEAP_HISTORY_H
#define CULPRIT_HEAP_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../bpf/abi/heap.h"

/* A block whose bytes may hold the word. */
struct heap_seen {
	uint64_t addr;
	struct heap_past past;
};

struct heap_owner {
	uint64_t block, size;
	const struct heap_event *out, *freed; /* handed out to it, freed by it; NULL: not seen */
};

struct heap_history {
	struct heap_owner now;	  /* out NULL: handed out before it was looked at */
	struct heap_owner before; /* freed NULL: nobody is known */
	bool dangling;		  /* the block is freed: whoever uses it does so by a stale pointer */
};

/* Could the block have held the byte? Blocks whose size is not known hold none. */
bool heap_holds(const struct heap_seen *b, uint64_t addr);
/*
 * Of the n blocks that hold addr, at time ts_ns. Points into v. False: nothing is known of that memory.
 */
bool heap_history_of(const struct heap_seen *v, size_t n, uint64_t addr, uint64_t ts_ns,
		     struct heap_history *out);

#endif
