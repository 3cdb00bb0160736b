// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The writes engine: what is confirmed, what is dropped, and how a watchpoint's hit and a check's finding
 * become one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "leases.h"
#include "report/write.h"
#include "writes/engine.h"

#define MS     1000000ull
#define OBJECT 0x10000ull
#define NODE   0x20000ull
#define WORD   (NODE + 64)
#define BLOCK  0x30000ull /* of the elements of chunks_ */
#define WILD   0xfffc0000ull

struct world {
	struct writes_plan *plan;
	struct engine *e;
	uint64_t word;	  /* at WORD */
	uint64_t element; /* chunks_[2] */
	bool alive;
	uint64_t mutate_ns, mutate_seq;
	uint64_t resumed_ns;
	uint64_t target, target_value; /* one more readable word */
	uint64_t objects;
};

static ssize_t w_read(void *ctx, uint64_t addr, void *buf, size_t len)
{
	struct world *w = ctx;

	if (addr == WORD && len <= 8)
		memcpy(buf, &w->word, len);
	else if (addr == OBJECT + 24 + 16 && len == 8)
		memcpy(buf, &(uint64_t){BLOCK}, len);
	else if (addr == BLOCK + 8 + 2 * 8 && len == 8)
		memcpy(buf, &w->element, len);
	else if (w->target && addr == w->target && len <= 8)
		memcpy(buf, &w->target_value, len);
	else
		return -14;
	return (ssize_t)len;
}

static bool w_object(void *ctx, uint64_t addr, struct wr_object *o)
{
	struct world *w = ctx;

	if (!w->alive || addr != OBJECT)
		return false;
	memset(o, 0, sizeof(*o));
	o->id = 7;
	return true;
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
	struct world *w = ctx;

	if (!w->alive || addr != NODE)
		return false;
	memset(n, 0, sizeof(*n));
	n->object_id = 7;
	n->mutate_ns = w->mutate_ns;
	n->mutate_seq = w->mutate_seq;
	n->depth = 1;
	n->step[0] = (struct wr_step){.field = 1, .index = 2};
	return true;
}

static uint64_t w_objects(void *ctx)
{
	return ((struct world *)ctx)->objects;
}

static bool w_judged(void *ctx, unsigned type, unsigned field, uint64_t shadow_ns)
{
	(void)type;
	(void)field;
	return shadow_ns >= ((struct world *)ctx)->resumed_ns;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct engine_facts facts = {.ctx = w,
				     .read = w_read,
				     .object = w_object,
				     .node = w_node,
				     .shadow = w_shadow,
				     .n_objects = w_objects,
				     .judged = w_judged};

	w->plan = leases_plan();
	assert_int_equal(engine_create(&w->e, w->plan, &facts, 42, NULL), 0);
	w->alive = true;
	w->element = NODE;
	w->objects = 1000;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	engine_destroy(w->e);
	writes_plan_free(w->plan);
	free(w);
	return 0;
}

/* read_perf_ of chunks_[2] turned wild at 100 ms, last good at 90 ms. */
static struct wr_candidate candidate(void)
{
	struct wr_candidate c = {
		.hdr = {.kind = WR_REC_CANDIDATE,
			.size = sizeof(c),
			.ts_ns = 100 * MS,
			.tid = 11,
			.comm = "reader"},
		.object = OBJECT,
		.object_id = 7,
		.object_since_ns = 1 * MS,
		.node = NODE,
		.new_value = WILD,
		.word_addr = WORD,
		.word_width = 8,
		.object_type = 0,
		.node_type = 1,
		.field = 1,
		.reason = WR_BAD_POINTER,
		.depth = 1,
		.probe = 1,
		.step = {{.field = 1, .index = 2}},
		.last_good = {.ts_ns = 90 * MS, .tid = 10, .probe = 0, .comm = "lease-0"},
		.touch = {{.ts_ns = 95 * MS, .tid = 12, .probe = 0},
			  {.ts_ns = 80 * MS, .tid = 13, .probe = 0},
			  {.ts_ns = 93 * MS, .tid = 12, .probe = 0}},
	};

