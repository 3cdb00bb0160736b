// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Looks in turn, looks out of turn, and what they cost together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stalls/pace.h"

#define MS  1000000ULL
#define SEC (1000 * MS)

static void cheap(void **state)
{
	struct pace p;

	(void)state;
	pace_start(&p, 4 * SEC, 30 * MS);
	pace_looked(&p, 5 * SEC, 5 * SEC + MS, MS);
	assert_int_equal(pace_due(&p, 5 * SEC + 25 * MS), PACE_NOT_YET);
	assert_int_equal(pace_due(&p, 5 * SEC + 52 * MS), PACE_IF_WANTED);
	assert_int_equal(pace_due(&p, 6 * SEC), PACE_IF_WANTED);
	assert_int_equal(pace_due(&p, 6 * SEC + 2 * MS), PACE_NOW);
}

/* A look at thousands of sockets takes long; yet the first call that gets stuck is told at once. */
static void dear(void **state)
{
	struct pace p;

	(void)state;
	pace_start(&p, 200 * MS, 200 * MS);
	assert_int_equal(pace_due(&p, 225 * MS), PACE_NOT_YET);
	assert_int_equal(pace_due(&p, 250 * MS), PACE_IF_WANTED);
	assert_int_equal(pace_due(&p, 10 * SEC), PACE_IF_WANTED);
	assert_int_equal(pace_due(&p, 10 * SEC + 200 * MS), PACE_NOW);
}

/* Calls that are always long: a look is wanted whenever one may be taken. */
static void always_wanted(void **state)
{
	struct pace p;
	uint64_t looked = 0, cost = 40 * MS;

	(void)state;
	pace_start(&p, 0, cost);
	for (uint64_t now = 0; now < 600 * SEC; now += 100 * MS) {
		if (pace_due(&p, now) == PACE_NOT_YET)
			continue;
		pace_looked(&p, now, now + 3 * cost, cost);
		looked += cost;
	}
	assert_in_range(looked, 600 * SEC / PACE_SHARE * 9 / 10,
			600 * SEC / PACE_SHARE + PACE_SAVED_NS + cost);
}

/* By a clock that goes in ticks of the session, which are of 50 ms: a call that passes the threshold at any
 * moment is looked at within 100 ms and what a look takes, though others are long all the time. */
static void soon(void **state)
{
	(void)state;
	for (uint64_t passes = 20 * SEC; passes < 23 * SEC; passes += 7 * MS) {
		uint64_t cost = 30 * MS, looked = 0;
		struct pace p;

		pace_start(&p, 0, cost);
		for (uint64_t now = 50 * MS; looked < passes; now += 50 * MS) {
			bool wanted = now >= passes || (now / MS) % 3000 < 50;
			enum pace_due due = pace_due(&p, now);

			if (due == PACE_NOT_YET || (due == PACE_IF_WANTED && !wanted))
				continue;
			pace_looked(&p, now, now + cost, cost);
			looked = now;
		}
		assert_in_range(looked, passes, passes + 100 * MS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cheap),
		cmocka_unit_test(dear),
		cmocka_unit_test(always_wanted),
		cmocka_unit_test(soon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
