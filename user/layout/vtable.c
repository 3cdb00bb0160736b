// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Where vtables stand. A vptr points 16 bytes behind its vtable's symbol, past offset-to-top and RTTI
 * (Itanium C++ ABI, 2.5.2). Those of the daemon's types stand in the daemon; a class of a library has its own
 * there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/guard_priv.h"
#include "util/grow.h"

#define VPTR_OFFSET 16
#define VTABLE_FOR  "vtable for "

struct reading {
	struct vtables *t;
	int rc;
};

static int take(void *ctx, const struct elf_sym *s)
{
	struct reading *r = ctx;
	struct vtables *t = r->t;
	char text[2048];

	if (strncmp(s->name, "_ZTV", 4) != 0)
		return 0;
	dbg_demangle(s->name, text, sizeof(text));
	if (strncmp(text, VTABLE_FOR, strlen(VTABLE_FOR)) != 0)
		return 0;
	if (GROW(&t->v, t->n))
		return r->rc = -ENOMEM;
	t->v[t->n].cls = strdup(text + strlen(VTABLE_FOR));
	t->v[t->n].vaddr = s->defined ? s->vaddr : 0;
	if (!t->v[t->n].cls)
		return r->rc = -ENOMEM;
	t->n++;
	return 0;
}

static int by_class(const void *a, const void *b)
{
	const struct vtable *x = a, *y = b;
	int c = strcmp(x->cls, y->cls);

	return c ? c : x->vaddr < y->vaddr ? -1 : x->vaddr > y->vaddr;
}

int vtables_read(struct builder *b)
{
	b->n_tables = 1 + b->opts->n_libs;
	b->tables = calloc(b->n_tables, sizeof(*b->tables));
	if (!b->tables)
		return -ENOMEM;
	for (size_t i = 0; i < b->n_tables; i++) {
		struct reading r = {.t = &b->tables[i]};

		b->tables[i].module = i ? b->opts->libs[i - 1] : dbg_binary(b->d);
		if (i)
			elf_for_each_dynsym(b->tables[i].module, take, &r);
		else
			dbg_for_each_symbol(b->d, take, &r);
		if (r.rc)
			return r.rc;
		if (b->tables[i].n)
			qsort(b->tables[i].v, b->tables[i].n, sizeof(*b->tables[i].v), by_class);
	}
	return 0;
}

void vtables_free(struct builder *b)
{
	for (size_t i = 0; b->tables && i < b->n_tables; i++) {
		for (size_t k = 0; k < b->tables[i].n; k++)
			free(b->tables[i].v[k].cls);
		free(b->tables[i].v);
	}
	free(b->tables);
}

/* First entry of cls in t, by a name that may have its spaces elsewhere. */
static const struct vtable *find(const struct vtables *t, const char *cls)
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (strcmp(t->v[mid].cls, cls) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < t->n && !strcmp(t->v[lo].cls, cls))
		return &t->v[lo];
	for (size_t i = 0; strchr(cls, '<') && i < t->n; i++)
		if (dbg_name_eq(t->v[i].cls, cls))
			return &t->v[i];
	return NULL;
}

bool vtable_known(struct builder *b, const char *cls)
{
	for (size_t i = 0; i < b->n_tables; i++)
		if (find(&b->tables[i], cls))
			return true;
	return false;
}

/* Adds cls's vtables in all modules. Returns how many; negative: too many. *undefined: referenced, but no
 * module given has it. */
static int add(struct builder *b, struct guard_type *t, const char *cls, bool *undefined)
{
	bool referenced = false;
	int n = 0;

	for (size_t i = 0; i < b->n_tables; i++) {
		const struct vtables *vt = &b->tables[i];
		const struct vtable *v = find(vt, cls);

		for (; v && v < vt->v + vt->n && dbg_name_eq(v->cls, cls); v++) {
			if (!v->vaddr) {
				referenced = true;
				continue;
			}
			if (n && t->vptr[t->n_vptr - 1].module == vt->module &&
			    t->vptr[t->n_vptr - 1].vaddr == v->vaddr + VPTR_OFFSET)
				continue;
			if (t->n_vptr == GUARD_MAX_VPTRS)
				return -E2BIG;
			t->vptr[t->n_vptr++] = (struct guard_vptr){
				.module = vt->module, .vaddr = v->vaddr + VPTR_OFFSET, .cls = cls};
			n++;
		}
	}
	*undefined = referenced && !n;
	return n;
}

