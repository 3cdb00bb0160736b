// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The sweep: what it hands to the engine, and what it must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "family.h"
#include "../../bpf/abi/digest.h"
#include "writes/sweep.h"

#define MS 1000000ull
#define S  1000000000ull

/* The target's memory, the kernel's nodes of it, and who looks. */
struct world {
	uint64_t root[2], child[2];
	struct wr_node root_node, child_node;
	uint64_t root_shadow[2], child_shadow[2];
	struct wr_object object;
	uint64_t now_ns;
	unsigned walks, lookups;
	bool alive, judged;
	struct writes_plan *plan;
	struct engine *engine;
	struct sweep *sweep;
	struct engine_facts facts;
	struct sweep_source source;
};

static ssize_t w_read(void *ctx, uint64_t addr, void *buf, size_t len)
{
	const struct world *w = ctx;

	return family_read(w->root, w->child, addr, buf, len);
}

static bool w_object(void *ctx, uint64_t addr, struct wr_object *o)
{
	const struct world *w = ctx;

	*o = w->object;
	return w->alive && addr == OBJECT;
}

static bool w_node(void *ctx, uint64_t addr, struct wr_node *n)
{
	struct world *w = ctx;

	w->lookups++;
	*n = addr == CHILD ? w->child_node : w->root_node;
	return w->alive && (addr == CHILD || addr == OBJECT);
}

static bool w_shadow(void *ctx, uint64_t addr, const struct wr_node *n, uint32_t size,
		     uint8_t shadow[WR_NODE_BYTES])
{
	const struct world *w = ctx;

	(void)n;
	assert_int_equal(size, 16);
	memcpy(shadow, addr == CHILD ? w->child_shadow : w->root_shadow, size);
	return w->alive;
}

static uint64_t w_clock(void *ctx)
{
	return ((struct world *)ctx)->now_ns;
}

static uint64_t w_objects(void *ctx)
{
	(void)ctx;
	return 1000;
}

static bool w_judged(void *ctx, unsigned type, unsigned field, uint64_t shadow_ns)
{
	(void)shadow_ns;
	return ((struct world *)ctx)->judged && type == 1 && field == 2;
}

static int w_walk(void *ctx, struct sweep_key *v, size_t max, bool *end)
{
	struct world *w = ctx;

	assert_true(max >= 2);
	v[0] = (struct sweep_key){.addr = CHILD, .type = 1};
	v[1] = (struct sweep_key){.addr = OBJECT, .type = 0};
	*end = true;
	w->walks++;
	return 2;
}

static bool bias(void *ctx, const struct elf_file *module, uint64_t *b)
{
	(void)ctx;
	(void)module;
	*b = 0x1000;
	return true;
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
	struct sweep_source source = {.ctx = w, .walk = w_walk, .clock = w_clock};
	struct writes_plan_in in = {.bias = bias};

	assert_non_null(w);
	w->plan = calloc(1, sizeof(*w->plan));
	assert_non_null(w->plan);
	assert_int_equal(plan_add_types(w->plan, &table, "cache", &in, NULL), 0);
	assert_int_equal(engine_create(&w->engine, w->plan, &facts, 42, NULL), 0);
	assert_int_equal(sweep_create(&w->sweep, w->plan, &facts, &source, w->engine, NULL), 0);
	w->facts = facts;
	w->source = source;
	w->alive = w->judged = true;
	w->root[0] = w->child[0] = 0x1000;
	w->root[1] = CHILD;
	w->child[1] = 1 | 5ull << 32; /* flag_ 1, id_ 5 */
	w->now_ns = 200 * S;
	w->object = (struct wr_object){.id = 7};
	w->root_node = (struct wr_node){.object = OBJECT, .object_id = 7, .shadow_ns = 100 * S};
	w->child_node = w->root_node;
	w->child_node.type = 1;
	w->child_node.depth = 1;
	w->child_node.step[0].field = 1;
	memcpy(w->root_shadow, w->root, sizeof(w->root));
	memcpy(w->child_shadow, w->child, sizeof(w->child));
	sweep_missed(w->sweep); /* so it looks them up */
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	sweep_destroy(w->sweep);
	engine_destroy(w->engine);
	writes_plan_free(w->plan);
	free(w);
	return 0;
}

