// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The rows of the plan: which probe stands where, and what it means. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/site.h"
#include "plan/writes.h"
#include "plan/writes_priv.h"
#include "util/grow.h"

#define CODE_MAX  4096 /* bytes of a function looked at for a probe site */
#define CODE_INSN 15   /* bytes of the longest instruction */

static const char *const role_names[WR_ROLE_MAX] = {
	[WR_ROLE_NONE] = "none",     [WR_ROLE_INSERT] = "insert",   [WR_ROLE_CHECK] = "check",
	[WR_ROLE_REMOVE] = "remove", [WR_ROLE_DESTROY] = "destroy", [WR_ROLE_CREATE] = "create",
	[WR_ROLE_MUTATE] = "mutate", [WR_ROLE_STORE] = "store",	    [WR_ROLE_TOUCH] = "touch",
	[WR_ROLE_BIRTH] = "birth",   [WR_ROLE_ALTER] = "alter",
};

const char *wr_role_name(unsigned role)
{
	return role < WR_ROLE_MAX ? role_names[role] : "?";
}

static int __attribute__((format(printf, 3, 0))) add_text(char ***v, size_t *n, const char *fmt, va_list ap)
{
	char *s = NULL;

	if (GROW(v, *n) || vasprintf(&s, fmt, ap) < 0)
		return -ENOMEM;
	(*v)[(*n)++] = s;
	return 0;
}

int plan_note(struct writes_plan *p, const char *fmt, ...)
{
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = add_text(&p->note, &p->n_notes, fmt, ap);
	va_end(ap);
	return ret;
}

int plan_missing(struct writes_plan *p, const char *fmt, ...)
{
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = add_text(&p->missing, &p->n_missing, fmt, ap);
	va_end(ap);
	return ret;
}

static void wire_arg(struct wr_arg *w, const struct arg_path *a, uint32_t pushed)
{
	w->used = 1;
	w->reg = a->reg;
	w->n_deref = a->n_deref;
	for (int i = 0; i <= ARG_MAX_DEREF && i <= WR_MAX_DEREF; i++)
		w->off[i] = a->offs[i];
	if (a->reg == 7) /* rsp, which has moved down by then */
		w->off[0] += (int32_t)pushed;
}

/* site_choose keeps the argument registers, and rsp by a known amount. */
static bool reg_kept(const struct arg_path *a)
{
	return a->reg == 5 || a->reg == 4 || a->reg == 1 || a->reg == 2 || a->reg == 8 || a->reg == 9 ||
	       a->reg == 7;
}

/* The row that stands there with this role already; for a store also with this object. Its licence is
 * widened. */
static bool planned(struct writes_plan *p, unsigned at, const struct plan_row *row)
{
	for (size_t i = 0; i < p->n_probes; i++) {
		struct plan_probe *r = &p->probe[i];
		struct wr_arg arg = {0};

		if (r->entry != row->vaddr || r->module != at || r->wire.role != row->role ||
		    r->wire.type != row->type)
			continue;
		if (row->role == WR_ROLE_STORE) {
			wire_arg(&arg, &row->obj[0], 0);
			if (memcmp(&arg, &r->wire.arg, sizeof(arg)) != 0)
				continue;
		}
		for (size_t k = 0; k < WR_MAX_TYPE_FIELDS / 64; k++)
			r->wire.fields[k] |= row->fields[k];
		return true;
	}
	return false;
}

static const struct elf_file *file_of(const struct writes_plan_in *in)
{
	return in->at ? in->module[in->at - 1].file : dbg_binary(in->dbg);
}

/* Moves row r from the function's entry to the cheapest place of its prologue. */
static void choose_site(const struct writes_plan_in *in, struct plan_probe *r, uint64_t size,
			const struct plan_row *row, struct site *site)
{
	const struct elf_file *f = file_of(in);
	size_t left = elf_bytes_left(f, r->entry);
	const uint8_t *code;
	struct site s;

	*site = (struct site){.stepped = true};
	if (row->inlined)
		size = CODE_INSN;
	if (size > left)
		size = left;
	if (size > CODE_MAX)
		size = CODE_MAX;
	code = size ? elf_bytes(f, r->entry, size) : NULL;
	if (code)
		site->stepped = site_stepped(code, size);
	if (!code || row->inlined || (row->n_obj > 0 && !reg_kept(&row->obj[0])) ||
	    (row->n_obj > 1 && !reg_kept(&row->obj[1])))
		return;
	if (site_choose(code, size, &s) || s.looped)
		return;
	*site = s;
}

