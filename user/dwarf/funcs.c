// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Functions by name. One function is all declarations and instances with the same linkage name, over all
 * units. */
#include <errno.h>
#include <libiberty/demangle.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dwarf/dbg_priv.h"
#include "dwarf/lazy.h"
#include "util/grow.h"

#define MAX_NAME       1024
#define MAX_CANDIDATES 64

/* Length of a mangled name without the suffixes compilers add (.isra.0, .constprop.1, .part.2, .cold). */
static size_t base_len(const char *symbol)
{
	return strcspn(symbol, ".");
}

static enum dbg_entry_kind entry_kind(const char *symbol)
{
	char plain[MAX_NAME];
	size_t n = base_len(symbol);

	if (strstr(symbol + n, ".part."))
		return DBG_ENTRY_PART;
	if (symbol[n])
		return DBG_ENTRY_CLONE;
	snprintf(plain, sizeof(plain), "%s", symbol);
	switch (is_gnu_v3_mangled_ctor(plain)) {
	case gnu_v3_complete_object_ctor:
	case gnu_v3_complete_object_allocating_ctor:
	case gnu_v3_unified_ctor:
		return DBG_ENTRY_CTOR_COMPLETE;
	case gnu_v3_base_object_ctor:
		return DBG_ENTRY_CTOR_BASE;
	default:
		break;
	}
	switch (is_gnu_v3_mangled_dtor(plain)) {
	case gnu_v3_deleting_dtor:
		return DBG_ENTRY_DTOR_DELETING;
	case gnu_v3_complete_object_dtor:
	case gnu_v3_unified_dtor:
		return DBG_ENTRY_DTOR_COMPLETE;
	case gnu_v3_base_object_dtor:
		return DBG_ENTRY_DTOR_BASE;
	default:
		return DBG_ENTRY_PLAIN;
	}
}

/* Of the symbols at vaddr the one that names the entry best: a plain name before a suffixed one, C1 before
 * C2, D1 before D2. */
static const struct elf_sym *best_symbol(const struct dbg *d, uint64_t vaddr)
{
	const struct elf_sym *s = dbg_symbol_at(d, vaddr), *best = NULL;
	const struct elf_sym *end = d->func_sym + d->n_func_sym;

	if (!s || s->vaddr != vaddr)
		return NULL;
	for (; s < end && s->vaddr == vaddr; s++) {
		enum dbg_entry_kind k = entry_kind(s->name),
				    b = best ? entry_kind(best->name) : DBG_ENTRY_PART;

		if (!best || (k != DBG_ENTRY_PART && b == DBG_ENTRY_PART) ||
		    (k != DBG_ENTRY_CLONE && b == DBG_ENTRY_CLONE) ||
		    (k == DBG_ENTRY_CTOR_COMPLETE && b == DBG_ENTRY_CTOR_BASE) ||
		    (k == DBG_ENTRY_DTOR_COMPLETE && b == DBG_ENTRY_DTOR_BASE))
			best = s;
	}
	return best;
}

/* Where a concrete function starts. With several ranges the one whose symbol is no .cold part. */
bool func_entry(const struct dbg *d, uint32_t n, struct dbg_entry *e)
{
	Dwarf_Die die;
	Dwarf_Addr base = 0, lo, hi;
	ptrdiff_t off = 0;
	bool found = false;

	if (!die_at(d, d->node[n].die, &die))
		return false;
	while ((off = dwarf_ranges(&die, off, &base, &lo, &hi)) > 0) {
		const struct elf_sym *s;

		if (!lo || hi <= lo || !elf_vaddr_is_code(d->bin, lo))
			continue; /* dropped by the linker */
		s = best_symbol(d, lo);
		if (found && (!s || strstr(s->name, ".cold")))
			continue;
		if (found && e->symbol && !strstr(e->symbol, ".cold"))
			continue;
		*e = (struct dbg_entry){
			.vaddr = lo, .size = hi - lo, .symbol = s ? s->name : NULL, .die = d->node[n].die};
		e->kind = s ? entry_kind(s->name) : DBG_ENTRY_PLAIN;
		found = true;
	}
	return found && !(e->symbol && strstr(e->symbol, ".cold"));
}

