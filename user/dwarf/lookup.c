// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Classes by name: their definitions, which must agree, and the names that typedefs and aliases give them. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "dwarf/dbg_priv.h"
#include "dwarf/lazy.h"

static bool same_offset(Dwarf_Die *a, Dwarf_Die *b, unsigned attr)
{
	uint64_t x = UINT64_MAX, y = UINT64_MAX;

	die_udata(a, attr, &x); /* a location expression, as for virtual bases, is not compared */
	die_udata(b, attr, &y);
	return x == y;
}

/* The next data member or base from c on. */
static bool next_data(int *more, Dwarf_Die *c)
{
	for (; *more > 0; *more = die_next(c)) {
		int tag = dwarf_tag(c);

		if (tag == DW_TAG_inheritance || (tag == DW_TAG_member && !die_flag(c, DW_AT_external)))
			return true;
	}
	return false;
}

/* Where two definitions of a class differ: the member's name; NULL: they agree. */
static const char *differ(Dwarf_Die *a, Dwarf_Die *b)
{
	Dwarf_Die x, y;
	int mx = die_child(a, &x), my = die_child(b, &y);

	for (;; mx = die_next(&x), my = die_next(&y)) {
		bool has_x = next_data(&mx, &x), has_y = next_data(&my, &y);

		if (!has_x && !has_y)
			return NULL;
		if (!has_x || !has_y)
			return die_name(has_x ? &x : &y);
		if (strcmp(die_name(&x), die_name(&y)) != 0 ||
		    !same_offset(&x, &y, DW_AT_data_member_location) ||
		    !same_offset(&x, &y, DW_AT_data_bit_offset) || !same_offset(&x, &y, DW_AT_bit_size))
			return die_name(&x);
	}
}

/* Several definitions of one name must agree, else what is read from one is wrong for the other. */
static int check_definitions(struct dbg *d, const char *name, uint32_t n, struct err *err)
{
	uint64_t size = 0, first = 0;
	size_t count;
	const struct pair *p = pairs_find(&d->by_hash, node_hash(d, n), &count);
	const char *member;
	bool have = false;
	Dwarf_Die die, def;

	for (size_t i = 0; i < count; i++) {
		if (d->node[p[i].node].flags & NODE_DECL || !die_at(d, d->node[p[i].node].die, &die) ||
		    !die_udata(&die, DW_AT_byte_size, &size))
			continue;
		if (have && size != first)
			return err_set(err, -EEXIST,
				       "%s is defined twice, with sizes %" PRIu64 " and %" PRIu64 " bytes",
				       name, first, size);
		member = have ? differ(&def, &die) : NULL;
		if (member)
			return err_set(err, -EEXIST, "%s is defined twice, with different members from %s on",
				       name, *member ? member : "an unnamed one");
		if (!have)
			def = die;
		first = size;
		have = true;
	}
	return 0;
}

static int resolve_class(struct dbg *d, const char *name, uint32_t n, struct dbg_type *ret, struct err *err)
{
	Dwarf_Die die;
	int rc = check_definitions(d, name, n, err);

	if (rc)
		return rc;
	if (!die_get(d, d->node[n].die, &die) || !type_peel(d, &die, &die))
		return err_set(err, -EINVAL, "the debuginfo of %s is damaged: %s", name, dwarf_errmsg(-1));
	*ret = type_id(d, &die);
	if (die_declaration(&die)) {
		err_set(err, -ENODATA, "%s is only declared in the debuginfo of %s", node_qualified(d, n),
			elf_file_name(d->bin));
		err_hint(err, "the file that defines it was built without -g, or it belongs to a library");
		return -ENODATA;
	}
	record_die(d, ret->die);
	return 0;
}

/* Typedefs are not in the index: they are looked for in the units when no class has the name. */
struct search {
	struct dbg *d;
	const struct part *parts;
	size_t n_parts;
	enum name_match best;
	struct dbg_type found, other;
};

/* scope: node around the typedef, 0 = none. */
static enum name_match match(const struct search *s, uint32_t scope)
{
	if (s->n_parts == 1)
		return scope ? MATCH_SUFFIX : MATCH_FULL;
	return scope ? node_matches(s->d, scope, s->parts, s->n_parts - 1) : MATCH_NO;
}