	return c;
}

static void test_confirmed(void **state)
{
	struct world *w = *state;
	struct wr_candidate c = candidate();
	const struct bad_write *b;

	w->word = WILD;
	engine_record(w->e, &c.hdr);
	engine_tick(w->e, 110 * MS, false);
	assert_int_equal(engine_n_findings(w->e), 0); /* not quiet for long enough */
	engine_tick(w->e, 121 * MS, false);
	assert_int_equal(engine_n_findings(w->e), 1);
	b = &engine_finding(w->e, 0)->w;
	assert_int_equal(b->reason, WRITE_WILD_POINTER);
	assert_int_equal(b->confidence, CONF_CERTAIN);
	assert_string_equal(b->path, "chunks_[2].read_perf_");
	assert_string_equal(b->object_type, "Lease");
	assert_string_equal(b->node_type, "Chunk");
	assert_string_equal(b->cache, "leases");
	assert_true(b->has_old);
	assert_int_equal(b->new_value, WILD);
	assert_string_equal(b->last_good.function, "Meta::Refresh");
	assert_string_equal(b->found.function, "Meta::Clear");
	assert_int_equal(b->n_touched, 1); /* thread 12, its last time; thread 13 was before */
	assert_int_equal(b->touched_by[0].ts_ns, 95 * MS);
	assert_false(b->has_writer);
	engine_record(w->e, &c.hdr); /* again: the same finding */
	engine_tick(w->e, 200 * MS, true);
	assert_int_equal(engine_n_findings(w->e), 1);
}

static void test_not_of_this_plan(void **state)
{
	struct world *w = *state;
	struct wr_candidate c[5];
	struct engine_stats s;

	for (size_t i = 0; i < 5; i++)
		c[i] = candidate();
	c[0].node_type = 3;
	c[1].object_type = UINT16_MAX;
	c[2].field = 3;
	c[3].word_width = 60; /* found by the fuzzer */
	c[4].depth = WR_PATH_DEPTH + 1;
	w->word = WILD;
	for (size_t i = 0; i < 5; i++)
		engine_record(w->e, &c[i].hdr);
	engine_tick(w->e, 200 * MS, false);
	engine_stats(w->e, &s);
	assert_int_equal(engine_n_findings(w->e), 0);
	assert_int_equal(s.overflow, 5); /* not told of as nothing */
}

static void test_transient(void **state)
{
	struct world *w = *state;
	struct wr_candidate c = candidate();
	struct engine_stats s;

	w->word = 0; /* a setter has finished meanwhile */
	engine_record(w->e, &c.hdr);
	engine_tick(w->e, 200 * MS, false);
	engine_stats(w->e, &s);
	assert_int_equal(engine_n_findings(w->e), 0);
	assert_int_equal(s.transient, 1);
}

/* The memory was not resident in the kernel's view, but it is there. */
static void test_not_resident(void **state)
{
	struct world *w = *state;
	struct wr_candidate c = candidate();

	w->word = WILD;
	w->target = WILD;
	w->target_value = LEASES_VPTR + 128;
	engine_record(w->e, &c.hdr);
	engine_tick(w->e, 200 * MS, false);
	assert_int_equal(engine_n_findings(w->e), 0);
	w->target_value = 1; /* readable, but no message */
	engine_record(w->e, &c.hdr);
	engine_tick(w->e, 200 * MS, false);
	assert_int_equal(engine_n_findings(w->e), 1);
}

static void test_mutated_meanwhile(void **state)
{
	struct world *w = *state;
	struct wr_candidate c = candidate();

	w->word = WILD;
	w->mutate_ns = 115 * MS;
	engine_record(w->e, &c.hdr);
	engine_tick(w->e, 125 * MS, false);
	assert_int_equal(engine_n_findings(w->e), 0); /* a mutator entered 10 ms ago */
	w->mutate_ns = 1095 * MS;
	engine_tick(w->e, 1099 * MS, false);
	assert_int_equal(engine_n_findings(w->e), 0);
	engine_tick(w->e, 1101 * MS, false); /* no state in between lasts a second */
	assert_int_equal(engine_n_findings(w->e), 1);
}

