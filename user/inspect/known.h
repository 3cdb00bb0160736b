/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Classes whose objects can be read in a space: guard tables with their vtables' addresses there and the rule
 * of each field. */
#ifndef CULPRIT_KNOWN_H
#define CULPRIT_KNOWN_H

#include "dwarf/dbg.h"
#include "plan/writes.h"
#include "space/space.h"

#define KNOWN_MAX_ROOTS 32

struct known_field {
	bool has_rule;
	struct wr_field rule; /* pointee: index into known.type */
	const char *type;     /* as a report shows it: "zbs::PerfInfo *" */
	int bit;	      /* its has-bit, -1: it has none, or not known */
};

struct known_type {
	const struct guard_type *guard;
	uint32_t base;		   /* index of its guard table's type 0 */
	struct known_field *field; /* of each field of guard */
	const char **bit_name; /* member of each has-bit ("read_perf_"), NULL = not known; owned by the dbg */
	size_t n_bits;
};

/* A vtable of a class of the tables, or of one derived from it. */
struct known_vptr {
	uint64_t value;
	const char *cls;
	uint32_t type; /* index into known.type: the class itself if it is there, else one it is derived from
			*/
	uint64_t size; /* of cls; 0: not known */
};

struct known {
	struct dbg *dbg;
	bool owns_dbg;
	uint64_t bias;	      /* of the executable */
	uint64_t string_size; /* of std::string: 32 (GCC 5 and later) or 8 (before); 0 = not known */
	struct known_type *type;
	size_t n_types;
	struct known_vptr *vptr; /* by value */
	size_t n_vptrs;
	uint32_t root[KNOWN_MAX_ROOTS]; /* indexes of the types asked for, in that order */
	struct guard_table *table[KNOWN_MAX_ROOTS];
	size_t n_roots;
};

/*
 * Opens the executable of s with its debuginfo and builds the tables of the classes named. *ret for
 * known_free(). Errors: the executable of a core is not there or of another build; no debuginfo; no such
 * class (the nearest names as hint).
 */
int known_open(struct known **ret, struct space *s, const char *debuginfo, const char *const *name, size_t n,
	       struct err *err);
/* The same of debuginfo that is open and stays so for as long. */
int known_make(struct known **ret, struct dbg *dbg, uint64_t bias, const char *const *name, size_t n,
	       struct err *err);
void known_free(struct known *k); /* NULL is fine */

/* The class of an object by its first word; NULL if it is none of the known. */
const struct known_vptr *known_class(const struct known *k, uint64_t vptr);
/* Is v a vtable that an object seen as this type may have? True also if that is not known. */
bool known_vptr_ok(const struct known *k, unsigned type, uint64_t v);

#endif
