/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where .debug_info may mention a name: offsets of the name in .debug_str, found in its bytes. */
#ifndef CULPRIT_DWARF_MENTIONS_H
#define CULPRIT_DWARF_MENTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MENTION_MIN 4 /* compilers put what is shorter into the entry itself */
#define MENTION_MAX 256

struct mention_section {
	const uint8_t *p;
	size_t size;
};

struct mentions {
	struct mention_section info, str;
	bool mapped; /* from a file: pages that were read may be dropped, and come back */
};

/*
 * fn is called with the name's number and an offset in .debug_info, for each place that may mention it, by
 * several threads at a time. A name that ends in '<' is the begin of one, any other a whole one. -ENOMEM.
 */
int mentions_find(const struct mentions *m, const char *const *name, size_t n,
		  void (*fn)(void *ctx, size_t name, uint64_t at), void *ctx);

#endif
