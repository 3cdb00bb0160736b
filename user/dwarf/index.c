// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One walk over all units, function bodies left out; the inlined instances in the bodies are a second walk,
 * at the first need. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dwarf/dbg_priv.h"
#include "dwarf/lazy.h"
#include "util/grow.h"
#include "util/search.h"

uint64_t die_id(const struct dbg *d, Dwarf_Die *die)
{
	uint64_t off = dwarf_dieoffset(die);
	Dwarf_Half version = 0;
	uint8_t type = 0;

	if (d->alt && dwarf_cu_getdwarf(die->cu) == d->alt)
		return off | DIE_ALT;
	if (!dwarf_cu_info(die->cu, &version, &type, NULL, NULL, NULL, NULL, NULL) && type == DW_UT_type &&
	    version < 5)
		return off | DIE_TYPES;
	return off;
}

bool die_at(const struct dbg *d, uint64_t id, Dwarf_Die *ret)
{
	if (!id)
		return false;
	if (id & DIE_ALT)
		return d->alt && dwarf_offdie(d->alt, id & ~DIE_ALT, ret);
	if (id & DIE_TYPES)
		return dwarf_offdie_types(d->dw, id & ~DIE_TYPES, ret);
	return dwarf_offdie(d->dw, id, ret);
}

bool die_get(const struct dbg *d, uint64_t id, Dwarf_Die *ret)
{
	record_die(d, id);
	return die_at(d, id, ret);
}

int die_child(Dwarf_Die *parent, Dwarf_Die *c)
{
	int rc = dwarf_child(parent, c);

	return rc < 0 ? -EINVAL : rc == 0;
}

int die_next(Dwarf_Die *c)
{
	Dwarf_Die next;
	int rc = dwarf_siblingof(c, &next);

	if (rc)
		return rc < 0 ? -EINVAL : 0;
	if (next.addr <= c->addr)
		return -EINVAL;
	*c = next;
	return 1;
}

uint32_t node_of(const struct dbg *d, uint64_t id)
{
	/* node 0 stands for none */
	size_t at = FIRST_FROM(d->node, d->n_node, die, id);

	return at < d->n_node && d->node[at].die == id ? (uint32_t)at : 0;
}

uint32_t node_origin(const struct dbg *d, uint32_t n)
{
	for (int i = 0; i < 8 && d->node[n].origin; i++) {
		uint32_t o = node_of(d, d->node[n].origin);

		if (!o || o == n)
			break;
		n = o;
	}
	return n;
}

const char *node_name(const struct dbg *d, uint32_t n)
{
	const char *s = d->node[node_origin(d, n)].name;

	return s ? s : "";
}

/* Hash of the scopes and the name. Unnamed scopes count as their DIE: what stands in them is the unit's own.
 */
static uint64_t hash_below(struct dbg *d, uint32_t n, int depth)
{
	struct node *x;
	uint64_t h, own;

	n = node_origin(d, n);
	x = &d->node[n];
	if (!n || depth > MAX_DEPTH)
		return NAME_SEED;
	if (x->hash)
		return x->hash;
	h = hash_below(d, x->parent, depth + 1);
	own = x->name ? names_hash(d, x->name) : x->die;
	h = bytes_hash(h, &own, sizeof(own));
	x->hash = h ? h : 1;
	return x->hash;
}

uint64_t node_hash(struct dbg *d, uint32_t n)
{
	return hash_below(d, n, 0);
}

uint64_t func_key(struct dbg *d, uint32_t canon)
{
	const struct node *x = &d->node[canon];
	uint64_t h = x->linkage ? names_hash(d, x->linkage) : node_hash(d, canon);

	/* a file's own function is not the one of the same name in another file */
	if (!(x->flags & NODE_EXTERNAL) && !(d->node[x->parent].flags & NODE_CLASS))
		h = bytes_hash(h, &x->die, sizeof(x->die));
	return h;
}

