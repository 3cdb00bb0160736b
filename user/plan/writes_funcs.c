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

int plan_add_functions(struct writes_plan *p, const struct writes_plan_in *in, const struct spec_cache *c,
		       uint32_t type, struct dbg_type root, struct err *err)
{
	for (size_t i = 0; i < c->n_func; i++) {
		const struct spec_func *sf = &c->func[i];
		size_t before = p->n_probes;
		unsigned added = 0;
		struct dbg_func *f;
		int ret;

		ret = dbg_find_function(in->dbg, sf->name, &f, err);
		if (ret)
			return err_prefix(err, "%s", spec_role_name(sf->role));
		ret = add_entries(p, in, f, sf, type, root, &added, err);
		if (!ret)
			ret = add_inlined(p, in, f, role_of(sf->role), type, root, err);
		dbg_func_free(f);
		if (ret)
			return err_prefix(err, "%s %s", spec_role_name(sf->role), sf->name);
		if (p->n_probes == before && sf->role != SPEC_DESTROY &&
		    plan_missing(p, "%s has no code of its own", sf->name))
			return err_set(err, -ENOMEM, "out of memory");
	}
	return 0;
}
