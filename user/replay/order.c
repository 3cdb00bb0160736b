// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>

#include "replay/order.h"

static int by_time(const void *a, const void *b)
{
	const struct order *x = a, *y = b;

	if (x->real_ns != y->real_ns)
		return x->real_ns < y->real_ns ? -1 : 1;
	if (x->session != y->session)
		return x->session < y->session ? -1 : 1;
	return (x->finding > y->finding) - (x->finding < y->finding);
}

struct order *order_findings(struct replay *const *v, size_t n, size_t *n_all)
{
	size_t total = 0;
	struct order *all;

	for (size_t i = 0; i < n; i++)
		total += v[i]->n;
	*n_all = 0;
	all = calloc(total + 1, sizeof(*all));
	for (size_t i = 0; all && i < n; i++)
		for (size_t k = 0; k < v[i]->n; k++)
			all[(*n_all)++] = (struct order){.real_ns = replay_wall(v[i], v[i]->v[k].found_ns),
							 .session = i,
							 .finding = k};
	if (all && *n_all)
		qsort(all, *n_all, sizeof(*all), by_time);
	return all;
}
