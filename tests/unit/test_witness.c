// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* From a watchpoint hit to the engine: who is believed when, and what never reaches it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "writes/witness.h"

#define MS     1000000ull
#define OBJECT 0x10000ull
#define VPTR   0x5000ull
#define OLD    0x0ull
#define WILD   0xfffc0000ull

static struct guard_field fields[] = {
	{.offset = 0, .width = 8, .kind = GUARD_VPTR, .path = "_vptr", .owner = "Chunk", .elem = GUARD_NONE},
	{.offset = 64,
	 .width = 8,
	 .kind = GUARD_MSG_PTR,
	 .path = "read_perf_",
	 .owner = "Chunk",
	 .elem = 0,
	 .proto = true},
};
static struct guard_type types[] = {
	{.name = "Chunk", .size = 80, .message = true, .vptrs_known = true, .n_field = 2, .field = fields},
};
static struct guard_table table = {.n_type = 1, .type = types};

static struct world {
	struct writes_plan *plan;
	struct engine *e;
	struct witness *w;
	bool alive, kin, no_code;
	uint64_t vptr;
	const char *symbol; /* of the one frame */
	unsigned unwound;
} world;

static ssize_t w_read(void *ctx, uint64_t addr, void *buf, size_t len)
{
	(void)ctx;
	if (addr != OBJECT || len != 8)
		return -14;
	memcpy(buf, &world.vptr, len);
	return (ssize_t)len;
}

static bool w_object(void *ctx, uint64_t addr, struct wr_object *o)
{
	(void)ctx;
	*o = (struct wr_object){.id = 7};
	return world.alive && addr == OBJECT;
}

static bool w_shadow(void *ctx, uint64_t addr, const struct wr_node *n, uint32_t size,
		     uint8_t shadow[WR_NODE_BYTES])
{
	(void)ctx;
	(void)addr;
	(void)n;
	memset(shadow, 0, size < WR_NODE_BYTES ? size : WR_NODE_BYTES);
	return true;
}

static bool w_node(void *ctx, uint64_t addr, struct wr_node *n)
{
	(void)ctx;
	*n = (struct wr_node){.object_id = 7, .object = OBJECT, .flags = WR_NODE_ROOT};
	return world.alive && addr == OBJECT;
}

static bool bias(void *ctx, const struct elf_file *module, uint64_t *b)
{
	(void)ctx;
	(void)module;
	*b = 0;
	return true;
}

static int stranger(void *ctx, const struct frame *f)
{
	(void)ctx;
	(void)f;
	return 0;
}

static bool kin(void *ctx, uint16_t type, struct judge_ask *ask)
{
	(void)ctx;
	(void)type;
	ask->type = "Chunk";
	ask->uses = stranger;
	return world.kin;
}

static int unwind(void *ctx, const struct abi_stack *st, bool pc_is_return, struct frames *out)
{
	(void)ctx;
	(void)st;
	assert_true(pc_is_return);
	world.unwound++;
	out->v = calloc(1, sizeof(*out->v));
	out->n = 1;
	out->v[0] = (struct frame){.module = strdup("/usr/sbin/zbs-chunkd"),
				   .symbol = strdup(world.symbol),
				   .file = strdup("x.cc"),
				   .line = 1};
	return 0;
}

static const char *syscall_name(long nr)
{
	return nr ? NULL : "read";
}

/* A store to [rdi], which is the word unless said otherwise. */
static int code(void *ctx, uint64_t ip, struct storing_code *ret)
{
	static const uint8_t bytes[] = {0x48, 0x89, 0x07};

	(void)ctx;
	*ret = (struct storing_code){.start = ip - sizeof(bytes), .bytes = bytes, .len = sizeof(bytes)};
	return world.no_code ? -ENODATA : 0;
}

