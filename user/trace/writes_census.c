// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>

#include "proc/maps.h"
#include "proc/mem.h"
#include "trace/session.h"
#include "trace/writes_census.h"

#define CHUNK	 (1u << 20)
#define LIMIT_NS 2000000000ull

struct census {
	const struct writes_plan *plan;
	uint64_t low, span; /* of the vtables: what is not among them is passed over by one comparison */
	uint64_t *alive;
};

static void span_of(struct census *c)
{
	uint64_t high = 0;

	c->low = UINT64_MAX;
	for (unsigned t = 0; t < c->plan->n_types; t++) {
		for (uint32_t i = 0; i < c->plan->type[t].n_vptrs; i++) {
			uint64_t v = c->plan->type[t].vptr[i];

			c->low = v < c->low ? v : c->low;
			high = v > high ? v : high;
		}
	}
	c->span = high >= c->low ? high - c->low : 0;
}

/* The first type that has it: a derived class's vtable may be one of its base's too. */
static void count_word(struct census *c, uint64_t word)
{
	for (unsigned t = 0; t < c->plan->n_types; t++) {
		for (uint32_t i = 0; i < c->plan->type[t].n_vptrs; i++) {
			if (c->plan->type[t].vptr[i] == word) {
				c->alive[t]++;
				return;
			}
		}
	}
}

static void count_words(struct census *c, const uint64_t *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (v[i] - c->low <= c->span)
			count_word(c, v[i]);
	}
}

static bool of_interest(const struct proc_map *m)
{
	return (m->perms & (PROC_R | PROC_W)) == (PROC_R | PROC_W) && !(m->perms & PROC_SHARED) &&
	       (!m->path || m->path[0] != '[' || !strcmp(m->path, "[heap]"));
}

/* Returns the share of the memory that was read. */
static double count_maps(struct census *c, const struct proc_maps *maps, pid_t pid, uint64_t *buf)
{
	uint64_t start = mono_now_ns(), all = 0, done = 0;

	for (size_t i = 0; i < maps->n; i++)
		all += of_interest(&maps->v[i]) ? maps->v[i].end - maps->v[i].start : 0;
	for (size_t i = 0; i < maps->n; i++) {
		const struct proc_map *m = &maps->v[i];

		for (uint64_t at = m->start; of_interest(m) && at < m->end; at += CHUNK) {
			size_t len = m->end - at < CHUNK ? (size_t)(m->end - at) : CHUNK;
			ssize_t n = proc_mem_read(pid, at, buf, len);

			if (n > 0)
				count_words(c, buf, (size_t)n / sizeof(*buf));
			done += len;
			if (mono_now_ns() - start > LIMIT_NS)
				return (double)done / (double)all;
		}
	}
	return 1;
}

void writes_census(const struct writes_plan *plan, pid_t pid, uint64_t *alive)
{
	struct census c = {.plan = plan, .alive = alive};
	uint64_t *buf = malloc(CHUNK);
	struct proc_maps maps;

	memset(alive, 0, plan->n_types * sizeof(*alive));
	span_of(&c);
	if (buf && c.low != UINT64_MAX && !proc_maps_read(&maps, pid, NULL)) {
		double share = count_maps(&c, &maps, pid, buf);

		for (unsigned t = 0; t < plan->n_types; t++)
			alive[t] = (uint64_t)((double)alive[t] / share);
		proc_maps_deinit(&maps);
	}
	free(buf);
}
