// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A sustained overload is seen; a burst of other processes' calls is not one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stalls/budget.h"

#define MS  1000000ULL
#define SEC (1000 * MS)

/* Asks once a second; run_ms[i] is what the second i cost. Returns the second in which the budget was
 * exceeded, -1 never. */
static int run(double pct, const unsigned *run_ms, int n)
{
	struct budget b = {.pct = pct};
	uint64_t run_ns = 0;

	for (int i = 0; i < n; i++) {
		run_ns += run_ms[i] * MS;
		if (budget_exceeded(&b, (100 + (uint64_t)i) * SEC, run_ns))
			return i;
	}
	return -1;
}

static void sustained(void **state)
{
	unsigned ms[12];

	(void)state;
	for (int i = 0; i < 12; i++)
		ms[i] = 31;
	assert_int_equal(run(3, ms, 12), 6);
	for (int i = 0; i < 12; i++)
		ms[i] = 29;
	assert_int_equal(run(3, ms, 12), -1);
}

static void bursts(void **state)
{
	unsigned one[12] = {7, 7, 7, 184, 7, 7, 7, 7, 7, 7, 7, 7};
	unsigned two[12] = {7, 7, 184, 7, 184, 7, 7, 7, 7, 7, 7, 7};
	unsigned again[16] = {7, 184, 7, 184, 7, 7, 7, 184, 7, 184, 7, 7, 7, 7, 7, 7};
	unsigned first[4] = {900, 7, 7, 7};

	(void)state;
	assert_int_equal(run(3, one, 12), -1); /* as measured beside a build */
	assert_int_equal(run(3, two, 12), -1);
	assert_int_equal(run(3, again, 16), -1);
	assert_int_equal(run(3, first, 4), -1); /* what was counted before the first window is none of it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(sustained), cmocka_unit_test(bursts)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
