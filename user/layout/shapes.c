// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Shapes of protobuf's own classes, recognised by the names of their members and read with their offsets from
 * DWARF. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/guard_priv.h"

static const struct dbg_member *member(const struct dbg_member *m, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(m[i].name, name))
			return &m[i];
	return NULL;
}

static int32_t count_at(const struct dbg_member *m, size_t n, const char *name)
{
	const struct dbg_member *x = member(m, n, name);

	return x && x->info.kind == DBG_INT && x->size == 4 ? (int32_t)x->offset : GUARD_NONE;
}

/* rep_ points to a block: elements[] behind a head, which may hold the number allocated. */
static bool read_rep(struct builder *b, const struct dbg_member *rep, struct guard_repeated *r)
{
	struct dbg_member *m = NULL;
	const struct dbg_member *e;
	size_t n = 0;
	bool ok;

	if (rep->info.kind != DBG_PTR || dbg_members(b->d, rep->info.target, &m, &n, NULL))
		return false;
	e = member(m, n, "elements");
	ok = e != NULL;
	if (ok) {
		r->pointer = (int32_t)rep->offset;
		r->header = e->offset;
		r->rep_allocated = count_at(m, n, "allocated_size");
	}
	free(m);
	return ok;
}

bool shape_repeated(struct builder *b, const struct dbg_member *field, struct guard_repeated *r, char *reason,
		    size_t len)
{
	bool ptrs = field->info.kind == DBG_REPEATED_PTR;
	struct dbg_type_info target;
	struct dbg_member *m = NULL;
	const struct dbg_member *p;
	bool ok = false;
	size_t n = 0;

	*r = (struct guard_repeated){
		.allocated = GUARD_NONE, .pointer = GUARD_NONE, .rep_allocated = GUARD_NONE};
	if (dbg_members(b->d, field->type, &m, &n, NULL) || dbg_type_info(b->d, field->info.target, &target))
		goto out;
	r->current = count_at(m, n, "current_size_");
	r->total = count_at(m, n, "total_size_");
	r->allocated = count_at(m, n, "allocated_size_");
	r->elem_size = ptrs ? 8 : (uint32_t)target.size;
	if ((p = member(m, n, "rep_"))) {
		ok = read_rep(b, p, r);
	} else if ((p = member(m, n, "arena_or_elements_"))) {
		r->pointer = (int32_t)p->offset;
		r->pointer_may_be_arena = true;
		ok = p->info.kind == DBG_PTR;
	} else if ((p = member(m, n, "elements_"))) {
		r->pointer = (int32_t)p->offset;
		ok = p->info.kind == DBG_PTR;
	}
	/* 2.4 and earlier: the first elements stand in the field itself. Works with the pointer as any other.
	 */
	ok = ok && r->current >= 0 && r->total >= 0 && r->elem_size;
out:
	if (!ok)
		snprintf(reason, len, "members of %.80s not as in any protobuf known", field->info.name);
	free(m);
	return ok;
}

struct scan {
	const char *cls;
	const char *want; /* accessor */
	uint32_t n_has;
	bool found;
	struct dbg_type result;
	const struct dbg_member *m;
	size_t n_m;
};

static const char *last_name(const struct dbg_func *f)
{
	const char *p = strrchr(f->name, ':');

	return p ? p + 1 : f->name;
}

/* has_x() of a member x_ that is neither repeated nor in a oneof. */
static int count_has(void *ctx, const struct dbg_func *f)
{
	struct scan *s = ctx;
	const char *name = last_name(f);
	char member_name[512];
	const struct dbg_member *m;

	if (strncmp(name, "has_", 4) != 0 || !f->is_const)
		return 0;
	snprintf(member_name, sizeof(member_name), "%.500s_", name + 4);
	m = member(s->m, s->n_m, member_name);
	if (m && !m->in_union && m->info.kind != DBG_REPEATED && m->info.kind != DBG_REPEATED_PTR)
		s->n_has++;
	return 0;
}

/*
 * protobuf 3: bits are given out to singular fields outside of oneofs, one after the other, so that their
 * number bounds them. protobuf 2: the bit is the field's index in its message, and which fields there are
 * only k...FieldNumber tells.
 */
uint32_t shape_has_bits(struct builder *b, struct dbg_type cls, bool words_are_array)
{
	struct dbg_member *m = NULL;
	struct scan s = {0};
	size_t n = 0;

	if (words_are_array)
		return dbg_count_statics(b->d, cls, "k", "FieldNumber");
	if (dbg_members(b->d, cls, &m, &n, NULL))
		return 0;
	s.m = m;
	s.n_m = n;
	if (dbg_methods(b->d, cls, count_has, &s, NULL))
		s.n_has = 0;
	free(m);
	return s.n_has;
}

static int find_accessor(void *ctx, const struct dbg_func *f)
{
	struct scan *s = ctx;

	if (strcmp(last_name(f), s->want) != 0 || !f->is_const)
		return 0;
	s->result = f->result;
	s->found = true;
	return 1;
}

static bool accessor_enum(struct builder *b, struct dbg_type cls, const char *accessor,
			  struct dbg_type_info *ret, struct dbg_type *type)
{
	struct scan s = {.want = accessor};

	dbg_methods(b->d, cls, find_accessor, &s, NULL);
	if (!s.found || !s.result.die || dbg_type_info(b->d, s.result, ret) || ret->kind != DBG_ENUM)
		return false;
	*type = s.result;
	return true;
}

bool shape_accessor_enum(struct builder *b, struct dbg_type cls, const char *name, struct dbg_type_info *ret,
			 struct dbg_type *type)
{
	char want[512];
	size_t n = strlen(name);

	if (n < 2 || name[n - 1] != '_' || n >= sizeof(want))
		return false;
	memcpy(want, name, n - 1);
	want[n - 1] = '\0';
	return accessor_enum(b, cls, want, ret, type);
}

/* Oneofs have their x_case() in the order of their numbers. A field may be called so as well: it does not
 * return an enumeration with x_NOT_SET. */
bool shape_oneof_case(struct builder *b, struct dbg_type cls, uint32_t index, uint32_t count,
		      struct dbg_type_info *ret, struct dbg_type *type)
{
	struct dbg_type_info info;
	const char **names = NULL;
	struct dbg_type t;
	uint32_t seen = 0;
	size_t n = 0;

	if (dbg_list_names(b->d, cls, DBG_LIST_METHODS, &names, &n))
		return false;
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(names[i]);
		const char *none;

		if (len < 6 || strcmp(names[i] + len - 5, "_case") != 0 ||
		    !accessor_enum(b, cls, names[i], &info, &t))
			continue;
		none = dbg_enumerator(b->d, t, 0);
		if (!none || !strstr(none, "_NOT_SET"))
			continue;
		if (seen++ == index) {
			*ret = info;
			*type = t;
		}
	}
	free(names);
	return seen == count;
}
