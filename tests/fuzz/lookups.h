/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Lookups in debuginfo made of foreign bytes: classes, functions, inlined instances, layouts and the writers
 * of a layout. */
#ifndef CULPRIT_FUZZ_LOOKUPS_H
#define CULPRIT_FUZZ_LOOKUPS_H

#include <stdlib.h>

#include "dwarf/funcs.h"
#include "layout/guard.h"
#include "layout/who.h"
#include "layout/writers.h"

#define MAX_SYMBOLS 64

struct job {
	struct dbg *d;
	struct dbg_type cls;
	unsigned n;
};

static int function(void *ctx, const struct dbg_func *f)
{
	struct job *j = ctx;
	struct dbg_inline *in = NULL;
	struct dbg_param *par = NULL;
	struct arg_path path;
	size_t n;

	if (!dbg_params(j->d, f, &par, &n, NULL))
		free(par);
	for (size_t i = 0; i < f->n_entry; i++)
		dbg_arg_path(j->d, f, &f->entry[i], NULL, j->cls, &path, NULL);
	if (!dbg_inlines(j->d, f, &in, &n, NULL))
		dbg_inlines_free(in, n);
	return ++j->n > MAX_SYMBOLS;
}

static int symbol(void *ctx, const struct elf_sym *s)
{
	struct job *j = ctx;
	struct dbg_func *f;

	if (s->defined && !dbg_find_function(j->d, s->name, &f, NULL)) {
		function(j, f);
		dbg_func_free(f);
	}
	return ++j->n > MAX_SYMBOLS;
}

static inline void layout(struct dbg *d, struct dbg_type t)
{
	const struct guard_opts opts = {.max_types = 8};
	struct writers *w;
	struct guard_table *g;

	if (guard_build(&g, d, t, &opts, NULL))
		return;
	if (!writers_find(&w, d, g, NULL))
		writers_free(w);
	guard_free(g);
}

static void look(struct dbg *d, const char *name)
{
	struct job j = {.d = d};
	struct dbg_member *m;
	struct dbg_base *b;
	struct dbg_func *f;
	size_t n;

	if (!dbg_find_class(d, name, &j.cls, NULL)) {
		if (!dbg_members(d, j.cls, &m, &n, NULL))
			free(m);
		if (!dbg_bases(d, j.cls, &b, &n, NULL))
			free(b);
		if (!dbg_derived(d, j.cls, &b, &n, NULL))
			free(b);
		dbg_count_statics(d, j.cls, "k", "Number");
		dbg_methods(d, j.cls, function, &j, NULL);
		layout(d, j.cls);
	}
	if (!dbg_find_function(d, name, &f, NULL)) {
		function(&j, f);
		dbg_func_free(f);
	}
}

/* Everything that can be asked of the names the seeds have. */
static inline void look_at_all(struct dbg *d)
{
	static const char *const names[] = {"ns::A", "B", "M", "f", "ns::A::set", "get(int)"};
	static const char *const fields[] = {"ns::A::x", "M::a", "B::list_"};
	struct job j = {.d = d};
	struct who w;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		look(d, names[i]);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (!who_stores(&w, d, fields[i], NULL))
			who_free(&w);
	dbg_overrides(d, "B::get", function, &j, NULL);
	j.n = 0;
	dbg_for_each_symbol(d, symbol, &j);
}

#endif
