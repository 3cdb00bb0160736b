// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/known.h"
#include "layout/bits.h"
#include "util/grow.h"
#include "util/search.h"

/* Type of a field as it is written in C++. */
static const char *type_text(struct dbg *d, struct dbg_type t)
{
	struct dbg_type_info i, to = {.name = "void"};

	if (!t.die || dbg_type_info(d, t, &i))
		return "";
	if (i.target.die && dbg_type_info(d, i.target, &to))
		return i.name;
	if (to.kind == DBG_STRING)
		to.name = "std::string";
	else if (!*to.name)
		to.name = "(unnamed)";
	switch (i.kind) {
	case DBG_PTR:
	case DBG_REF:
		return dbg_string(d, "%s %s", to.name, i.kind == DBG_PTR ? "*" : "&");
	case DBG_ARRAY:
		return dbg_string(d, "%s[%llu]", to.name, (unsigned long long)i.count);
	case DBG_STRING:
		return "std::string";
	case DBG_ARENA_STRING:
		return "ArenaStringPtr";
	case DBG_REPEATED:
	case DBG_REPEATED_PTR:
		return dbg_string(d, "%s<%s>", i.kind == DBG_REPEATED ? "RepeatedField" : "RepeatedPtrField",
				  to.name);
	default:
		return i.name;
	}
}

/* Has-bits of the message that declares them: of the class itself or of the base it is derived from. */
static void read_bits(struct known *k, struct known_type *t)
{
	const char *owner = NULL;
	struct dbg_type cls;

	for (size_t i = 0; i < t->guard->n_field && !owner; i++)
		if (t->guard->field[i].kind == GUARD_HAS_BITS)
			owner = t->guard->field[i].owner;
	if (!owner || dbg_find_class(k->dbg, owner, &cls, NULL) ||
	    guard_bit_names(k->dbg, cls, &t->bit_name, &t->n_bits))
		return;
	for (size_t i = 0; i < t->guard->n_field; i++) {
		const struct guard_field *g = &t->guard->field[i];

		if (g->kind == GUARD_REPEATED || g->kind == GUARD_REPEATED_PTR)
			continue; /* protobuf 2 counts them, but never sets their bits */
		for (size_t b = 0; b < t->n_bits && g->proto && !strcmp(g->owner, owner); b++)
			if (t->bit_name[b] && !strcmp(t->bit_name[b], g->path))
				t->field[i].bit = (int)b;
	}
}

static int add_type(struct known *k, const struct guard_type *g, uint32_t base)
{
	struct known_type *t;

	if (GROW(&k->type, k->n_types))
		return -ENOMEM;
	t = &k->type[k->n_types++];
	*t = (struct known_type){.guard = g, .base = base};
	t->field = calloc(g->n_field + 1, sizeof(*t->field));
	if (!t->field)
		return -ENOMEM;
	for (size_t i = 0; i < g->n_field; i++) {
		struct known_field *x = &t->field[i];

		x->has_rule = plan_field_rule(&g->field[i], base, &x->rule);
		x->type = type_text(k->dbg, g->field[i].type);
		x->bit = -1;
		if (!x->type)
			return -ENOMEM;
	}
	read_bits(k, t);
	return 0;
}

static int add_vptr(struct known *k, uint32_t type, const struct guard_vptr *v)
{
	bool own = !strcmp(v->cls, k->type[type].guard->name);
	uint64_t value = k->bias + v->vaddr;
	struct dbg_type_info info;
	struct known_vptr *x;
	struct dbg_type cls;

	for (size_t i = 0; i < k->n_vptrs; i++) {
		if (k->vptr[i].value != value)
			continue;
		if (own)
			k->vptr[i].type = type;
		return 0;
	}
	if (GROW(&k->vptr, k->n_vptrs))
		return -ENOMEM;
	x = &k->vptr[k->n_vptrs++];
	*x = (struct known_vptr){.value = value, .cls = v->cls, .type = type};
	if (!dbg_find_class(k->dbg, v->cls, &cls, NULL) && !dbg_type_info(k->dbg, cls, &info))
		x->size = info.size;
	return 0;
}

static int by_value(const void *a, const void *b)
{
	const struct known_vptr *x = a, *y = b;

	return x->value < y->value ? -1 : x->value > y->value;
}