int plan_add_row(struct writes_plan *p, const struct writes_plan_in *in, const struct plan_row *row,
		 struct err *err)
{
	struct plan_probe *r;
	struct site site;

	if (planned(p, in->at, row))
		return 0;
	if (p->n_probes == WR_MAX_PROBES)
		return err_set(err, -E2BIG, "more than %d probes are needed", WR_MAX_PROBES);
	if (GROW(&p->probe, p->n_probes))
		return err_set(err, -ENOMEM, "out of memory");
	r = &p->probe[p->n_probes];
	*r = (struct plan_probe){.module = in->at, .entry = row->vaddr, .inlined = row->inlined};
	r->wire.role = (uint16_t)row->role;
	r->wire.type = (uint16_t)row->type;
	memcpy(r->wire.fields, row->fields, sizeof(r->wire.fields));
	choose_site(in, r, row->size, row, &site);
	r->vaddr = row->vaddr + site.offset;
	r->stepped = site.stepped;
	if (row->n_obj > 0)
		wire_arg(&r->wire.arg, &row->obj[0], site.pushed);
	if (row->n_obj > 1)
		wire_arg(&r->wire.arg2, &row->obj[1], site.pushed);
	if (!elf_vaddr_to_offset(file_of(in), r->vaddr, &r->offset))
		return plan_missing(p, "%s: 0x%llx is not in the file", row->function,
				    (unsigned long long)r->vaddr);
	r->function = strdup(row->function);
	if (!r->function)
		return err_set(err, -ENOMEM, "out of memory");
	p->n_probes++;
	return 0;
}

int plan_add_part(struct writes_plan *p, const struct spec_cache *c, const struct plan_part *part,
		  struct err *err)
{
	int ret = plan_add_writers(p, part, c->n_func == 0, err);

	if (!ret && part->in.setters != SETTERS_OFF)
		ret = plan_add_stores(p, part, err);
	p->ends_missed |= part->w->dtors_uncovered != 0;
	if (!ret && part->w->dtors_uncovered)
		ret = plan_note(
			p, "%s: %u inlined destructors of it without a known object: an end may be missed",
			c->type, part->w->dtors_uncovered);
	return ret;
}

/* The kernel's type of an earlier cache of the same class; -1: there is none. */
static int same_class(const struct writes_plan *p, const struct writes_plan_in *in,
		      const struct spec_cache *c)
{
	for (const struct spec_cache *o = in->spec->cache; o < c; o++) {
		size_t n = strlen(o->name);

		if (strcmp(o->type, c->type) != 0)
			continue;
		for (size_t t = 0; t < p->n_types; t++) { /* it begins the list of their names */
			const char *name = p->info[t].cache;

			if (name && !strncmp(name, o->name, n) && (!name[n] || name[n] == ','))
				return (int)t;
		}
	}
	return -1;
}

/* Another cache of a class that has its tables: an object cannot be told to be in one of them only. */
static int add_functions_of(struct writes_plan *p, const struct writes_plan_in *in,
			    const struct spec_cache *c, unsigned type, struct err *err)
{
	struct plan_part part = {.in = *in};

	for (size_t i = 0; i < p->n_tables; i++) {
		if (p->guard[i]->type == p->info[type].guard)
			part.g = p->guard[i];
	}
	p->info[type].cache = dbg_string(in->dbg, "%s, %s", p->info[type].cache, c->name);
	if (!part.g || !p->info[type].cache)
		return err_set(err, -ENOMEM, "out of memory");
	return plan_add_functions(p, in, c, type, &part, err);
}

static int add_cache(struct writes_plan *p, const struct writes_plan_in *in, const struct spec_cache *c,
		     struct err *err)
{
	uint32_t base = (uint32_t)p->n_types;
	struct plan_part *part = NULL;
	int ret, known = same_class(p, in, c);
	size_t n = 0;

