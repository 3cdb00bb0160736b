// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Records of bpf/writes.bpf.c and bpf/watch.bpf.c, in a process whose memory says anything. */
#include "../unit/leases.h"
#include "fuzz.h"
#include "report/write.h"
#include "writes/engine.h"
#include "writes/witness.h"

static struct writes_plan *plan;

static ssize_t read_mem(void *ctx, uint64_t addr, void *buf, size_t len)
{
	(void)addr;
	if (take_u8(ctx) & 1)
		return -14;
	take(ctx, buf, len);
	return (ssize_t)len;
}

static bool object(void *ctx, uint64_t addr, struct wr_object *o)
{
	(void)addr;
	take(ctx, o, sizeof(*o));
	o->id &= 3;
	return take_u8(ctx) & 1;
}

static bool node(void *ctx, uint64_t addr, struct wr_node *n)
{
	(void)addr;
	take(ctx, n, offsetof(struct wr_node, shadow));
	n->object_id &= 3;
	return take_u8(ctx) & 1;
}

static size_t calls(void *ctx, struct wr_touch *v, size_t max)
{
	size_t n = take_u8(ctx) % (max + 1);

	take(ctx, v, n * sizeof(*v));
	return n;
}

static uint64_t n_objects(void *ctx)
{
	return take_u8(ctx);
}

static bool judged(void *ctx, unsigned type, unsigned field, uint64_t shadow_ns)
{
	(void)type;
	(void)field;
	(void)shadow_ns;
	return take_u8(ctx) & 1;
}

static int uses(void *ctx, const struct frame *f)
{
	(void)f;
	return (int)(take_u8(ctx) % 3) - 1;
}

static bool kin(void *ctx, uint16_t type, struct judge_ask *ask)
{
	(void)type;
	ask->type = "Chunk";
	ask->uses = uses;
	ask->uses_ctx = ctx;
	return take_u8(ctx) & 1;
}

static int unwind(void *ctx, const struct abi_stack *st, bool pc_is_return, struct frames *out)
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

static const char *syscall_name(long nr)
{
	return nr == 1 ? "write" : NULL;
}

static void run(struct input *in, struct engine *e, struct witness *w)
{
	static struct watch_hit hit;
	struct wr_candidate c;

	for (uint64_t now = 0; in->left; now += 10000000) {
		switch (take_u8(in) % 4) {
		case 0:
			take(in, &c, sizeof(c));
			c.hdr.kind = WR_REC_CANDIDATE;
			c.hdr.size = sizeof(c);
			engine_record(e, &c.hdr);
			break;
		case 1: /* as short as it says */
			take(in, &c.hdr, sizeof(c.hdr));
			if (c.hdr.size <= sizeof(c.hdr))
				engine_record(e, &c.hdr);
			break;
		case 2:
			take(in, &hit, WATCH_HIT_HEAD);
			hit.stack.len = 0;
			witness_store(w, &hit, hit.flags & 8, hit.value);
			break;
		default:
			witness_tick(w, now, false);
			engine_tick(e, now, false);
		}
	}
	witness_tick(w, UINT64_MAX / 2, true);
	engine_tick(e, UINT64_MAX / 2, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct engine_facts facts = {.ctx = &in,
				     .read = read_mem,
				     .object = object,
				     .node = node,
				     .calls = calls,
				     .n_objects = n_objects,
				     .judged = judged};
	struct witness_cfg cfg = {.facts = facts,
				  .kin = kin,
				  .kin_ctx = &in,
				  .unwind = unwind,
				  .unwind_ctx = &in,
				  .syscall_name = syscall_name};
	struct witness *w;

	if (!plan)
		plan = leases_plan();
	if (engine_create(&cfg.engine, plan, &facts, 42, NULL))
		abort();
	cfg.plan = plan;
	if (witness_create(&w, &cfg, NULL))
		abort();
	run(&in, cfg.engine, w);
	witness_destroy(w);
	engine_destroy(cfg.engine);
	return 0;
}
