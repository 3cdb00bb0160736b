// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Guard tables -> the kernel's types and fields. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/writes_priv.h"

/* Fills what kind of field the kernel sees. False: it has no invariant and is not judged, so the kernel need
 * not know it. */
static bool field_kind(const struct guard_field *g, struct wr_field *f, uint32_t base)
{
	f->min = 0;
	f->max = 0;
	switch (g->kind) {
	case GUARD_VPTR:
		f->kind = WR_F_VPTR;
		return g->offset == 0;
	case GUARD_MSG_PTR:
		/* Plain C++ may leave a raw pointer uninitialised or dangling, rightly. */
		f->kind = WR_F_MESSAGE;
		f->pointee = (uint16_t)(base + (uint32_t)g->elem);
		return g->proto && g->elem != GUARD_NONE;
	case GUARD_STRING_PTR:
		f->kind = WR_F_STRING_PTR;
		return g->proto;
	case GUARD_ARENA_STRING:
		f->kind = WR_F_STRING_TAGGED;
		f->max = g->tag_mask;
		return true;
	case GUARD_STRING:
		f->kind = WR_F_STRING;
		return true;
	case GUARD_BOOL:
		f->kind = WR_F_BOOL;
		return true;
	case GUARD_ENUM:
		f->kind = g->enum_exact ? WR_F_ENUM_SET : WR_F_ENUM;
		f->min = g->enum_min;
		f->max = g->enum_exact ? (int64_t)g->enum_set : g->enum_max;
		return g->width == 4 && (g->enum_exact || g->enum_min <= g->enum_max);
	case GUARD_HAS_BITS:
		f->kind = WR_F_HASBITS;
		f->max = g->has_mask;
		return true;
	case GUARD_CACHED_SIZE:
		f->kind = WR_F_RANGE;
		f->max = INT_MAX;
		return g->width == 4;
	case GUARD_INT:
	case GUARD_UINT:
	case GUARD_FLOAT:
		f->kind = WR_F_SCALAR;
		return g->shadow_judged && g->width <= 8;
	case GUARD_OPAQUE:
	case GUARD_PTR:
	case GUARD_METADATA:
	case GUARD_REPEATED:
	case GUARD_REPEATED_PTR:
		break;
	}
	return false;
}

static uint8_t rep_off(int32_t off)
{
	return off == GUARD_NONE ? 0xff : (uint8_t)off;
}

static bool repeated_kind(const struct guard_field *g, struct wr_field *f, uint32_t base)
{
	const struct guard_repeated *r = &g->rep;

	if (r->current == GUARD_NONE || r->total == GUARD_NONE || r->pointer == GUARD_NONE || g->width > 64)
		return false;
	f->kind = g->kind == GUARD_REPEATED_PTR ? WR_F_REPEATED_PTR : WR_F_REPEATED;
	f->rep_off = rep_off(r->pointer);
	f->current_off = rep_off(r->current);
	f->total_off = rep_off(r->total);
	f->alloc_off = rep_off(r->allocated);
	f->block_alloc_off = rep_off(r->rep_allocated);
	f->rep_header = (uint8_t)r->header;
	if (g->kind == GUARD_REPEATED_PTR && g->elem != GUARD_NONE)
		f->pointee = (uint16_t)(base + (uint32_t)g->elem);
	return true;
}

bool plan_field_rule(const struct guard_field *g, uint32_t base, struct wr_field *ret)
{
	*ret = (struct wr_field){
		.pointee = WR_NO_FIELD, .width = (uint8_t)g->width, .off = (uint16_t)g->offset};
	if (g->in_union || g->offset > UINT16_MAX)
		return false;
	if (g->kind == GUARD_REPEATED || g->kind == GUARD_REPEATED_PTR)
		return repeated_kind(g, ret, base);
	return field_kind(g, ret, base);
}

/* Can the node behind field g be walked: a message whose vtable is known? */
static bool leads_to_node(const struct guard_table *t, const struct guard_field *g)
{
	if (g->elem == GUARD_NONE || !g->proto || (size_t)g->elem >= t->n_type)
		return false;
	if (g->kind != GUARD_MSG_PTR && g->kind != GUARD_REPEATED_PTR)
		return false;
	return t->type[g->elem].message && t->type[g->elem].vptrs_known;
}

/* Bytes of the field whose change must be noticed. */
static void mask_add(struct wr_type *t, const struct guard_field *g, const struct wr_field *f)
{
	uint32_t n = g->width;

	if (g->kind == GUARD_CACHED_SIZE)
		return; /* const functions write it */
	if (g->kind == GUARD_STRING)
		n = 8;
	for (uint32_t i = 0; i < n && f->off + i < WR_NODE_BYTES; i++)
		t->mask[(f->off + i) / 8] |= 0xffull << (((f->off + i) % 8) * 8);
}

static void count_unguarded(struct writes_plan *p, const struct guard_field *g)
{
	if (g->kind == GUARD_INT || g->kind == GUARD_UINT || g->kind == GUARD_FLOAT)
		p->coverage.changes++;
	else
		p->coverage.opaque++;
}

/* The field to be added leads to nodes. Repeated ones come first: a quick look goes no further. */
static void add_child(struct wr_type *t, bool repeated)
{
	uint32_t at = repeated ? t->n_repeated++ : t->n_children;

	memmove(&t->child[at + 1], &t->child[at], (t->n_children - at) * sizeof(t->child[0]));
	t->child[at] = (uint16_t)t->n_fields;
	t->n_children++;
}

