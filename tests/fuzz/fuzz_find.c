// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the user looks for, in bytes of any kind: a line, then the bytes. Both ways to search must agree. */
#include "find/pattern.h"
#include "fuzz.h"

#define HITS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, '\n', size);
	uint64_t a[HITS], b[HITS];
	struct pattern p;
	size_t n;
	char *hex;
	int rc;

	if (!end)
		return 0;
	hex = text_of(data, (size_t)(end - data));
	rc = pattern_hex(&p, hex, 1u << (size & 3), NULL);
	free(hex);
	if (rc)
		return 0;
	size -= (size_t)(end + 1 - data);
	n = pattern_search(&p, end + 1, size, 0x1000, a, HITS);
	if (n != pattern_search_portable(&p, end + 1, size, 0x1000, b, HITS) ||
	    memcmp(a, b, (n < HITS ? n : HITS) * sizeof(a[0])) != 0)
		abort();
	return 0;
}
