// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "story/near.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/grow.h"

#define PAGE 4096ull

uint64_t near_start(uint64_t addr)
{
	uint64_t word = addr & ~7ull;

	return word > STORY_SIDE ? word - STORY_SIDE : 0;
}

void near_read(struct neighbourhood *n, uint64_t addr, near_read_fn read, void *ctx)
{
	uint64_t start = near_start(addr), page = addr & ~(PAGE - 1);
	ssize_t got = read(ctx, start, n->bytes, STORY_BYTES);

	if (got <= (ssize_t)(addr - start) && page > start) { /* the page before may not be there */
		start = page;
		got = read(ctx, start, n->bytes, STORY_BYTES - (size_t)(page - near_start(addr)));
	}
	n->start = start;
	n->len = got > (ssize_t)(addr - start) ? (size_t)got : 0;
}

static int add(struct neighbourhood *n, const struct guard_field *f, uint64_t from, uint64_t to, bool damaged)
{
	struct near_field *x;
	size_t width = to - from < 8 ? (size_t)(to - from) : 8;

	if (GROW(&n->v, n->n))
		return -ENOMEM;
	x = &n->v[n->n];
	*x = (struct near_field){.addr = from, .width = (uint32_t)(to - from), .damaged = damaged};
	memcpy(&x->value, n->bytes + (from - n->start), width);
	x->name = strdup(f->path);
	if (!x->name)
		return -ENOMEM;
	n->n++;
	return 0;
}

int near_decode(struct neighbourhood *n, const struct guard_type *g, uint64_t node, uint64_t addr,
		unsigned width)
{
	uint64_t end = n->start + n->len;
	int ret = 0;

	for (size_t i = 0; !ret && i < g->n_field; i++) {
		const struct guard_field *f = &g->field[i];
		uint64_t from = node + f->offset, to = from + f->width;
		bool damaged = addr < to && from < addr + width;

		if (from < n->start)
			from = n->start;
		if (to > end)
			to = end;
		if (from < to)
			ret = add(n, f, from, to, damaged);
	}
	return ret;
}
