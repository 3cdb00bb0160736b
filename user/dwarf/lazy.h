/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Large debuginfo: only the units that mention what is asked for are walked: those with entries called like
 * all parts of a name (mentions.h). A unit may be walked in vain, none is missed. Which units mention a name
 * is kept in a cache from run to run (unit_cache.h).
 */
#ifndef CULPRIT_DWARF_LAZY_H
#define CULPRIT_DWARF_LAZY_H

#include "dwarf/dbg_priv.h"

struct lazy;

/* *ret NULL: everything is to be walked, since the debuginfo is small, or its units refer to each other. */
int lazy_open(struct lazy **ret, struct dbg *d);
void lazy_close(struct lazy *l); /* NULL is fine */
size_t lazy_n_units(const struct lazy *l);
/* The entry of unit i; false: it is not loaded. */
bool lazy_unit(const struct lazy *l, size_t i, Dwarf *dw, Dwarf_Die *die);

/*
 * Before a lookup of a name: loads the units that mention all parts of it and walks them. Node numbers
 * change. No-op if everything is loaded. Errors are those of a damaged index: -ENOMEM, -EINVAL.
 */
int lazy_want(struct dbg *d, const struct part *parts, size_t n);
/* The same for the definitions of types that cls consists of or points to and that are only declared in what
 * is loaded, and for its bases. */
int lazy_want_below(struct dbg *d, struct dbg_type cls);
int lazy_want_all(struct dbg *d);
/* For tests: .debug_info of this many bytes counts as large. */
void lazy_set_threshold(size_t bytes);

#endif
