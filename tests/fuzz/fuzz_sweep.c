// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sweep and nursery: tables of the kernel and memory of the target that say anything. */
#include "../unit/leases.h"
#include "facts.h"
#include "writes/nursery.h"

static struct writes_plan *plan;

static int walk_nodes(void *ctx, struct sweep_key *v, size_t max, bool *end)
{
	size_t n = take_u8(ctx) % 16;

	n = n < max ? n : max;
	for (size_t i = 0; i < n; i++)
		v[i] = (struct sweep_key){.addr = 0x1000 * take_small(ctx),
					  .type = (uint16_t)take_small(ctx)};
	*end = n < 15;
	return take_u8(ctx) == 0xff ? -14 : (int)n;
}

static uint64_t now(void *ctx)
{
	static uint64_t at;

	return at += take_u8(ctx) * MS;
}

static int walk_objects(void *ctx, struct nursery_object *v, size_t max, bool *end)
{
	size_t n = take_u8(ctx) % 8;

	n = n < max ? n : max;
	for (size_t i = 0; i < n; i++) {
		v[i] = (struct nursery_object){.addr = 0x1000 * take_small(ctx)};
		v[i].o.id = take_small(ctx) & 3;
		v[i].o.type = (uint16_t)take_small(ctx);
		v[i].o.since_ns = take_u8(ctx) * MS;
	}
	*end = n < 7;
	return take_u8(ctx) == 0xff ? -14 : (int)n;
}

static bool insert(void *ctx, uint64_t addr, const struct wr_node *n, const uint8_t shadow[WR_NODE_BYTES])
{
	(void)addr;
	(void)n;
	(void)shadow;
	return take_u8(ctx) & 3;
}

static void drop(void *ctx, uint64_t addr, uint64_t id)
{
	(void)ctx;
	(void)addr;
	(void)id;
}

/* In a block of its own, so that what is read beyond its end is seen. */
static void nodes_record(struct input *in, struct sweep *s)
{
	uint32_t size = sizeof(struct abi_hdr) + take_u8(in) % 96;
	struct abi_hdr *rec = calloc(1, size);

	if (!rec)
		abort();
	take(in, (char *)rec + sizeof(*rec), size - sizeof(*rec));
	*rec = (struct abi_hdr){.kind = WR_REC_NODES, .size = size};
	sweep_record(s, rec);
	free(rec);
}

static void run(struct input *in, struct engine *e, struct sweep *s, struct nursery *n)
{
	uint64_t at = 1000 * MS;
	bool end;

	while (in->left) {
		at += take_u8(in) * MS;
		switch (take_u8(in) % 5) {
		case 0:
			nodes_record(in, s);
			break;
		case 1:
			sweep_missed(s);
			break;
		case 2:
			nursery_step(n, at, &end);
			break;
		case 3:
			engine_tick(e, at, false);
			break;
		default:
			sweep_step(s, 1 + take_u8(in), &end);
		}
	}
	engine_tick(e, at + 2000 * MS, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct engine_facts facts = facts_of(&in);
	const struct sweep_source nodes = {.ctx = &in, .walk = walk_nodes, .clock = now};
	const struct nursery_source objects = {
		.ctx = &in, .walk = walk_objects, .insert = insert, .drop = drop};
	struct nursery *n;
	struct engine *e;
	struct sweep *s;

	if (!plan)
		plan = leases_plan();
	if (engine_create(&e, plan, &facts, 42, NULL) || sweep_create(&s, plan, &facts, &nodes, e, NULL) ||
	    nursery_create(&n, plan, &facts, &objects, s, NULL))
		abort();
	run(&in, e, s, n);
	nursery_destroy(n);
	sweep_destroy(s);
	engine_destroy(e);
	return 0;
}
