// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Member functions of a class, overrides of a virtual one, and inlined instances of a function. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dwarf/dbg_priv.h"
#include "dwarf/lazy.h"
#include "util/grow.h"
#include "util/search.h"

/*
 * Compilers declare implicit members only in the units that use them, so all nodes of the class are looked
 * at, each function once (by its key).
 */
int dbg_methods(struct dbg *d, struct dbg_type cls, int (*fn)(void *ctx, const struct dbg_func *f), void *ctx,
		struct err *err)
{
	uint32_t n = node_of(d, cls.die);
	const struct pair *p;
	struct pairs done = {0};
	uint64_t *die;
	size_t count = 0;
	int rc = 0;

	if (!n)
		return err_set(err, -EINVAL, "no such class");
	if (index_functions(d))
		return err_set(err, -ENOMEM, "out of memory");
	p = pairs_find(&d->by_hash, node_hash(d, n), &count);
	for (size_t i = 0; i < count && !rc; i++) {
		const struct node *c = &d->node[p[i].node];

		for (uint32_t k = p[i].node + 1; k < c->end && !rc; k++) {
			const struct node *x = &d->node[k];

			if (x->parent == p[i].node && (x->flags & NODE_FUNC) && x->canon == k)
				rc = pairs_add(&done, func_key(d, k), k);
		}
	}
	pairs_sort(&done);
	/* fn may ask for something that has more units loaded, and nodes get other numbers */
	die = calloc(done.n + 1, sizeof(*die));
	for (size_t i = 0; i < done.n && die; i++)
		die[i] = d->node[done.v[i].node].die;
	rc = rc || die ? rc : -ENOMEM;
	for (size_t i = 0; i < done.n && !rc; i++) {
		struct dbg_func *f;

		if (i && done.v[i].key == done.v[i - 1].key)
			continue;
		rc = func_make(d, node_of(d, die[i]), &f);
		if (!rc)
			rc = fn(ctx, f);
		else
			err_set(err, rc, "out of memory");
		dbg_func_free(f);
	}
	free(die);
	free(done.v);
	return rc;
}

struct override {
	const char *method;
	int (*fn)(void *ctx, const struct dbg_func *f);
	void *ctx;
	size_t n;
};

static int override_cb(void *ctx, const struct dbg_func *f)
{
	struct override *o = ctx;
	const char *last = strrchr(f->name, ':');

	if (strcmp(last ? last + 1 : f->name, o->method) != 0 || !f->n_entry)
		return 0;
	o->n++;
	return o->fn(o->ctx, f);
}

int dbg_overrides(struct dbg *d, const char *cls_method, int (*fn)(void *ctx, const struct dbg_func *f),
		  void *ctx, struct err *err)
{
	struct part parts[MAX_DEPTH];
	size_t n_parts = name_split(cls_method, parts, MAX_DEPTH), n = 0, count;
	struct override o = {.method = parts[n_parts - 1].p, .fn = fn, .ctx = ctx};
	const struct pair *p;
	struct dbg_base *derived = NULL;
	struct dbg_type cls = {0};
	int rc;

	if (n_parts < 2)
		return err_set(err, -EINVAL, "%s: CLASS::METHOD is wanted", cls_method);
	if (lazy_want(d, parts, n_parts - 1))
		return err_set(err, -EINVAL, "the debuginfo in %s is damaged", d->debug.path);
	p = pairs_find(&d->cls_name, name_hash(NAME_SEED, parts[n_parts - 2].p, parts[n_parts - 2].n),
		       &count);
	for (size_t i = 0; i < count && !cls.die;
	     i++) { /* a declaration will do: the class may belong to a library */
		Dwarf_Die die;

		if (node_matches(d, p[i].node, parts, n_parts - 1) == MATCH_FULL &&
		    die_get(d, d->node[p[i].node].die, &die) && type_peel(d, &die, &die))
			cls = type_id(d, &die);
	}
	if (!cls.die) {
		err_set(err, -ENOENT, "no class for %s in the debuginfo of %s", cls_method,
			elf_file_name(d->bin));
		return -ENOENT;
	}
	rc = dbg_derived(d, cls, &derived, &n, err);
	rc = rc ? rc : dbg_methods(d, cls, override_cb, &o, err);
	for (size_t i = 0; i < n && !rc; i++)
		rc = dbg_methods(d, derived[i].type, override_cb, &o, err);
	free(derived);
	if (!rc && !o.n)
		return err_set(err, -ENOENT, "nothing in %s implements %s", elf_file_name(d->bin),
			       cls_method);
	return rc;
}

static int read_ranges(Dwarf_Die *die, struct dbg_range **range, size_t *n)
{
	Dwarf_Addr base = 0, lo, hi;
	ptrdiff_t off = 0;

	while ((off = dwarf_ranges(die, off, &base, &lo, &hi)) > 0) {
		if (!lo || hi <= lo)
			continue;
		if (GROW(range, *n))
			return -ENOMEM;
		(*range)[(*n)++] = (struct dbg_range){.lo = lo, .hi = hi};
	}
	return 0;
}

