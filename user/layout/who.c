// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <elf.h>
#include <errno.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "layout/stores.h"
#include "layout/who.h"
#include "util/grow.h"
#include "util/str.h"

#define MAX_RELATED 256

struct looker {
	struct who *w;
	struct dbg *d;
	struct stores *stores;
	struct err *err;
	struct dbg_type related[MAX_RELATED]; /* the class, its bases, what is derived from it */
	size_t n_related;
	uint64_t *user; /* entries of functions that hold inlined code of the class; sorted */
	size_t n_users;
	struct elf_sym *sym; /* functions by address */
	size_t n_syms;
};

const char *who_evidence_name(enum who_evidence e)
{
	static const char *const names[] = {"member", "user", "match"};

	return (unsigned)e < sizeof(names) / sizeof(names[0]) ? names[e] : "?";
}

static int no_member(const char *cls, const char *name, const struct dbg_member *m, size_t n, struct err *err)
{
	char list[ERR_MSG_LEN - 64] = "";

	for (size_t i = 0; i < n; i++)
		str_append(list, sizeof(list), "%s%s", i ? ", " : "", m[i].name);
	err_set(err, -ENOENT, "%s has no field %s", cls, name);
	err_hint(err, "it has %s", list);
	return -ENOENT;
}

/* Splits at the last "::" outside of template arguments. */
static const char *field_name(const char *text)
{
	const char *last = NULL;
	int depth = 0;

	for (const char *p = text; *p; p++) {
		depth += *p == '<' ? 1 : *p == '>' ? -1 : 0;
		if (!depth && p[0] == ':' && p[1] == ':')
			last = p++;
	}
	return last;
}

static int find_field(struct looker *l, const char *text, struct dbg_type *cls)
{
	const char *split = field_name(text), *name = split ? split + 2 : NULL;
	struct dbg_type_info info;
	struct dbg_member *m = NULL;
	size_t n = 0, i = 0;
	char *owner;
	int rc;

	if (!split || split == text || !*name)
		return err_set(l->err, -EINVAL, "T::FIELD is wanted, not '%s'", text);
	owner = strndup(text, (size_t)(split - text));
	if (!owner)
		return err_set(l->err, -ENOMEM, "out of memory");
	rc = dbg_find_class(l->d, owner, cls, l->err);
	if (!rc)
		rc = dbg_members(l->d, *cls, &m, &n, l->err);
	if (!rc && dbg_type_info(l->d, *cls, &info))
		rc = err_set(l->err, -EINVAL, "%s cannot be read", owner);
	while (!rc && i < n && strcmp(m[i].name, name) != 0)
		i++;
	if (!rc && i == n)
		rc = no_member(owner, name, m, n, l->err);
	if (!rc) {
		l->w->cls = info.name;
		l->w->field = m[i].name;
		l->w->type = m[i].info.name;
		l->w->offset = m[i].offset;
		l->w->width = m[i].size;
	}
	free(m);
	free(owner);
	return rc;
}

static int caller_add(void *ctx, const struct dbg_func *f)
{
	struct looker *l = ctx;
	struct dbg_inline *in;
	size_t n;
	int rc = dbg_inlines(l->d, f, &in, &n, l->err);

	for (size_t i = 0; i < n && !rc; i++) {
		rc = GROW(&l->user, l->n_users);
		if (!rc)
			l->user[l->n_users++] = in[i].caller;
	}
	dbg_inlines_free(in, n);
	return rc;
}

static int relate(struct looker *l, struct dbg_type t)
{
	struct dbg_type_info info;

	if (l->n_related == MAX_RELATED)
		return 0;
	l->related[l->n_related++] = t;
	if (dbg_type_info(l->d, t, &info) || info.declaration)
		return 0;
	return dbg_methods(l->d, t, caller_add, l, l->err);
}

static void delta_add(struct who *w, uint32_t delta)
{
	for (size_t i = 0; i < w->n_deltas; i++)
		if (w->delta[i] == delta)
			return;
	if (w->n_deltas < sizeof(w->delta) / sizeof(w->delta[0]) && delta != UINT32_MAX)
		w->delta[w->n_deltas++] = delta;
}

