/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which units of a debuginfo file mention a name, kept by build-id from run to run: in /var/cache/culprit for
 * root, else in $XDG_CACHE_HOME/culprit or ~/.cache/culprit. The directory is made with mode 0700; one that
 * is another's or open to others is not used, nor is a file that is. What cannot be read counts as nothing.
 */
#ifndef CULPRIT_UNIT_CACHE_H
#define CULPRIT_UNIT_CACHE_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UNIT_CACHE_HEAD                                                                                      \
	"culprit-units 1 %016" PRIx64 " %zu\n" /* key, number of units; then a line per set                  \
						*/
#define UNIT_CACHE_SUM "sum %016" PRIx64 "\n"  /* bytes_hash() of all before it */

/* A set of units by their number. */
struct unit_set {
	char *name;
	uint64_t *bits;
	bool kept; /* it came from the cache */
};

struct unit_cache {
	struct unit_set *v; /* by name */
	size_t n;
	size_t n_units;
	char *path;   /* NULL: no place for it */
	uint64_t key; /* of the file it is about: build-id, sizes */
};

/* Reads what there is. key: anything that tells this debuginfo file from others. */
int unit_cache_open(struct unit_cache *c, const char *build_id, uint64_t key, size_t n_units);
/* The text of a file: adds its sets. It is written over; text[len] is NUL. -EINVAL: not of this key and
 * number, or damaged; some may have been added. -ENOMEM. */
int unit_cache_parse(struct unit_cache *c, char *text, size_t len);
/* Writes what is new: all of it, or nothing. */
void unit_cache_close(struct unit_cache *c);
/* NULL: not known. */
const struct unit_set *unit_cache_find(const struct unit_cache *c, const char *name);
/* bits: of n_units, taken over. -ENOMEM (bits are freed). */
int unit_cache_add(struct unit_cache *c, const char *name, uint64_t *bits);
/* For tests: another directory; NULL: the default. */
void unit_cache_set_dir(const char *dir);

#endif