static int add_entry(const struct dbg *d, struct dbg_func *f, const struct dbg_entry *e)
{
	record_die(d, e->die);
	for (size_t i = 0; i < f->n_entry; i++)
		if (f->entry[i].vaddr == e->vaddr)
			return 0;
	if (GROW(&f->entry, f->n_entry))
		return -ENOMEM;
	f->entry[f->n_entry++] = *e;
	return 0;
}

static int entries_of(struct dbg *d, struct dbg_func *f, uint32_t canon)
{
	size_t n;
	const struct pair *p = pairs_find(&d->by_canon, canon, &n);
	struct dbg_entry e;
	int rc = 0;

	if ((d->node[canon].flags & NODE_CODE) && func_entry(d, canon, &e))
		rc = add_entry(d, f, &e);
	for (size_t i = 0; i < n && !rc; i++)
		if ((d->node[p[i].node].flags & NODE_CODE) && func_entry(d, p[i].node, &e))
			rc = add_entry(d, f, &e);
	return rc;
}

static int by_vaddr(const void *a, const void *b)
{
	const struct dbg_entry *x = a, *y = b;

	return x->vaddr < y->vaddr ? -1 : x->vaddr > y->vaddr;
}

/* A class's member function has `this` as its first, artificial parameter; a const one's points to const. */
static void read_this(struct dbg_func *f, Dwarf_Die *fn)
{
	Dwarf_Die c, t;
	Dwarf_Attribute a;

	for (int more = die_child(fn, &c); more > 0; more = die_next(&c)) {
		if (dwarf_tag(&c) != DW_TAG_formal_parameter)
			continue;
		if (!die_flag(&c, DW_AT_artificial))
			return;
		f->is_static = false;
		if (!dwarf_attr_integrate(&c, DW_AT_type, &a) || !dwarf_formref_die(&a, &t))
			return;
		if (dwarf_tag(&t) == DW_TAG_const_type &&
		    (!dwarf_attr(&t, DW_AT_type, &a) || !dwarf_formref_die(&a, &t)))
			return;
		if (dwarf_tag(&t) == DW_TAG_pointer_type && dwarf_attr(&t, DW_AT_type, &a) &&
		    dwarf_formref_die(&a, &t))
			f->is_const = dwarf_tag(&t) == DW_TAG_const_type;
		return;
	}
}

static void read_class(struct dbg *d, struct dbg_func *f, uint32_t decl)
{
	uint32_t parent = d->node[decl].parent, def;
	Dwarf_Die die;

	if (!(d->node[parent].flags & NODE_CLASS) || !die_at(d, d->node[parent].die, &die) ||
	    !type_peel(d, &die, &die))
		return;
	f->cls = type_id(d, &die);
	f->is_static = true;
	if (die_get(d, d->node[decl].die, &die))
		read_this(f, &die);
	def = func_definition(d, f); /* a type unit's stub has no parameters, the definition has */
	if (f->is_static && def && die_get(d, d->node[def].die, &die))
		read_this(f, &die);
}

static void read_result(struct dbg *d, struct dbg_func *f, uint32_t decl)
{
	Dwarf_Die die, t;

	if (die_get(d, d->node[decl].die, &die) && type_of(d, &die, &t))
		f->result = type_id(d, &t);
}

int func_make(struct dbg *d, uint32_t decl, struct dbg_func **ret)
{
	struct dbg_func *f = calloc(1, sizeof(*f));
	char text[4 * MAX_NAME];
	const struct pair *p;
	size_t n;
	int rc = 0;

	*ret = NULL;
	if (!f || index_functions(d)) {
		free(f);
		return -ENOMEM;
	}
	p = pairs_find(&d->by_key, func_key(d, decl), &n);
	f->die = d->node[p[0].node].die;
	f->name = node_qualified(d, decl);
	f->linkage = d->node[decl].linkage;
	f->signature = f->name;
	read_result(d, f, decl);
	if (f->linkage)
		f->signature = dbg_keep(d, strdup(dbg_demangle(f->linkage, text, sizeof(text))));
	for (size_t i = 0; i < n && !rc; i++) {
		if (!f->cls.die)
			read_class(d, f, p[i].node);
		rc = entries_of(d, f, p[i].node);
	}
	if (rc || !f->signature) {
		dbg_func_free(f);
		return -ENOMEM;
	}
	if (f->n_entry)
		qsort(f->entry, f->n_entry, sizeof(*f->entry), by_vaddr);
	*ret = f;
	return 0;
}

