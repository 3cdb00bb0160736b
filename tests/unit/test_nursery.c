// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Objects known from their constructors: when they are taken up, with what, and which are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "family.h"
#include "writes/nursery.h"

#define MS    1000000ull
#define BORN  1000000000ull
#define VPTR  0x1000ull
#define NODES 4

/* One object in the target, and the kernel's tables. */
struct world {
	uint64_t root[2], child[2];
	struct wr_object o;
	bool alive, dies; /* dies: while it is looked at */
	struct {
		uint64_t addr; /* 0: free */
		struct wr_node n;
	} node[NODES];
	unsigned inserted, dropped;
	struct writes_plan *plan;
	struct engine *engine;
	struct sweep *sweep;
	struct nursery *nursery;
};

static ssize_t w_read(void *ctx, uint64_t addr, void *buf, size_t len)
{
	const struct world *w = ctx;

	return family_read(w->root, w->child, addr, buf, len);
}

static bool w_object(void *ctx, uint64_t addr, struct wr_object *o)
{
	const struct world *w = ctx;

	*o = w->o;
	return w->alive && !w->dies && addr == OBJECT;
}

static bool w_node(void *ctx, uint64_t addr, struct wr_node *n)
{
	const struct world *w = ctx;

	for (size_t i = 0; i < NODES; i++) {
		if (w->node[i].addr == addr) {
			*n = w->node[i].n;
			return true;
		}
	}
	return false;
}

static uint64_t w_objects(void *ctx)
{
	(void)ctx;
	return 1000;
}

static int w_walk(void *ctx, struct nursery_object *v, size_t max, bool *end)
{
	const struct world *w = ctx;

	assert_true(max >= 1);
	*end = true;
	v[0] = (struct nursery_object){.addr = OBJECT, .o = w->o};
	return w->alive;
}

static bool w_insert(void *ctx, uint64_t addr, const struct wr_node *n, const uint8_t shadow[WR_NODE_BYTES])
{
	struct world *w = ctx;

	for (size_t i = 0; i < NODES; i++) {
		if (!w->node[i].addr || w->node[i].addr == addr) {
			w->node[i].addr = addr;
			w->node[i].n = *n;
			assert_memory_equal(shadow, n->shadow, WR_HEAD_BYTES);
			w->inserted++;
			return true;
		}
	}
	return false;
}

static void w_drop(void *ctx, uint64_t addr, uint64_t id)
{
	struct world *w = ctx;

	for (size_t i = 0; i < NODES; i++) {
		if (w->node[i].addr == addr && w->node[i].n.object_id == id) {
			w->node[i].addr = 0;
			w->dropped++;
		}
	}
}

static int no_sweep(void *ctx, struct sweep_key *v, size_t max, bool *end)
{
	(void)ctx;
	(void)v;
	(void)max;
	*end = true;
	return 0;
}

static bool bias(void *ctx, const struct elf_file *module, uint64_t *b)
{
	(void)ctx;
	(void)module;
	*b = VPTR;
	return true;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct engine_facts facts = {
		.ctx = w, .read = w_read, .object = w_object, .node = w_node, .n_objects = w_objects};
	struct sweep_source sweep = {.ctx = w, .walk = no_sweep};
	struct nursery_source source = {.ctx = w, .walk = w_walk, .insert = w_insert, .drop = w_drop};
	struct writes_plan_in in = {.bias = bias};

	assert_non_null(w);
	w->plan = calloc(1, sizeof(*w->plan));
	assert_non_null(w->plan);
	assert_int_equal(plan_add_types(w->plan, &table, "cache", &in, NULL), 0);
	assert_int_equal(engine_create(&w->engine, w->plan, &facts, 42, NULL), 0);
	assert_int_equal(sweep_create(&w->sweep, w->plan, &facts, &sweep, w->engine, NULL), 0);
	assert_int_equal(nursery_create(&w->nursery, w->plan, &facts, &source, w->sweep, NULL), 0);
	w->alive = true;
	w->o = (struct wr_object){.id = 7, .since_ns = BORN, .flags = WR_OBJ_BORN};
	w->root[0] = w->child[0] = VPTR;
	w->root[1] = CHILD;
	w->child[1] = 1;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	nursery_destroy(w->nursery);
	sweep_destroy(w->sweep);
	engine_destroy(w->engine);
	writes_plan_free(w->plan);
	free(w);
	return 0;
}

static struct nursery_stats step(struct world *w, uint64_t now_ns)
{
	struct nursery_stats s;
	bool end;

