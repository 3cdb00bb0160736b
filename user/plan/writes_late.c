// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A module that is loaded while the session runs. It is looked at apart from the plan, in one that has the
 * plan's types and only the module's own probes; then the plan takes that over.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plan/writes_priv.h"

struct plan_addition {
	struct writes_plan *x;
	struct plan_probe *before; /* the array that was the plan's own; copies of the plan have it still */
	struct plan_addition *next;
};

/* The kernel's type of a cache's class, by the list of names there; -1: none. *first: the cache begins it. */
static int type_of(const struct writes_plan *p, const char *cache, bool *first)
{
	size_t n = strlen(cache);

	for (size_t t = 0; t < p->n_types; t++) {
		const char *list = p->info[t].cache;

		for (const char *s = list; s; s = strstr(s, ", ") ? strstr(s, ", ") + 2 : NULL) {
			if (strncmp(s, cache, n) != 0 || (s[n] && s[n] != ','))
				continue;
			*first = s == list;
			return (int)t;
		}
	}
	return -1;
}

static void doubt_field(struct writes_plan *x, uint32_t type, unsigned field)
{
	struct wr_field *f = &x->field[x->type[type].first_field + field];

	if (!(f->flags & WR_FF_SHADOW))
		return;
	f->flags &= (uint8_t)~WR_FF_SHADOW;
	x->coverage.judged--;
	x->coverage.changes++;
}

/* Types that the module has code for but does not describe may be changed by setters nobody finds. */
static int doubt_undescribed(struct writes_plan *x, const struct writes_plan_in *in, uint32_t base)
{
	const struct plan_module *m = &in->module[in->at - 1];
	bool any = false, declares = false; /* as describes() in writes_parts.c */
	struct dbg_type found;

	for (uint32_t t = base; in->partial && in->dbg && t < x->n_types && x->info[t].base == base; t++)
		declares |= dbg_find_class(in->dbg, x->info[t].guard->name, &found, NULL) == -ENODATA;
	for (uint32_t t = base; t < x->n_types && x->info[t].base == base; t++) {
		int rc = in->dbg ? dbg_find_class(in->dbg, x->info[t].guard->name, &found, NULL) : -ENODATA;

		if (rc != -ENODATA && !(rc == -ENOENT && declares))
			continue;
		for (unsigned i = 0; i < x->type[t].n_fields; i++)
			doubt_field(x, t, i);
		any = true;
	}
	if (!any)
		return 0;
	return in->dbg ? plan_note(x,
				   "%s only declares the type: setters inlined there are not seen, so no "
				   "change of it is judged any more",
				   m->name)
		       : plan_missing(x, "%s has code for the type but no debuginfo", m->name);
}

/* What the module says of a type's vtables. */
static void add_vptrs(struct writes_plan *x, uint32_t type, const struct guard_type *from,
		      const struct writes_plan_in *in)
{
	struct wr_type *t = &x->type[type];

	if (plan_vptrs_unknown(from) || plan_vptrs_unknown(x->info[type].guard)) {
		t->n_vptrs = 0;
		return;
	}
	for (uint32_t i = 0; from->vptrs_known && i < from->n_vptr; i++) {
		uint64_t bias, addr;
		uint32_t k = 0;

		if (!in->bias(in->ctx, from->vptr[i].module, &bias))
			continue;
		addr = bias + from->vptr[i].vaddr;
		while (k < t->n_vptrs && t->vptr[k] != addr)
			k++;
		if (k < t->n_vptrs)
			continue;
		if (t->n_vptrs == WR_MAX_VPTRS) {
			t->n_vptrs = 0;
			return;
		}
		t->vptr[t->n_vptrs++] = addr;
	}
}

static void add_doubts(struct writes_plan *x, uint32_t type, const struct guard_type *from)
{
	for (unsigned i = 0; i < x->type[type].n_fields; i++) {
		const struct guard_field *f = plan_same_field(from, plan_guard_field(x, type, i));

		if (f && !f->shadow_judged)
			doubt_field(x, type, i);
	}
}

/* Which of the kernel's types each of the part's is, and what the part says of them. */
static int join_types(struct writes_plan *x, struct plan_part *part, uint32_t base)
{
	part->n_types = part->g->n_type;
	for (size_t k = 0; k < part->n_types; k++) {
		const struct guard_type *g = &part->g->type[k];
		uint32_t t = base;

		part->type[k] = PLAN_NO_TYPE;
		while (t < x->n_types && x->info[t].base == base &&
		       !dbg_name_eq(x->info[t].guard->name, g->name))
			t++;
		if (t == x->n_types || x->info[t].base != base)
			continue;
		if (!plan_types_agree(x->info[t].guard, g)) {
			for (unsigned i = 0; i < x->type[t].n_fields; i++)
				doubt_field(x, t, i);
			if (plan_missing(x,
					 "%s was compiled with another definition of %s: its code is not "
					 "followed",
					 part->in.module[part->in.at - 1].name, g->name))
				return -ENOMEM;
			continue;
		}
		part->type[k] = t;
		add_vptrs(x, t, g, &part->in);
		add_doubts(x, t, g);
	}
	return 0;
}

