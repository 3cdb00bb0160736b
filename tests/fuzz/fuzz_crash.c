// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Records of bpf/crash.bpf.c: each as long as it says, whatever it says. */
#include "../unit/leases.h"
#include "facts.h"
#include "writes/crash.h"

static struct writes_plan *plan;

/* In a block of its own, so that what is read beyond its end is seen. */
static void record(struct input *in, struct crash_watch *c, uint32_t kind, uint32_t size)
{
	struct abi_hdr *rec;
	uint8_t flags = take_u8(in);

	if (flags & 1)
		size = sizeof(*rec) + (uint32_t)(take_u64(in) % (2 * sizeof(struct crash_signal)));
	rec = calloc(1, size);
	if (!rec)
		abort();
	if (flags & 2)
		take(in, (char *)rec + sizeof(*rec), size - sizeof(*rec));
	*rec = (struct abi_hdr){
		.kind = kind, .size = size, .ts_ns = take_u8(in) * MS, .tid = take_u8(in) & 3};
	if (flags & 4 && size >= CRASH_SIGNAL_HEAD && kind == CRASH_SIGNAL) {
		((struct crash_signal *)rec)->stack.len = (uint32_t)take_small(in);
		((struct crash_signal *)rec)->signal = take_u8(in) & 31;
		((struct crash_signal *)rec)->handler = take_u8(in) & 1;
	}
	if (flags & 4 && size >= sizeof(struct crash_node) && kind == CRASH_NODE) {
		((struct crash_node *)rec)->len = take_u8(in) & 1 ? WR_NODE_BYTES : take_u8(in);
		((struct crash_node *)rec)->node.type = take_u8(in) & 3;
	}
	crash_record(c, rec);
	free(rec);
}

static void candidate(struct input *in, struct engine *e)
{
	struct wr_candidate c = {
		.hdr = {.kind = WR_REC_CANDIDATE, .size = sizeof(c), .ts_ns = take_u8(in) * MS}};

	take(in, (char *)&c + sizeof(c.hdr), 64);
	c.node = 0x1000 * take_small(in);
	c.word_addr = c.node + 64;
	c.word_width = 8;
	c.object_type = take_u8(in) & 1;
	c.node_type = take_u8(in) & 1;
	c.field = take_u8(in) % 3;
	c.reason = take_u8(in) % 7;
	engine_record(e, &c.hdr);
}

static void run(struct input *in, struct crash_watch *c, struct engine *e)
{
	while (in->left) {
		switch (take_u8(in) % 4) {
		case 0:
			record(in, c, CRASH_SIGNAL, CRASH_SIGNAL_HEAD);
			break;
		case 1:
			record(in, c, CRASH_NODE, sizeof(struct crash_node));
			break;
		case 2:
			record(in, c, CRASH_EXIT, sizeof(struct crash_exit));
			break;
		default:
			candidate(in, e);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct engine_facts facts = facts_of(&in);
	const struct sweep_source source = {.ctx = &in};
	struct crash_watch *c;
	struct engine *e;
	struct sweep *s;
	struct crash out;

	if (!plan)
		plan = leases_plan();
	if (crash_watch_create(&c, 42, NULL) || engine_create(&e, plan, &facts, 42, NULL) ||
	    sweep_create(&s, plan, &facts, &source, e, NULL))
		abort();
	run(&in, c, e);
	crash_settle(c, e, s);
	if (crash_tell(c, e, facts_unwind, &in, 1000 * MS, &out)) {
		if (!out.explanation)
			abort();
		crash_deinit(&out);
	}
	sweep_destroy(s);
	engine_destroy(e);
	crash_watch_destroy(c);
	return 0;
}
