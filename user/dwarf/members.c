// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a class consists of: its members with offsets, its bases, the classes derived from it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dwarf/dbg_priv.h"
#include "util/grow.h"

#define MAX_NEST 32

struct collect {
	struct dbg *d;
	struct dbg_member *m;
	size_t n;
	struct err *err;
};

struct place {
	uint64_t offset;
	const char *owner;
	bool in_union, in_base;
	int depth;
};

/* Constant byte offset of a member or base. -ENOTSUP: computed at run time (virtual base). */
static int member_offset(Dwarf_Die *m, uint64_t *ret)
{
	Dwarf_Attribute a;
	Dwarf_Op *ops;
	size_t n;
	Dwarf_Word v;

	*ret = 0; /* members of unions state none */
	if (!dwarf_attr(m, DW_AT_data_member_location, &a))
		return 0;
	if (!dwarf_formudata(&a, &v)) {
		*ret = v;
		return 0;
	}
	if (dwarf_getlocation(&a, &ops, &n) || n != 1 || ops[0].atom != DW_OP_plus_uconst)
		return -ENOTSUP;
	*ret = ops[0].number;
	return 0;
}

/* The whole bytes that hold a bit field, DWARF 4 and later (data_bit_offset) and before (bit_offset from the
 * top of its unit). */
static void bit_place(Dwarf_Die *m, uint64_t size, uint64_t *offset, uint64_t *width)
{
	uint64_t bits = 0, at = 0, unit = size;

	die_udata(m, DW_AT_bit_size, &bits);
	if (die_udata(m, DW_AT_data_bit_offset, &at)) {
		*offset += at / 8;
		at %= 8;
	} else if (die_udata(m, DW_AT_bit_offset, &at)) {
		die_udata(m, DW_AT_byte_size, &unit);
		at = unit * 8 - at - bits;
		*offset += at / 8;
		at %= 8;
	}
	*width = (at + bits + 7) / 8;
}

static int append(struct collect *c, Dwarf_Die *m, Dwarf_Die *type, const struct place *at, uint64_t offset)
{
	struct dbg_member *x;
	const char *name = die_name(m);
	uint64_t width, bits;
	int rc;

	if (GROW(&c->m, c->n))
		return -ENOMEM;
	x = &c->m[c->n];
	memset(x, 0, sizeof(*x));
	x->name = strncmp(name, "_vptr", 5) ? name : "_vptr";
	x->owner = at->owner;
	x->in_union = at->in_union;
	x->in_base = at->in_base;
	x->type = type_id(c->d, type);
	rc = dbg_type_info(c->d, x->type, &x->info);
	if (rc)
		return rc;
	width = x->info.size;
	if (die_udata(m, DW_AT_bit_size, &bits)) {
		x->bit_field = true;
		bit_place(m, width, &offset, &width);
	}
	if (offset > UINT32_MAX || width > UINT32_MAX)
		return -EINVAL;
	x->offset = (uint32_t)offset;
	x->size = (uint32_t)width;
	c->n++;
	return 0;
}

static size_t count_members(Dwarf_Die *cls)
{
	size_t n = 0;
	Dwarf_Die c;

	for (int more = die_child(cls, &c); more > 0; more = die_next(&c))
		n += dwarf_tag(&c) == DW_TAG_member;
	return n;
}

static int walk(struct collect *c, Dwarf_Die *cls, struct place at);

static int one_member(struct collect *c, Dwarf_Die *m, struct place at)
{
	const char *name = die_name(m);
	uint64_t offset;
	Dwarf_Die type;
	int rc, tag;

	if (die_flag(m, DW_AT_external) || die_flag(m, DW_AT_declaration))
		return 0; /* static */
	if (!type_of(c->d, m, &type))
		return 0;
	rc = member_offset(m, &offset);
	if (rc)
		return rc;
	offset += at.offset;
	tag = dwarf_tag(&type);
	if ((!*name && tag == DW_TAG_union_type) || (tag != DW_TAG_union_type && !strcmp(name, "_impl_")) ||
	    (!*name && (tag == DW_TAG_structure_type || tag == DW_TAG_class_type))) {
		at.offset = offset;
		at.in_union = at.in_union || (tag == DW_TAG_union_type && count_members(&type) > 1);
		return walk(c, &type, at);
	}
	return append(c, m, &type, &at, offset);
}