static void unknown(struct guard_type *t, const char *what, const char *cls)
{
	t->vptrs_known = false;
	t->n_vptr = 0;
	snprintf(t->vptr_reason, sizeof(t->vptr_reason), "%s%.90s", what, cls);
}

/* A class without a vtable symbol anywhere was never made an object of: nothing to allow. */
void vptrs_fill(struct builder *b, struct guard_type *t)
{
	struct dbg_base *derived = NULL;
	bool undefined = false;
	size_t n = 0;
	int rc = add(b, t, t->name, &undefined);

	t->vptrs_known = rc > 0;
	if (rc <= 0)
		unknown(t, rc ? "too many vtables of " : "no vtable symbol of ", t->name);
	if (!t->vptrs_known || dbg_derived(b->d, t->type, &derived, &n, NULL)) {
		if (t->vptrs_known)
			unknown(t, "cannot list what is derived from ", t->name);
		return;
	}
	for (size_t i = 0; i < n && t->vptrs_known; i++) {
		struct dbg_type_info info;

		if (dbg_type_info(b->d, derived[i].type, &info))
			continue;
		if (derived[i].offset && vtable_known(b, info.name)) {
			unknown(t, "its vptr differs inside of ", info.name);
			break;
		}
		rc = derived[i].offset ? 0 : add(b, t, info.name, &undefined);
		if (rc < 0)
			unknown(t, "too many classes derived from ", t->name);
		else if (undefined)
			unknown(t, "no module has the vtable of ", info.name);
	}
	free(derived);
}

/* "_ZN3zbs24_Chunk_default_instance_E": a variable `suffix` beside or in the class. false: a template's, no
 * plain name. */
static bool mangle_beside(const char *cls, const char *prefix, const char *suffix, bool inside, char *buf,
			  size_t len)
{
	size_t used = 0, parts = 0;
	char body[1024] = "";
	const char *p = cls;

	if (strpbrk(cls, "<( "))
		return false;
	while (used < sizeof(body)) {
		const char *end = strstr(p, "::");
		size_t n = end ? (size_t)(end - p) : strlen(p);

		if (!end && !inside) {
			size_t whole = strlen(prefix) + n + strlen(suffix);

			used += (size_t)snprintf(body + used, sizeof(body) - used, "%zu%s%.*s%s", whole,
						 prefix, (int)n, p, suffix);
		} else {
			used += (size_t)snprintf(body + used, sizeof(body) - used, "%zu%.*s", n, (int)n, p);
		}
		parts++;
		if (!end)
			break;
		p = end + 2;
	}
	if (inside && used < sizeof(body)) {
		used += (size_t)snprintf(body + used, sizeof(body) - used, "%zu%s", strlen(suffix), suffix);
		parts++;
	}
	if (used >= sizeof(body))
		return false;
	if (parts > 1)
		snprintf(buf, len, "_ZN%sE", body);
	else
		snprintf(buf, len, "%s%s%s", prefix, cls, suffix);
	return true;
}

/* 3.x: variable _NAME_default_instance_ beside the class; 2.x: static member default_instance_, a pointer. */
static bool default_of(struct builder *b, struct guard_type *t, const char *cls)
{
	struct elf_sym s;
	char name[1100];

	if (mangle_beside(cls, "_", "_default_instance_", false, name, sizeof(name)) &&
	    !dbg_symbol(b->d, name, &s))
		t->default_is_pointer = false;
	else if (mangle_beside(cls, "", "default_instance_", true, name, sizeof(name)) &&
		 !dbg_symbol(b->d, name, &s))
		t->default_is_pointer = true;
	else
		return false;
	t->default_module = dbg_binary(b->d);
	t->default_vaddr = s.vaddr;
	return true;
}

/* A class derived from a message has its defaults where the message is its first base: the offsets are the
 * same. */
void default_instance_fill(struct builder *b, struct guard_type *t)
{
	struct dbg_base *base = NULL;
	struct dbg_type_info info;
	size_t n = 0;

	if (default_of(b, t, t->name) || dbg_bases(b->d, t->type, &base, &n, NULL))
		return;
	for (size_t i = 0; i < n && base[i].offset == 0; i++)
		if (!dbg_type_info(b->d, base[i].type, &info) && default_of(b, t, info.name))
			break;
	free(base);
}
