/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Looks at the nodes nobody touches: in paced rounds each node's memory is read from user space and compared
 * with the shadow the kernel keeps. What it suspects goes the engine's way, as a candidate like the kernel's.
 * It never judges the object's own vtable pointer: an object whose end was missed looks like that. Pure:
 * reads and clock are the caller's.
 */
#ifndef CULPRIT_WRITES_SWEEP_H
#define CULPRIT_WRITES_SWEEP_H

#include "writes/engine.h"

#define SWEEP_BATCH 256

struct sweep_node {
	uint64_t addr;
	struct wr_node node;
	uint8_t bytes[WR_NODE_BYTES]; /* of the target, filled by read */
	bool read;		      /* all of it could be read */
};

struct sweep_source {
	void *ctx;
	/* Up to max nodes, going on where the last call ended; *end: the round is over. Number of nodes or
	 * -errno. */
	int (*walk)(void *ctx, struct sweep_node *v, size_t max, bool *end);
	/* Fills bytes and read of n nodes; len[i] bytes of each. */
	void (*read)(void *ctx, struct sweep_node *v, const uint32_t *len, size_t n);
};

struct sweep;
int sweep_create(struct sweep **ret, const struct writes_plan *plan, const struct engine_facts *facts,
		 const struct sweep_source *source, struct engine *engine, struct err *err);
void sweep_destroy(struct sweep *s); /* NULL is fine */
/* Looks at up to max nodes, SWEEP_BATCH at a time. Returns how many it looked at. *end: a round was
 * completed. */
size_t sweep_step(struct sweep *s, uint64_t now_ns, size_t max, bool *end);
/* A node that user space has just read and put into the table: what its values alone tell. o: its object. */
void sweep_first_sight(struct sweep *s, const struct sweep_node *v, const struct wr_object *o,
		       uint64_t now_ns);
/* A node as it stood when the process died: its read bytes are final. */
void sweep_last_sight(struct sweep *s, const struct sweep_node *v, uint64_t ts_ns);
/* Suspects handed to the engine so far. */
uint64_t sweep_suspects(const struct sweep *s);

#endif