static int add_cache(struct writes_plan *x, const struct writes_plan_in *in, const struct spec_cache *c,
		     struct err *err)
{
	struct plan_part part = {.in = *in};
	bool first = false;
	int type = type_of(x, c->name, &first), ret;

	if (type < 0)
		return 0;
	if (first && doubt_undescribed(x, in, (uint32_t)type))
		return err_set(err, -ENOMEM, "out of memory");
	if (!in->dbg)
		return 0;
	ret = dbg_find_class(in->dbg, c->type, &part.root, err);
	if (ret && ret != -ENODATA)
		part.root = (struct dbg_type){0};
	if (!ret && first) {
		ret = plan_part_build(x, in, &part, WR_MAX_TYPES, err);
		if (!ret && join_types(x, &part, (uint32_t)type))
			ret = err_set(err, -ENOMEM, "out of memory");
		if (!ret)
			ret = plan_add_part(x, c, &part, err);
		if (ret)
			return ret;
	}
	return plan_add_functions_in(x, in, c, (uint32_t)type, part.root, err);
}

void plan_addition_free(struct plan_addition *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->x->n_types; i++)
		a->x->info[i].guard_field = NULL; /* the plan's */
	writes_plan_free(a->x);
	free(a->before);
	free(a);
}

void plan_additions_free(struct plan_addition *a)
{
	while (a) {
		struct plan_addition *next = a->next;

		plan_addition_free(a);
		a = next;
	}
}

/* The plan's types, and nothing else of it. */
static struct writes_plan *bare(const struct writes_plan *p, size_t n_tables)
{
	struct writes_plan *x = malloc(sizeof(*x));

	if (!x)
		return NULL;
	*x = *p;
	x->probe = NULL;
	x->missing = x->note = NULL;
	x->n_probes = x->n_missing = x->n_notes = x->n_tables = x->own_from = 0;
	x->additions = NULL;
	x->probes_shared = false;
	x->births = x->ends_missed = x->copy = false;
	x->guard = calloc(n_tables, sizeof(struct guard_table *));
	x->writers = calloc(n_tables, sizeof(struct writers *));
	return x;
}

int plan_addition_build(struct plan_addition **ret, const struct writes_plan *p,
			const struct writes_plan_in *in, struct err *err)
{
	struct plan_addition *a = calloc(1, sizeof(*a));
	struct writes_plan_in mine = *in;
	int r = 0;

	*ret = NULL;
	if (a)
		a->x = bare(p, in->spec->n_cache + 1);
	if (!a || !a->x) {
		free(a);
		return err_set(err, -ENOMEM, "out of memory");
	}
	mine.at = (unsigned)in->n_modules;
	if (!a->x->guard || !a->x->writers)
		r = err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; !r && i < in->spec->n_cache; i++)
		r = add_cache(a->x, &mine, &in->spec->cache[i], err);
	if (r)
		plan_addition_free(a);
	else
		*ret = a;
	return r;
}

bool plan_addition_destroys(const struct plan_addition *a)
{
	for (size_t i = 0; i < a->x->n_probes; i++) {
		if (a->x->probe[i].wire.role == WR_ROLE_DESTROY)
			return true;
	}
	return a->x->ends_missed;
}

static int join_texts(struct writes_plan *p, const struct writes_plan *x)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < x->n_notes; i++)
		ret = plan_note(p, "%s", x->note[i]);
	for (size_t i = 0; !ret && i < x->n_missing; i++)
		ret = plan_missing(p, "%s", x->missing[i]);
	return ret;
}

int writes_plan_join(struct writes_plan *p, struct plan_addition *a, struct err *err)
{
	struct writes_plan *x = a->x;
	size_t n = p->n_probes + x->n_probes;
	struct plan_probe *all;

	if (n > WR_MAX_PROBES)
		return err_set(err, -E2BIG, "more than %d probes are needed", WR_MAX_PROBES);
	all = calloc(n + 1, sizeof(*all));
	if (!all || join_texts(p, x)) {
		free(all);
		return err_set(err, -ENOMEM, "out of memory");
	}
	memcpy(all, p->probe, p->n_probes * sizeof(*all));
	memcpy(all + p->n_probes, x->probe, x->n_probes * sizeof(*all));
	a->before = p->probes_shared ? NULL : p->probe;
	p->probe = all;
	p->probes_shared = false;
	p->n_probes = n;
	x->n_probes = 0; /* their names went along */
	memcpy(p->type, x->type, sizeof(p->type));
	memcpy(p->field, x->field, sizeof(p->field));
	p->coverage = x->coverage;
	p->births |= x->births;
	p->ends_missed |= x->ends_missed;
	a->next = p->additions;
	p->additions = a;
	return 0;
}

bool writes_plan_move(struct writes_plan *p, uint64_t from, uint64_t size, uint64_t to)
{
	bool any = false;

	for (size_t t = 0; t < p->n_types; t++) {
		for (uint32_t i = 0; i < p->type[t].n_vptrs; i++) {
			__u64 *v = &p->type[t].vptr[i];

			if (*v - from >= size)
				continue;
			*v += to - from;
			any = true;
		}
	}
	return any;
}
