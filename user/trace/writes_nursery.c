// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "trace/writes_nursery.h"

#include <errno.h>
#include <stdlib.h>

#include "trace/map_walk.h"
#include "trace/session.h"

#define SHARE 50 /* 1/50 of one CPU */

struct writes_nursery {
	struct nursery *nursery;
	const struct writes_trace *trace;
	struct map_walk objects;
	uint64_t key[NURSERY_BATCH];
	struct wr_object value[NURSERY_BATCH];
};

static int walk(void *ctx, struct nursery_object *v, size_t max, bool *end)
{
	struct writes_nursery *w = ctx;
	int n = map_walk(&w->objects, w->key, w->value, max < NURSERY_BATCH ? max : NURSERY_BATCH, end);

	for (int i = 0; i < n; i++)
		v[i] = (struct nursery_object){.addr = w->key[i], .o = w->value[i]};
	return n;
}

static bool insert(void *ctx, uint64_t addr, const struct wr_node *n, const uint8_t *shadow)
{
	return writes_trace_insert(((const struct writes_nursery *)ctx)->trace, addr, n, shadow);
}

static void drop(void *ctx, uint64_t addr, uint64_t id)
{
	writes_trace_drop(((const struct writes_nursery *)ctx)->trace, addr, id);
}

int writes_nursery_create(struct writes_nursery **ret, const struct writes_plan *plan,
			  const struct engine_facts *facts, struct sweep *sweep,
			  const struct writes_trace *trace, struct err *err)
{
	struct writes_nursery *w = calloc(1, sizeof(*w));
	struct nursery_source source = {.ctx = w, .walk = walk, .insert = insert, .drop = drop};

	*ret = w;
	if (!w)
		return err_set(err, -ENOMEM, "out of memory");
	w->objects = (struct map_walk){.fd = writes_trace_map_fd(trace, "objects"),
				       .value_size = sizeof(struct wr_object)};
	w->trace = trace;
	return nursery_create(&w->nursery, plan, facts, &source, sweep, err);
}

void writes_nursery_destroy(struct writes_nursery *w)
{
	if (w)
		nursery_destroy(w->nursery);
	free(w);
}

void writes_nursery_tick(struct writes_nursery *w, uint64_t now_ns, uint64_t tick_ns)
{
	uint64_t start = mono_now_ns();
	bool end = false;

	do {
		if (!nursery_step(w->nursery, now_ns, &end))
			return;
	} while (!end && mono_now_ns() - start < tick_ns / SHARE);
}

void writes_nursery_stats(const struct writes_nursery *w, struct nursery_stats *s)
{
	nursery_stats(w->nursery, s);
}
