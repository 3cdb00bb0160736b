// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The target's death: which signal it was, and which damage it died of. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "leases.h"
#include "writes/crash.h"

#define MS     1000000ull
#define OBJECT 0x10000ull
#define NODE   0x20000ull
#define WORD   (NODE + 64)
#define WILD   0xfffc0000ull

struct world {
	struct writes_plan *plan;
	struct engine *e;
	struct sweep *s;
	struct crash_watch *c;
	uint64_t mutate_seq, mutate_ns;
	const char *symbol;
};

/* The process is gone. */
static ssize_t w_read(void *ctx, uint64_t addr, void *buf, size_t len)
{
	(void)ctx;
	(void)addr;
	(void)buf;
	(void)len;
	return -ESRCH;
}

static bool w_mapped(void *ctx, uint64_t addr)
{
	(void)ctx;
	return addr != WILD;
}

static bool w_object(void *ctx, uint64_t addr, struct wr_object *o)
{
	(void)ctx;
	*o = (struct wr_object){.id = 7, .since_ns = MS, .last_good = {.ts_ns = 50 * MS, .tid = 3}};
	return addr == OBJECT;
}

static struct wr_node node(const struct world *w)
{
	return (struct wr_node){.object = OBJECT,
				.object_id = 7,
				.type = 1,
				.depth = 1,
				.step = {{.field = 1, .index = 2}},
				.shadow_ns = 50 * MS,
				.mutate_seq = w->mutate_seq,
				.mutate_ns = w->mutate_ns};
}

static bool w_node(void *ctx, uint64_t addr, struct wr_node *n)
{
	*n = node(ctx);
	return addr == NODE;
}

/* The shadow is all zero. */
static bool w_shadow(void *ctx, uint64_t addr, const struct wr_node *n, uint32_t size,
		     uint8_t shadow[WR_NODE_BYTES])
{
	(void)ctx;
	(void)n;
	memset(shadow, 0, size < WR_NODE_BYTES ? size : WR_NODE_BYTES);
	return addr == NODE;
}

static uint64_t w_objects(void *ctx)
{
	(void)ctx;
	return 1000;
}

