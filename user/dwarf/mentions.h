/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which units have an entry of a name. The names of all units' entries are read once, by as many threads as
 * there are CPUs; a search then goes through .debug_str and these lists.
 */
#ifndef CULPRIT_DWARF_MENTIONS_H
#define CULPRIT_DWARF_MENTIONS_H

#include "dwarf/unit_names.h"

#define MENTION_MIN 4 /* compilers put what is shorter into the entry itself */
#define MENTION_MAX 1024

struct mention_unit {
	uint64_t start, end; /* in .debug_info */
};

struct mentions {
	struct section info, abbrev, str;
	bool mapped; /* from a file: pages that were read may be dropped, and come back */
	struct mention_unit *unit;
	size_t n_units;
	struct unit_names *names[2]; /* by unit_names_kind, of each unit; NULL: not read yet */
};

/*
 * fn is called with the name's number and a unit's, for each unit that has or may have an entry of it,
 * perhaps more than once. A name that ends in '<' is the begin of one, any other a whole one; "_Z..." are
 * linkage names of functions. -ENOMEM.
 */
int mentions_find(struct mentions *m, const char *const *name, size_t n,
		  void (*fn)(void *ctx, size_t name, size_t unit), void *ctx);
/* Frees unit and names. */
void mentions_deinit(struct mentions *m);

#endif
