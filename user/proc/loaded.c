// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "proc/loaded.h"

#include <errno.h>
#include <stdlib.h>

#include "util/grow.h"

struct seen {
	dev_t dev;
	uint64_t inode, start;
};

struct loaded {
	struct seen *v;
	size_t n;
};

static bool is_file(const struct proc_map *m)
{
	return m->path && m->path[0] == '/' && !m->offset && m->inode;
}

static struct seen *find(const struct loaded *l, const struct proc_map *m)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].inode == m->inode && l->v[i].dev == m->dev)
			return &l->v[i];
	return NULL;
}

static int see(struct loaded *l, const struct proc_map *m)
{
	if (GROW(&l->v, l->n))
		return -ENOMEM;
	l->v[l->n++] = (struct seen){.dev = m->dev, .inode = m->inode, .start = m->start};
	return 0;
}

int loaded_create(struct loaded **ret, const struct proc_maps *maps)
{
	struct loaded *l = calloc(1, sizeof(*l));
	int rc = l ? 0 : -ENOMEM;

	for (size_t i = 0; i < maps->n && !rc; i++)
		if (is_file(&maps->v[i]) && !find(l, &maps->v[i]))
			rc = see(l, &maps->v[i]);
	if (rc) {
		loaded_free(l);
		return rc;
	}
	*ret = l;
	return 0;
}

void loaded_free(struct loaded *l)
{
	if (!l)
		return;
	free(l->v);
	free(l);
}

static bool still_there(const struct proc_maps *maps, const struct seen *s)
{
	const struct proc_map *m = proc_maps_find(maps, s->start);

	return m && m->start == s->start && m->inode == s->inode && m->dev == s->dev;
}

static uint64_t size_of(const struct proc_maps *maps, const struct proc_map *first)
{
	uint64_t end = first->end;

	for (size_t i = 0; i < maps->n; i++) {
		const struct proc_map *m = &maps->v[i];

		if (m->inode == first->inode && m->dev == first->dev && m->start >= first->start)
			end = m->end;
	}
	return end - first->start;
}

int loaded_compare(struct loaded *l, const struct proc_maps *maps, bool moves,
		   void (*fn)(void *ctx, const struct loaded_change *c), void *ctx)
{
	for (size_t i = 0; i < maps->n; i++) {
		const struct proc_map *m = &maps->v[i];
		struct seen *s = is_file(m) ? find(l, m) : NULL;
		struct loaded_change c = {.map = m};

		if (!is_file(m) || (s && (!moves || s->start == m->start || still_there(maps, s))))
			continue;
		if (!s && see(l, m))
			return -ENOMEM;
		if (s) {
			c.from = s->start;
			s->start = m->start;
		}
		c.size = size_of(maps, m);
		fn(ctx, &c);
	}
	return 0;
}
