// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A type in several modules: the executable and each library that was compiled with its header have their own
 * description of it, and code of their own that writes it. One description is taken; the others must agree
 * with it, and add their functions, vtables and doubts.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/writes_priv.h"
#include "util/grow.h"

bool plan_in_module(const struct writes_plan_in *in, size_t i, struct writes_plan_in *ret)
{
	*ret = *in;
	ret->at = (unsigned)i;
	if (i)
		ret->dbg = in->module[i - 1].dbg;
	return ret->dbg != NULL;
}

/* The files beside module `at`'s own, for guard_opts. For free(). */
static const struct elf_file **other_files(const struct writes_plan_in *in, unsigned at, size_t *n)
{
	const struct elf_file **v = calloc(in->n_modules + 1, sizeof(const struct elf_file *));

	*n = 0;
	if (v && at)
		v[(*n)++] = dbg_binary(in->dbg);
	for (size_t i = 0; v && i < in->n_modules; i++) {
		if (i + 1 != at)
			v[(*n)++] = in->module[i].file;
	}
	return v;
}

int plan_part_build(struct writes_plan *p, const struct writes_plan_in *in, struct plan_part *part,
		    uint32_t max_types, struct err *err)
{
	struct guard_opts opts = {.max_types = max_types};
	const struct elf_file **libs = other_files(in, part->in.at, &opts.n_libs);
	int ret = libs ? 0 : err_set(err, -ENOMEM, "out of memory");

	opts.libs = (const struct elf_file *const *)libs;
	if (!ret)
		ret = guard_build(&part->g, part->in.dbg, part->root, &opts, err);
	free(libs);
	if (ret)
		return ret;
	p->guard[p->n_tables] = part->g;
	ret = writers_find(&part->w, part->in.dbg, part->g, err);
	p->writers[p->n_tables++] = part->w;
	return ret;
}

/* Fields that share bytes are the same one. One of the two may know more: of a base that the other's compiler
 * left to another module to describe. */
bool plan_types_agree(const struct guard_type *a, const struct guard_type *b)
{
	if (a->size != b->size)
		return false;
	for (size_t i = 0; i < a->n_field; i++) {
		const struct guard_field *x = &a->field[i];

		for (size_t k = 0; k < b->n_field; k++) {
			const struct guard_field *y = &b->field[k];

			if (x->offset + x->width <= y->offset || y->offset + y->width <= x->offset)
				continue;
			if (x->offset != y->offset || x->width != y->width || x->kind != y->kind)
				return false;
		}
	}
	return true;
}

const struct guard_field *plan_same_field(const struct guard_type *t, const struct guard_field *f)
{
	for (size_t i = 0; i < t->n_field; i++) {
		if (t->field[i].offset == f->offset && t->field[i].width == f->width)
			return &t->field[i];
	}
	return NULL;
}

bool plan_vptrs_unknown(const struct guard_type *t)
{
	return !t->vptrs_known && strncmp(t->vptr_reason, "no vtable symbol", 16) != 0 &&
	       strncmp(t->vptr_reason, "no module has", 13) != 0;
}

static void add_vptrs(struct guard_type *to, const struct guard_type *from)
{
	if (plan_vptrs_unknown(to) || !from->vptrs_known) {
		if (to->vptrs_known && plan_vptrs_unknown(from)) {
			to->vptrs_known = false;
			to->n_vptr = 0;
			memcpy(to->vptr_reason, from->vptr_reason, sizeof(to->vptr_reason));
		}
		return;
	}
	for (uint32_t i = 0; i < from->n_vptr; i++) {
		uint32_t k = 0;

		while (k < to->n_vptr && (to->vptr[k].module != from->vptr[i].module ||
					  to->vptr[k].vaddr != from->vptr[i].vaddr))
			k++;
		if (k < to->n_vptr)
			continue;
		if (to->n_vptr == GUARD_MAX_VPTRS) {
			to->vptrs_known = false;
			to->n_vptr = 0;
			memcpy(to->vptr_reason, "too many classes derived from it", 33);
			return;
		}
		to->vptr[to->n_vptr++] = from->vptr[i];
	}
	to->vptrs_known = to->n_vptr > 0;
}

/* What module `from` adds to the description of a type, or makes doubtful. */
static void merge_type(struct guard_type *to, const struct guard_type *from)
{
	add_vptrs(to, from);
	for (size_t i = 0; i < to->n_field; i++) {
		struct guard_field *a = &to->field[i];
		const struct guard_field *b = plan_same_field(from, a);

		if (!b)
			continue;
		a->inlined_writers += b->inlined_writers;
		a->inlined_uncovered += b->inlined_uncovered;
		if (a->shadow_judged && !b->shadow_judged) {
			a->shadow_judged = false;
			memcpy(a->reason, b->reason, sizeof(a->reason));
		}
	}
}

