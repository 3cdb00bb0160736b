/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who may legitimately write an object of a guarded type: functions (probed at entry, licence for the whole
 * object) and instructions of inlined setters (licence for their fields only).
 */
#ifndef CULPRIT_WRITERS_H
#define CULPRIT_WRITERS_H

#include "dwarf/funcs.h"
#include "layout/guard.h"

enum writer_role {
	WRITER_CTOR,
	WRITER_DTOR, /* out of line; the object ends here (for the type itself; a base's dtor is also listed:
			`of_base`) */
	WRITER_MUTATOR, /* everything else that is not const */
};

struct writer_func {
	uint64_t vaddr;	  /* entry in the binary */
	const char *name; /* demangled; owned by the dbg */
	enum writer_role role;
	uint32_t type; /* index in the guard table of the type it writes */
	bool of_base;  /* member of a base class of the type, which starts at path's result - base offset
			  (already in the path) */
	bool inlined;  /* vaddr is the entry of an inlined instance, not of a function */
	uint8_t n_obj; /* objects it writes: 2 for swaps */
	struct arg_path obj[2];
};

/* What shows that a field of an object is written. */
enum writer_source {
	WRITER_BY_STORE, /* a store into the field */
	WRITER_BY_BITS,	 /* a store that sets or clears its has-bit */
	WRITER_BY_CALL,	 /* a call with its address */
	WRITER_BY_ENTRY, /* begin of an inlined setter's code, where DWARF says what `this` is */
};

#define WRITER_FIELD_WORDS 4 /* of 64 fields: those behind have no sites */

struct writer_site {
	uint64_t vaddr; /* the instruction */
	uint32_t type;	/* index in the guard table */
	enum writer_source source;
	struct arg_path obj;		     /* of the object, at vaddr */
	uint64_t covers[WRITER_FIELD_WORDS]; /* fields of the type that are licensed, by index */
	const char *setter; /* demangled name of the setter it was found for; owned by the dbg */
	const char *caller; /* symbol of the function that holds it; owned by the dbg */
	bool in_range; /* inside an inlined instance's ranges (else found by scanning the whole function) */
};

struct writers {
	size_t n_func, n_site;
	struct writer_func *func; /* by vaddr, each vaddr once per type */
	struct writer_site *site; /* by vaddr */
	/* Destroy hooks of type 0 that exist only inlined and whose `this` is not known at entry. */
	uint32_t dtors_uncovered;
};

/*
 * Finds the writers of every type of g in d's module and fills the shadow_judged, inlined_* and reason
 * members of g's fields. *ret for writers_free(). What cannot be found is counted, never guessed.
 */
int writers_find(struct writers **ret, struct dbg *d, struct guard_table *g, struct err *err);
void writers_free(struct writers *w); /* NULL is fine */

#endif
