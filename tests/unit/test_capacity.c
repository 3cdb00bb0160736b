// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The room in the kernel's tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "writes/capacity.h"

/* A root of 136 bytes that holds children of 216. */
static struct writes_plan *plan;
static uint64_t alive[WR_MAX_TYPES];

static int setup(void **state)
{
	(void)state;
	plan = calloc(1, sizeof(*plan));
	assert_non_null(plan);
	plan->n_types = 2;
	plan->info[0].cache = "leases";
	plan->type[0] = (struct wr_type){.size = 136, .n_children = 1};
	plan->type[1] = (struct wr_type){.size = 216};
	alive[0] = alive[1] = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(plan);
	return 0;
}

static void test_as_many_as_are_alive(void **state)
{
	struct capacity c;

	(void)state;
	alive[0] = 100000;
	alive[1] = 400000;
	capacity_plan(&c, plan, alive, 0);
	assert_int_equal(c.objects, 150000);
	assert_in_range(c.nodes, 150000 * 5, 150000 * 6);
	assert_in_range(c.pieces, 150000 * 5, 150000 * 6);
	assert_in_range(c.bytes, 150000ull * 5 * (sizeof(struct wr_node) + sizeof(struct wr_piece)),
			CAPACITY_MOST_BYTES);
	alive[0] = 10000000; /* there is an end */
	alive[1] = 40000000;
	capacity_plan(&c, plan, alive, 0);
	assert_in_range(c.bytes, CAPACITY_MOST_BYTES / 2, CAPACITY_MOST_BYTES);
}

static void test_few_or_none(void **state)
{
	struct capacity none, one, few;

	(void)state;
	capacity_plan(&none, plan, alive, 0);
	assert_in_range(none.bytes, CAPACITY_LEAST_BYTES * 9 / 10, CAPACITY_LEAST_BYTES);
	assert_true(none.nodes >= 10 * none.objects);
	alive[0] = 1; /* one lease with many chunks elsewhere tells nothing */
	alive[1] = 100000;
	capacity_plan(&one, plan, alive, 0);
	assert_int_equal(one.objects, none.objects);
	alive[0] = 100; /* these do, but no object is walked further than so */
	capacity_plan(&few, plan, alive, 0);
	assert_true(few.nodes <= WR_MAX_WALK * (few.objects + 1));
}

static void test_as_asked_for(void **state)
{
	struct capacity c;

	(void)state;
	alive[0] = 100;
	alive[1] = 400;
	capacity_plan(&c, plan, alive, 200000);
	assert_int_equal(c.objects, 200000);
	assert_in_range(c.nodes, 200000 * 5, 200000 * 6);
	capacity_plan(&c, plan, alive, 1);
	assert_true(c.objects >= 1 && c.nodes >= 5);
	plan->type[0].n_children = 0; /* nothing in it */
	capacity_plan(&c, plan, alive, 1000);
	assert_int_equal(c.nodes, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_as_many_as_are_alive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_few_or_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_as_asked_for, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
