// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "util/hash.h"

#include "dwarf/dbg_priv.h"

#define MAX_PEEL   64
#define MAX_LEAVES 3

struct type_entry {
	uint64_t die;
	struct dbg_type_info info;
	UT_hash_handle hh;
};

bool die_flag(Dwarf_Die *die, unsigned attr)
{
	Dwarf_Attribute a;
	bool v = false;

	return dwarf_attr_integrate(die, attr, &a) && !dwarf_formflag(&a, &v) && v;
}

bool die_udata(Dwarf_Die *die, unsigned attr, uint64_t *ret)
{
	Dwarf_Attribute a;
	Dwarf_Word v;

	if (!dwarf_attr_integrate(die, attr, &a) || dwarf_formudata(&a, &v))
		return false;
	*ret = v;
	return true;
}

/* Not by integrate: a definition may have a declaration for its specification. */
bool die_declaration(Dwarf_Die *die)
{
	Dwarf_Attribute a;
	bool v = false;

	return dwarf_attr(die, DW_AT_declaration, &a) && !dwarf_formflag(&a, &v) && v;
}

const char *die_name(Dwarf_Die *die)
{
	const char *s = dwarf_diename(die);

	return s ? s : "";
}

struct dbg_type type_id(const struct dbg *d, Dwarf_Die *die)
{
	return (struct dbg_type){.die = die_id(d, die)};
}

bool is_class_tag(int tag)
{
	return tag == DW_TAG_class_type || tag == DW_TAG_structure_type || tag == DW_TAG_union_type;
}

/*
 * The definition that stands for this class or enumeration everywhere: of all with its qualified name the
 * first. What is in an unnamed namespace has its own hash per unit and so stays itself.
 */
static void canonical(struct dbg *d, Dwarf_Die *die)
{
	const struct pair *p;
	Dwarf_Attribute a;
	Dwarf_Die sig;
	size_t count;
	uint32_t n;

	/* a stub for a type unit's type: may have no name, and may stand outside of its namespace */
	if (dwarf_attr(die, DW_AT_signature, &a) && dwarf_formref_die(&a, &sig))
		*die = sig;
	n = node_of(d, die_id(d, die));
	if (!n || !*node_name(d, n))
		return;
	p = pairs_find(&d->by_hash, node_hash(d, n), &count);
	for (size_t i = 0; i < count; i++) {
		if (d->node[p[i].node].flags & NODE_DECL)
			continue;
		if (p[i].node != n)
			die_at(d, d->node[p[i].node].die, die);
		return;
	}
	if (count && p[0].node != n)
		die_at(d, d->node[p[0].node].die, die);
}

bool type_peel(struct dbg *d, Dwarf_Die *die, Dwarf_Die *ret)
{
	Dwarf_Die cur = *die;
	Dwarf_Attribute a;

	for (int i = 0; i < MAX_PEEL; i++) {
		int tag = dwarf_tag(&cur);

		if (tag != DW_TAG_typedef && tag != DW_TAG_const_type && tag != DW_TAG_volatile_type &&
		    tag != DW_TAG_restrict_type && tag != DW_TAG_atomic_type) {
			if (is_class_tag(tag) || tag == DW_TAG_enumeration_type)
				canonical(d, &cur);
			*ret = cur;
			return true;
		}
		if (!dwarf_attr_integrate(&cur, DW_AT_type, &a) || !dwarf_formref_die(&a, &cur))
			return false;
	}
	return false;
}

bool type_of(struct dbg *d, Dwarf_Die *die, Dwarf_Die *ret)
{
	Dwarf_Attribute a;
	Dwarf_Die t;

	return dwarf_attr_integrate(die, DW_AT_type, &a) && dwarf_formref_die(&a, &t) &&
	       type_peel(d, &t, ret);
}

/*
 * Element type of a protobuf container: the template's argument. gcc leaves it out of instances that are
 * declared extern; then Get()'s result tells, which is a reference to an element.
 */
static struct dbg_type element_type(struct dbg *d, Dwarf_Die *cls)
{
	struct dbg_type get = {0};
	Dwarf_Die c, t;