/* One round and what the engine makes of it. */
static const struct bad_write *found(struct world *w)
{
	bool end;

	assert_int_equal(sweep_step(w->sweep, SWEEP_BATCH, &end), 2);
	assert_true(end);
	engine_tick(w->engine, w->now_ns + 30 * MS, false);
	return engine_n_findings(w->engine) ? &engine_finding(w->engine, 0)->w : NULL;
}

static struct sweep_stats stats(const struct world *w)
{
	struct sweep_stats s;

	sweep_stats(w->sweep, &s);
	return s;
}

static void test_unchanged(void **state)
{
	struct world *w = *state;

	assert_null(found(w));
	assert_int_equal(stats(w).suspects, 0);
	assert_int_equal(stats(w).changed, 2); /* their digests were not known */
	w->lookups = 0;
	assert_null(found(w));
	assert_int_equal(stats(w).changed, 2);
	assert_int_equal(w->lookups, 0); /* good as before: nobody is asked */
	assert_int_equal(w->walks, 1);
}

/* As the kernel tells of them, with their digests. */
static void test_news(void **state)
{
	struct world *w = *state;
	struct wr_nodes_rec r = {.hdr = {.kind = WR_REC_NODES,
					 .size = (uint32_t)(offsetof(struct wr_nodes_rec, node) +
							    2 * sizeof(struct wr_new_node))},
				 .n = 2};
	bool end;

	sweep_destroy(w->sweep);
	sweep_create(&w->sweep, w->plan, &w->facts, &w->source, w->engine, NULL);
	r.node[0] = (struct wr_new_node){
		.addr = CHILD,
		.type = 1,
		.digest = wr_digest(CHILD, 1, &w->plan->type[1], (const uint8_t *)w->child)};
	r.node[1] = (struct wr_new_node){
		.addr = OBJECT,
		.type = 0,
		.digest = wr_digest(OBJECT, 0, &w->plan->type[0], (const uint8_t *)w->root)};
	sweep_record(w->sweep, &r.hdr);
	assert_null(found(w));
	assert_int_equal(stats(w).changed, 0);
	sweep_record(w->sweep, &r.hdr); /* again: one of the two is out of date */
	assert_null(found(w));
	assert_int_equal(stats(w).changed, 2);
	assert_int_equal(stats(w).nodes, 2);
	r.node[0].type = 9; /* not of this plan, and a record that is too short */
	r.node[1].addr = OBJECT + 1;
	sweep_record(w->sweep, &r.hdr);
	r.n = 3;
	sweep_record(w->sweep, &r.hdr);
	assert_int_equal(sweep_step(w->sweep, 1, &end), 1);
	assert_false(end);
	assert_int_equal(sweep_step(w->sweep, 1, &end), 1);
	assert_true(end);
	w->child[1] = 9 | 5ull << 32;
	assert_non_null(found(w));
}

static void test_broken_invariant(void **state)
{
	struct world *w = *state;
	const struct bad_write *b;

	w->child[1] = 9 | 5ull << 32;
	b = found(w);
	assert_non_null(b);
	assert_int_equal(b->reason, WRITE_BAD_VALUE);
	assert_string_equal(b->path, "child_.flag_");
	assert_string_equal(b->found.function, "sweep");
	assert_int_equal(b->old_value, 1);
	assert_int_equal(b->new_value, 9);
}

static void test_change_without_licence(void **state)
{
	struct world *w = *state;
	const struct bad_write *b;

	w->child[1] = 1 | 6ull << 32;
	b = found(w);
	assert_non_null(b);
	assert_int_equal(b->reason, WRITE_UNEXPLAINED);
	assert_int_equal(b->confidence, CONF_LIKELY);
	assert_string_equal(b->path, "child_.id_");
}

