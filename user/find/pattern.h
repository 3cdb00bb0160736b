/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What `find` looks for, and the search in a buffer: pure, as fast as memory is read. */
#ifndef CULPRIT_PATTERN_H
#define CULPRIT_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"

#define PATTERN_MAX 256

struct pattern {
	uint8_t value[PATTERN_MAX], mask[PATTERN_MAX]; /* byte i matches if (b & mask[i]) == value[i] */
	size_t len;
	uint64_t align;	  /* hits start at multiples of it; 1 = anywhere */
	size_t anchor[2]; /* the two bytes looked for first: the least common ones; ascending, equal if only
			     one has a mask */
};

/* Value of `width` bytes (1..8), little endian. -EINVAL: does not fit, mask excludes all, bad alignment. */
int pattern_value(struct pattern *p, uint64_t value, unsigned width, uint64_t mask, uint64_t align,
		  struct err *err);
/* Bytes in hex, in the order of memory, with or without spaces; "??" matches any byte. -EINVAL. */
int pattern_hex(struct pattern *p, const char *hex, uint64_t align, struct err *err);

/*
 * Matches that lie whole in buf[0..len), overlapping ones included. base: address of buf[0]. The addresses of
 * the first `max` go to hit[]; returns how many there are in all.
 */
size_t pattern_search(const struct pattern *p, const uint8_t *buf, size_t len, uint64_t base, uint64_t *hit,
		      size_t max);
/* The same without vector instructions of this machine. */
size_t pattern_search_portable(const struct pattern *p, const uint8_t *buf, size_t len, uint64_t base,
			       uint64_t *hit, size_t max);
/* Which of the two pattern_search() is: "AVX2" or "portable". */
const char *pattern_engine(void);

#endif