void dbg_func_free(struct dbg_func *f)
{
	if (!f)
		return;
	free(f->entry);
	free(f);
}

uint32_t func_definition(struct dbg *d, const struct dbg_func *f)
{
	uint32_t first = node_of(d, f->die), best = first;
	size_t n, m;
	const struct pair *p, *q;
	int rank = 0;

	if (!first || index_functions(d))
		return 0;
	p = pairs_find(&d->by_key, func_key(d, first), &n);
	for (size_t i = 0; i < n; i++) {
		const struct node *x = &d->node[p[i].node];

		if (rank < 1 && (x->flags & (NODE_CODE | NODE_INLINE))) {
			best = p[i].node;
			rank = 1;
		}
		q = pairs_find(&d->by_canon, p[i].node, &m);
		for (size_t k = 0; k < m; k++) {
			int r = d->node[q[k].node].flags & NODE_INLINE ? 3
				: d->node[q[k].node].flags & NODE_CODE ? 2
								       : 0;

			if (r > rank) {
				best = q[k].node;
				rank = r;
			}
		}
	}
	return best;
}

/* true: something of this function is in the program, not only its declaration. */
static bool has_code(const struct dbg *d, uint32_t canon)
{
	size_t n;
	const struct pair *p = pairs_find(&d->by_canon, canon, &n);

	if (d->node[canon].flags & (NODE_CODE | NODE_INLINE))
		return true;
	for (size_t i = 0; i < n; i++)
		if (d->node[p[i].node].flags & (NODE_CODE | NODE_INLINE))
			return true;
	return false;
}

struct wanted {
	struct part parts[MAX_DEPTH];
	size_t n_parts;
	const char *params;  /* "(...)" and what follows, NULL if not given */
	char name[MAX_NAME]; /* without params */
};

/* Cuts the parameter list off: the first parenthesis outside of <> that is neither operator()'s nor an
 * unnamed namespace's. */
static int split_wanted(const char *name, struct wanted *w, struct err *err)
{
	const char *op = strstr(name, "operator()");
	int depth = 0;
	size_t n = strlen(name);

	w->params = NULL;
	for (const char *p = name; *p && !w->params; p++) {
		if (op && p == op) {
			p += 9;
			continue;
		}
		if (*p == '<')
			depth++;
		else if (*p == '>')
			depth--;
		else if (*p == '(' && depth <= 0 && p > name && p[-1] != ':') {
			w->params = p;
			n = (size_t)(p - name);
		}
	}
	if (n >= sizeof(w->name) || !n)
		return err_set(err, -EINVAL, "'%.40s': no function name", name);
	memcpy(w->name, name, n);
	w->name[n] = '\0';
	while (n && w->name[n - 1] == ' ')
		w->name[--n] = '\0';
	w->n_parts = name_split(w->name, w->parts, MAX_DEPTH);
	return 0;
}

/* The parameter list of the linkage name, or true if none was asked for. "(void)" is "()". */
static bool params_match(const struct dbg *d, uint32_t n, const struct wanted *w)
{
	char text[4 * MAX_NAME];
	const char *want = w->params, *have;
	size_t len, wl;

	if (!want)
		return true;
	if (!d->node[n].linkage)
		return false;
	if (!strncmp(want, "(void)", 6))
		want = "()";
	dbg_demangle(d->node[n].linkage, text, sizeof(text));
	wl = strlen(want);
	/* the list's start: try each parenthesis from the left */
	for (have = strchr(text, '('); have; have = strchr(have + 1, '(')) {
		len = strlen(have);
		if (name_eq(have, len, want, wl) ||
		    (len > 6 && !strcmp(have + len - 6, " const") && name_eq(have, len - 6, want, wl)))
			return true;
	}
	return false;
}

