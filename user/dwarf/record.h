/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which entries of the debuginfo, and which symbols, the lookups of types.h and funcs.h look at: what a
 * profile has to keep so that the same questions get the same answers from it.
 */
#ifndef CULPRIT_DWARF_RECORD_H
#define CULPRIT_DWARF_RECORD_H

#include "dwarf/dbg.h"

/* From here on it is noted. -ENOMEM. */
int dbg_record(struct dbg *d);
/* Entries looked at, by id (dbg_type.die), each once, in ascending order; owned by d. *n = 0 if nothing was
 * noted; -ENOMEM if noting failed on the way. */
int dbg_recorded(struct dbg *d, const uint64_t **ret, size_t *n);
/* Where the parameters of this function (dbg_entry.die) are will be asked at any of its addresses, not only
 * at its entry. -ENOMEM. */
int dbg_record_throughout(struct dbg *d, uint64_t die);
bool dbg_recorded_throughout(const struct dbg *d, uint64_t die);
/* Was this symbol asked for by its name? */
bool dbg_recorded_symbol(const struct dbg *d, const char *name);

#endif
