/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Looks at the nodes nobody touches: in rounds, the memory of all of them is read from user space in long
 * pieces, and each node's digest (bpf/abi/digest.h) compared with the last one that was good. Only of those
 * that changed the kernel's shadow is looked up. What it suspects goes the engine's way, as a candidate like
 * the kernel's. It never judges the object's own vtable pointer: an object whose end was missed looks like
 * that. Pure: reads and clock are the caller's.
 */
#ifndef CULPRIT_WRITES_SWEEP_H
#define CULPRIT_WRITES_SWEEP_H

#include "writes/engine.h"

#define SWEEP_BATCH 256

struct sweep_key {
	uint64_t addr;
	uint16_t type;
};

struct sweep_source {
	void *ctx;
	/* Up to max nodes of the kernel's table, going on where the last call ended; *end: that was all.
	 * Number of nodes or -errno. */
	int (*walk)(void *ctx, struct sweep_key *v, size_t max, bool *end);
	uint64_t (*clock)(void *ctx); /* CLOCK_MONOTONIC */
};

struct sweep_stats {
	uint64_t suspects; /* handed to the engine */
	uint64_t changed;  /* nodes whose shadow was looked up */
	uint64_t on_arena; /* changes left alone: the message stands on an arena, where it ends unseen */
	size_t nodes;	   /* known now */
};

struct sweep;
int sweep_create(struct sweep **ret, const struct writes_plan *plan, const struct engine_facts *facts,
		 const struct sweep_source *source, struct engine *engine, struct err *err);
void sweep_destroy(struct sweep *s); /* NULL is fine */
/* A node that user space has just read and put into the table, and its object: bytes are its shadow. What its
 * values alone tell goes the engine's way. */
void sweep_first_sight(struct sweep *s, uint64_t addr, const struct wr_node *n, const struct wr_object *o,
		       const uint8_t bytes[WR_NODE_BYTES]);
/* A node as it stood when the process died: bytes are final. */
void sweep_last_sight(struct sweep *s, uint64_t addr, const struct wr_node *n,
		      const uint8_t bytes[WR_NODE_BYTES], uint64_t ts_ns);
/* Any record; WR_REC_NODES tells of new nodes. */
void sweep_record(struct sweep *s, const struct abi_hdr *rec);
/* Such a record was lost: the next round begins with a look through the kernel's table. */
void sweep_missed(struct sweep *s);
/* Goes on with the round, for about max nodes. Returns how many it looked at. *end: the round was completed.
 */
size_t sweep_step(struct sweep *s, size_t max, bool *end);
void sweep_stats(const struct sweep *s, struct sweep_stats *ret);

#endif
