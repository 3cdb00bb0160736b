// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dwarf/dbg_priv.h"
#include "dwarf/record.h"
#include "profile/form.h"
#include "profile/slice.h"
#include "util/grow.h"
#include "util/hash.h"
#include "util/search.h"

/* Parents of all entries of one unit: libdw does not know them. */
struct unit_map {
	uint64_t id; /* of the unit's own entry */
	uint64_t marks;
	struct place {
		uint64_t id, parent;
	} * v;
	size_t n;
	UT_hash_handle hh;
};

struct kept {
	uint64_t id, parent; /* parent 0: a unit */
	bool looked_at, referred;
	UT_hash_handle hh;
};

struct maker {
	struct dbg *d;
	struct kept *kept;
	struct unit_map *units;
	uint64_t *queue; /* to be expanded */
	size_t n_queue;
};

static int map_below(struct maker *m, struct unit_map *u, Dwarf_Die *parent, uint64_t parent_id, int depth)
{
	Dwarf_Die c;
	int more, rc;

	if (depth > 8 * PROFILE_MAX_DEPTH)
		return -EINVAL;
	for (more = die_child(parent, &c); more > 0; more = die_next(&c)) {
		uint64_t id = dwarf_dieoffset(&c) | u->marks;

		if (GROW(&u->v, u->n))
			return -ENOMEM;
		u->v[u->n++] = (struct place){.id = id, .parent = parent_id};
		rc = map_below(m, u, &c, id, depth + 1);
		if (rc)
			return rc;
	}
	return more;
}

static struct unit_map *unit_map(struct maker *m, Dwarf_Die *die)
{
	struct unit_map *u;
	Dwarf_Die cu;
	uint64_t id;

	if (!dwarf_cu_die(die->cu, &cu, NULL, NULL, NULL, NULL, NULL, NULL))
		return NULL;
	id = die_id(m->d, &cu);
	HASH_FIND(hh, m->units, &id, sizeof(id), u);
	if (u)
		return u;
	u = calloc(1, sizeof(*u));
	if (!u)
		return NULL;
	u->id = id;
	u->marks = id & (DIE_TYPES | DIE_ALT);
	HASH_ADD(hh, m->units, id, sizeof(u->id), u);
	return map_below(m, u, &cu, id, 0) ? NULL : u;
}

/* The nearest entry around it that profiles have (lexical blocks, say, are passed over). 0: it is the unit's
 * own entry. -EINVAL: no such entry. */
static int parent_of(struct maker *m, Dwarf_Die *die, uint64_t id, uint64_t *ret)
{
	struct unit_map *u = unit_map(m, die);
	Dwarf_Die around;
	size_t at;

	*ret = 0;
	if (!u)
		return -EINVAL;
	if (u->id == id)
		return 0;
	at = FIRST_FROM(u->v, u->n, id, id);
	if (at == u->n || u->v[at].id != id)
		return -EINVAL;
	*ret = u->v[at].parent;
	if (!die_at(m->d, *ret, &around))
		return -EINVAL;
	return form_tag_name((unsigned)dwarf_tag(&around)) ? 0 : parent_of(m, &around, *ret, ret);
}

/* Keeps an entry of a tag that profiles have, and what it stands in. *ret NULL: not of such a tag. */
static int keep(struct maker *m, uint64_t id, bool looked_at, struct kept **ret)
{
	struct kept *k;
	uint64_t parent;
	Dwarf_Die die;
	int rc;

	*ret = NULL;
	HASH_FIND(hh, m->kept, &id, sizeof(id), k);
	if (!k) {
		if (!die_at(m->d, id, &die))
			return -EINVAL;
		if (!form_tag_name((unsigned)dwarf_tag(&die)))
			return 0;
		rc = parent_of(m, &die, id, &parent);
		k = rc ? NULL : calloc(1, sizeof(*k));
		if (!k)
			return rc ? rc : -ENOMEM;
		k->id = id;
		k->parent = parent;
		HASH_ADD(hh, m->kept, id, sizeof(k->id), k);
		if (parent) {
			struct kept *p;

			rc = keep(m, parent, false, &p);
			if (rc || !p)
				return rc ? rc : -EINVAL;
		}
	} else if (k->looked_at || !looked_at) {
		*ret = k;
		return 0;
	}
	k->looked_at |= looked_at;
	if (GROW(&m->queue, m->n_queue))
		return -ENOMEM;
	m->queue[m->n_queue++] = id;
	*ret = k;
	return 0;
}

static int refer(struct maker *m, Dwarf_Die *die, unsigned code)
{
	Dwarf_Attribute a;
	Dwarf_Die to;
	struct kept *k;
	int rc;

	if (!dwarf_attr(die, code, &a) || !dwarf_formref_die(&a, &to))
		return 0;
	rc = keep(m, die_id(m->d, &to), false, &k);
	if (k)
		k->referred = true;
	return rc;
}

static bool is_class(int tag)
{
	return tag == DW_TAG_class_type || tag == DW_TAG_structure_type || tag == DW_TAG_union_type;
}