	nursery_step(w->nursery, now_ns, &end);
	assert_true(end);
	nursery_stats(w->nursery, &s);
	return s;
}

static void test_adopted_once_built(void **state)
{
	struct world *w = *state;
	struct wr_node n;

	assert_int_equal(step(w, BORN + MS).adopted, 0);
	assert_int_equal(w->inserted, 0);
	assert_int_equal(step(w, BORN + 21 * MS).adopted, 1);
	assert_int_equal(w->inserted, 2);
	assert_true(w_node(w, OBJECT, &n));
	assert_int_equal(n.flags, WR_NODE_ROOT);
	assert_int_equal(n.object_id, 7);
	assert_memory_equal(n.shadow, w->root, sizeof(w->root));
	assert_true(w_node(w, CHILD, &n));
	assert_int_equal(n.type, 1);
	assert_int_equal(n.depth, 1);
	assert_int_equal(n.flags, WR_NODE_SUB);
	assert_int_equal(n.step[0].field, 1);
	assert_int_equal(n.object, OBJECT);
	/* whoever was at work on it has no licence: so it is taken for just mutated */
	assert_int_equal(n.mutate_ns, BORN + 21 * MS);
	assert_int_equal(step(w, BORN + 22 * MS).adopted, 1);
	assert_int_equal(w->inserted, 2);
	assert_int_equal(engine_n_findings(w->engine), 0);
}

static void test_what_it_holds_later(void **state)
{
	struct world *w = *state;

	w->root[1] = 0;
	step(w, BORN + 21 * MS);
	assert_int_equal(w->inserted, 1);
	w->root[1] = CHILD;
	step(w, BORN + 1000 * MS);
	assert_int_equal(w->inserted, 1); /* not yet due */
	step(w, BORN + 21 * MS + NURSERY_AGAIN_NS);
	assert_int_equal(w->inserted, 2);
}

static void test_built_slowly(void **state)
{
	struct world *w = *state;

	w->root[0] = 0;
	assert_int_equal(step(w, BORN + 21 * MS).adopted, 0);
	w->root[0] = VPTR;
	assert_int_equal(step(w, BORN + 22 * MS).adopted, 0);
	assert_int_equal(step(w, BORN + 42 * MS).adopted, 1);
}

static void test_another_class(void **state)
{
	struct world *w = *state;
	struct nursery_stats s = {0};

	w->root[0] = 0xdead;
	for (unsigned i = 1; i <= 2 * NURSERY_TRIES; i++)
		s = step(w, BORN + i * 25 * MS);
	assert_int_equal(s.strange, 1);
	assert_int_equal(s.adopted, 0);
	assert_int_equal(w->inserted, 0);
	/* another object there */
	w->root[0] = VPTR;
	w->o.id = 8;
	w->o.since_ns = BORN + 5000 * MS;
	assert_int_equal(step(w, BORN + 5021 * MS).adopted, 1);
}

static void test_gone_meanwhile(void **state)
{
	struct world *w = *state;

	w->dies = true;
	step(w, BORN + 21 * MS);
	assert_int_equal(w->inserted, 2);
	assert_int_equal(w->dropped, 2);
}

static void test_node_of_what_stood_there_before(void **state)
{
	struct world *w = *state;
	struct wr_node n;

	w->node[0].addr = CHILD;
	w->node[0].n = (struct wr_node){.object = 0x999, .object_id = 3};
	step(w, BORN + 21 * MS);
	assert_true(w_node(w, CHILD, &n));
	assert_int_equal(n.object_id, 7);
}

static void test_followed_by_its_functions(void **state)
{
	struct world *w = *state;

	w->o.flags = WR_OBJ_ADOPTED;
	assert_int_equal(step(w, BORN + 21 * MS).adopted, 0);
	assert_int_equal(w->inserted, 0);
}

static void test_bad_at_first_sight(void **state)
{
	struct world *w = *state;
	const struct bad_write *b;

	w->child[1] = 9;
	step(w, BORN + 21 * MS);
	engine_tick(w->engine, BORN + 3000 * MS, false);
	assert_int_equal(engine_n_findings(w->engine), 1);
	b = &engine_finding(w->engine, 0)->w;
	assert_string_equal(b->path, "child_.flag_");
	assert_int_equal(b->new_value, 9);
	assert_false(b->has_old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_adopted_once_built, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_it_holds_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_built_slowly, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_class, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_node_of_what_stood_there_before, setup, teardown),
		cmocka_unit_test_setup_teardown(test_followed_by_its_functions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_at_first_sight, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