int pairs_add(struct pairs *p, uint64_t key, uint32_t node)
{
	if (GROW(&p->v, p->n))
		return -ENOMEM;
	p->v[p->n++] = (struct pair){.key = key, .node = node};
	return 0;
}

static int pair_cmp(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->node < y->node ? -1 : x->node > y->node;
}

void pairs_sort(struct pairs *p)
{
	if (p->n)
		qsort(p->v, p->n, sizeof(*p->v), pair_cmp);
}

const struct pair *pairs_find(const struct pairs *p, uint64_t key, size_t *n)
{
	size_t lo = 0, hi = p->n, end;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (p->v[mid].key < key)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (end = lo; end < p->n && p->v[end].key == key; end++)
		;
	*n = end - lo;
	return *n ? p->v + lo : NULL;
}

struct attrs {
	struct dbg *d;
	struct node *node;
};

static int attr_cb(Dwarf_Attribute *a, void *arg)
{
	struct attrs *x = arg;
	Dwarf_Die ref;
	bool flag;

	switch (dwarf_whatattr(a)) {
	case DW_AT_name:
		x->node->name = dwarf_formstring(a);
		break;
	case DW_AT_linkage_name:
	case DW_AT_MIPS_linkage_name:
		x->node->linkage = dwarf_formstring(a);
		break;
	case DW_AT_specification:
	case DW_AT_abstract_origin:
		if (dwarf_formref_die(a, &ref))
			x->node->origin = die_id(x->d, &ref);
		break;
	case DW_AT_declaration:
		if (!dwarf_formflag(a, &flag) && flag)
			x->node->flags |= NODE_DECL;
		break;
	case DW_AT_external:
		if (!dwarf_formflag(a, &flag) && flag)
			x->node->flags |= NODE_EXTERNAL;
		break;
	case DW_AT_low_pc:
	case DW_AT_ranges:
		x->node->flags |= NODE_CODE;
		break;
	case DW_AT_inline:
		x->node->flags |= NODE_INLINE;
		break;
	}
	return DWARF_CB_OK;
}

static unsigned node_kind(int tag)
{
	switch (tag) {
	case DW_TAG_namespace:
		return NODE_SCOPE;
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
	case DW_TAG_interface_type:
		return NODE_CLASS;
	case DW_TAG_enumeration_type:
		return NODE_ENUM;
	case DW_TAG_subprogram:
		return NODE_FUNC;
	default:
		return 0;
	}
}

/* `typedef struct {..} X`: C++ links the class as X, and gcc states that as its linkage name, "1X" or with
 * the scopes around it "N5Outer1XE". */
static const char *typedef_name(struct dbg *d, const char *linkage)
{
	const char *last = NULL;
	char *p = (char *)linkage;
	size_t len = 0;

	if (p && *p == 'N')
		p++;
	while (p && isdigit((unsigned char)*p)) {
		len = strtoul(p, &p, 10);
		last = p;
		if (strlen(p) < len)
			return NULL;
		p += len;
	}
	return last && !strcmp(p, *linkage == 'N' ? "E" : "") ? dbg_keep(d, strndup(last, len)) : NULL;
}

static int add_node(struct dbg *d, Dwarf_Die *die, unsigned kind, uint32_t parent, uint32_t *ret)
{
	struct attrs x = {.d = d};

	if (d->n_node == UINT32_MAX || GROW(&d->node, d->n_node))
		return -ENOMEM;
	x.node = &d->node[d->n_node];
	*x.node = (struct node){.flags = (uint16_t)kind, .parent = parent};
	if (die) {
		x.node->die = die_id(d, die);
		if (dwarf_getattrs(die, attr_cb, &x, 0) == -1)
			return -EINVAL;
		if (!x.node->name && kind & (NODE_CLASS | NODE_ENUM))
			x.node->name = typedef_name(d, x.node->linkage);
		if (d->n_node > 1 && x.node->die <= d->node[d->n_node - 1].die)
			return -EINVAL; /* lookups need the order */
	}
	*ret = (uint32_t)d->n_node++;
	return 0;
}