/* Members that decide how a class is passed, whether it has a vptr, and what a container holds: the lookups
 * see them without asking for them one by one. */
static bool telling(Dwarf_Die *cls, Dwarf_Die *fn)
{
	const char *name = die_name(fn);
	Dwarf_Attribute a;

	return dwarf_attr(fn, DW_AT_virtuality, &a) || name[0] == '~' || !strcmp(name, "Get") ||
	       !strcmp(name, die_name(cls));
}

/* The classes whose members count as those of this one. */
static int look_inside(struct maker *m, Dwarf_Die *part)
{
	const char *name = die_name(part);
	struct kept *k;
	Dwarf_Die type;

	if (dwarf_tag(part) != DW_TAG_inheritance && *name && strcmp(name, "_impl_") != 0)
		return 0;
	if (!type_of(m->d, part, &type) || !is_class(dwarf_tag(&type)))
		return 0;
	return keep(m, die_id(m->d, &type), true, &k);
}

bool slice_begins_in(void *code, uint64_t lo, uint64_t hi)
{
	Dwarf_Die *die = code;
	Dwarf_Addr base, at, end;
	ptrdiff_t off = 0;

	if (!dwarf_entrypc(die, &at) && at >= lo && at < hi)
		return true;
	if (!dwarf_lowpc(die, &at) && at >= lo && at < hi)
		return true;
	while ((off = dwarf_ranges(die, off, &base, &at, &end)) > 0)
		if (at >= lo && at < hi)
			return true;
	return false;
}

/* Is anything said of where parameter c is when the code of parent begins? */
static bool placed_at_entry(Dwarf_Die *parent, Dwarf_Die *c)
{
	Dwarf_Attribute a;
	Dwarf_Addr base, lo, hi;
	ptrdiff_t off = 0;
	Dwarf_Op *op;
	size_t n;

	if (!dwarf_attr(c, DW_AT_location, &a))
		return false;
	while ((off = dwarf_getlocations(&a, off, &base, &lo, &hi, &op, &n)) > 0)
		if (slice_begins_in(parent, lo, hi))
			return true;
	return false;
}

static bool wanted_child(Dwarf_Die *parent, Dwarf_Die *c)
{
	int tag = dwarf_tag(parent), child = dwarf_tag(c);

	if (is_class(tag))
		return child == DW_TAG_member || child == DW_TAG_inheritance || child == DW_TAG_variable ||
		       child == DW_TAG_template_type_parameter ||
		       (child == DW_TAG_subprogram && telling(parent, c));
	if (tag == DW_TAG_enumeration_type)
		return child == DW_TAG_enumerator;
	if (tag == DW_TAG_array_type)
		return child == DW_TAG_subrange_type;
	if (tag == DW_TAG_subprogram && child == DW_TAG_formal_parameter)
		/* the parameters are read from the definition; of a declaration only whether it has a `this`
		 */
		return !die_declaration(parent) || die_flag(c, DW_AT_artificial);
	return tag == DW_TAG_inlined_subroutine && child == DW_TAG_formal_parameter &&
	       !strcmp(die_name(c), "this") && placed_at_entry(parent, c);
}

static int keep_children(struct maker *m, Dwarf_Die *die)
{
	struct kept *k;
	Dwarf_Die c;
	int more, rc = 0;

	for (more = die_child(die, &c); more > 0 && !rc; more = die_next(&c)) {
		if (!wanted_child(die, &c))
			continue;
		rc = keep(m, die_id(m->d, &c), false, &k);
		if (!rc && is_class(dwarf_tag(die)) &&
		    (dwarf_tag(&c) == DW_TAG_member || dwarf_tag(&c) == DW_TAG_inheritance))
			rc = look_inside(m, &c);
	}
	return rc ? rc : more < 0 ? more : 0;
}

/* What only stands for a class says its name and no more. */
static bool name_only(const struct kept *k, int tag)
{
	return !k->looked_at && (is_class(tag) || tag == DW_TAG_enumeration_type);
}

static int expand(struct maker *m, const struct kept *k)
{
	Dwarf_Die die;
	int rc = 0;

	if (!die_at(m->d, k->id, &die))
		return -EINVAL;
	for (size_t i = 0; i < form_n_attrs && !rc; i++) {
		if (form_attrs[i].kind != FORM_REF ||
		    (dwarf_tag(&die) == DW_TAG_subprogram && form_attrs[i].code == DW_AT_containing_type))
			continue;
		if (name_only(k, dwarf_tag(&die)) && form_attrs[i].code != DW_AT_specification &&
		    form_attrs[i].code != DW_AT_signature)
			continue;
		rc = refer(m, &die, form_attrs[i].code);
	}
	if (!rc && k->looked_at)
		rc = keep_children(m, &die);
	return rc;
}

