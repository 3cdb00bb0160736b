// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The functions a spec names: out of line and inlined, and the path from each to the object. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/writes_priv.h"

static unsigned role_of(enum spec_role r)
{
	switch (r) {
	case SPEC_INSERT:
		return WR_ROLE_INSERT;
	case SPEC_CHECK:
		return WR_ROLE_CHECK;
	case SPEC_REMOVE:
		return WR_ROLE_REMOVE;
	case SPEC_DESTROY:
		return WR_ROLE_DESTROY;
	case SPEC_TOUCH:
		return WR_ROLE_TOUCH;
	case SPEC_N_ROLES:
		break;
	}
	return WR_ROLE_NONE;
}

/* Inlined instances: only `this` is known there, so only a member of the type itself has its object. */
static int add_inlined(struct writes_plan *p, const struct writes_plan_in *in, const struct dbg_func *f,
		       unsigned role, uint32_t type, struct dbg_type root, struct err *err)
{
	struct dbg_inline *v;
	unsigned lost = 0;
	size_t n;
	int ret;

	ret = dbg_inlines(in->dbg, f, &v, &n, err);
	if (ret)
		return ret;
	for (size_t i = 0; i < n && !ret; i++) {
		struct plan_row row = {.function = f->name,
				       .vaddr = v[i].entry,
				       .inlined = true,
				       .role = role,
				       .type = type};

		if (role != WR_ROLE_TOUCH) {
			if (!v[i].has_this || !f->cls.die || !dbg_type_same(in->dbg, f->cls, root)) {
				lost++;
				continue;
			}
			row.n_obj = 1;
			row.obj[0] = v[i].this_path;
		}
		ret = plan_add_row(p, in, &row, err);
	}
	dbg_inlines_free(v, n);
	if (!ret && lost)
		ret = plan_missing(p, "%s: %u inlined %s, where its object is not known", f->name, lost,
				   lost == 1 ? "instance" : "instances");
	return ret;
}

/* *added: entries that got a probe. */
static int add_entries(struct writes_plan *p, const struct writes_plan_in *in, const struct dbg_func *f,
		       const struct spec_func *sf, uint32_t type, struct dbg_type root, unsigned *added,
		       struct err *err)
{
	unsigned role = role_of(sf->role);
	struct err first = {0};

	for (size_t i = 0; i < f->n_entry; i++) {
		const struct dbg_entry *e = &f->entry[i];
		struct plan_row row = {
			.function = f->name, .vaddr = e->vaddr, .size = e->size, .role = role, .type = type};
		struct err why = {0};
		int ret;

		if (role != WR_ROLE_TOUCH) {
			ret = dbg_arg_path(in->dbg, f, e, sf->arg, root, &row.obj[0], &why);
			if (ret) {
				if (!first.code)
					first = why;
				if (e->kind != DBG_ENTRY_PART &&
				    plan_missing(p, "%s at 0x%llx: %s", f->name, (unsigned long long)e->vaddr,
						 why.msg))
					return err_set(err, -ENOMEM, "out of memory");
				continue;
			}
			row.n_obj = 1;
		}
		ret = plan_add_row(p, in, &row, err);
		if (ret)
			return ret;
		(*added)++;
	}
	if (!*added && first.code) {
		if (err)
			*err = first;
		return first.code;
	}
	return 0;
}

/* A function in one module. -ENOENT: it is not there. */
static int add_function(struct writes_plan *p, const struct writes_plan_in *in, const struct spec_func *sf,
			uint32_t type, struct dbg_type root, struct err *err)
{
	unsigned added = 0;
	struct dbg_func *f;
	int ret = dbg_find_function(in->dbg, sf->name, &f, err);

	if (ret) {
		err_prefix(err, "%s", spec_role_name(sf->role));
		return ret;
	}
	ret = add_entries(p, in, f, sf, type, root, &added, err);
	if (!ret)
		ret = add_inlined(p, in, f, role_of(sf->role), type, root, err);
	dbg_func_free(f);
	return ret ? err_prefix(err, "%s %s", spec_role_name(sf->role), sf->name) : 0;
}

/* The type as each module has it, at least as a declaration; none where it is not known. For free(). */
static struct dbg_type *roots(const struct writes_plan_in *in, const struct plan_part *part)
{
	struct dbg_type *v = calloc(in->n_modules + 1, sizeof(*v));

	for (size_t m = 0; v && m <= in->n_modules; m++) {
		struct writes_plan_in mine;
		int ret;

		if (!plan_in_module(in, m, &mine))
			continue;
		ret = dbg_find_class(mine.dbg, part[0].g->type[0].name, &v[m], NULL);
		if (ret && ret != -ENODATA)
			v[m] = (struct dbg_type){0};
	}
	return v;
}

/* Wherever the function is: a copy of an inline one may be in several modules. */
static int find_and_add(struct writes_plan *p, const struct writes_plan_in *in, const struct spec_func *sf,
			uint32_t type, const struct dbg_type *root, struct err *err)
{
	struct err first = {0};
	bool found = false;

	for (size_t m = 0; m <= in->n_modules; m++) {
		struct writes_plan_in mine;
		struct err why = {0};
		int ret;

		if (!plan_in_module(in, m, &mine))
			continue;
		ret = add_function(p, &mine, sf, type, root[m], &why);
		found |= !ret;
		if (ret && (!first.code || ret != -ENOENT))
			first = why;
		if (ret && ret != -ENOENT)
			break;
	}
	if (found && (!first.code || first.code == -ENOENT))
		return 0;
	*err = first;
	return first.code;
}

int plan_add_functions_in(struct writes_plan *p, const struct writes_plan_in *in, const struct spec_cache *c,
			  uint32_t type, struct dbg_type root, struct err *err)
{
	for (size_t i = 0; i < c->n_func; i++) {
		int ret = add_function(p, in, &c->func[i], type, root, err);

		if (ret && ret != -ENOENT)
			return ret;
	}
	return 0;
}

int plan_add_functions(struct writes_plan *p, const struct writes_plan_in *in, const struct spec_cache *c,
		       uint32_t type, const struct plan_part *part, struct err *err)
{
	struct dbg_type *root = roots(in, part);
	int ret = root ? 0 : err_set(err, -ENOMEM, "out of memory");

	for (size_t i = 0; !ret && i < c->n_func; i++) {
		const struct spec_func *sf = &c->func[i];
		size_t before = p->n_probes;

		ret = find_and_add(p, in, sf, type, root, err);
		if (ret && sf->line)
			err_prefix(err, "%s:%u:%u", in->spec->source, sf->line, sf->col);
		if (!ret && p->n_probes == before && sf->role != SPEC_DESTROY &&
		    plan_missing(p, "%s has no code of its own", sf->name))
			ret = err_set(err, -ENOMEM, "out of memory");
	}
	free(root);
	return ret;
}