static int add_inherit(struct dbg *d, Dwarf_Die *die, uint32_t cls)
{
	Dwarf_Attribute a;
	Dwarf_Die type;

	if (!dwarf_attr_integrate(die, DW_AT_type, &a) || !dwarf_formref_die(&a, &type))
		return 0;
	if (GROW(&d->inherit, d->n_inherit))
		return -ENOMEM;
	d->inherit[d->n_inherit++] = (struct inherit){.cls = cls, .base = die_id(d, &type)};
	return 0;
}

static int walk(struct dbg *d, Dwarf_Die *parent, uint32_t at, int depth)
{
	Dwarf_Die c;
	int rc, more;

	if (depth > MAX_DEPTH)
		return -EINVAL;
	for (more = die_child(parent, &c); more > 0; more = die_next(&c)) {
		int tag = dwarf_tag(&c);
		unsigned kind = node_kind(tag);
		uint32_t n;

		if (tag == DW_TAG_inheritance) {
			rc = add_inherit(d, &c, at);
			if (rc)
				return rc;
		}
		if (!kind)
			continue;
		rc = add_node(d, &c, kind, at, &n);
		if (!rc && (kind & (NODE_SCOPE | NODE_CLASS)))
			rc = walk(d, &c, n, depth + 1);
		if (rc)
			return rc;
		d->node[n].end = (uint32_t)d->n_node;
	}
	return more;
}

static int walk_units(struct dbg *d, Dwarf *dw)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die die;
	int rc, got;

	for (size_t i = 0; d->lazy && i < lazy_n_units(d->lazy); i++) {
		rc = lazy_unit(d->lazy, i, dw, &die) ? walk(d, &die, 0, 0) : 0;
		if (rc)
			return rc;
	}
	if (d->lazy)
		return 0;
	while (!(got = dwarf_get_units(dw, cu, &cu, NULL, NULL, &die, NULL))) {
		rc = walk(d, &die, 0, 0);
		if (rc)
			return rc;
	}
	return got < 0 ? -EINVAL : 0;
}

/* Damaged debuginfo may have a function come from something else, or from itself by a detour: then it stands
 * for itself. */
static uint32_t canonical(const struct dbg *d, uint32_t n)
{
	uint32_t o = node_origin(d, n);

	return d->node[o].flags & NODE_FUNC && node_origin(d, o) == o ? o : n;
}

/* The sorted tables over the classes among the nodes. */
static int make_class_tables(struct dbg *d)
{
	int rc = 0;

	for (uint32_t i = 1; i < d->n_node && !rc; i++) {
		const char *name;

		if (!(d->node[i].flags & (NODE_CLASS | NODE_ENUM)))
			continue;
		name = node_name(d, i);
		if (!*name)
			continue;
		rc = pairs_add(&d->by_hash, node_hash(d, i), i);
		rc = rc ? rc : pairs_add(&d->cls_name, names_hash(d, name), i);
	}
	pairs_sort(&d->by_hash);
	pairs_sort(&d->cls_name);
	return rc;
}

int index_functions(struct dbg *d)
{
	int rc = 0;

	if (d->have_functions)
		return 0;
	for (uint32_t i = 1; i < d->n_node && !rc; i++) {
		struct node *x = &d->node[i];
		const char *name;

		if (!(x->flags & NODE_FUNC))
			continue;
		name = node_name(d, i);
		x->canon = canonical(d, i);
		if (x->canon != i)
			rc = pairs_add(&d->by_canon, x->canon, i);
		else if (*name)
			rc = pairs_add(&d->by_name, names_hash(d, name), i);
		if (!rc && x->canon == i)
			rc = pairs_add(&d->by_key, func_key(d, i), i);
	}
	pairs_sort(&d->by_name);
	pairs_sort(&d->by_canon);
	pairs_sort(&d->by_key);
	d->have_functions = !rc;
	return rc;
}

