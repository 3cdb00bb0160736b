// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "stalls/pace.h"

void pace_start(struct pace *p, uint64_t now_ns, uint64_t cpu_ns)
{
	*p = (struct pace){.looked_ns = now_ns, .cost_ns = cpu_ns, .saved_ns = PACE_SAVED_NS};
}

enum pace_due pace_due(const struct pace *p, uint64_t now_ns)
{
	uint64_t turn = p->cost_ns * PACE_SHARE;
	uint64_t since = now_ns > p->looked_ns ? now_ns - p->looked_ns : 0;

	if (turn < PACE_EVERY_NS)
		turn = PACE_EVERY_NS;
	if (since >= turn)
		return PACE_NOW;
	return since >= PACE_SOON_NS && p->saved_ns >= p->cost_ns ? PACE_IF_WANTED : PACE_NOT_YET;
}

void pace_looked(struct pace *p, uint64_t begin_ns, uint64_t end_ns, uint64_t cpu_ns)
{
	uint64_t since = begin_ns > p->looked_ns ? begin_ns - p->looked_ns : 0;

	p->cost_ns = cpu_ns;
	p->looked_ns = end_ns;
	p->saved_ns += since / PACE_SHARE;
	if (p->saved_ns > PACE_SAVED_NS)
		p->saved_ns = PACE_SAVED_NS;
	p->saved_ns = p->saved_ns > p->cost_ns ? p->saved_ns - p->cost_ns : 0;
}
