// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* From a word in an object up to the object that owns it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/census.h"

#define MAX_UP	     8
#define MAX_ELEMENTS 4096

struct climb {
	const struct census *c;
	const struct known *k;
	const struct space *s;
	uint64_t *elem; /* [MAX_ELEMENTS] */
};

/* Does field f of the object at addr, whose bytes are node, lead to child? *index: which element; -1 for a
 * pointer. */
static bool leads_to(const struct climb *u, const struct guard_field *f, const uint8_t *node, uint64_t child,
		     int *index)
{
	const struct guard_repeated *r = &f->rep;
	uint64_t p;
	int32_t n;

	*index = -1;
	if (f->kind == GUARD_MSG_PTR) {
		memcpy(&p, node + f->offset, 8);
		return p == child;
	}
	if (f->kind != GUARD_REPEATED_PTR || r->current == GUARD_NONE || r->pointer == GUARD_NONE)
		return false;
	memcpy(&n, node + f->offset + r->current, 4);
	memcpy(&p, node + f->offset + r->pointer, 8);
	if (n <= 0 || !p)
		return false;
	if (n > MAX_ELEMENTS)
		n = MAX_ELEMENTS;
	n = (int32_t)(space_read(u->s, p + r->header, u->elem, 8 * (size_t)n) / 8);
	for (int i = 0; i < n; i++) {
		if (u->elem[i] == child) {
			*index = i;
			return true;
		}
	}
	return false;
}

/* Types whose fields can lead to a class of this type: by name, since each root has a table of its own. */
static bool can_lead(const struct known *k, const struct known_type *t, const struct guard_field *f,
		     uint64_t child_vptr)
{
	return f->proto && !f->in_union && f->elem != GUARD_NONE &&
	       known_vptr_ok(k, t->base + (unsigned)f->elem, child_vptr);
}

static const struct census_object *parent_of(const struct climb *u, const struct census_object *o,
					     const struct guard_field **field, int *index)
{
	const struct known *k = u->k;

	for (size_t i = 0; i < u->c->n; i++) {
		const struct census_object *p = &u->c->v[i];
		const struct known_type *t = &k->type[p->cls->type];
		uint8_t *node = NULL;

		if (p->state == OBJECT_FREED || p == o || t->guard->size > OBJECT_MAX_SIZE)
			continue;
		for (size_t f = 0; f < t->guard->n_field; f++) {
			*field = &t->guard->field[f];
			if (!can_lead(k, t, *field, o->cls->value))
				continue;
			if (!node) {
				node = calloc(1, t->guard->size + 8);
				if (!node || space_read(u->s, p->addr, node, t->guard->size) !=
						     (ssize_t)t->guard->size)
					break;
			}
			if (leads_to(u, *field, node, o->addr, index)) {
				free(node);
				return p;
			}
		}
		free(node);
	}
	return NULL;
}

/* "field", "field[2]", and before what is below it. Takes over below. */
static char *prepend(const struct guard_field *f, int index, char *below)
{
	char *s;
	int len;

	if (index >= 0)
		len = asprintf(&s, "%s[%d].%s", f->path, index, below);
	else
		len = asprintf(&s, "%s.%s", f->path, below);
	free(below);
	return len < 0 ? NULL : s;
}

int census_path(const struct census *c, const struct known *k, const struct space *s,
		const struct census_object *o, uint64_t addr, const struct census_object **owner, char **path)
{
	struct climb u = {.c = c, .k = k, .s = s, .elem = calloc(MAX_ELEMENTS, 8)};
	const struct guard_type *t = k->type[o->cls->type].guard;
	int i = guard_field_at(t, (uint32_t)(addr - o->addr));

	*owner = o;
	*path = i == GUARD_NONE ? NULL : strdup(t->field[i].path);
	if (!u.elem || (i != GUARD_NONE && !*path)) {
		free(u.elem);
		return -ENOMEM;
	}
	for (int up = 0; *path && up < MAX_UP; up++) {
		const struct guard_field *f;
		const struct census_object *p;
		int index;

		p = parent_of(&u, *owner, &f, &index);
		if (!p)
			break;
		*path = prepend(f, index, *path);
		*owner = p;
	}
	free(u.elem);
	return i != GUARD_NONE && !*path ? -ENOMEM : 0;
}
