/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads a kernel hash table with 8-byte keys in rounds, a batch at a time, while it changes. */
#ifndef CULPRIT_TRACE_MAP_WALK_H
#define CULPRIT_TRACE_MAP_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_walk {
	int fd;
	size_t value_size;
	/* the rest is the walk's own, zero at first */
	bool no_batch; /* before 5.6 */
	bool started;
	uint64_t last; /* key to go on after; batch: the kernel's cursor */
};

/* Up to max keys and values, going on where the last call ended; *end: the round is over. Number or -errno.
 */
int map_walk(struct map_walk *w, uint64_t *keys, void *values, size_t max, bool *end);

#endif
