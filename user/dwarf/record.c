// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dwarf/dbg_priv.h"
#include "dwarf/record.h"
#include "util/grow.h"

struct record {
	uint64_t *die; /* sorted[0..n_sorted), then as they came */
	size_t n, n_sorted;
	uint64_t *throughout;
	size_t n_throughout;
	char **symbol;
	size_t n_symbols;
	bool failed; /* out of memory: something is missing */
};

int dbg_record(struct dbg *d)
{
	d->record = calloc(1, sizeof(*d->record));
	return d->record ? 0 : -ENOMEM;
}

void record_free(struct record *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_symbols; i++)
		free(r->symbol[i]);
	free(r->symbol);
	free(r->throughout);
	free(r->die);
	free(r);
}

static int by_id(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Sorts, and drops what is there twice. */
static void tidy(struct record *r)
{
	size_t kept = 0;

	if (r->n)
		qsort(r->die, r->n, sizeof(*r->die), by_id);
	for (size_t i = 0; i < r->n; i++)
		if (!kept || r->die[kept - 1] != r->die[i])
			r->die[kept++] = r->die[i];
	r->n = r->n_sorted = kept;
}

void record_die(const struct dbg *d, uint64_t id)
{
	struct record *r = d->record;

	if (!r || bsearch(&id, r->die ? r->die : &id, r->n_sorted, sizeof(id), by_id))
		return;
	if (r->n - r->n_sorted > 4096 + r->n_sorted / 4)
		tidy(r);
	if (GROW(&r->die, r->n))
		r->failed = true;
	else
		r->die[r->n++] = id;
}

void record_symbol(const struct dbg *d, const char *name)
{
	struct record *r = d->record;
	char *copy;

	if (!r || dbg_recorded_symbol(d, name))
		return;
	copy = strdup(name);
	if (!copy || GROW(&r->symbol, r->n_symbols)) {
		free(copy);
		r->failed = true;
		return;
	}
	r->symbol[r->n_symbols++] = copy;
}

int dbg_recorded(struct dbg *d, const uint64_t **ret, size_t *n)
{
	*ret = NULL;
	*n = 0;
	if (!d->record)
		return 0;
	tidy(d->record);
	*ret = d->record->die;
	*n = d->record->n;
	return d->record->failed ? -ENOMEM : 0;
}

bool dbg_recorded_symbol(const struct dbg *d, const char *name)
{
	for (size_t i = 0; d->record && i < d->record->n_symbols; i++)
		if (!strcmp(d->record->symbol[i], name))
			return true;
	return false;
}

int dbg_record_throughout(struct dbg *d, uint64_t die)
{
	struct record *r = d->record;

	if (!r)
		return 0;
	if (GROW(&r->throughout, r->n_throughout))
		return -ENOMEM;
	r->throughout[r->n_throughout++] = die;
	return 0;
}

bool dbg_recorded_throughout(const struct dbg *d, uint64_t die)
{
	for (size_t i = 0; d->record && i < d->record->n_throughout; i++)
		if (d->record->throughout[i] == die)
			return true;
	return false;
}
