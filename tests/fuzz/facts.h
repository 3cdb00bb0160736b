/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A process and tables of the kernel that answer each question with the next bytes of the input: whatever an
 * engine may be told. */
#ifndef CULPRIT_FUZZ_FACTS_H
#define CULPRIT_FUZZ_FACTS_H

#include "fuzz.h"
#include "writes/engine.h"
#include "writes/witness.h"

#define MS 1000000ull

static inline ssize_t facts_read_mem(void *ctx, uint64_t addr, void *buf, size_t len)
{
	uint64_t v;

	(void)addr;
	if (take_u8(ctx) % 8 == 0)
		return -14;
	v = take_small(ctx);
	memset(buf, 0, len);
	memcpy(buf, &v, len < sizeof(v) ? len : sizeof(v));
	return (ssize_t)len;
}

static inline bool facts_object(void *ctx, uint64_t addr, struct wr_object *o)
{
	(void)addr;
	*o = (struct wr_object){.id = take_small(ctx) & 3};
	return take_u8(ctx) & 3;
}

static inline bool facts_node(void *ctx, uint64_t addr, struct wr_node *n)
{
	(void)addr;
	*n = (struct wr_node){.object = 0x1000 * take_small(ctx),
			      .object_id = take_small(ctx) & 3,
			      .type = take_u8(ctx) & 1,
			      .depth = take_u8(ctx),
			      .step = {{.field = 1, .index = take_u8(ctx)}},
			      .mutate_ns = take_u8(ctx) * 16 * MS};
	return take_u8(ctx) & 3;
}

static inline bool facts_shadow(void *ctx, uint64_t addr, const struct wr_node *n, uint32_t size,
				uint8_t bytes[WR_NODE_BYTES])
{
	(void)addr;
	(void)n;
	memset(bytes, take_u8(ctx), size < WR_NODE_BYTES ? size : WR_NODE_BYTES);
	return take_u8(ctx) & 3;
}

static inline size_t facts_calls(void *ctx, struct wr_touch *v, size_t max)
{
	size_t n = take_u8(ctx) % (max + 1);

	take(ctx, v, n * sizeof(*v));
	return n;
}

static inline uint64_t facts_n_objects(void *ctx)
{
	return take_u8(ctx);
}

static inline bool facts_judged(void *ctx, unsigned type, unsigned field, uint64_t shadow_ns)
{
	(void)type;
	(void)field;
	(void)shadow_ns;
	return take_u8(ctx) & 1;
}

static inline int facts_unwind(void *ctx, const struct abi_stack *st, bool pc_is_return, struct frames *out)
{
	char name[16];

	(void)st;
	(void)pc_is_return;
	take(ctx, name, sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	out->v = calloc(1, sizeof(*out->v));
	if (!out->v)
		return -12;
	out->n = 1;
	out->v[0].symbol = strdup(name);
	return 0;
}

static inline bool facts_mapped(void *ctx, uint64_t addr)
{
	(void)addr;
	return take_u8(ctx) & 1;
}

/* in: a struct input. */
static inline struct engine_facts facts_of(struct input *in)
{
	return (struct engine_facts){.ctx = in,
				     .read = facts_read_mem,
				     .mapped = facts_mapped,
				     .object = facts_object,
				     .node = facts_node,
				     .shadow = facts_shadow,
				     .calls = facts_calls,
				     .n_objects = facts_n_objects,
				     .judged = facts_judged};
}

#endif
