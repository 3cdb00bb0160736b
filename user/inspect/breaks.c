// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What is broken in an object and all it leads to, with the way there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "inspect/object.h"
#include "util/grow.h"

struct collecting {
	struct object_break *v;
	size_t n;
};

static int add(struct collecting *c, const struct object *o, const struct object_field *f, const char *prefix)
{
	struct object_break *b;
	int len;

	if (GROW(&c->v, c->n))
		return -ENOMEM;
	b = &c->v[c->n];
	*b = (struct object_break){.node = o, .field = f};
	if (f->bad_elem >= 0)
		len = asprintf(&b->path, "%s%s[%d]", prefix, f->guard->path, f->bad_elem);
	else
		len = asprintf(&b->path, "%s%s", prefix, f->guard->path);
	if (len < 0)
		return -ENOMEM;
	c->n++;
	return 0;
}

static int collect(struct collecting *c, const struct object *o, const char *prefix)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < o->n_fields; i++) {
		const struct object_field *f = &o->field[i];

		if (f->bad)
			rc = add(c, o, f, prefix);
		for (size_t k = 0; !rc && k < f->n_children; k++) {
			char *inner;
			int len;

			if (!f->child[k])
				continue;
			if (f->guard->kind == GUARD_REPEATED_PTR)
				len = asprintf(&inner, "%s%s[%zu].", prefix, f->guard->path, k);
			else
				len = asprintf(&inner, "%s%s.", prefix, f->guard->path);
			if (len < 0)
				return -ENOMEM;
			rc = collect(c, f->child[k], inner);
			free(inner);
		}
	}
	return rc;
}

int object_breaks(const struct object *o, struct object_break **ret, size_t *n)
{
	struct collecting c = {0};
	int rc = collect(&c, o, "");

	if (rc) {
		object_breaks_free(c.v, c.n);
		c = (struct collecting){0};
	}
	*ret = c.v;
	*n = c.n;
	return rc;
}

void object_breaks_free(struct object_break *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(b[i].path);
	free(b);
}

void object_confirm(struct object *o, const struct object_break *before, size_t n)
{
	for (size_t i = 0; i < o->n_fields; i++) {
		struct object_field *f = &o->field[i];
		bool again = false;

		for (size_t k = 0; f->bad && k < n && !again; k++)
			again = before[k].field->bad == f->bad && before[k].field->bad_addr == f->bad_addr &&
				before[k].field->bad_word == f->bad_word;
		if (!again)
			f->bad = WR_BAD_NONE;
		for (size_t k = 0; k < f->n_children; k++)
			if (f->child[k])
				object_confirm(f->child[k], before, n);
	}
}