static int by_u64(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int find_related(struct looker *l, struct dbg_type cls)
{
	struct dbg_base *b = NULL;
	size_t n = 0;
	int rc = relate(l, cls);

	delta_add(l->w, 0);
	rc = rc ? rc : dbg_bases(l->d, cls, &b, &n, l->err);
	for (size_t i = 0; i < n && !rc; i++)
		rc = relate(l, b[i].type);
	free(b);
	b = NULL;
	n = 0;
	rc = rc ? rc : dbg_derived(l->d, cls, &b, &n, l->err);
	for (size_t i = 0; i < n && !rc; i++) {
		delta_add(l->w, b[i].offset);
		rc = relate(l, b[i].type);
	}
	free(b);
	if (l->n_users)
		qsort(l->user, l->n_users, sizeof(*l->user), by_u64);
	return rc;
}

static bool is_related(const struct looker *l, struct dbg_type t)
{
	for (size_t i = 0; t.die && i < l->n_related; i++)
		if (dbg_type_same(l->d, t, l->related[i]))
			return true;
	return false;
}

static enum who_evidence evidence_of(const struct looker *l, const struct who_store *s)
{
	for (size_t i = 0; i < s->n_scopes; i++)
		if (is_related(l, s->scope[i].cls))
			return WHO_MEMBER;
	if (s->symbol && l->n_users &&
	    bsearch(&s->symbol_vaddr, l->user, l->n_users, sizeof(*l->user), by_u64))
		return WHO_USER;
	return WHO_MATCH;
}

static int take_store(struct looker *l, const struct store *st)
{
	struct who *w = l->w;
	const struct elf_sym *sym;
	struct who_store *s;
	bool pointer;
	size_t i;
	int rc;

	if (st->call)
		return 0;
	if (st->string) {
		w->block++;
		return 0;
	}
	if (st->base == STORE_NO_REG || st->base == STORE_REG_RSP)
		return 0; /* a global, or the function's own frame */
	for (i = 0; i < w->n_deltas; i++) {
		int64_t at = st->disp - w->delta[i];

		if (at < (int64_t)w->offset + w->width && at + st->width > (int64_t)w->offset)
			break;
	}
	pointer = i == w->n_deltas;
	if (st->indexed && (!pointer || !st->disp)) {
		w->indexed++;
		return 0;
	}
	if (pointer && (st->disp || st->width != w->width)) {
		w->others++;
		return 0;
	}
	if (GROW(&w->store, w->n))
		return -ENOMEM;
	s = &w->store[w->n++];
	*s = (struct who_store){
		.vaddr = st->vaddr,
		.width = st->width,
		.base = st->base,
		.disp = st->disp,
		.exact = pointer || (st->disp == (int64_t)w->delta[i] + w->offset && st->width == w->width),
		.pointer = pointer,
		.has_imm = st->has_imm,
		.imm = st->imm};
	sym = dbg_symbol_at(l->d, st->vaddr);
	s->symbol = sym ? sym->name : NULL;
	s->symbol_vaddr = sym ? sym->vaddr : 0;
	rc = dbg_scopes(l->d, st->vaddr, s->scope, WHO_MAX_SCOPES, &s->n_scopes);
	s->evidence = pointer ? WHO_MATCH : evidence_of(l, s);
	s->file = dbg_line(l->d, st->vaddr, &s->line);
	return rc;
}

static int look_between(struct looker *l, uint64_t lo, uint64_t hi)
{
	struct store *v;
	size_t n;
	int rc = stores_between(l->stores, lo, hi, &v, &n);

	l->w->bytes += hi - lo;
	l->w->unread += rc == -EILSEQ;
	rc = rc == -EILSEQ ? 0 : rc;
	for (size_t i = 0; i < n && !rc; i++)
		rc = take_store(l, &v[i]);
	free(v);
	return rc;
}

static int add_symbol(void *ctx, const struct elf_sym *s)
{
	struct looker *l = ctx;

	if (!s->defined || (s->type != STT_FUNC && s->type != STT_GNU_IFUNC) || !s->vaddr)
		return 0;
	if (GROW(&l->sym, l->n_syms))
		return -ENOMEM;
	l->sym[l->n_syms++] = *s;
	return 0;
}

static int by_vaddr(const void *a, const void *b)
{
	const struct elf_sym *x = a, *y = b;

	return x->vaddr < y->vaddr ? -1 : x->vaddr > y->vaddr;
}

/* [lo, hi) of a section, cut where functions begin, so that what is no code between two of them does not
 * shift the decoding of the next. */
static int look_through(struct looker *l, uint64_t lo, uint64_t hi)
{
	int rc = 0;
	size_t i = 0;

	while (i < l->n_syms && l->sym[i].vaddr <= lo)
		i++;
	while (lo < hi && !rc) {
		uint64_t end = hi;

		if (i < l->n_syms && l->sym[i].vaddr < hi)
			end = l->sym[i++].vaddr;
		if (end > lo)
			rc = look_between(l, lo, end);
		lo = end;
	}
	return rc;
}

static int look_everywhere(struct looker *l)
{
	Elf *elf = elf_file_elf(dbg_binary(l->d));
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;
	int rc = dbg_for_each_symbol(l->d, add_symbol, l);

	if (l->n_syms)
		qsort(l->sym, l->n_syms, sizeof(*l->sym), by_vaddr);
	while (!rc && (scn = elf_nextscn(elf, scn))) {
		if (!gelf_getshdr(scn, &sh) || sh.sh_type != SHT_PROGBITS || !(sh.sh_flags & SHF_EXECINSTR) ||
		    !elf_bytes(dbg_binary(l->d), sh.sh_addr, sh.sh_size))
			continue;
		rc = look_through(l, sh.sh_addr, sh.sh_addr + sh.sh_size);
	}
	return rc;
}

static int by_place(const void *a, const void *b)
{
	const struct who_store *x = a, *y = b;

	return x->vaddr < y->vaddr ? -1 : x->vaddr > y->vaddr;
}

int who_stores(struct who *ret, struct dbg *d, const char *field, struct err *err)
{
	struct looker l = {.w = ret, .d = d, .err = err};
	struct dbg_type cls;
	int rc;

	*ret = (struct who){0};
	rc = dbg_load_all(d) ? err_set(err, -EINVAL, "the debuginfo is damaged")
			     : stores_create(&l.stores, d, err);
	rc = rc ? rc : find_field(&l, field, &cls);
	if (!rc) {
		rc = find_related(&l, cls);
		rc = rc ? rc : look_everywhere(&l);
		if (rc)
			err_set(err, rc, rc == -ENOMEM ? "out of memory" : "%s cannot be read", field);
	}
	if (ret->n)
		qsort(ret->store, ret->n, sizeof(*ret->store), by_place);
	stores_destroy(l.stores);
	free(l.user);
	free(l.sym);
	if (rc)
		who_free(ret);
	return rc;
}

void who_free(struct who *w)
{
	free(w->store);
	*w = (struct who){0};
}