static void look_in(struct search *s, Dwarf_Die *scope, uint32_t node)
{
	const struct part *last = &s->parts[s->n_parts - 1];
	enum name_match m = match(s, node);
	struct dbg_type t;
	Dwarf_Die c, cls;

	if (m == MATCH_NO || m < s->best)
		return;
	for (int more = die_child(scope, &c); more > 0; more = die_next(&c)) {
		const char *name = die_name(&c);

		if (dwarf_tag(&c) != DW_TAG_typedef || !*name || strlen(name) != last->n ||
		    memcmp(name, last->p, last->n) != 0 || !type_peel(s->d, &c, &cls) ||
		    !is_class_tag(dwarf_tag(&cls)))
			continue;
		record_die(s->d, die_id(s->d, &c));
		t = type_id(s->d, &cls);
		if (m > s->best) {
			s->best = m;
			s->found = t;
			s->other.die = 0;
		} else if (!dbg_type_same(s->d, t, s->found)) {
			s->other = t;
		}
	}
}

static void look_in_units(struct search *s, Dwarf *dw)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die die;

	while (!dwarf_get_units(dw, cu, &cu, NULL, NULL, &die, NULL))
		look_in(s, &die, 0);
}

static int typedef_find(struct dbg *d, const char *name, const struct part *parts, size_t n_parts,
			struct dbg_type *ret, struct err *err)
{
	struct search s = {.d = d, .parts = parts, .n_parts = n_parts, .best = MATCH_NO};
	struct dbg_type_info a, b;
	Dwarf_Die die;

	for (size_t i = 0; d->lazy && i < lazy_n_units(d->lazy); i++)
		if (lazy_unit(d->lazy, i, d->dw, &die))
			look_in(&s, &die, 0);
	if (!d->lazy)
		look_in_units(&s, d->dw);
	if (d->alt)
		look_in_units(&s, d->alt);
	for (uint32_t i = 1; i < d->n_node; i++) {
		if (d->node[i].flags & (NODE_SCOPE | NODE_CLASS) && die_at(d, d->node[i].die, &die))
			look_in(&s, &die, i);
	}
	if (!s.found.die)
		return -ENOENT;
	*ret = s.found;
	record_die(d, s.found.die);
	if (!s.other.die || dbg_type_info(d, s.found, &a) || dbg_type_info(d, s.other, &b))
		return 0;
	return err_set(err, -EEXIST, "%s is ambiguous: an alias of %s and of %s", name, a.name, b.name);
}

static int find_class(struct dbg *d, const char *name, struct dbg_type *ret, struct err *err)
{
	struct part parts[MAX_DEPTH];
	size_t n_parts = name_split(name, parts, MAX_DEPTH), count;
	uint64_t key = name_hash(NAME_SEED, parts[n_parts - 1].p, parts[n_parts - 1].n);
	const struct pair *p = pairs_find(&d->cls_name, key, &count);
	enum name_match best = MATCH_NO;
	uint32_t found = 0, other = 0;
	int rc;

	for (size_t i = 0; i < count; i++) {
		enum name_match m = node_matches(d, p[i].node, parts, n_parts);

		if (m < best || m == MATCH_NO)
			continue;
		if (m > best) {
			best = m;
			found = p[i].node;
			other = 0;
		} else if (node_hash(d, p[i].node) != node_hash(d, found)) {
			other = p[i].node;
		}
	}
	if (other)
		return err_set(err, -EEXIST, "%s is ambiguous: %s or %s", name, node_qualified(d, found),
			       node_qualified(d, other));
	if (found)
		return resolve_class(d, name, found, ret, err);
	rc = typedef_find(d, name, parts, n_parts, ret, err);
	if (rc != -ENOENT)
		return rc;
	err_set(err, -ENOENT, "no class %s in the debuginfo of %s", name, elf_file_name(d->bin));
	names_nearest(d, &d->cls_name, name, "names", err);
	return -ENOENT;
}

int dbg_find_class(struct dbg *d, const char *name, struct dbg_type *ret, struct err *err)
{
	struct part parts[MAX_DEPTH];
	size_t n_parts = name_split(name, parts, MAX_DEPTH);
	Dwarf_Die die;
	int rc;

	/* what every unit has need not be looked for in all */
	if (d->lazy && !strncmp(name, "std::", 5) && !find_class(d, name, ret, NULL))
		return 0;
	if (lazy_want(d, parts, n_parts))
		return err_set(err, -EINVAL, "the debuginfo in %s is damaged", d->debug.path);
	rc = find_class(d, name, ret, err);
	if (rc == -ENOENT && err && d->lazy && !lazy_want_all(d)) /* for the nearest names */
		rc = find_class(d, name, ret, err);
	if (rc || !d->lazy)
		return rc;
	if (lazy_want_below(d, *ret))
		return err_set(err, -EINVAL, "the debuginfo in %s is damaged", d->debug.path);
	/* a unit that has come since may have its first definition */
	if (die_at(d, ret->die, &die) && type_peel(d, &die, &die))
		*ret = type_id(d, &die);
	record_die(d, ret->die);
	return 0;
}
