// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "stalls/budget.h"

bool budget_exceeded(struct budget *b, uint64_t now_ns, uint64_t run_ns)
{
	uint64_t wall = now_ns - b->from_ns;

	if (b->from_ns && wall < BUDGET_WINDOW_NS)
		return false;
	if (b->from_ns && (double)(run_ns - b->run_ns) * 100 > b->pct * (double)wall)
		b->over++;
	else
		b->over = 0;
	b->from_ns = now_ns;
	b->run_ns = run_ns;
	return b->over >= BUDGET_WINDOWS;
}