/* Vtables of the executable itself: the tables are built without libraries. */
static int add_vptrs(struct known *k)
{
	int rc = 0;

	for (size_t t = 0; !rc && t < k->n_types; t++) {
		const struct guard_type *g = k->type[t].guard;

		for (uint32_t i = 0; !rc && g->vptrs_known && i < g->n_vptr; i++)
			rc = add_vptr(k, (uint32_t)t, &g->vptr[i]);
	}
	if (k->n_vptrs)
		qsort(k->vptr, k->n_vptrs, sizeof(*k->vptr), by_value);
	return rc;
}

static int add_root(struct known *k, const char *name, struct err *err)
{
	uint32_t base = (uint32_t)k->n_types;
	struct guard_table *g;
	struct dbg_type cls;
	int rc;

	if (k->n_roots == KNOWN_MAX_ROOTS)
		return err_set(err, -E2BIG, "more than %d types", KNOWN_MAX_ROOTS);
	rc = dbg_find_class(k->dbg, name, &cls, err);
	if (!rc)
		rc = guard_build(&g, k->dbg, cls, NULL, err);
	if (rc)
		return rc;
	k->root[k->n_roots] = base;
	k->table[k->n_roots++] = g;
	for (size_t i = 0; !rc && i < g->n_type; i++)
		rc = add_type(k, &g->type[i], base);
	return rc ? err_set(err, rc, "out of memory") : 0;
}

/* Which of libstdc++'s two strings the program uses, by the size of the class. */
static uint64_t string_size(struct dbg *d)
{
	static const char *const names[] = {
		"std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >",
		"std::basic_string<char, std::char_traits<char>, std::allocator<char> >"};
	struct dbg_type_info i;
	struct dbg_type cls;

	for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++)
		if (!dbg_find_class(d, names[n], &cls, NULL) && !dbg_type_info(d, cls, &i) &&
		    (i.size == 8 || i.size == 32))
			return i.size;
	return 0;
}

int known_make(struct known **ret, struct dbg *dbg, uint64_t bias, const char *const *name, size_t n,
	       struct err *err)
{
	struct known *k = calloc(1, sizeof(*k));
	int rc = 0;

	*ret = NULL;
	if (!k)
		return err_set(err, -ENOMEM, "out of memory");
	k->dbg = dbg;
	k->bias = bias;
	for (size_t i = 0; !rc && i < n; i++)
		rc = add_root(k, name[i], err);
	if (!rc && add_vptrs(k))
		rc = err_set(err, -ENOMEM, "out of memory");
	if (rc) {
		known_free(k);
		return rc;
	}
	k->string_size = string_size(k->dbg);
	*ret = k;
	return 0;
}

int known_open(struct known **ret, struct space *s, const char *debuginfo, const char *const *name, size_t n,
	       struct err *err)
{
	const struct space_module *exe;
	struct dbg *dbg;
	const char *why;
	int rc;

	*ret = NULL;
	exe = space_exe(s, &why);
	if (!exe) {
		rc = err_set(err, -ENOENT, "types cannot be told: %s", why);
		err_hint(err, "--binary FILE names the executable of a core");
		return rc;
	}
	rc = dbg_open(&dbg, elf_file_path(exe->file), debuginfo, err);
	if (rc)
		return rc;
	rc = known_make(ret, dbg, exe->bias, name, n, err);
	if (rc)
		dbg_close(dbg);
	else
		(*ret)->owns_dbg = true;
	return rc;
}

void known_free(struct known *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->n_types; i++) {
		free(k->type[i].field);
		free(k->type[i].bit_name);
	}
	for (size_t i = 0; i < k->n_roots; i++)
		guard_free(k->table[i]);
	free(k->type);
	free(k->vptr);
	if (k->owns_dbg)
		dbg_close(k->dbg);
	free(k);
}

const struct known_vptr *known_class(const struct known *k, uint64_t vptr)
{
	size_t at = FIRST_FROM(k->vptr, k->n_vptrs, value, vptr);

	return at < k->n_vptrs && k->vptr[at].value == vptr ? &k->vptr[at] : NULL;
}

bool known_vptr_ok(const struct known *k, unsigned type, uint64_t v)
{
	const struct guard_type *g = type < k->n_types ? k->type[type].guard : NULL;

	if (!g || !g->vptrs_known || !g->n_vptr)
		return true;
	for (uint32_t i = 0; i < g->n_vptr; i++)
		if (k->bias + g->vptr[i].vaddr == v)
			return true;
	return false;
}