/* One field of type t, appended to p's fields if the kernel is to know it. */
static int add_field(struct writes_plan *p, const struct guard_table *table, const struct guard_field *g,
		     unsigned ti, unsigned gi, enum setters_mode setters, struct err *err)
{
	struct plan_type *info = &p->info[ti];
	struct wr_type *t = &p->type[ti];
	struct guard_field view = *g;
	struct wr_field f;

	if (setters == SETTERS_OFF && g->inlined_writers)
		view.shadow_judged = false;
	if (!plan_field_rule(&view, info->base, &f)) {
		count_unguarded(p, g);
		return 0;
	}
	if (g->offset + (g->width < 8 ? 8 : g->width) > WR_NODE_BYTES || g->width > 255) {
		p->coverage.too_far++;
		return 0;
	}
	if (p->n_fields == WR_MAX_FIELDS || t->n_fields == WR_MAX_TYPE_FIELDS)
		return err_set(err, -E2BIG,
			       "%s has more fields than the kernel's table holds (%d of one type, %d of all)",
			       info->guard->name, WR_MAX_TYPE_FIELDS, WR_MAX_FIELDS);
	if (view.shadow_judged) {
		f.flags |= WR_FF_SHADOW;
		p->coverage.judged++;
	}
	if (f.kind != WR_F_SCALAR)
		p->coverage.invariant++;
	if (leads_to_node(table, g) && t->n_children < WR_MAX_CHILDREN) {
		f.flags |= WR_FF_NODE;
		add_child(t, f.kind == WR_F_REPEATED_PTR);
	}
	mask_add(t, g, &f);
	info->guard_field[t->n_fields++] = (uint16_t)gi;
	p->field[p->n_fields++] = f;
	return 0;
}

int plan_set_vptrs(struct writes_plan *p, unsigned type, const struct writes_plan_in *in)
{
	const struct guard_type *g = p->info[type].guard;
	struct wr_type *t = &p->type[type];

	t->n_vptrs = 0;
	if (!g->vptrs_known || g->n_vptr > WR_MAX_VPTRS)
		return g->vptr_reason[0]
			       ? plan_note(p, "vtables of %s are not judged: %s", g->name, g->vptr_reason)
			       : 0;
	for (uint32_t i = 0; i < g->n_vptr; i++) {
		uint64_t bias;

		if (!in->bias(in->ctx, g->vptr[i].module, &bias)) {
			t->n_vptrs = 0;
			return plan_note(p, "vtables of %s are not judged: the module of %s's is not mapped",
					 g->name, g->vptr[i].cls);
		}
		t->vptr[t->n_vptrs++] = bias + g->vptr[i].vaddr;
	}
	return 0;
}

int plan_add_types(struct writes_plan *p, const struct guard_table *g, const char *cache,
		   const struct writes_plan_in *in, struct err *err)
{
	uint32_t base = (uint32_t)p->n_types;

	if (p->n_types + g->n_type > WR_MAX_TYPES)
		return err_set(err, -E2BIG,
			       "%zu types are reachable from the guarded ones; at most %d can be guarded",
			       p->n_types + g->n_type, WR_MAX_TYPES);
	for (size_t i = 0; i < g->n_type; i++) {
		unsigned ti = base + (unsigned)i;
		struct plan_type *info = &p->info[ti];
		struct wr_type *t = &p->type[ti];

		*info = (struct plan_type){
			.guard = &g->type[i], .dbg = in->dbg, .cache = i ? NULL : cache, .base = base};
		info->guard_field = calloc(WR_MAX_TYPE_FIELDS, sizeof(*info->guard_field));
		p->n_types++;
		t->size = g->type[i].size;
		t->first_field = (uint32_t)p->n_fields;
		if (!info->guard_field || plan_set_vptrs(p, ti, in))
			return err_set(err, -ENOMEM, "out of memory");
		for (size_t k = 0; k < g->type[i].n_field; k++) {
			int ret = add_field(p, g, &g->type[i].field[k], ti, (unsigned)k, in->setters, err);

			if (ret)
				return ret;
		}
	}
	return 0;
}

const struct guard_field *plan_guard_field(const struct writes_plan *p, unsigned type, unsigned field)
{
	if (type >= p->n_types || field >= p->type[type].n_fields)
		return NULL;
	return &p->info[type].guard->field[p->info[type].guard_field[field]];
}

char *plan_path(const struct writes_plan *p, unsigned root, const struct wr_step *step, unsigned depth,
		unsigned type, unsigned field, int index)
{
	const struct guard_field *g;
	unsigned t = root;
	char *ret = NULL;
	size_t len;
	FILE *f = open_memstream(&ret, &len);

	if (!f)
		return NULL;
	for (unsigned d = 0; d < depth && d < WR_PATH_DEPTH; d++) {
		g = plan_guard_field(p, t, step[d].field);
		if (!g)
			break;
		fputs(g->path, f);
		if (g->kind == GUARD_REPEATED_PTR || g->kind == GUARD_REPEATED)
			fprintf(f, "[%u]", step[d].index);
		fputc('.', f);
		t = p->field[p->type[t].first_field + step[d].field].pointee;
	}
	g = plan_guard_field(p, type, field);
	fputs(g ? g->path : "?", f);
	if (index >= 0)
		fprintf(f, "[%d]", index);
	if (fclose(f)) {
		free(ret);
		return NULL;
	}
	return ret;
}