static struct guard_type *type_named(const struct guard_table *g, const char *name)
{
	for (size_t i = 0; i < g->n_type; i++) {
		if (dbg_name_eq(g->type[i].name, name))
			return &g->type[i];
	}
	return NULL;
}

/* Nobody vouches for the writers of this module: no change of the type is judged. */
static void doubt(struct guard_type *t, const char *why)
{
	for (size_t i = 0; i < t->n_field; i++) {
		if (!t->field[i].shadow_judged)
			continue;
		t->field[i].shadow_judged = false;
		snprintf(t->field[i].reason, sizeof(t->field[i].reason), "%s", why);
	}
}

static void merge(const struct plan_part *to, const struct plan_part *from)
{
	for (size_t i = 0; i < from->g->n_type; i++) {
		struct guard_type *t = type_named(to->g, from->g->type[i].name);

		if (t && plan_types_agree(t, &from->g->type[i]))
			merge_type(t, &from->g->type[i]);
		else if (t)
			doubt(t, "a library was compiled with another definition of it");
	}
}

static bool only_declares(const struct writes_plan_in *in, const char *type)
{
	struct dbg_type t;

	return dbg_find_class(in->dbg, type, &t, NULL) == -ENODATA;
}

/* Is the class of the module's debuginfo? A profile knows nothing of most classes: one that only declares
 * another class of the table may do so with this one too. */
static bool describes(const struct writes_plan_in *in, const struct guard_table *g, const char *type)
{
	struct dbg_type t;
	int rc = dbg_find_class(in->dbg, type, &t, NULL);
	bool declares = rc == -ENODATA;

	for (size_t i = 0; in->partial && rc == -ENOENT && i < g->n_type && !declares; i++)
		declares = only_declares(in, g->type[i].name);
	return !declares;
}

/* def's table as module in's code sees it: its types are what the module declares, or describes. NULL: no
 * memory, or none of them is there. */
static struct guard_table *seen_from(const struct writes_plan_in *in, const struct plan_part *def)
{
	const struct guard_table *g = def->g;
	struct guard_table *c = calloc(1, sizeof(*c));
	bool any = false;

	if (c)
		c->type = calloc(g->n_type + 1, sizeof(*c->type));
	for (size_t i = 0; c && c->type && i < g->n_type; i++) {
		struct guard_type *t = &c->type[i];
		int rc;

		*t = g->type[i];
		t->type = (struct dbg_type){0};
		rc = dbg_find_class(in->dbg, t->name, &t->type, NULL);
		if (rc && rc != -ENODATA)
			t->type = (struct dbg_type){0};
		any |= t->type.die != 0;
		t->field = calloc(t->n_field + 1, sizeof(*t->field));
		c->n_type += t->field != NULL;
		if (!t->field)
			break;
		for (size_t k = 0; k < t->n_field; k++) {
			t->field[k] = g->type[i].field[k];
			t->field[k].shadow_judged = false;
			t->field[k].inlined_writers = t->field[k].inlined_uncovered = 0;
		}
	}
	if (any && c->n_type == g->n_type) {
		c->of = g;
		c->of_dbg = def->in.dbg;
		return c;
	}
	guard_free(c);
	return NULL;
}

/* Modules that only declare the type have code for it all the same: setters inlined there are found by the
 * description of the first part. */
static int add_declaring(struct writes_plan *p, const struct writes_plan_in *in, struct plan_part **v,
			 size_t *n, struct err *err)
{
	int ret = 0;

	for (size_t m = 0; !ret && m <= in->n_modules; m++) {
		struct writes_plan_in mine;
		struct guard_table *g;
		struct plan_part *part;
		struct dbg_type root;

		if (!plan_in_module(in, m, &mine) || mine.partial || /* a profile may lack what is inlined */
		    dbg_find_class(mine.dbg, (*v)[0].g->type[0].name, &root, NULL) != -ENODATA)
			continue;
		g = seen_from(&mine, &(*v)[0]);
		if (!g)
			continue;
		p->guard[p->n_tables] = g;
		if (GROW(v, *n))
			ret = err_set(err, -ENOMEM, "out of memory");
		if (!ret)
			ret = writers_find(&p->writers[p->n_tables], mine.dbg, g, err);
		if (!ret) {
			part = &(*v)[(*n)++];
			*part = (struct plan_part){
				.in = mine, .root = root, .g = g, .w = p->writers[p->n_tables]};
		}
		p->n_tables++;
	}
	return ret;
}

/* Is there a part of this module that knows the type? */
static bool followed(const struct plan_part *part, size_t n, size_t module, const char *type)
{
	for (size_t i = 0; i < n; i++) {
		const struct guard_type *t =
			part[i].in.at == module && part[i].g->of ? type_named(part[i].g, type) : NULL;

		if (t && t->type.die)
			return true;
	}
	return false;
}