static void test_destroyed(void **state)
{
	struct world *w = *state;
	struct wr_candidate c = candidate();
	struct engine_stats s;

	engine_record(w->e, &c.hdr);
	w->alive = false;
	engine_tick(w->e, 200 * MS, false);
	engine_stats(w->e, &s);
	assert_int_equal(engine_n_findings(w->e), 0);
	assert_int_equal(s.vanished, 1);
	c.flags = WR_CAND_DESTROY | WR_CAND_REPEATED;
	engine_record(w->e, &c.hdr); /* counts at once */
	assert_int_equal(engine_n_findings(w->e), 1);
	assert_false(engine_finding(w->e, 0)->lives);
}

/* Destroyed by itself: it may have been in another object by then, whose functions licence nothing here. */
static void test_destroyed_alone(void **state)
{
	struct world *w = *state;
	struct wr_candidate c = candidate();
	struct engine_stats s;

	c.flags = WR_CAND_DESTROY;
	c.reason = WR_BAD_UNEXPLAINED;
	c.probe = 1;
	w->plan->probe[1].wire.type = c.node_type;
	assert_int_not_equal(c.node_type, c.object_type);
	w->word = c.new_value;
	engine_record(w->e, &c.hdr);
	engine_stats(w->e, &s);
	assert_int_equal(s.vanished, 1);
	assert_int_equal(engine_n_findings(w->e), 0);
	w->plan->probe[1].wire.type = c.object_type; /* with its object */
	engine_record(w->e, &c.hdr);
	assert_int_equal(engine_n_findings(w->e), 1);
}

/* An element that has left the lease: its memory may be anybody's. */
static void test_left_the_object(void **state)
{
	struct world *w = *state;
	struct wr_candidate c = candidate();
	struct engine_stats s;

	w->word = WILD;
	w->element = 0x7777;
	engine_record(w->e, &c.hdr);
	engine_tick(w->e, 200 * MS, false);
	engine_stats(w->e, &s);
	assert_int_equal(engine_n_findings(w->e), 0);
	assert_int_equal(s.vanished, 1);
}

static void test_unexplained_is_likely(void **state)
{
	struct world *w = *state;
	struct wr_candidate c = candidate();

	c.reason = WR_BAD_UNEXPLAINED;
	c.field = 2;
	c.word_width = 4;
	w->word = c.new_value;
	engine_record(w->e, &c.hdr);
	engine_tick(w->e, 200 * MS, false);
	assert_int_equal(engine_n_findings(w->e), 1);
	assert_int_equal(engine_finding(w->e, 0)->w.confidence, CONF_LIKELY);
	assert_int_equal(engine_finding(w->e, 0)->w.reason, WRITE_UNEXPLAINED);
	assert_string_equal(engine_finding(w->e, 0)->w.path, "chunks_[2].id_");
}

/* Explained by a mutator whose probe came a moment late, or not judged because the probes had been asleep. */
static void test_explained(void **state)
{
	struct world *w = *state;
	struct wr_candidate c = candidate();

	c.reason = WR_BAD_UNEXPLAINED;
	c.field = 2;
	c.word_width = 4;
	c.shadow_ns = 50 * MS;
	w->word = c.new_value;
	w->mutate_seq = 1;
	w->mutate_ns = c.hdr.ts_ns + ENGINE_LATE_NS;
	engine_record(w->e, &c.hdr);
	engine_tick(w->e, 200 * MS, false);
	assert_int_equal(engine_n_findings(w->e), 0);
	w->mutate_seq = 0;
	w->resumed_ns = 51 * MS;
	engine_record(w->e, &c.hdr);
	engine_tick(w->e, 200 * MS, false);
	assert_int_equal(engine_n_findings(w->e), 0);
	w->resumed_ns = 50 * MS;
	engine_record(w->e, &c.hdr);
	engine_tick(w->e, 200 * MS, false);
	assert_int_equal(engine_n_findings(w->e), 1);
}

