// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/survey.h"
#include "util/grow.h"

#define DISTRUST_OBJECTS 8 /* as the engine of `writes`: a field broken in so many and in more than half */

static bool is_alive(const struct census_object *o)
{
	return o->state == OBJECT_BLOCK || o->state == OBJECT_STATIC;
}

static void item_deinit(struct survey_item *i)
{
	object_breaks_free(i->b, i->n);
	object_free(i->object);
}

/* Reads one object; kept if it is damaged. */
static int look(struct survey *v, const struct known *k, const struct rule_mem *m,
		const struct census_object *o, unsigned depth)
{
	struct survey_item item = {.o = o, .alive = is_alive(o)};
	int rc = object_read(&item.object, k, m, v->type, o->addr, depth);

	if (rc == -EFAULT) {
		v->n_unreadable++;
		return 0;
	}
	if (rc)
		return rc;
	v->n_unreadable += item.object->unreadable;
	rc = object_breaks(item.object, &item.b, &item.n);
	if (!rc && item.n && !GROW(&v->v, v->n)) {
		v->v[v->n++] = item;
		return 0;
	}
	if (item.n)
		rc = -ENOMEM;
	item_deinit(&item);
	return rc;
}

static int by_damage(const void *a, const void *b)
{
	const struct survey_item *x = a, *y = b;

	if (x->alive != y->alive)
		return x->alive ? -1 : 1;
	return x->o->addr < y->o->addr ? -1 : x->o->addr > y->o->addr;
}

/* Live ones in which field f of the node's class is broken. */
static size_t broken_in(const struct survey *v, const struct guard_field *f)
{
	size_t n = 0;

	for (size_t i = 0; i < v->n; i++) {
		bool in = false;

		for (size_t b = 0; b < v->v[i].n && !in; b++)
			in = v->v[i].b[b].field->guard == f;
		n += in;
	}
	return n;
}

static int note_distrusted(struct survey *v, const struct guard_field *f)
{
	char *s;

	if (asprintf(&s, "%s%s%s::%s", v->distrusted ? v->distrusted : "", v->distrusted ? ", " : "",
		     f->owner, f->path) < 0)
		return -ENOMEM;
	free(v->distrusted);
	v->distrusted = s;
	return 0;
}

static void drop_breaks(struct survey *v, const struct guard_field *f)
{
	for (size_t i = 0; i < v->n; i++) {
		struct survey_item *it = &v->v[i];
		size_t kept = 0;

		for (size_t b = 0; b < it->n; b++) {
			if (it->b[b].field->guard == f)
				free(it->b[b].path);
			else
				it->b[kept++] = it->b[b];
		}
		it->n = kept;
	}
}

/* Leaves the items that have something broken. */
static void compact(struct survey *v)
{
	size_t kept = 0;

	v->n_alive = 0;
	for (size_t i = 0; i < v->n; i++) {
		if (!v->v[i].n) {
			item_deinit(&v->v[i]);
			continue;
		}
		v->n_alive += v->v[i].alive;
		v->v[kept++] = v->v[i];
	}
	v->n = kept;
}

static int distrust(struct survey *v)
{
	for (size_t i = 0; i < v->n; i++) {
		for (size_t b = 0; b < v->v[i].n;) {
			const struct guard_field *f = v->v[i].b[b].field->guard;
			size_t n = broken_in(v, f);

			if (n < DISTRUST_OBJECTS || n * 2 <= v->n_all) {
				b++;
				continue;
			}
			if (note_distrusted(v, f))
				return -ENOMEM;
			drop_breaks(v, f);
		}
	}
	return 0;
}

static int take(struct survey *v, const struct space *s, const struct known *k, const struct census *c,
		unsigned depth)
{
	struct census_mem mem = {.space = s, .known = k};
	struct rule_mem m = census_rule_mem(&mem);
	int rc = 0;

	v->all = calloc(c->n + 1, sizeof(*v->all));
	if (!v->all)
		return -ENOMEM;
	for (size_t i = 0; !rc && i < c->n; i++) {
		const struct census_object *o = &c->v[i];

		if (!known_vptr_ok(k, v->type, o->cls->value))
			continue;
		if (o->state == OBJECT_FREED) {
			v->n_dead++;
			continue;
		}
		v->all[v->n_all++] = o;
		rc = look(v, k, &m, o, depth);
	}
	if (!rc)
		rc = distrust(v);
	compact(v);
	if (v->n)
		qsort(v->v, v->n, sizeof(*v->v), by_damage);
	return rc;
}

int survey_take(struct survey **ret, const struct space *s, const struct known *k, const struct census *c,
		uint32_t type, unsigned depth, struct err *err)
{
	struct survey *v = calloc(1, sizeof(*v));
	int rc = -ENOMEM;

	*ret = NULL;
	if (v) {
		v->type = type;
		rc = take(v, s, k, c, depth);
	}
	if (rc) {
		survey_free(v);
		return err_set(err, rc, "checking objects: %s", strerror(-rc));
	}
	*ret = v;
	return 0;
}

/* Reads a damaged object again. What is not as before is no damage; nor is anything if it is no longer there.
 */
static int look_again(struct survey_item *it, const struct known *k, const struct rule_mem *m, uint32_t type,
		      unsigned depth)
{
	struct object *now = NULL;
	struct object_break *b = NULL;
	uint64_t vptr = 0;
	size_t n = 0;
	int rc = 0;

	m->read(m->ctx, it->o->addr, &vptr, 8);
	if (vptr == it->o->cls->value)
		rc = object_read(&now, k, m, type, it->o->addr, depth);
	if (rc == -EFAULT)
		rc = 0;
	if (!rc && now) {
		object_confirm(now, it->b, it->n);
		rc = object_breaks(now, &b, &n);
	}
	if (rc) {
		object_free(now);
		return rc;
	}
	item_deinit(it);
	it->object = now;
	it->b = b;
	it->n = n;
	return 0;
}

int survey_confirm(struct survey *v, const struct space *s, const struct known *k, unsigned depth,
		   struct err *err)
{
	struct census_mem mem = {.space = s, .known = k};
	struct rule_mem m = census_rule_mem(&mem);
	int rc = 0;

	for (size_t i = 0; !rc && i < v->n; i++) {
		struct survey_item *it = &v->v[i];
		struct heap_block block;

		if (it->o->state == OBJECT_BLOCK) {
			rc = heap_classify(s, &it->o->addr, 1, &block);
			it->alive = block.state == HEAP_USED && block.addr == it->o->addr;
		}
		if (!rc)
			rc = look_again(it, k, &m, v->type, depth);
	}
	compact(v);
	return rc ? err_set(err, rc, "checking objects again: %s", strerror(-rc)) : 0;
}

void survey_free(struct survey *v)
{
	if (!v)
		return;
	for (size_t i = 0; i < v->n; i++)
		item_deinit(&v->v[i]);
	free(v->v);
	free(v->all);
	free(v->distrusted);
	free(v);
}