struct found {
	uint32_t node[MAX_CANDIDATES];
	uint64_t key[MAX_CANDIDATES];
	size_t n;
	enum name_match best;
	bool code;
};

/* Exact before suffix matches, functions with code before mere declarations, one per key. */
static void candidate(struct dbg *d, struct found *f, uint32_t n, enum name_match m)
{
	bool code = has_code(d, n);
	uint64_t key = func_key(d, n);

	if (m < f->best || (m == f->best && f->code && !code))
		return;
	if (m > f->best || (code && !f->code)) {
		f->n = 0;
		f->best = m;
		f->code = code;
	}
	for (size_t i = 0; i < f->n; i++)
		if (f->key[i] == key)
			return;
	if (f->n == MAX_CANDIDATES)
		return;
	f->key[f->n] = key;
	f->node[f->n++] = n;
}

static int ambiguous(struct dbg *d, const char *name, const struct found *f, struct err *err)
{
	char list[ERR_MSG_LEN] = "", text[4 * MAX_NAME];
	size_t used = 0;

	for (size_t i = 0; i < f->n && used < sizeof(list); i++) {
		const char *linkage = d->node[f->node[i]].linkage;

		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "",
					 linkage ? dbg_demangle(linkage, text, sizeof(text))
						 : node_qualified(d, f->node[i]));
	}
	err_set(err, -EEXIST, "%s is ambiguous: %s", name, list);
	err_hint(err, "write more of the name, or its parameter list");
	return -EEXIST;
}

/* A function that only the symbol table knows. */
static int from_symbol(struct dbg *d, const struct elf_sym *s, struct dbg_func **ret)
{
	struct dbg_func *f = calloc(1, sizeof(*f));
	struct dbg_entry e = {
		.vaddr = s->vaddr, .size = s->size, .symbol = s->name, .kind = entry_kind(s->name)};
	char text[4 * MAX_NAME], *paren;

	*ret = NULL;
	if (!f || add_entry(d, f, &e)) {
		dbg_func_free(f);
		return -ENOMEM;
	}
	f->linkage = s->name;
	f->signature = dbg_keep(d, strdup(dbg_demangle(s->name, text, sizeof(text))));
	paren = strchr(text, '(');
	if (paren)
		*paren = '\0';
	f->name = dbg_keep(d, strdup(text));
	if (!f->name || !f->signature) {
		dbg_func_free(f);
		return -ENOMEM;
	}
	*ret = f;
	return 0;
}

/* Node of the concrete function that starts at vaddr; 0 if DWARF knows none. */
static uint32_t node_at(struct dbg *d, uint64_t vaddr)
{
	for (uint32_t i = 1; i < d->n_node; i++) {
		struct dbg_entry e;
		Dwarf_Die die;

		if ((d->node[i].flags & (NODE_FUNC | NODE_CODE)) != (NODE_FUNC | NODE_CODE))
			continue;
		if (die_at(d, d->node[i].die, &die) && dwarf_haspc(&die, vaddr) == 1 &&
		    func_entry(d, i, &e) && e.vaddr == vaddr)
			return i;
	}
	return 0;
}

static int find_mangled(struct dbg *d, const char *name, struct dbg_func **ret, struct err *err)
{
	uint64_t key = name_hash(NAME_SEED, name, strlen(name));
	struct elf_sym s;
	size_t n;
	const struct pair *p = pairs_find(&d->by_key, key, &n);
	uint32_t node;

	if (n)
		return func_make(d, p[0].node, ret);
	if (dbg_symbol(d, name, &s) || !s.vaddr || !elf_vaddr_is_code(d->bin, s.vaddr))
		return err_set(err, -ENOENT, "no function %s in %s", name, elf_file_name(d->bin));
	node = node_at(d, s.vaddr);
	return node ? func_make(d, d->node[node].canon, ret) : from_symbol(d, &s, ret);
}