static int one_base(struct collect *c, Dwarf_Die *i, struct place at)
{
	struct dbg_type_info info;
	Dwarf_Attribute a;
	uint64_t offset = 0;
	Dwarf_Die base;
	int rc;

	if (!type_of(c->d, i, &base))
		return 0;
	rc = dbg_type_info(c->d, type_id(c->d, &base), &info);
	if (!rc && dwarf_attr(i, DW_AT_virtuality, &a))
		return err_set(c->err, -ENOTSUP,
			       "%s has the virtual base %s, whose place is known only at run time", at.owner,
			       info.name);
	rc = rc ? rc : member_offset(i, &offset);
	if (rc)
		return rc;
	at.offset += offset;
	at.owner = info.name;
	at.in_base = true;
	return walk(c, &base, at);
}

static int walk(struct collect *c, Dwarf_Die *cls, struct place at)
{
	Dwarf_Die child;
	int rc = 0, more;

	if (++at.depth > MAX_NEST)
		return -EINVAL;
	for (more = die_child(cls, &child); more > 0 && !rc; more = die_next(&child)) {
		if (dwarf_tag(&child) == DW_TAG_member)
			rc = one_member(c, &child, at);
		else if (dwarf_tag(&child) == DW_TAG_inheritance)
			rc = one_base(c, &child, at);
	}
	return rc ? rc : more < 0 ? more : 0;
}

/* Stable: members of a union stay in their order. */
static void sort_members(struct dbg_member *m, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct dbg_member x = m[i];
		size_t k = i;

		for (; k && m[k - 1].offset > x.offset; k--)
			m[k] = m[k - 1];
		m[k] = x;
	}
}

static const char *class_name(struct dbg *d, Dwarf_Die *die)
{
	uint32_t n = node_of(d, die_id(d, die));

	return n ? node_qualified(d, n) : die_name(die);
}

int dbg_members(struct dbg *d, struct dbg_type cls, struct dbg_member **ret, size_t *n, struct err *err)
{
	struct collect c = {.d = d, .err = err};
	Dwarf_Die die;
	int rc;

	*ret = NULL;
	*n = 0;
	if (err)
		err->code = 0;
	if (!die_get(d, cls.die, &die) || !type_peel(d, &die, &die))
		return err_set(err, -EINVAL, "no such type");
	rc = walk(&c, &die, (struct place){.owner = class_name(d, &die)});
	if (rc) {
		free(c.m);
		if (err && !err->code)
			err_set(err, rc, "cannot read the members of %s: %s", class_name(d, &die),
				rc == -ENOMEM ? "out of memory" : "its debuginfo is damaged");
		return rc;
	}
	sort_members(c.m, c.n);
	*ret = c.m;
	*n = c.n;
	return 0;
}

static int add_base(struct dbg_base **list, size_t *n, struct dbg_type type, uint64_t offset)
{
	if (GROW(list, *n))
		return -ENOMEM;
	(*list)[(*n)++] = (struct dbg_base){.type = type, .offset = (uint32_t)offset};
	return 0;
}

