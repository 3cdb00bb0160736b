// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Records of bpf/writes.bpf.c and bpf/watch.bpf.c, in a process whose memory says anything. */
#include "../unit/leases.h"
#include "facts.h"
#include "report/write.h"
#include "writes/engine.h"
#include "writes/witness.h"

static struct writes_plan *plan;

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

static const char *syscall_name(long nr)
{
	return nr == 1 ? "write" : NULL;
}

/* A candidate that could be; then some of its bytes are others. */
static void candidate(struct input *in, uint64_t now, struct wr_candidate *c)
{
	memset(c, 0, sizeof(*c));
	c->hdr = (struct abi_hdr){.kind = WR_REC_CANDIDATE, .size = sizeof(*c), .ts_ns = now, .tid = 7};
	c->object = 0x1000 * take_small(in);
	c->object_id = take_small(in) & 3;
	c->node = 0x1000 * take_small(in);
	c->old_value = take_small(in);
	c->new_value = take_small(in);
	c->word_addr = c->node + 64;
	c->word_width = 1u << (take_u8(in) & 3);
	c->pointee = take_small(in);
	c->mutate_ns = now - take_u8(in) * MS;
	c->mutate_seq = take_u8(in) & 1;
	c->probe = take_u8(in) & 1;
	c->object_type = take_u8(in) & 1;
	c->node_type = take_u8(in) & 1;
	c->field = take_u8(in) % 3;
	c->reason = take_u8(in) % 7;
	c->depth = take_u8(in) % 3;
	c->flags = take_u8(in) & 15;
	c->step[0] = (struct wr_step){.field = 1, .index = take_u8(in)};
	c->n_touches = take_u8(in);
	while (take_u8(in) & 1) {
		size_t at = take_u64(in) % sizeof(*c);

		if (at >= offsetof(struct wr_candidate, object))
			*((uint8_t *)c + at) = take_u8(in);
	}
}

static void hit(struct input *in, uint64_t now, struct witness *w)
{
	static struct watch_hit h;

	memset(&h, 0, WATCH_HIT_HEAD);
	h.hdr = (struct abi_hdr){
		.kind = WATCH_KIND_HIT, .size = WATCH_HIT_HEAD, .ts_ns = now, .tid = take_u8(in) & 3};
	h.node = 0x1000 * take_small(in);
	h.object = 0x1000 * take_small(in);
	h.object_id = take_small(in) & 3;
	h.addr = h.node + 64;
	h.value = take_small(in);
	h.ip = take_small(in);
	h.width = 1u << (take_u8(in) & 3);
	h.flags = take_u8(in) & 7;
	h.syscall = take_u8(in) & 1;
	h.type = take_u8(in) & 1;
	h.field = take_u8(in) % 3;
	if (take_u8(in) & 1)
		take(in, (char *)&h + sizeof(h.hdr), WATCH_HIT_HEAD - sizeof(h.hdr));
	h.stack.len = 0;
	h.stack.flags = take_u8(in) & ABI_STACK_NONE;
	witness_store(w, &h, take_u8(in) & 1, take_small(in));
}

static void run(struct input *in, struct engine *e, struct witness *w)
{
	struct wr_candidate c;
	uint64_t now = 1000 * MS;

	while (in->left) {
		now += take_u8(in) * MS;
		switch (take_u8(in) % 4) {
		case 0:
			candidate(in, now, &c);
			engine_record(e, &c.hdr);
			break;
		case 1: /* as short as it says */
			take(in, &c.hdr, sizeof(c.hdr));
			if (c.hdr.size <= sizeof(c.hdr))
				engine_record(e, &c.hdr);
			break;
		case 2:
			hit(in, now, w);
			break;
		default:
			witness_tick(w, now, false);
			engine_tick(e, now, false);
		}
	}
	witness_tick(w, now + 2000 * MS, true);
	engine_tick(e, now + 2000 * MS, true);
}

static void results(const struct engine *e)
{
	struct engine_stats stats;
	char text[256];

	engine_stats(e, &stats);
	for (size_t i = 0; i < engine_n_findings(e); i++)
		if (!engine_finding(e, i)->w.explanation)
			abort();
	for (size_t i = 0; *engine_distrust(e, i, text, sizeof(text)); i++)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct engine_facts facts = facts_of(&in);
	struct witness_cfg cfg = {.facts = facts,
				  .kin = kin,
				  .kin_ctx = &in,
				  .unwind = facts_unwind,
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
	results(cfg.engine);
	witness_destroy(w);
	engine_destroy(cfg.engine);
	return 0;
}
