/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How much room the kernel's tables of objects and messages get. Pure. */
#ifndef CULPRIT_CAPACITY_H
#define CULPRIT_CAPACITY_H

#include <stdint.h>

#include "plan/writes.h"

/* Without a wish: one and a half times what is alive, at least what fits into the one, at most into the
 * other. */
#define CAPACITY_LEAST_BYTES (48ull << 20)
#define CAPACITY_MOST_BYTES  (1ull << 30)
#define CAPACITY_MAX_OBJECTS 4000000u

struct capacity {
	uint32_t objects, nodes, pieces; /* entries of the tables */
	uint64_t bytes;			 /* what they take in the kernel, about */
};

/*
 * alive: how many of each of the plan's types there are, 0 = not known. max_objects: as the user wants it, 0
 * = no wish. The number of messages in an object is that of those alive, if there are enough to tell.
 */
void capacity_plan(struct capacity *c, const struct writes_plan *p, const uint64_t *alive,
		   uint32_t max_objects);

#endif
