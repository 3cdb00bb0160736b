/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Objects that are known from their constructor alone, because the user names no function that inserts or
 * checks them: the kernel has their address from the constructor's entry, but there was nothing to look at
 * yet. Once built they are read from user space, and their nodes put into the kernel's table, so that sweep,
 * watchpoints and destructor know them. Now and then they are read again, for what they have come to hold.
 * Pure: reads, tables and clock are the caller's.
 */
#ifndef CULPRIT_WRITES_NURSERY_H
#define CULPRIT_WRITES_NURSERY_H

#include "writes/engine.h"
#include "writes/sweep.h"

#define NURSERY_BUILD_NS 20000000ull   /* after the constructor's entry an object is first looked at */
#define NURSERY_AGAIN_NS 2000000000ull /* and looked at again */
#define NURSERY_TRIES	 50	       /* so often its vtable may be another's: then it is left alone */
#define NURSERY_BATCH	 64

struct nursery_object {
	uint64_t addr;
	struct wr_object o;
};

struct nursery_source {
	void *ctx;
	/* Up to max objects, going on where the last call ended; *end: the round is over. Number or -errno.
	 */
	int (*walk)(void *ctx, struct nursery_object *v, size_t max, bool *end);
	/* Puts a node and its shadow into the kernel's table, in place of one of another object. */
	bool (*insert)(void *ctx, uint64_t addr, const struct wr_node *n,
		       const uint8_t shadow[WR_NODE_BYTES]);
	/* Takes the node out again if it is still object `id`'s. */
	void (*drop)(void *ctx, uint64_t addr, uint64_t id);
};

struct nursery;
/* plan, facts' context and sweep are kept; what is wrong at first sight goes to the engine through sweep. */
int nursery_create(struct nursery **ret, const struct writes_plan *plan, const struct engine_facts *facts,
		   const struct nursery_source *source, struct sweep *sweep, struct err *err);
void nursery_destroy(struct nursery *n); /* NULL is fine */
/* Up to NURSERY_BATCH objects. Returns how many there were; *end: a round was completed. */
size_t nursery_step(struct nursery *n, uint64_t now_ns, bool *end);

struct nursery_stats {
	uint64_t adopted; /* objects */
	uint64_t strange; /* objects left alone: their vtable is none of the type's */
	uint64_t left;	  /* times a part was left out: more messages than are walked */
};
void nursery_stats(const struct nursery *n, struct nursery_stats *s);

#endif