	for (int more = die_child(cls, &c); more > 0; more = die_next(&c)) {
		int tag = dwarf_tag(&c);

		if (tag == DW_TAG_template_type_parameter)
			return type_of(d, &c, &t) ? type_id(d, &t) : (struct dbg_type){0};
		if (tag == DW_TAG_subprogram && !strcmp(die_name(&c), "Get") && type_of(d, &c, &t) &&
		    dwarf_tag(&t) == DW_TAG_reference_type && type_of(d, &t, &t))
			get = type_id(d, &t);
	}
	return get;
}

static bool starts(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

/* true if the name decides the kind. Names: libstdc++ (both ABIs), libc++, protobuf 2 and 3. */
static bool kind_by_name(struct dbg *d, Dwarf_Die *die, struct dbg_type_info *i)
{
	if (starts(i->name, "std::") &&
	    (starts(i->name, "std::__cxx11::basic_string<char,") ||
	     starts(i->name, "std::basic_string<char,") || starts(i->name, "std::__1::basic_string<char,"))) {
		i->kind = DBG_STRING;
	} else if (starts(i->name, "google::protobuf::RepeatedPtrField<")) {
		i->kind = DBG_REPEATED_PTR;
		i->target = element_type(d, die);
	} else if (starts(i->name, "google::protobuf::RepeatedField<")) {
		i->kind = DBG_REPEATED;
		i->target = element_type(d, die);
	} else if (!strcmp(i->name, "google::protobuf::internal::ArenaStringPtr")) {
		i->kind = DBG_ARENA_STRING;
	} else {
		return false;
	}
	return true;
}

/* Appends the leaf members of cls, classes by value dissolved. -E2BIG if there are more than max. */
static int leaves(struct dbg *d, struct dbg_type cls, struct dbg_member *leaf, size_t max, size_t *n,
		  int depth)
{
	struct dbg_member *m = NULL;
	size_t n_m = 0;
	int rc = depth > 16 ? -EINVAL : dbg_members(d, cls, &m, &n_m, NULL);

	for (size_t i = 0; i < n_m && !rc; i++) {
		Dwarf_Die die;
		bool cls_member = die_get(d, m[i].type.die, &die) && is_class_tag(dwarf_tag(&die)) &&
				  !die_declaration(&die);

		if (cls_member && dwarf_tag(&die) != DW_TAG_union_type) {
			size_t before = *n;

			rc = leaves(d, m[i].type, leaf, max, n, depth + 1);
			for (size_t k = before; k < *n; k++)
				leaf[k].offset += m[i].offset;
		} else if (*n == max) {
			rc = -E2BIG;
		} else {
			leaf[(*n)++] = m[i];
		}
	}
	free(m);
	return rc;
}

int class_leaves(struct dbg *d, struct dbg_type cls, struct dbg_member *leaf, size_t max, size_t *n)
{
	*n = 0;
	return leaves(d, cls, leaf, max, n, 0);
}

bool class_complete(struct dbg *d, struct dbg_type cls, int depth)
{
	Dwarf_Die die, c, t;
	bool ok = depth < 16 && die_get(d, cls.die, &die) && !die_declaration(&die);

	if (!ok)
		return false;
	for (int more = die_child(&die, &c); ok && more > 0; more = die_next(&c)) {
		int tag = dwarf_tag(&c);

		if (tag != DW_TAG_inheritance && (tag != DW_TAG_member || die_flag(&c, DW_AT_external)))
			continue;
		if (!type_of(d, &c, &t))
			ok = false;
		else if (is_class_tag(dwarf_tag(&t)))
			ok = class_complete(d, type_id(d, &t), depth + 1);
	}
	return ok;
}

/* A class that is nothing but one pointer, or a pointer and a control block's. */
static void kind_by_shape(struct dbg *d, struct dbg_type t, struct dbg_type_info *i)
{
	struct dbg_member leaf[MAX_LEAVES];
	size_t n = 0;

	i->kind = DBG_CLASS;
	if (i->declaration || i->polymorphic || (i->size != 8 && i->size != 16) || !class_complete(d, t, 0) ||
	    class_leaves(d, t, leaf, MAX_LEAVES, &n))
		return;
	if (n < 1 || leaf[0].info.kind != DBG_PTR || leaf[0].offset || !leaf[0].info.target.die)
		return;
	if (n == 1 && i->size == 8)
		i->kind = DBG_SMART_PTR;
	else if (n == 2 && i->size == 16 && leaf[1].info.kind == DBG_PTR && starts(i->name, "std::"))
		i->kind = DBG_SHARED_PTR;
	if (i->kind != DBG_CLASS)
		i->target = leaf[0].info.target;
}

static bool polymorphic(struct dbg *d, Dwarf_Die *cls, int depth)
{
	Dwarf_Attribute a;
	Dwarf_Die c, base;

	if (depth > 32)
		return false;
	if (dwarf_attr(cls, DW_AT_containing_type, &a))
		return true;
	for (int more = die_child(cls, &c); more > 0; more = die_next(&c)) {
		int tag = dwarf_tag(&c);

		if (tag == DW_TAG_member && starts(die_name(&c), "_vptr"))
			return true;
		if (tag == DW_TAG_subprogram && dwarf_attr(&c, DW_AT_virtuality, &a))
			return true;
		if (tag == DW_TAG_inheritance && type_of(d, &c, &base) && polymorphic(d, &base, depth + 1))
			return true;
	}
	return false;
}

int64_t enumerator_value(Dwarf_Die *c)
{
	Dwarf_Attribute a;
	Dwarf_Sword s = 0;
	Dwarf_Word u = 0;
	unsigned form;

	if (!dwarf_attr(c, DW_AT_const_value, &a))
		return 0;
	form = dwarf_whatform(&a);
	/* producers write negative values in a signed form, others in the smallest that holds them */
	if (form == DW_FORM_sdata || form == DW_FORM_implicit_const)
		return dwarf_formsdata(&a, &s) ? 0 : s;
	return dwarf_formudata(&a, &u) ? 0 : (int64_t)u;
}

static void enum_info(Dwarf_Die *die, struct dbg_type_info *i)
{
	Dwarf_Attribute a;
	Dwarf_Die c;

	i->kind = DBG_ENUM;
	i->enum_min = INT64_MAX;
	i->enum_max = INT64_MIN;
	i->enum_fixed = die_flag(die, DW_AT_enum_class) ||
			(dwarf_attr(die, DW_AT_type, &a) && die_flag(die, DW_AT_enum_class));
	for (int more = die_child(die, &c); more > 0; more = die_next(&c)) {
		int64_t v;

		if (dwarf_tag(&c) != DW_TAG_enumerator)
			continue;
		v = enumerator_value(&c);
		if (v < i->enum_min)
			i->enum_min = v;
		if (v > i->enum_max)
			i->enum_max = v;
		if (v >= 0 && v < 64)
			i->enum_set |= 1ULL << v;
	}
}

static void base_info(Dwarf_Die *die, struct dbg_type_info *i)
{
	uint64_t enc = 0;

	die_udata(die, DW_AT_encoding, &enc);
	switch (enc) {
	case DW_ATE_boolean:
		i->kind = DBG_BOOL;
		break;
	case DW_ATE_signed:
	case DW_ATE_signed_char:
		i->kind = DBG_INT;
		break;
	case DW_ATE_unsigned:
	case DW_ATE_unsigned_char:
	case DW_ATE_UTF:
		i->kind = DBG_UINT;
		break;
	case DW_ATE_float:
		i->kind = DBG_FLOAT;
		break;
	default:
		i->kind = DBG_NONE;
	}
}

static void pointer_info(struct dbg *d, Dwarf_Die *die, struct dbg_type_info *i, enum dbg_kind kind,
			 const char *mark)
{
	struct dbg_type_info to;
	Dwarf_Die t;
	char *name = NULL;

	i->kind = kind;
	i->size = 8;
	if (!type_of(d, die, &t)) {
		i->name = kind == DBG_PTR ? "void*" : "?";
		return;
	}
	i->target = type_id(d, &t);
	/* the name alone: asking for the target's whole info may lead back here */
	if (is_class_tag(dwarf_tag(&t)) || dwarf_tag(&t) == DW_TAG_enumeration_type) {
		uint32_t n = node_of(d, i->target.die);

		to.name = n ? node_qualified(d, n) : die_name(&t);
	} else {
		to.name = die_name(&t);
	}
	if (asprintf(&name, "%s%s", to.name, mark) < 0)
		name = NULL;
	i->name = dbg_keep(d, name);
	if (!i->name)
		i->name = "?";
}

static void array_info(struct dbg *d, Dwarf_Die *die, struct dbg_type_info *i)
{
	struct dbg_type_info element;
	Dwarf_Die c, t;
	uint64_t n = 1, v;
	Dwarf_Word size;

	i->kind = DBG_ARRAY;
	if (type_of(d, die, &t))
		i->target = type_id(d, &t);
	for (int more = die_child(die, &c); more > 0; more = die_next(&c)) {
		if (dwarf_tag(&c) != DW_TAG_subrange_type)
			continue;
		if (die_udata(&c, DW_AT_count, &v))
			n *= v;
		else if (die_udata(&c, DW_AT_upper_bound, &v))
			n *= v + 1;
		else
			n = 0;
	}
	i->count = n;
	if (!dwarf_aggregate_size(die, &size))
		i->size = size;
	else if (i->target.die && !dbg_type_info(d, i->target, &element))
		i->size = n * element.size; /* dwz's partial units state no language, which libdw asks for */
}

static void class_info(struct dbg *d, Dwarf_Die *die, struct dbg_type_info *i)
{
	uint32_t n = node_of(d, die_id(d, die));

	i->name = n ? node_qualified(d, n) : die_name(die);
	i->declaration = die_declaration(die);
	if (dwarf_tag(die) == DW_TAG_enumeration_type) {
		enum_info(die, i);
		return;
	}
	if (dwarf_tag(die) == DW_TAG_union_type) {
		i->kind = DBG_UNION;
		return;
	}
	i->polymorphic = polymorphic(d, die, 0);
	if (!kind_by_name(d, die, i))
		kind_by_shape(d, type_id(d, die), i);
}

static void fill_info(struct dbg *d, Dwarf_Die *die, struct dbg_type_info *i)
{
	uint64_t size = 0;
	int tag = dwarf_tag(die);

	i->name = die_name(die);
	if (die_udata(die, DW_AT_byte_size, &size))
		i->size = size;
	if (is_class_tag(tag) || tag == DW_TAG_enumeration_type)
		class_info(d, die, i);
	else if (tag == DW_TAG_base_type)
		base_info(die, i);
	else if (tag == DW_TAG_pointer_type)
		pointer_info(d, die, i, DBG_PTR, "*");
	else if (tag == DW_TAG_reference_type)
		pointer_info(d, die, i, DBG_REF, "&");
	else if (tag == DW_TAG_rvalue_reference_type)
		pointer_info(d, die, i, DBG_REF, "&&");
	else if (tag == DW_TAG_array_type)
		array_info(d, die, i);
	else if (tag == DW_TAG_subroutine_type)
		i->kind = DBG_FUNC;
}

int dbg_type_info(struct dbg *d, struct dbg_type t, struct dbg_type_info *ret)
{
	struct type_entry *e = NULL;
	Dwarf_Die die;

	memset(ret, 0, sizeof(*ret));
	ret->name = "void";
	if (!t.die)
		return 0;
	HASH_FIND(hh, d->types, &t.die, sizeof(t.die), e);
	if (e) {
		*ret = e->info;
		return 0;
	}
	if (!die_get(d, t.die, &die))
		return -EINVAL;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->die = t.die;
	e->info = *ret; /* found by whoever comes back here on the way: a class cannot hold itself, but
			   damaged data says anything */
	HASH_ADD(hh, d->types, die, sizeof(e->die), e);
	fill_info(d, &die, ret);
	e->info = *ret;
	return 0;
}

void types_free(struct dbg *d)
{
	struct type_entry *e = d->types, *next;

	HASH_CLEAR(hh, d->types); /* the table only: the entries are still chained */
	for (; e; e = next) {
		next = e->hh.next;
		free(e);
	}
}

bool dbg_type_same(struct dbg *d, struct dbg_type a, struct dbg_type b)
{
	struct dbg_type_info x, y;

	if (a.die == b.die)
		return true;
	if (!a.die || !b.die || dbg_type_info(d, a, &x) || dbg_type_info(d, b, &y))
		return false;
	return x.kind == y.kind && *x.name && !strcmp(x.name, y.name) &&
	       !node_of(d, a.die) == !node_of(d, b.die);
}