static struct engine_hit hit(const struct frames *stack)
{
	return (struct engine_hit){.ts_ns = 99 * MS,
				   .addr = WORD,
				   .value = WILD,
				   .ip = 0x1234,
				   .node = NODE,
				   .object = OBJECT,
				   .object_id = 7,
				   .width = 8,
				   .type = 1,
				   .field = 1,
				   .tid = 77,
				   .comm = "zone-io",
				   .non_writer = true,
				   .why = "Touch is no writer of Chunk",
				   .stack = stack};
}

static struct frame touch_frame = {.symbol = (char *)"zone::Touch", .offset = 0x1234};
static const struct frames touch_stack = {.v = &touch_frame, .n = 1};

/* The watchpoint first: one finding, which the check then completes. */
static void test_hit_then_check(void **state)
{
	struct world *w = *state;
	struct wr_candidate c = candidate();
	struct engine_hit h = hit(&touch_stack);

	engine_hit(w->e, &h);
	assert_int_equal(engine_n_findings(w->e), 1);
	assert_int_equal(engine_finding(w->e, 0)->w.reason, WRITE_NON_WRITER);
	assert_string_equal(engine_finding(w->e, 0)->w.path, "chunks_[2].read_perf_");
	w->word = WILD;
	engine_record(w->e, &c.hdr);
	engine_tick(w->e, 200 * MS, false);
	assert_int_equal(engine_n_findings(w->e), 1);
	assert_int_equal(engine_finding(w->e, 0)->w.reason, WRITE_WILD_POINTER);
	assert_true(engine_finding(w->e, 0)->w.has_writer);
	assert_string_equal(engine_finding(w->e, 0)->w.writer.stack.v[0].symbol, "zone::Touch");
}

/* The check first; the next store of the same value names the writer. Another value does not. */
static void test_check_then_hit(void **state)
{
	struct world *w = *state;
	struct wr_candidate c = candidate();
	struct engine_hit h = hit(&touch_stack);

	w->word = WILD;
	engine_record(w->e, &c.hdr);
	engine_tick(w->e, 200 * MS, false);
	h.non_writer = false; /* evidence is enough */
	h.value = 5;
	engine_hit(w->e, &h);
	assert_false(engine_finding(w->e, 0)->w.has_writer);
	h.value = WILD;
	engine_hit(w->e, &h);
	assert_true(engine_finding(w->e, 0)->w.has_writer);
	assert_int_equal(engine_finding(w->e, 0)->w.writer.tid, 77);
	assert_int_equal(engine_n_findings(w->e), 1);
}

/* A hit that was only evidence explains a 4-byte finding in the middle of the watched word. */
static void test_evidence_of_part(void **state)
{
	struct world *w = *state;
	struct wr_candidate c = candidate();
	struct engine_hit h = hit(&touch_stack);

	h.non_writer = false;
	h.addr = WORD & ~7ull;
	h.value = 0xaabbccdd11223344ull;
	engine_hit(w->e, &h);
	assert_int_equal(engine_n_findings(w->e), 0);
	c.word_width = 4;
	c.new_value = 0x11223344;
	w->word = 0x11223344;
	engine_record(w->e, &c.hdr);
	engine_tick(w->e, 200 * MS, false);
	assert_int_equal(engine_n_findings(w->e), 1);
	assert_true(engine_finding(w->e, 0)->w.has_writer);
}