int index_build(struct dbg *d, struct err *err)
{
	uint32_t root;
	int rc = add_node(d, NULL, 0, 0, &root), why;

	rc = rc ? rc : walk_units(d, d->dw);
	if (!rc && d->alt)
		rc = walk_units(d, d->alt);
	rc = rc ? rc : make_class_tables(d);
	if (rc == -ENOMEM)
		return err_set(err, rc, "out of memory");
	why = rc ? dwarf_errno() : 0; /* asking takes it away */
	if (rc)
		return err_set(err, rc,
			       "the debuginfo in %s is damaged: %s, after the entry at offset 0x%llx",
			       d->debug.path, why ? dwarf_errmsg(why) : "entries out of order",
			       d->node[d->n_node - 1].die & ~(DIE_ALT | DIE_TYPES));
	return 0;
}

static int add_inlined(struct dbg *d, Dwarf_Die *die, uint32_t holder, uint64_t parent)
{
	Dwarf_Attribute a;
	Dwarf_Die ref;
	uint32_t n;

	if (!dwarf_attr(die, DW_AT_abstract_origin, &a) || !dwarf_formref_die(&a, &ref))
		return 0;
	n = node_of(d, die_id(d, &ref));
	if (!n)
		return 0;
	if (GROW(&d->inlined, d->n_inlined))
		return -ENOMEM;
	d->inlined[d->n_inlined++] = (struct inlined){
		.die = die_id(d, die), .parent = parent, .canon = d->node[n].canon, .holder = holder};
	return 0;
}

static int walk_body(struct dbg *d, Dwarf_Die *parent, uint32_t holder, uint64_t inside, int depth)
{
	Dwarf_Die c;
	int rc = 0, more;

	if (depth > 4 * MAX_DEPTH)
		return -EINVAL;
	for (more = die_child(parent, &c); more > 0; more = die_next(&c)) {
		int tag = dwarf_tag(&c);

		if (tag == DW_TAG_inlined_subroutine)
			rc = add_inlined(d, &c, holder, inside);
		if (!rc && (tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block ||
			    tag == DW_TAG_try_block || tag == DW_TAG_catch_block))
			rc = walk_body(d, &c, holder,
				       tag == DW_TAG_inlined_subroutine ? die_id(d, &c) : inside, depth + 1);
		if (rc)
			return rc;
	}
	return more;
}

static int inlined_cmp(const void *a, const void *b)
{
	const struct inlined *x = a, *y = b;

	if (x->canon != y->canon)
		return x->canon < y->canon ? -1 : 1;
	return x->die < y->die ? -1 : x->die > y->die;
}

int index_inlined(struct dbg *d, struct err *err)
{
	Dwarf_Die die;
	int rc = index_functions(d);

	if (rc)
		return err_set(err, rc, "out of memory");
	if (d->have_inlined)
		return 0;
	for (uint32_t i = 1; i < d->n_node && !rc; i++) {
		if ((d->node[i].flags & (NODE_FUNC | NODE_CODE)) != (NODE_FUNC | NODE_CODE))
			continue;
		rc = die_at(d, d->node[i].die, &die) ? walk_body(d, &die, i, 0, 0) : -EINVAL;
	}
	if (rc)
		return err_set(err, rc,
			       rc == -ENOMEM ? "out of memory" : "the debuginfo in %s is damaged: %s",
			       d->debug.path, dwarf_errmsg(-1));
	if (d->n_inlined)
		qsort(d->inlined, d->n_inlined, sizeof(*d->inlined), inlined_cmp);
	d->have_inlined = true;
	return 0;
}

void index_free(struct dbg *d)
{
	struct pairs *const tables[] = {&d->by_hash, &d->by_name, &d->cls_name, &d->by_key, &d->by_canon};

	free(d->node);
	free(d->inherit);
	free(d->inlined);
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		free(tables[i]->v);
		*tables[i] = (struct pairs){0};
	}
	d->node = NULL;
	d->inherit = NULL;
	d->inlined = NULL;
	d->n_node = d->n_inherit = d->n_inlined = 0;
	d->have_bases = d->have_inlined = d->have_functions = false;
}
