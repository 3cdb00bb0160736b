// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "writes/uses.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dwarf/funcs.h"
#include "util/grow.h"

struct uses {
	struct dbg *d;
	const char **related;
	size_t n_related;
	uint64_t *caller; /* entries of functions that hold inlined code; sorted, each once */
	size_t n_callers;
	struct err err; /* of the collecting callbacks */
};

static int caller_add(struct uses *u, uint64_t vaddr)
{
	if (GROW(&u->caller, u->n_callers))
		return err_set(&u->err, -ENOMEM, "out of memory");
	u->caller[u->n_callers++] = vaddr;
	return 0;
}

static int method_callers(void *ctx, const struct dbg_func *f)
{
	struct uses *u = ctx;
	struct dbg_inline *in;
	size_t n;
	int code = dbg_inlines(u->d, f, &in, &n, &u->err);

	if (code)
		return code;
	for (size_t i = 0; !code && i < n; i++)
		code = caller_add(u, in[i].caller);
	dbg_inlines_free(in, n);
	return code;
}

static int class_add(struct uses *u, struct dbg_type t, bool is_related)
{
	struct dbg_type_info info;
	int code = dbg_type_info(u->d, t, &info);

	if (code)
		return err_set(&u->err, code, "a base or derived class cannot be read");
	if (is_related) {
		if (GROW(&u->related, u->n_related))
			return err_set(&u->err, -ENOMEM, "out of memory");
		u->related[u->n_related++] = info.name;
	}
	/* a class that is only declared here has no members to be inlined */
	return info.declaration ? 0 : dbg_methods(u->d, t, method_callers, u, &u->err);
}

typedef int (*relatives_fn)(struct dbg *d, struct dbg_type t, struct dbg_base **ret, size_t *n,
			    struct err *err);

static int relatives_add(struct uses *u, struct dbg_type t, relatives_fn list)
{
	struct dbg_base *v;
	size_t n;
	int code = list(u->d, t, &v, &n, &u->err);

	if (code)
		return code;
	for (size_t i = 0; !code && i < n; i++)
		code = class_add(u, v[i].type, true);
	free(v);
	return code;
}

static int by_vaddr(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int uses_create(struct uses **ret, struct dbg *d, struct dbg_type t, struct err *err)
{
	struct uses *u = calloc(1, sizeof(*u));
	size_t kept = 0;
	int code;

	*ret = NULL;
	if (!u)
		return err_set(err, -ENOMEM, "out of memory");
	u->d = d;
	code = class_add(u, t, false);
	if (!code)
		code = relatives_add(u, t, dbg_bases);
	if (!code)
		code = relatives_add(u, t, dbg_derived);
	if (code) {
		if (err)
			*err = u->err;
		uses_destroy(u);
		return code;
	}
	if (u->n_callers)
		qsort(u->caller, u->n_callers, sizeof(u->caller[0]), by_vaddr);
	for (size_t i = 0; i < u->n_callers; i++) {
		if (!kept || u->caller[kept - 1] != u->caller[i])
			u->caller[kept++] = u->caller[i];
	}
	u->n_callers = kept;
	*ret = u;
	return 0;
}

void uses_destroy(struct uses *u)
{
	if (!u)
		return;
	free(u->related);
	free(u->caller);
	free(u);
}

const char *const *uses_related(const struct uses *u, size_t *n)
{
	*n = u->n_related;
	return u->related;
}

int uses_at(const struct uses *u, uint64_t vaddr)
{
	const struct elf_sym *sym = dbg_symbol_at(u->d, vaddr);

	/* a part split off has an address of its own; whose part it is would have to be guessed */
	if (!sym || strstr(sym->name, ".cold") || strstr(sym->name, ".part."))
		return -1;
	return u->n_callers &&
	       bsearch(&sym->vaddr, u->caller, u->n_callers, sizeof(u->caller[0]), by_vaddr) != NULL;
}

int uses_frame(void *ctx, const struct frame *f)
{
	const struct uses *u = ctx;
	const char *id = elf_file_build_id_hex(dbg_binary(u->d));

	if (!f->build_id || !id[0] || strcmp(f->build_id, id) != 0)
		return -1;
	return uses_at(u, f->offset);
}