/* By demangled symbols: code without debuginfo, assembler. -ENOENT, -EEXIST. */
static int find_symbol(struct dbg *d, const struct wanted *w, struct dbg_func **ret)
{
	const struct elf_sym *hit = NULL;
	char text[4 * MAX_NAME];
	struct part parts[MAX_DEPTH];
	const struct part *last = &w->parts[w->n_parts - 1];

	if (!last->p || !last->n)
		return -ENOENT;
	for (size_t i = 0; i < d->n_func_sym; i++) {
		const struct elf_sym *s = &d->func_sym[i];
		struct wanted have;
		bool same = true;

		if (!memmem(s->name, strlen(s->name), last->p, last->n) || s->name[base_len(s->name)])
			continue;
		if (split_wanted(dbg_demangle(s->name, text, sizeof(text)), &have, NULL) ||
		    have.n_parts < w->n_parts)
			continue;
		memcpy(parts, have.parts + (have.n_parts - w->n_parts), w->n_parts * sizeof(*parts));
		for (size_t k = 0; k < w->n_parts && same; k++)
			same = name_eq(parts[k].p, parts[k].n, w->parts[k].p, w->parts[k].n);
		if (same && w->params)
			same = have.params &&
			       name_eq(have.params, strlen(have.params), w->params, strlen(w->params));
		if (!same || (hit && hit->vaddr == s->vaddr))
			continue;
		if (hit)
			return -EEXIST;
		hit = s;
	}
	return hit ? from_symbol(d, hit, ret) : -ENOENT;
}

/* Loads the units that mention it. */
static int want_function(struct dbg *d, const char *name)
{
	struct part whole = {.p = name, .n = strlen(name)};
	struct wanted w = {.n_parts = 1};

	if (!d->lazy)
		return 0;
	if (!strncmp(name, "_Z", 2))
		return lazy_want(d, &whole, 1);
	return split_wanted(name, &w, NULL) ? 0 : lazy_want(d, w.parts, w.n_parts);
}

static int find_function(struct dbg *d, const char *name, struct dbg_func **ret, struct err *err)
{
	struct found f = {0};
	const struct pair *p;
	struct wanted w = {.n_parts = 1};
	size_t n;
	int rc;

	*ret = NULL;
	if (index_functions(d))
		return err_set(err, -ENOMEM, "out of memory");
	if (!strncmp(name, "_Z", 2))
		return find_mangled(d, name, ret, err);
	rc = split_wanted(name, &w, err);
	if (rc)
		return rc;
	p = pairs_find(&d->by_name, name_hash(NAME_SEED, w.parts[w.n_parts - 1].p, w.parts[w.n_parts - 1].n),
		       &n);
	for (size_t i = 0; i < n; i++) {
		enum name_match m = node_matches(d, p[i].node, w.parts, w.n_parts);

		if (m != MATCH_NO && params_match(d, p[i].node, &w))
			candidate(d, &f, p[i].node, m);
	}
	if (f.n > 1)
		return ambiguous(d, name, &f, err);
	if (f.n == 1)
		rc = func_make(d, f.node[0], ret);
	else
		rc = find_symbol(d, &w, ret);
	if (rc == -EEXIST)
		return err_set(err, rc, "%s is ambiguous: several functions of this name have no debuginfo",
			       name);
	if (rc == -ENOENT) {
		err_set(err, rc, "no function %s in %s", name, elf_file_name(d->bin));
		names_nearest(d, &d->by_name, w.name, "names", err);
	} else if (rc) {
		err_set(err, rc, "out of memory");
	}
	return rc;
}

int dbg_find_function(struct dbg *d, const char *name, struct dbg_func **ret, struct err *err)
{
	int rc;

	*ret = NULL;
	if (want_function(d, name))
		return err_set(err, -EINVAL, "the debuginfo in %s is damaged", d->debug.path);
	rc = find_function(d, name, ret, err);
	if (rc == -ENOENT && err && d->lazy && !lazy_want_all(d))
		rc = find_function(d, name, ret, err);
	return rc;
}
