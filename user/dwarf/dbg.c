// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <libiberty/demangle.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dwarf/dbg_priv.h"
#include "dwarf/lazy.h"
#include "elf/inflate.h"
#include "util/search.h"

static int collect(void *ctx, const struct elf_sym *s)
{
	struct dbg *d = ctx;

	if (s->defined && (s->type == STT_FUNC || s->type == STT_GNU_IFUNC) && s->vaddr)
		d->func_sym[d->n_func_sym++] = *s;
	return 0;
}

static int count(void *ctx, const struct elf_sym *s)
{
	(void)s;
	++*(size_t *)ctx;
	return 0;
}

/* By address; at one address the global before the local, then by name, so that the choice is the same in
 * each run. */
static int by_vaddr(const void *a, const void *b)
{
	const struct elf_sym *x = a, *y = b;

	if (x->vaddr != y->vaddr)
		return x->vaddr < y->vaddr ? -1 : 1;
	if ((x->bind == STB_LOCAL) != (y->bind == STB_LOCAL))
		return x->bind == STB_LOCAL ? 1 : -1;
	return strcmp(x->name, y->name);
}

static int read_symbols(struct dbg *d)
{
	const struct elf_file *f = d->sep ? d->sep : d->bin;
	size_t n = 0;

	elf_for_each_symbol(f, count, &n);
	d->func_sym = calloc(n + 1, sizeof(*d->func_sym));
	if (!d->func_sym)
		return -ENOMEM;
	elf_for_each_symbol(f, collect, d);
	qsort(d->func_sym, d->n_func_sym, sizeof(*d->func_sym), by_vaddr);
	return 0;
}

static int no_debuginfo(const struct dbg *d, const char *binary, struct err *err)
{
	err_set(err, -ENODATA, "no debuginfo for %s%s:\n%s", binary,
		d->debug.state == ELF_DEBUG_MISMATCH ? " (what was found is of another build)" : "",
		d->debug.reason);
	err_hint(err,
		 "give the directory or file that has it with --debuginfo, or with --profile what `culprit "
		 "layout` "
		 "made of it elsewhere; build-id %s",
		 *elf_file_build_id_hex(d->bin) ? elf_file_build_id_hex(d->bin) : "none");
	return -ENODATA;
}

Elf *dbg_elf(const struct dbg *d)
{
	return d->inflated ? inflate_elf(d->inflated) : elf_file_elf(d->sep ? d->sep : d->bin);
}

int dbg_open(struct dbg **ret, const char *binary, const char *debuginfo, struct err *err)
{
	struct dbg *d = calloc(1, sizeof(*d));
	int rc = -ENOMEM;

	*ret = NULL;
	if (!d)
		return err_set(err, rc, "out of memory");
	rc = elf_file_open(&d->bin, binary, err);
	if (rc)
		goto out;
	elf_find_debug(d->bin, debuginfo, &d->debug);
	if (d->debug.state == ELF_DEBUG_NONE || d->debug.state == ELF_DEBUG_MISMATCH) {
		rc = no_debuginfo(d, binary, err);
		goto out;
	}
	if (d->debug.state == ELF_DEBUG_FOUND) {
		rc = elf_file_open(&d->sep, d->debug.path, err);
		if (rc)
			goto out;
	}
	rc = inflate_open(&d->inflated, d->sep ? d->sep : d->bin, err);
	if (rc)
		goto out;
	d->dw = dwarf_begin_elf(dbg_elf(d), DWARF_C_READ, NULL);
	if (!d->dw) {
		rc = err_set(err, -EINVAL, "cannot read the debuginfo in %s: %s", d->debug.path,
			     dwarf_errmsg(-1));
		goto out;
	}
	d->alt = dwarf_getalt(d->dw);
	rc = read_symbols(d);
	rc = rc ? rc : lazy_open(&d->lazy, d);
	if (rc)
		err_set(err, rc, "out of memory");
	rc = rc ? rc : index_build(d, err);
	if (rc)
		goto out;
	*ret = d;
	return 0;
out:
	dbg_close(d);
	return rc;
}

void dbg_close(struct dbg *d)
{
	if (!d)
		return;
	types_free(d);
	index_free(d);
	lazy_close(d->lazy);
	record_free(d->record);
	free(d->code);
	for (size_t i = 0; i < d->n_strings; i++)
		free(d->strings[i]);
	free(d->strings);
	free(d->hashed);
	free(d->func_sym);
	if (d->cfi_eh)
		dwarf_cfi_end(d->cfi_eh);
	if (d->dw)
		dwarf_end(d->dw); /* ends cfi_debug and closes nothing of the ELF */
	inflate_close(d->inflated);
	elf_file_close(d->sep);
	elf_file_close(d->bin);
	free(d);
}

const struct elf_file *dbg_binary(const struct dbg *d)
{
	return d->bin;
}

const struct elf_debug *dbg_debuginfo(const struct dbg *d)
{
	return &d->debug;
}

int dbg_symbol(const struct dbg *d, const char *mangled, struct elf_sym *ret)
{
	record_symbol(d, mangled);
	if (d->sep && !elf_symbol(d->sep, mangled, ret))
		return 0;
	return elf_symbol(d->bin, mangled, ret);
}

const struct elf_sym *dbg_symbol_at(const struct dbg *d, uint64_t vaddr)
{
	size_t after = FIRST_AFTER(d->func_sym, d->n_func_sym, vaddr, vaddr), at;

	if (!after)
		return NULL;
	at = FIRST_FROM(d->func_sym, after, vaddr,
			d->func_sym[after - 1].vaddr); /* of those at one address */
	if (d->func_sym[at].vaddr != vaddr && vaddr - d->func_sym[at].vaddr >= d->func_sym[at].size)
		return NULL;
	return &d->func_sym[at];
}

char *dbg_demangle(const char *mangled, char *buf, size_t len)
{
	char *s = cplus_demangle(mangled, DMGL_PARAMS | DMGL_ANSI);

	snprintf(buf, len, "%s", s ? s : mangled);
	free(s);
	return buf;
}

int dbg_for_each_symbol(const struct dbg *d, int (*fn)(void *ctx, const struct elf_sym *sym), void *ctx)
{
	return elf_for_each_symbol(d->sep ? d->sep : d->bin, fn, ctx);
}

bool dbg_name_eq(const char *a, const char *b)
{
	return name_eq(a, strlen(a), b, strlen(b));
}

const char *dbg_string(struct dbg *d, const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	return dbg_keep(d, s);
}

int dbg_load_all(struct dbg *d)
{
	return lazy_want_all(d);
}