/* A field that is bad in most objects when they are first seen is a wrong layout, no damage. */
static void test_distrust(void **state)
{
	struct world *w = *state;
	struct wr_candidate c = candidate();
	struct engine_stats s;
	char buf[256];

	w->objects = 10;
	c.flags = WR_CAND_FIRST_SIGHT | WR_CAND_DESTROY;
	for (uint64_t i = 0; i < 8; i++) {
		c.object_id = 100 + i;
		engine_record(w->e, &c.hdr);
	}
	engine_stats(w->e, &s);
	assert_int_equal(engine_n_findings(w->e), 0);
	assert_int_equal(s.distrusted_fields, 1);
	assert_non_null(strstr(engine_distrust(w->e, 0, buf, sizeof(buf)), "Chunk::read_perf_"));
	assert_string_equal(engine_distrust(w->e, 1, buf, sizeof(buf)), "");
}

/* Told when it is ripe, once; and once more when its writer becomes known after that. */
static void test_telling(void **state)
{
	struct world *w = *state;
	struct wr_candidate c = candidate();
	struct engine_hit h = hit(&touch_stack);
	uint64_t found = c.hdr.ts_ns;

	w->word = WILD;
	engine_record(w->e, &c.hdr);
	engine_tick(w->e, 200 * MS, false);
	assert_non_null(engine_announce(w->e));
	assert_null(engine_announce(w->e));
	assert_null(engine_tell(w->e, found + ENGINE_RIPE_NS - 1, false, false));
	assert_null(engine_tell(w->e, found + ENGINE_HOPE_NS - 1, true, false));
	assert_non_null(engine_tell(w->e, found + ENGINE_RIPE_NS, false, false));
	assert_null(engine_tell(w->e, found + ENGINE_HOPE_NS, true, true));
	engine_hit(w->e, &h);
	engine_hit(w->e, &h);
	assert_true(engine_tell(w->e, found + ENGINE_HOPE_NS, true, false)->again);
	assert_null(engine_tell(w->e, found + ENGINE_HOPE_NS, true, true));
}

static void test_render(void **state)
{
	struct world *w = *state;
	struct wr_candidate c = candidate();
	struct engine_hit h = hit(&touch_stack);
	struct report_clock clock = {.mono_ns = 0, .real_ns = 1700000000000000000ull};
	char *text = NULL;
	size_t len;
	FILE *f;
	json_t *v;

	w->word = WILD;
	engine_hit(w->e, &h);
	engine_record(w->e, &c.hdr);
	engine_tick(w->e, 200 * MS, false);
	f = open_memstream(&text, &len);
	text_bad_write(f, &engine_finding(w->e, 0)->w, &clock, 300 * MS);
	fclose(f);
	assert_ptr_equal(strstr(text, "BAD WRITE  certain  Chunk::read_perf_  0x0 -> 0xfffc0000"), text);
	assert_non_null(strstr(text, "chunks_[2].read_perf_ at 0x20040"));
	assert_non_null(strstr(text, "zone::Touch"));
	free(text);
	v = json_bad_write(&engine_finding(w->e, 0)->w, &clock, false);
	assert_string_equal(json_string_value(json_object_get(v, "reason")), "wild-pointer");
	assert_string_equal(json_string_value(json_object_get(v, "new")), "0xfffc0000");
	assert_string_equal(json_string_value(json_object_get(json_object_get(v, "writer"), "function")),
			    "zone::Touch");
	assert_string_equal(json_string_value(json_object_get(json_object_get(v, "last_good"), "time")),
			    "2023-11-14T22:13:20.090000Z");
	json_decref(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_confirmed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_of_this_plan, setup, teardown),
		cmocka_unit_test_setup_teardown(test_transient, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_resident, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mutated_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_destroyed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_destroyed_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_left_the_object, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unexplained_is_likely, setup, teardown),
		cmocka_unit_test_setup_teardown(test_explained, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hit_then_check, setup, teardown),
		cmocka_unit_test_setup_teardown(test_check_then_hit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_evidence_of_part, setup, teardown),
		cmocka_unit_test_setup_teardown(test_distrust, setup, teardown),
		cmocka_unit_test_setup_teardown(test_telling, setup, teardown),
		cmocka_unit_test_setup_teardown(test_render, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