static int setup(void **state)
{
	struct engine_facts facts = {.read = w_read, .object = w_object, .node = w_node, .shadow = w_shadow};
	struct writes_plan_in in = {.bias = bias};
	struct witness_cfg cfg = {
		.facts = facts, .kin = kin, .unwind = unwind, .code = code, .syscall_name = syscall_name};

	(void)state;
	world = (struct world){.alive = true, .kin = true, .vptr = VPTR, .symbol = "Zone::Touch(int)"};
	world.plan = calloc(1, sizeof(*world.plan));
	types[0].n_vptr = 1;
	types[0].vptr[0].vaddr = VPTR;
	assert_int_equal(plan_add_types(world.plan, &table, "leases", &in, NULL), 0);
	assert_int_equal(engine_create(&world.e, world.plan, &facts, 42, NULL), 0);
	cfg.plan = world.plan;
	cfg.engine = world.e;
	assert_int_equal(witness_create(&world.w, &cfg, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	witness_destroy(world.w);
	engine_destroy(world.e);
	writes_plan_free(world.plan);
	return 0;
}

static struct watch_hit *hit(uint64_t ts_ns, uint64_t ip)
{
	static struct watch_hit h;

	h = (struct watch_hit){
		.hdr = {.ts_ns = ts_ns, .tid = 77, .comm = "zone-io"},
		.addr = OBJECT + 64,
		.node = OBJECT,
		.object = OBJECT,
		.object_id = 7,
		.value = WILD,
		.ip = ip,
		.width = 8,
		.syscall = -1,
		.field = 1,
	};
	h.stack.reg[5] = h.addr;
	return &h;
}

static struct witness_stats stats(void)
{
	struct witness_stats s;

	witness_stats(world.w, &s);
	return s;
}

static void test_non_writer_is_believed_after_a_pause(void **state)
{
	const struct engine_finding *f;

	(void)state;
	witness_store(world.w, hit(100 * MS, 0x1234), true, OLD);
	witness_tick(world.w, 110 * MS, false);
	assert_int_equal(engine_n_findings(world.e), 0);
	witness_tick(world.w, 121 * MS, false);
	assert_int_equal(engine_n_findings(world.e), 1);
	f = engine_finding(world.e, 0);
	assert_int_equal(f->w.reason, WRITE_NON_WRITER);
	assert_int_equal(f->w.confidence, CONF_CERTAIN);
	assert_true(f->w.has_old && f->w.old_value == OLD && f->w.new_value == WILD);
	assert_string_equal(f->w.path, "read_perf_");
	assert_true(f->w.has_writer);
	assert_int_equal(f->w.writer.tid, 77);
	assert_string_equal(f->w.writer.comm, "zone-io");
	assert_string_equal(f->w.writer.stack.v[0].symbol, "Zone::Touch(int)");
	assert_true(f->w.writer.insn.verified);
	assert_int_equal(f->w.writer.insn.addr, 0x1231);
	assert_string_equal(f->w.writer.insn.text, "mov qword ptr [rdi], rax");
	/* the same store again is no second finding */
	witness_store(world.w, hit(200 * MS, 0x1234), true, WILD);
	witness_tick(world.w, 300 * MS, false);
	assert_int_equal(engine_n_findings(world.e), 1);
	assert_int_equal(engine_finding(world.e, 0)->w.hits, 2);
}

static void test_freed_memory_raises_no_alarm(void **state)
{
	(void)state;
	/* destroyed within the pause: the store may have been its end */
	witness_store(world.w, hit(100 * MS, 0x1234), true, OLD);
	world.alive = false;
	witness_tick(world.w, 121 * MS, false);
	assert_int_equal(engine_n_findings(world.e), 0);
	/* freed, and nobody told us */
	world.alive = true;
	world.vptr = 0xdead;
	witness_store(world.w, hit(200 * MS, 0x1234), true, OLD);
	witness_tick(world.w, 221 * MS, false);
	assert_int_equal(engine_n_findings(world.e), 0);
	assert_int_equal(stats().vanished, 2);
	/* at the end of the session there is no time to look again */
	world.vptr = VPTR;
	witness_store(world.w, hit(300 * MS, 0x1234), true, OLD);
	witness_tick(world.w, 301 * MS, true);
	assert_int_equal(engine_n_findings(world.e), 0);
	assert_int_equal(stats().vanished, 3);
}

static void test_writers_go_no_further(void **state)
{
	(void)state;
	world.symbol = "Chunk::set_id(int)";
	for (int i = 0; i < 100; i++)
		witness_store(world.w, hit((100 + (uint64_t)i) * MS, 0x1234), true, OLD);
	assert_int_equal(stats().writers, 100);
	assert_int_equal(world.unwound, 1); /* the instruction is known by then */
	world.symbol = "free";
	witness_store(world.w, hit(300 * MS, 0x9999), true, OLD);
	assert_int_equal(stats().allocators, 1);
	witness_tick(world.w, 900 * MS, true);
	assert_int_equal(engine_n_findings(world.e), 0);
}

static void test_unknown_relatives_make_nothing_certain(void **state)
{
	(void)state;
	world.kin = false;
	witness_store(world.w, hit(100 * MS, 0x1234), true, OLD);
	witness_tick(world.w, 200 * MS, false);
	assert_int_equal(engine_n_findings(world.e), 0);
	assert_int_equal(stats().unknown, 1);
}

static void test_code_that_cannot_be_read_is_said(void **state)
{
	(void)state;
	world.no_code = true;
	witness_store(world.w, hit(100 * MS, 0x1234), true, OLD);
	witness_tick(world.w, 200 * MS, false);
	assert_int_equal(engine_n_findings(world.e), 1);
	const struct store_insn *s = &engine_finding(world.e, 0)->w.writer.insn;

	assert_false(s->verified || s->decoded);
	assert_true(s->why[0]);
}

static void test_an_instruction_that_stores_elsewhere_names_nobody(void **state)
{
	struct watch_hit *h = hit(100 * MS, 0x1234);

	(void)state;
	h->stack.reg[5] += 64;
	witness_store(world.w, h, true, OLD);
	witness_tick(world.w, 200 * MS, false);
	assert_int_equal(engine_n_findings(world.e), 0);
	assert_int_equal(stats().strange, 1);
	assert_int_equal(stats().unknown, 1);
}

static void test_flood(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		witness_store(world.w, hit(5000 * MS + i, 0x1000 + i), true, OLD);
	assert_int_equal(world.unwound, WITNESS_PER_SECOND);
	assert_int_equal(stats().unjudged, 1000 - WITNESS_PER_SECOND);
	witness_store(world.w, hit(6001 * MS, 0x1), true, OLD);
	assert_int_equal(world.unwound, WITNESS_PER_SECOND + 1);
}

static void test_system_call(void **state)
{
	struct watch_hit *h = hit(100 * MS, 0xffffffff81000000);

	(void)state;
	h->flags = WATCH_HIT_KERNEL;
	h->syscall = 0;
	h->stack.reg[ABI_REG_IP] = 0x7777;
	witness_store(world.w, h, true, OLD);
	witness_tick(world.w, 200 * MS, false);
	assert_int_equal(engine_n_findings(world.e), 1);
	const struct bad_write *w = &engine_finding(world.e, 0)->w;

	assert_true(w->writer.in_kernel);
	assert_string_equal(w->writer.syscall, "read");
	assert_int_equal(w->writer.ip, 0x7777);
}

static void test_pieces_of_one_system_call(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 16; i++) { /* two calls, a second apart */
		uint64_t ts = i <= 8 ? 100 * MS + i * 20000 : 1100 * MS + i * 20000;
		struct watch_hit *h = hit(ts, 0xffffffff81000000);

		h->flags = WATCH_HIT_KERNEL;
		h->syscall = 0;
		h->stack.reg[ABI_REG_IP] = 0x7777;
		h->value = i % 8 ? 1 : WILD;
		witness_store(world.w, h, true, i == 1 ? 5 : 1);
		if (i == 8)
			witness_tick(world.w, 200 * MS, false);
	}
	witness_tick(world.w, 1200 * MS, false);
	assert_int_equal(engine_n_findings(world.e), 1);
	const struct bad_write *w = &engine_finding(world.e, 0)->w;

	assert_true(w->old_value == 5 && w->new_value == WILD);
	assert_int_equal(w->hits, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_non_writer_is_believed_after_a_pause, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freed_memory_raises_no_alarm, setup, teardown),
		cmocka_unit_test_setup_teardown(test_writers_go_no_further, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_relatives_make_nothing_certain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_code_that_cannot_be_read_is_said, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_instruction_that_stores_elsewhere_names_nobody, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
		cmocka_unit_test_setup_teardown(test_system_call, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pieces_of_one_system_call, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