/* By the node's own mutator, by its holder's, by a store site of the field, or because nobody may judge. */
static void test_licences(void **state)
{
	struct world *w = *state;

	w->child[1] = 1 | 6ull << 32;
	w->child_node.mutate_ns = 150 * S;
	assert_null(found(w));
	w->child_node.mutate_ns = 0;
	w->root_node.mutate_ns = 150 * S;
	w->child[1] = 1 | 7ull << 32;
	assert_null(found(w));
	w->root_node.mutate_ns = 98 * S; /* over before the shadow was read */
	w->child[1] = 1 | 8ull << 32;
	w->child_node.store_ns = 150 * S;
	w->child_node.store_fields[0] = 1u << 2;
	assert_null(found(w));
	w->child_node.store_fields[0] = 1u << 1; /* of the other field */
	w->judged = false;
	w->child[1] = 1 | 9ull << 32;
	assert_null(found(w));
	w->judged = true;
	w->child[1] = 1 | 10ull << 32;
	assert_non_null(found(w));
}

/* The word behind the vptr is no field of it: there it says whether the message is on an arena. */
static void test_on_an_arena(void **state)
{
	struct world *w = *state;

	child_fields[1].offset = 100;
	w->child[1] = 1 | 6ull << 32;
	assert_null(found(w));
	assert_int_equal(stats(w).on_arena, 1);
	child_fields[1].offset = 8;
	w->child[1] = 1 | 7ull << 32;
	sweep_missed(w->sweep);
	assert_non_null(found(w));
}

/* Freed or handed on: no alarm. */
static void test_gone(void **state)
{
	struct world *w = *state;

	w->child[1] = 9;
	w->alive = false;
	assert_null(found(w));
	assert_int_equal(stats(w).suspects, 0);
	w->alive = true;
	sweep_missed(w->sweep);
	w->root[1] = 0; /* the child has left */
	memcpy(w->root_shadow, w->root, sizeof(w->root));
	assert_null(found(w));
}

/* A shadow is as old as the last digest that held, for nodes that were in it. */
static void test_licence_ends_with_the_digest(void **state)
{
	struct world *w = *state;

	assert_null(found(w));
	w->child_node.mutate_ns = 150 * S;
	w->child_node.flags = WR_NODE_SUB;
	w->object.digest[WR_DIGEST_SUB] =
		(struct wr_digest){.sum = 1, .from_ns = 101 * S, .seen_ns = 180 * S};
	w->child[1] = 1 | 6ull << 32;
	assert_null(found(w)); /* made after the shadow: it may not have been in it */
	w->object.digest[WR_DIGEST_SUB].from_ns = 100 * S;
	w->child[1] = 1 | 7ull << 32;
	assert_non_null(found(w));
}

/* The kernel was there between the reading and the judgement: in the next round. */
static void test_kernel_was_faster(void **state)
{
	struct world *w = *state;

	w->child[1] = 9 | 5ull << 32;
	w->child_node.shadow_ns = w->now_ns + 1;
	assert_null(found(w));
	assert_int_equal(stats(w).suspects, 0);
	w->now_ns += S;
	assert_non_null(found(w));
}

/* Told once, however often it is seen; healed, it is as before. */
static void test_once(void **state)
{
	struct world *w = *state;

	w->child[1] = 9 | 5ull << 32;
	assert_non_null(found(w));
	w->now_ns += S;
	assert_non_null(found(w));
	assert_int_equal(stats(w).suspects, 2);
	assert_int_equal(engine_n_findings(w->engine), 1);
	w->child[1] = 1 | 5ull << 32;
	w->now_ns += S;
	found(w);
	assert_int_equal(engine_n_findings(w->engine), 1);
	assert_int_equal(stats(w).suspects, 2);
}

/* What a missed end looks like: never judged by the sweep. */
static void test_vtable_is_not_its_business(void **state)
{
	struct world *w = *state;

	w->root[0] = 0xdead;
	assert_null(found(w));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_unchanged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_invariant, setup, teardown),
		cmocka_unit_test_setup_teardown(test_change_without_licence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_licences, setup, teardown),
		cmocka_unit_test_setup_teardown(test_on_an_arena, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_news, setup, teardown),
		cmocka_unit_test_setup_teardown(test_licence_ends_with_the_digest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kernel_was_faster, setup, teardown),
		cmocka_unit_test_setup_teardown(test_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vtable_is_not_its_business, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