	if (known >= 0)
		return add_functions_of(p, in, c, (unsigned)known, err);
	ret = plan_parts_find(p, in, c, &part, &n, err);
	if (ret && c->line)
		err_prefix(err, "%s:%u: [cache %s]", in->spec->source, c->line, c->name);
	if (!ret)
		ret = plan_add_types(p, part[0].g, c->name, &part[0].in, err);
	if (!ret && plan_parts_map(p, part, n, base, c->type))
		ret = err_set(err, -ENOMEM, "out of memory");
	if (!ret)
		ret = plan_add_functions(p, in, c, base, part, err);
	for (size_t i = 0; !ret && i < n; i++)
		ret = plan_add_part(p, c, &part[i], err);
	if (!ret && part[0].g->truncated)
		ret = plan_note(p, "%s: more types are contained than are guarded", c->type);
	free(part);
	return ret;
}

int writes_plan_build(struct writes_plan **ret, const struct writes_plan_in *in, struct err *err)
{
	struct writes_plan *p = calloc(1, sizeof(*p));
	int r = -ENOMEM;

	*ret = NULL;
	if (p) {
		size_t max = in->spec->n_cache * (1 + in->n_modules) + 1;

		p->guard = calloc(max, sizeof(struct guard_table *));
		p->writers = calloc(max, sizeof(struct writers *));
	}
	if (!p || !p->guard || !p->writers) {
		err_set(err, -ENOMEM, "out of memory");
		goto out;
	}
	p->binary = in->binary;
	p->module = in->module;
	r = err_set(err, -EINVAL, "%s names no cache", in->spec->source);
	for (size_t i = 0; i < in->spec->n_cache; i++) {
		r = add_cache(p, in, &in->spec->cache[i], err);
		if (r)
			goto out;
	}
	if (!r)
		r = plan_add_reflection(p, in, err);
out:
	if (r)
		writes_plan_free(p);
	else
		*ret = p;
	return r;
}

static int copy_texts(struct writes_plan *p, const struct writes_plan *of)
{
	int ret = 0;

	p->note = p->missing = NULL;
	p->n_notes = p->n_missing = 0;
	for (size_t i = 0; !ret && i < of->n_notes; i++)
		ret = plan_note(p, "%s", of->note[i]);
	for (size_t i = 0; !ret && i < of->n_missing; i++)
		ret = plan_missing(p, "%s", of->missing[i]);
	return ret;
}

int writes_plan_copy(struct writes_plan **ret, const struct writes_plan *of, const struct writes_plan_in *in,
		     struct err *err)
{
	struct writes_plan *p = malloc(sizeof(*p));
	int r = p ? 0 : -ENOMEM;

	*ret = NULL;
	if (!r) {
		*p = *of;
		p->copy = true;
		p->probes_shared = true;
		p->own_from = p->n_probes;
		p->additions = NULL;
		p->binary = in->binary;
		p->module = in->module;
		r = copy_texts(p, of);
	}
	for (size_t i = 0; !r && i < p->n_types; i++)
		r = plan_set_vptrs(p, (unsigned)i, in);
	if (r) {
		writes_plan_free(p);
		return err_set(err, -ENOMEM, "out of memory");
	}
	*ret = p;
	return 0;
}

static void texts_free(char **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i]);
	free(v);
}

void writes_plan_free(struct writes_plan *p)
{
	if (!p)
		return;
	texts_free(p->missing, p->n_missing);
	texts_free(p->note, p->n_notes);
	for (size_t i = p->own_from; i < p->n_probes; i++)
		free(p->probe[i].function);
	if (!p->probes_shared)
		free(p->probe);
	plan_additions_free(p->additions);
	if (p->copy) {
		free(p);
		return;
	}
	for (size_t i = 0; i < p->n_types; i++)
		free(p->info[i].guard_field);
	for (size_t i = 0; i < p->n_tables; i++) {
		writers_free(p->writers[i]);
		guard_free(p->guard[i]);
	}
	free(p->writers);
	free(p->guard);
	free(p);
}
