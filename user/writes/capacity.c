// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "writes/capacity.h"

#define ENOUGH_ALIVE   64.0 /* objects, to tell from them how many messages one has */
#define DEFAULT_NODES  20.0 /* of an object, and */
#define DEFAULT_PIECES 12.0 /* of them together */
#define ROOM	       1.1  /* more than the objects alive have */
#define ENTRY_BYTES    72   /* of a hash table, beside the value: the kernel's head, key, and bucket */

/* Of one object. */
struct shape {
	double nodes, pieces;
};

static struct shape shape_of(const struct writes_plan *p, const uint64_t *alive, double *roots)
{
	struct shape sum = {0};
	bool children = false;

	*roots = 0;
	for (unsigned t = 0; t < p->n_types; t++) {
		double n = (double)alive[t];

		if (p->info[t].cache)
			*roots += n;
		sum.nodes += n;
		sum.pieces += n * WR_PIECES(p->type[t].size);
		children |= p->type[t].n_children != 0;
	}
	if (!children)
		return (struct shape){.nodes = 1, .pieces = WR_MAX_PIECES};
	if (*roots < ENOUGH_ALIVE)
		return (struct shape){.nodes = DEFAULT_NODES, .pieces = DEFAULT_PIECES};
	sum.nodes *= ROOM / *roots;
	sum.pieces *= ROOM / *roots;
	if (sum.nodes > WR_MAX_WALK) { /* many are in no such object */
		sum.pieces *= WR_MAX_WALK / sum.nodes;
		sum.nodes = WR_MAX_WALK;
	}
	return sum;
}

static uint32_t entries(double n)
{
	return n < 64 ? 64 : n > UINT32_MAX / 4 ? UINT32_MAX / 4 : (uint32_t)n;
}

void capacity_plan(struct capacity *c, const struct writes_plan *p, const uint64_t *alive,
		   uint32_t max_objects)
{
	double roots, objects = max_objects;
	struct shape s = shape_of(p, alive, &roots);
	double each = ENTRY_BYTES + sizeof(struct wr_object) +
		      s.nodes * (ENTRY_BYTES + sizeof(struct wr_node)) +
		      s.pieces * (ENTRY_BYTES + sizeof(struct wr_piece));

	if (!max_objects) {
		objects = 1.5 * roots;
		if (objects * each < CAPACITY_LEAST_BYTES)
			objects = CAPACITY_LEAST_BYTES / each;
		if (objects * each > CAPACITY_MOST_BYTES)
			objects = CAPACITY_MOST_BYTES / each;
	}
	*c = (struct capacity){.objects = entries(objects),
			       .nodes = entries(objects * s.nodes),
			       .pieces = entries(objects * s.pieces),
			       .bytes = (uint64_t)(objects * each)};
}