/*
 * Code that has the class but does not describe it may have setters inlined that nobody finds: compilers
 * leave the description to the module that has the vtable.
 */
static int doubt_users(struct writes_plan *p, const struct writes_plan_in *in, const struct plan_part *part,
		       size_t n)
{
	struct guard_table *g = part[0].g;

	for (size_t m = 0; m <= in->n_modules; m++) {
		struct writes_plan_in mine;
		bool known = plan_in_module(in, m, &mine), any = false;
		const char *name = m ? in->module[m - 1].name : elf_file_name(dbg_binary(in->dbg));

		if (!known && !(m && in->module[m - 1].blind))
			continue;
		for (size_t i = 0; i < g->n_type; i++) {
			char why[128];

			if (known &&
			    (describes(&mine, g, g->type[i].name) || followed(part, n, m, g->type[i].name)))
				continue;
			snprintf(why, sizeof(why), "%.60s has code for it, but no description of it",
				 strrchr(name, '/') ? strrchr(name, '/') + 1 : name);
			doubt(&g->type[i], why);
			any = true;
		}
		if (any &&
		    plan_note(
			    p,
			    known ? "%s only declares the type: setters inlined there are not seen, so no "
				    "change of it is judged (gcc describes it with "
				    "-femit-class-debug-always)"
				  : "%s mentions the type but has no debuginfo: its code is not seen, so no "
				    "change of it is judged",
			    name))
			return -ENOMEM;
	}
	return 0;
}

/* Appends the part of module i if it defines the type. -ENOENT and -ENODATA: it does not. */
static int part_add(const struct writes_plan_in *in, size_t i, const char *type, struct plan_part **v,
		    size_t *n, struct err *err)
{
	struct writes_plan_in mine;
	struct plan_part *part;
	struct dbg_type root;
	int ret;

	if (!plan_in_module(in, i, &mine))
		return -ENOENT;
	ret = dbg_find_class(mine.dbg, type, &root, err);
	if (ret)
		return ret;
	if (GROW(v, *n))
		return err_set(err, -ENOMEM, "out of memory");
	part = &(*v)[(*n)++];
	*part = (struct plan_part){.in = mine, .root = root};
	return 0;
}

int plan_parts_find(struct writes_plan *p, const struct writes_plan_in *in, const struct spec_cache *c,
		    struct plan_part **ret, size_t *n, struct err *err)
{
	struct err first = {0};
	int r = 0;

	*ret = NULL;
	*n = 0;
	for (size_t i = 0; i <= in->n_modules; i++) {
		struct err why = {0};

		r = part_add(in, i, c->type, ret, n, &why);
		if (r && (!i || (r != -ENOENT && r != -ENODATA)))
			first = why;
		if (r && r != -ENOENT && r != -ENODATA) {
			*err = first;
			return r;
		}
	}
	if (!*n) {
		if (err)
			*err = first;
		return first.code ? first.code : -ENOENT;
	}
	r = 0;
	for (size_t i = 0; !r && i < *n; i++)
		r = plan_part_build(p, in, &(*ret)[i], (uint32_t)(WR_MAX_TYPES - p->n_types), err);
	if (!r && in->setters != SETTERS_OFF)
		r = add_declaring(p, in, ret, n, err);
	for (size_t i = 1; !r && i < *n; i++)
		merge(&(*ret)[0], &(*ret)[i]);
	if (!r && doubt_users(p, in, *ret, *n))
		r = err_set(err, -ENOMEM, "out of memory");
	return r;
}

int plan_parts_map(struct writes_plan *p, struct plan_part *part, size_t n, uint32_t base, const char *type)
{
	for (size_t i = 0; i < n; i++) {
		part[i].n_types = part[i].g->n_type;
		for (size_t k = 0; k < part[i].n_types; k++) {
			const struct guard_type *g = &part[i].g->type[k];
			const struct guard_type *t = type_named(part[0].g, g->name);
			bool same = t && (!i || plan_types_agree(t, g));

			part[i].type[k] = same ? base + (uint32_t)(t - part[0].g->type) : PLAN_NO_TYPE;
			if (t && !same &&
			    plan_missing(
				    p,
				    "%s was compiled with another definition of %s: its code is not followed",
				    elf_file_name(dbg_binary(part[i].in.dbg)), g->name))
				return -ENOMEM;
		}
		if (i && plan_note(p,
				   part[i].g->of ? "%s: only declared in %s; setters inlined there are "
						   "followed by the definition"
						 : "%s: defined in %s, too; both are followed",
				   type, elf_file_name(dbg_binary(part[i].in.dbg))))
			return -ENOMEM;
	}
	return 0;
}