static bool w_judged(void *ctx, unsigned type, unsigned field, uint64_t shadow_ns)
{
	(void)ctx;
	(void)type;
	(void)field;
	(void)shadow_ns;
	return true;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	const struct engine_facts facts = {.ctx = w,
					   .read = w_read,
					   .mapped = w_mapped,
					   .object = w_object,
					   .node = w_node,
					   .shadow = w_shadow,
					   .n_objects = w_objects,
					   .judged = w_judged};
	const struct sweep_source source = {.ctx = w};

	w->plan = leases_plan();
	w->plan->type[1].mask[8] = UINT64_MAX;
	w->symbol = "f";
	assert_int_equal(engine_create(&w->e, w->plan, &facts, 42, NULL), 0);
	assert_int_equal(sweep_create(&w->s, w->plan, &facts, &source, w->e, NULL), 0);
	assert_int_equal(crash_watch_create(&w->c, 42, NULL), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	crash_watch_destroy(w->c);
	sweep_destroy(w->s);
	engine_destroy(w->e);
	writes_plan_free(w->plan);
	free(w);
	return 0;
}

static void signal_record(struct world *w, int sig, int code, uint64_t addr, uint64_t handler, unsigned tid,
			  uint64_t ts_ns)
{
	struct crash_signal *s = calloc(1, sizeof(*s));

	*s = (struct crash_signal){.hdr = {.kind = CRASH_SIGNAL,
					   .size = CRASH_SIGNAL_HEAD,
					   .ts_ns = ts_ns,
					   .tid = tid,
					   .comm = "io"},
				   .signal = (uint32_t)sig,
				   .code = code,
				   .addr = addr,
				   .handler = handler};
	crash_record(w->c, &s->hdr);
	free(s);
}

/* Longer than any there is: what it says of its length is not believed. */
static void test_record_too_long(void **state)
{
	struct world *w = *state;
	uint32_t size = sizeof(struct crash_signal) + 4096;
	struct crash_signal *s = calloc(1, size);

	assert_non_null(s);
	*s = (struct crash_signal){.hdr = {.kind = CRASH_SIGNAL, .size = size}, .signal = SIGSEGV};
	crash_record(w->c, &s->hdr);
	free(s);
	assert_false(crash_is_fatal(w->c));
}

static void node_record(struct world *w, uint64_t word)
{
	struct crash_node n = {.hdr = {.kind = CRASH_NODE, .size = sizeof(n), .ts_ns = 101 * MS},
			       .addr = NODE,
			       .len = sizeof(n.bytes),
			       .node = node(w)};

	memcpy(n.bytes + 64, &word, sizeof(word));
	crash_record(w->c, &n.hdr);
}

/* A check by thread 11 at 100 ms saw it. */
static void candidate(struct world *w)
{
	struct wr_candidate c = {
		.hdr = {.kind = WR_REC_CANDIDATE, .size = sizeof(c), .ts_ns = 100 * MS, .tid = 11},
		.object = OBJECT,
		.object_id = 7,
		.node = NODE,
		.new_value = WILD,
		.word_addr = WORD,
		.word_width = 8,
		.node_type = 1,
		.field = 1,
		.reason = WR_BAD_POINTER,
		.depth = 1,
		.step = {{.field = 1, .index = 2}},
		.mutate_seq = w->mutate_seq,
		.last_good = {.ts_ns = 90 * MS}};

	engine_record(w->e, &c.hdr);
}

static int unwind(void *ctx, const struct abi_stack *st, bool pc_is_return, struct frames *out)
{
	const struct world *w = ctx;

	(void)st;
	assert_false(pc_is_return);
	out->v = calloc(1, sizeof(*out->v));
	out->n = 1;
	out->v[0].symbol = strdup(w->symbol);
	return 0;
}

static bool told(struct world *w, struct crash *c)
{
	crash_settle(w->c, w->e, w->s);
	return crash_tell(w->c, w->e, unwind, w, 150 * MS, c);
}

/* The check came microseconds before the thread used the pointer. */
static void test_dies_of_what_was_just_seen(void **state)
{
	struct world *w = *state;
	struct crash c;

	candidate(w);
	assert_int_equal(engine_n_findings(w->e), 0);
	node_record(w, WILD);
	signal_record(w, SIGSEGV, SEGV_MAPERR, WILD + 8, 0, 11, 101 * MS);
	assert_true(crash_is_fatal(w->c));
	assert_true(told(w, &c));
	assert_int_equal(engine_n_findings(w->e), 1);
	assert_non_null(c.damage);
	assert_string_equal(c.damage->path, "chunks_[2].read_perf_");
	assert_int_equal(c.damage->confidence, CONF_CERTAIN);
	assert_non_null(strstr(c.explanation, "used the damaged value"));
	assert_string_equal(c.signal_name, "SIGSEGV");
	assert_true(c.has_addr && c.addr == WILD + 8 && c.tid == 11 && !c.handled);
	crash_deinit(&c);
}

/* No check had seen it: the register of the dying thread leads to the message. */
static void test_what_nobody_had_seen(void **state)
{
	struct world *w = *state;
	struct crash c;

	node_record(w, WILD);
	signal_record(w, SIGSEGV, SI_KERNEL, 0, 0, 11, 101 * MS); /* no address: not canonical */
	assert_true(told(w, &c));
	assert_non_null(c.damage);
	assert_int_equal(c.damage->new_value, WILD);
	assert_false(c.has_addr);
	assert_non_null(strstr(c.explanation, "leads to the damaged Chunk"));
	crash_deinit(&c);
}

static void test_the_object_was_being_destroyed(void **state)
{
	struct world *w = *state;
	struct crash c;

	w->symbol = "Lease::~Lease";
	node_record(w, WILD);
	signal_record(w, SIGSEGV, SEGV_MAPERR, WILD, 0, 11, 101 * MS);
	assert_true(told(w, &c));
	assert_non_null(strstr(c.explanation, "being destroyed"));
	crash_deinit(&c);
}

static void test_a_healthy_object_is_not_to_blame(void **state)
{
	struct world *w = *state;
	struct crash c;

	node_record(w, 0x555500001000ull); /* a pointer that its writer has just changed: mapped */
	signal_record(w, SIGSEGV, SEGV_MAPERR, 8, 0, 11, 101 * MS);
	assert_true(told(w, &c));
	assert_int_equal(engine_n_findings(w->e), 0);
	assert_null(c.damage);
	assert_non_null(strstr(c.explanation, "something else"));
	crash_deinit(&c);
}

/* It had been written again, rightly: what the check saw is no damage. */
static void test_what_was_seen_is_gone(void **state)
{
	struct world *w = *state;
	struct crash c;

	candidate(w);
	node_record(w, 0);
	signal_record(w, SIGSEGV, SEGV_MAPERR, 8, 0, 11, 101 * MS);
	assert_true(told(w, &c));
	assert_null(c.damage);
	crash_deinit(&c);
}

/* A handler prints a stack and raises the signal again, which another thread takes. */
static void test_a_handler_took_it_first(void **state)
{
	struct world *w = *state;
	struct crash c;

	signal_record(w, SIGABRT, SI_TKILL, 0, 0x4000, 9, 10 * MS); /* survived, of another kind */
	node_record(w, WILD);
	signal_record(w, SIGSEGV, SEGV_MAPERR, WILD, 0x4000, 11, 101 * MS);
	assert_false(crash_is_fatal(w->c));
	assert_false(crash_tell(w->c, w->e, unwind, w, 0, &c));
	signal_record(w, SIGSEGV, SI_USER, 0, 0, 42, 102 * MS);
	assert_true(crash_is_fatal(w->c));
	assert_true(told(w, &c));
	assert_true(c.handled);
	assert_int_equal(c.tid, 11);
	assert_int_equal(c.addr, WILD);
	crash_deinit(&c);
}

static void test_records_that_lie(void **state)
{
	struct world *w = *state;
	struct crash_signal s = {.hdr = {.kind = CRASH_SIGNAL, .size = CRASH_SIGNAL_HEAD},
				 .stack = {.len = 100}};
	struct crash_node n = {.hdr = {.kind = CRASH_NODE, .size = 64}};
	struct crash_exit e = {.hdr = {.kind = CRASH_EXIT, .size = sizeof(e)}, .code = 9};

	crash_record(w->c, &s.hdr); /* longer than the record */
	crash_record(w->c, &n.hdr);
	assert_false(crash_is_fatal(w->c));
	assert_int_equal(crash_exit_code(w->c), -1);
	crash_record(w->c, &e.hdr);
	assert_int_equal(crash_exit_code(w->c), 9);
}

static void test_rendering(void **state)
{
	struct world *w = *state;
	struct report_clock clock = {.mono_ns = 0, .real_ns = 1700000000ull * 1000000000};
	struct crash c;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	json_t *j;

	node_record(w, WILD);
	signal_record(w, SIGSEGV, SEGV_MAPERR, WILD, 0, 11, 101 * MS);
	assert_true(told(w, &c));
	text_crash(f, &c, &clock);
	fclose(f);
	assert_non_null(strstr(text, "CRASH  SIGSEGV at 0xfffc0000  in thread 11 (io)  f"));
	assert_non_null(strstr(text, "chunks_[2].read_perf_ = 0xfffc0000"));
	free(text);
	j = json_crash(&c, &clock);
	assert_string_equal(json_string_value(json_object_get(json_object_get(j, "signal"), "name")),
			    "SIGSEGV");
	assert_string_equal(json_string_value(json_object_get(json_object_get(j, "damage"), "path")),
			    "chunks_[2].read_perf_");
	assert_true(json_real_value(json_object_get(j, "told_after_ms")) == 49);
	json_decref(j);
	crash_deinit(&c);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_dies_of_what_was_just_seen),
		T(test_what_nobody_had_seen),
		T(test_the_object_was_being_destroyed),
		T(test_a_healthy_object_is_not_to_blame),
		T(test_what_was_seen_is_gone),
		T(test_a_handler_took_it_first),
		T(test_records_that_lie),
		T(test_record_too_long),
		T(test_rendering),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