static int close_over(struct maker *m)
{
	for (size_t i = 0; i < m->n_queue; i++) { /* it grows on the way */
		struct kept *k;
		int rc;

		HASH_FIND(hh, m->kept, &m->queue[i], sizeof(m->queue[i]), k);
		rc = k ? expand(m, k) : -EINVAL;
		if (rc)
			return rc;
	}
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const struct slice_die *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

const struct slice_die *slice_find(const struct slice *s, uint64_t id)
{
	const struct slice_die key = {.id = id};

	return s->n ? bsearch(&key, s->v, s->n, sizeof(*s->v), by_id) : NULL;
}

/* From the names on the way from the unit down; an unnamed type's is that of what it refers to. */
static uint64_t key_of(struct dbg *d, const struct slice *s, const struct slice_die *x, int depth)
{
	const char *name, *tag;
	const struct slice_die *to = NULL;
	Dwarf_Attribute a;
	Dwarf_Die die, ref;
	uint64_t h = NAME_SEED;

	if (depth > 16 || !die_at(d, x->id, &die))
		return h;
	if (x->depth)
		h = s->v[x->parent].key;
	tag = form_tag_name((unsigned)dwarf_tag(&die));
	h = name_hash(h, tag, strlen(tag));
	name = dwarf_attr_integrate(&die, DW_AT_linkage_name, &a) ? dwarf_formstring(&a) : NULL;
	name = name ? name : dwarf_diename(&die);
	if (name)
		return name_hash(name_hash(h, "::", 2), name, strlen(name));
	if (dwarf_attr(&die, DW_AT_type, &a) && dwarf_formref_die(&a, &ref))
		to = slice_find(s, die_id(d, &ref));
	if (to) {
		uint64_t below = to < x ? to->key : key_of(d, s, to, depth + 1);

		h = bytes_hash(h, &below, sizeof(below));
	}
	return h;
}

struct labelled {
	uint32_t label;
	size_t at;
};

static int by_label(const void *a, const void *b)
{
	const struct labelled *x = a, *y = b;

	if (x->label != y->label)
		return x->label < y->label ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

static int number_labels(struct slice *s)
{
	struct labelled *v = calloc(s->n + 1, sizeof(*v));
	size_t n = 0;

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].referred)
			v[n++] = (struct labelled){.label = slice_label(&s->v[i]), .at = i};
	qsort(v, n, sizeof(*v), by_label);
	for (size_t i = 1; i < n; i++)
		if (v[i].label == v[i - 1].label)
			s->v[v[i].at].copy = s->v[v[i - 1].at].copy + 1;
	free(v);
	return 0;
}

static int collect(struct maker *m, struct slice *s)
{
	struct kept *k, *next;

	s->v = calloc(HASH_COUNT(m->kept) + 1, sizeof(*s->v));
	if (!s->v)
		return -ENOMEM;
	HASH_ITER (hh, m->kept, k, next)
		s->v[s->n++] =
			(struct slice_die){.id = k->id, .looked_at = k->looked_at, .referred = k->referred};
	qsort(s->v, s->n, sizeof(*s->v), by_id);
	for (size_t i = 0; i < s->n; i++) {
		const struct slice_die *p;

		s->v[i].throughout = dbg_recorded_throughout(m->d, s->v[i].id);
		HASH_FIND(hh, m->kept, &s->v[i].id, sizeof(k->id), k);
		p = k && k->parent ? slice_find(s, k->parent) : NULL;
		if (!p) {
			s->v[i].parent = (uint32_t)i;
			continue;
		}
		if (p >= &s->v[i] || p->depth == PROFILE_MAX_DEPTH - 1)
			return -EINVAL;
		s->v[i].parent = (uint32_t)(p - s->v);
		s->v[i].depth = (uint16_t)(p->depth + 1);
	}
	for (size_t i = 0; i < s->n; i++)
		s->v[i].key = key_of(m->d, s, &s->v[i], 0);
	return number_labels(s);
}

static void maker_deinit(struct maker *m)
{
	struct unit_map *u, *next_u;
	struct kept *k, *next_k;

	HASH_ITER (hh, m->kept, k, next_k) {
		HASH_DEL(m->kept, k);
		free(k);
	}
	HASH_ITER (hh, m->units, u, next_u) {
		HASH_DEL(m->units, u);
		free(u->v);
		free(u);
	}
	free(m->queue);
}

int slice_make(struct slice *ret, struct dbg *d, struct err *err)
{
	struct maker m = {.d = d};
	const uint64_t *die;
	size_t n;
	int rc = dbg_recorded(d, &die, &n);

	*ret = (struct slice){0};
	for (size_t i = 0; i < n && !rc; i++) {
		struct kept *k;

		rc = die[i] ? keep(&m, die[i], true, &k) : 0;
	}
	rc = rc ? rc : close_over(&m);
	rc = rc ? rc : collect(&m, ret);
	maker_deinit(&m);
	if (!rc)
		return 0;
	slice_deinit(ret);
	return err_set(err, rc,
		       rc == -ENOMEM ? "out of memory"
				     : "the debuginfo in %s is damaged: what was read once "
				       "cannot be found again",
		       dbg_debuginfo(d)->path);
}

void slice_deinit(struct slice *s)
{
	free(s->v);
	*s = (struct slice){0};
}