/* Breadth first: list[from..] are classes whose bases are to be added. */
int dbg_bases(struct dbg *d, struct dbg_type cls, struct dbg_base **ret, size_t *n, struct err *err)
{
	struct dbg_base *list = NULL;
	size_t count = 0;
	int rc = add_base(&list, &count, cls, 0);

	*ret = NULL;
	*n = 0;
	for (size_t at = 0; at < count && !rc && count < 256; at++) {
		Dwarf_Die die, c, base;
		uint64_t offset;

		if (!die_get(d, list[at].type.die, &die))
			continue;
		for (int more = die_child(&die, &c); more > 0 && !rc; more = die_next(&c)) {
			Dwarf_Attribute a;

			if (dwarf_tag(&c) != DW_TAG_inheritance || !type_of(d, &c, &base))
				continue;
			if (dwarf_attr(&c, DW_AT_virtuality, &a) || member_offset(&c, &offset))
				rc = err_set(err, -ENOTSUP,
					     "%s has a virtual base, whose place is known only at run time",
					     class_name(d, &die));
			else
				rc = add_base(&list, &count, type_id(d, &base), list[at].offset + offset);
		}
	}
	if (!rc) { /* the class itself is not a base */
		memmove(list, list + 1, (count - 1) * sizeof(*list));
		*ret = list;
		*n = count - 1;
		return 0;
	}
	free(list);
	return rc;
}

bool dbg_base_offset(struct dbg *d, struct dbg_type derived, struct dbg_type base, uint32_t *offset)
{
	struct dbg_base *b;
	bool found = false;
	size_t n;

	*offset = 0;
	if (dbg_type_same(d, derived, base))
		return true;
	if (dbg_bases(d, derived, &b, &n, NULL))
		return false;
	for (size_t i = 0; i < n && !found; i++) {
		found = dbg_type_same(d, b[i].type, base);
		*offset = found ? b[i].offset : 0;
	}
	free(b);
	return found;
}

static void resolve_bases(struct dbg *d)
{
	Dwarf_Die die;

	for (size_t i = 0; i < d->n_inherit && !d->have_bases; i++)
		d->inherit[i].base =
			die_at(d, d->inherit[i].base, &die) && type_peel(d, &die, &die) ? die_id(d, &die) : 0;
	d->have_bases = true;
}

int dbg_derived(struct dbg *d, struct dbg_type base, struct dbg_base **ret, size_t *n, struct err *err)
{
	struct dbg_base *list = NULL;
	size_t count = 0;
	int rc = add_base(&list, &count, base, 0);

	*ret = NULL;
	*n = 0;
	resolve_bases(d);
	for (size_t at = 0; at < count && !rc; at++) {
		for (size_t i = 0; i < d->n_inherit && !rc; i++) {
			struct dbg_type t;
			uint32_t offset;
			Dwarf_Die die;
			bool known = false;

			if (d->inherit[i].base != list[at].type.die)
				continue;
			if (!die_at(d, d->node[d->inherit[i].cls].die, &die) || !type_peel(d, &die, &die))
				continue;
			t = type_id(d, &die);
			for (size_t k = 0; k < count && !known; k++)
				known = list[k].type.die == t.die;
			if (known)
				continue;
			if (!dbg_base_offset(d, t, base, &offset))
				offset = UINT32_MAX; /* virtual: place not known */
			rc = add_base(&list, &count, t, offset);
		}
	}
	if (rc) {
		free(list);
		return err_set(err, rc, "out of memory");
	}
	memmove(list, list + 1, (count - 1) * sizeof(*list));
	*ret = list;
	*n = count - 1;
	return 0;
}

uint32_t dbg_count_statics(struct dbg *d, struct dbg_type cls, const char *start, const char *end)
{
	Dwarf_Die die, c;
	uint32_t n = 0;

	if (!die_get(d, cls.die, &die))
		return 0;
	for (int more = die_child(&die, &c); more > 0; more = die_next(&c)) {
		const char *name = die_name(&c);
		size_t len = strlen(name), tail = strlen(end);

		/* DWARF 5 writes them as variables, before as external members */
		if (dwarf_tag(&c) != DW_TAG_variable &&
		    !(dwarf_tag(&c) == DW_TAG_member && die_flag(&c, DW_AT_external)))
			continue;
		n += !strncmp(name, start, strlen(start)) && len >= tail && !strcmp(name + len - tail, end);
	}
	return n;
}
