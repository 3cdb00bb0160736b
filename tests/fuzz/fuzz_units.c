// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The cache of which units mention what: a file that was damaged, or made by another. The first byte says how
 * many units there are and whether the rest is the whole file or what stands between its head and its sum. */
#include <inttypes.h>

#include "dwarf/dbg_priv.h"
#include "dwarf/unit_cache.h"
#include "fuzz.h"

#define KEY 0x1234

/* Sets of as many units as there are, each name found by itself. */
static void check(const struct unit_cache *c)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < c->n; i++) {
		const struct unit_set *s = unit_cache_find(c, c->v[i].name);

		if (!s || strcmp(s->name, c->v[i].name) != 0)
			abort();
		for (size_t k = 0; k < (c->n_units + 63) / 64; k++)
			sum += c->v[i].bits[k];
		if (c->n_units % 64 && c->v[i].bits[c->n_units / 64] >> (c->n_units % 64))
			abort();
	}
	(void)sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct unit_cache c = {.key = KEY};
	char *text, *whole = NULL;
	size_t len;
	FILE *f;

	if (!size)
		return 0;
	c.n_units = data[0] >> 1;
	text = text_of(data + 1, size - 1);
	f = open_memstream(&whole, &len);
	if (!f)
		abort();
	if (data[0] & 1)
		fprintf(f, UNIT_CACHE_HEAD, c.key, c.n_units);
	fwrite(text, 1, size - 1, f);
	fflush(f);
	if (data[0] & 1)
		fprintf(f, UNIT_CACHE_SUM, bytes_hash(NAME_SEED, whole, len));
	fclose(f);
	if (!unit_cache_parse(&c, whole, len))
		check(&c);
	unit_cache_close(&c);
	free(whole);
	free(text);
	return 0;
}
