/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the entries of one unit are called, read from the bytes of .debug_info and .debug_abbrev (DWARF
 * 5, 7.5) without an entry of libdw for each: of namespaces, classes, enumerations, typedefs and functions,
 * as offsets in .debug_str. Functions' bodies are passed over where the compiler says where they end
 * (DW_AT_sibling).
 */
#ifndef CULPRIT_DWARF_UNIT_NAMES_H
#define CULPRIT_DWARF_UNIT_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct section {
	const uint8_t *p;
	size_t size;
};

struct unit_names {
	uint32_t *off; /* some more than once */
	size_t n;
	bool any; /* not to be told by this: a form that is not known, damaged, a name in the entry itself */
};

enum unit_names_kind {
	UNIT_NAMES,   /* DW_AT_name */
	UNIT_LINKAGE, /* DW_AT_linkage_name, of functions */
};

/* The unsigned LEB128 number at *p (DWARF 5, 7.6), moving *p behind it. False: it does not end before end.
 * Bits above 64 are left out. */
bool unit_uleb(const uint8_t **p, const uint8_t *end, uint64_t *v);

/* The unit at start in info. ret->off is for free(). -ENOMEM. */
int unit_names_read(struct unit_names *ret, const struct section *info, const struct section *abbrev,
		    uint64_t start, uint64_t end, enum unit_names_kind kind);

#endif