/*
 * DW_AT_entry_pc is an address or, in DWARF 5, may be an offset from DW_AT_low_pc. Without a range (its code
 * was merged with other code) the entry is all that is known, if that.
 */
static void read_entry(Dwarf_Die *die, struct dbg_inline *i)
{
	Dwarf_Attribute a;
	Dwarf_Addr addr;
	Dwarf_Word off;

	i->entry_exact = i->n_range == 1;
	if (i->n_range) {
		i->entry = i->range[0].lo;
		for (size_t k = 1; k < i->n_range; k++)
			if (i->range[k].lo < i->entry)
				i->entry = i->range[k].lo;
	} else if (!dwarf_lowpc(die, &addr)) {
		i->entry = addr;
		i->entry_exact = true;
	}
	if (!dwarf_attr(die, DW_AT_entry_pc, &a))
		return;
	if (!dwarf_formaddr(&a, &addr))
		i->entry = addr;
	else if (!dwarf_formudata(&a, &off) && !dwarf_lowpc(die, &addr))
		i->entry = addr + off;
	else
		return;
	i->entry_exact = true;
}

static void read_this(struct dbg *d, Dwarf_Die *die, Dwarf_Die *holder, struct dbg_inline *i)
{
	Dwarf_Die c;

	for (int more = die_child(die, &c); more > 0; more = die_next(&c)) {
		if (dwarf_tag(&c) != DW_TAG_formal_parameter)
			continue;
		if (strcmp(die_name(&c), "this") != 0)
			continue; /* the order is not the declaration's */
		i->has_this = loc_value(d, &c, holder, i->entry, &i->this_path);
		return;
	}
}

/* 1 = filled, 0 = the function around it is not in the program. */
static int one_inline(struct dbg *d, const struct inlined *x, struct dbg_inline *i)
{
	Dwarf_Die die, holder;
	struct dbg_entry e;
	int rc;

	if (!die_get(d, x->die, &die) || !die_at(d, d->node[x->holder].die, &holder))
		return -EINVAL;
	if (!func_entry(d, x->holder, &e))
		return 0;
	rc = read_ranges(&die, &i->range, &i->n_range);
	if (rc)
		return rc;
	read_entry(&die, i);
	i->die = x->die;
	i->parent = x->parent;
	i->caller_die = d->node[x->holder].die;
	i->caller = e.vaddr;
	i->caller_name = e.symbol ? e.symbol : node_name(d, x->holder);
	if (i->entry)
		read_this(d, &die, &holder, i);
	return 1;
}

int dbg_inlines(struct dbg *d, const struct dbg_func *f, struct dbg_inline **ret, size_t *n, struct err *err)
{
	uint32_t first = node_of(d, f->die);
	struct dbg_inline *list = NULL;
	size_t n_decl = 0, count = 0;
	const struct pair *p;
	int rc;

	*ret = NULL;
	*n = 0;
	if (!first)
		return 0; /* only the symbol table knows it */
	rc = index_inlined(d, err);
	if (rc)
		return rc;
	p = pairs_find(&d->by_key, func_key(d, first), &n_decl);
	for (size_t i = 0; i < n_decl && !rc; i++) {
		size_t at = FIRST_FROM(d->inlined, d->n_inlined, canon, p[i].node);

		for (; at < d->n_inlined && d->inlined[at].canon == p[i].node && !rc; at++) {
			if (GROW(&list, count)) {
				rc = -ENOMEM;
				break;
			}
			memset(&list[count], 0, sizeof(*list));
			rc = one_inline(d, &d->inlined[at], &list[count]);
			if (rc)
				count++;
			rc = rc < 0 ? rc : 0;
		}
	}
	if (rc) {
		dbg_inlines_free(list, count);
		return err_set(err, rc, "cannot read the inlined instances of %s: %s", f->name,
			       rc == -ENOMEM ? "out of memory" : "the debuginfo is damaged");
	}
	if (!count) { /* room was made for one that turned out to be none */
		free(list);
		list = NULL;
	}
	*ret = list;
	*n = count;
	return 0;
}

void dbg_inlines_free(struct dbg_inline *i, size_t n)
{
	for (size_t k = 0; k < n; k++)
		free(i[k].range);
	free(i);
}

int dbg_code_ranges(struct dbg *d, uint64_t id, struct dbg_range **ret, size_t *n)
{
	Dwarf_Die die;
	int rc;

	*ret = NULL;
	*n = 0;
	if (!die_at(d, id, &die))
		return -EINVAL;
	rc = read_ranges(&die, ret, n);
	if (rc) {
		free(*ret);
		*ret = NULL;
		*n = 0;
	}
	return rc;
}
