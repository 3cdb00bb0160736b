/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every instruction of a module that can store to a field of a class: the static answer to "who could have
 * written this?".
 */
#ifndef CULPRIT_WHO_H
#define CULPRIT_WHO_H

#include "dwarf/funcs.h"

/* What speaks for it that the object is one of the class. The strongest first. */
enum who_evidence {
	WHO_MEMBER, /* code of a member function of the class, or of a base or derived one, out of line or
		       inlined */
	WHO_USER,   /* in a function that holds inlined member code of the class elsewhere */
	WHO_MATCH,  /* nothing but width and displacement: the object may be of any class */
};
const char *who_evidence_name(enum who_evidence e);

#define WHO_MAX_SCOPES 16

struct who_store {
	uint64_t vaddr;
	enum who_evidence evidence;
	uint32_t width;
	uint8_t base; /* DWARF number of the register that leads to the object */
	int64_t disp; /* of the first byte written, from it */
	bool exact;   /* begins at the field's first byte and is as wide */
	bool pointer; /* the register would have to point to the field itself: no displacement, same width */
	bool has_imm;
	int64_t imm;
	const char *symbol; /* mangled, of the function that holds it; NULL: the symbol table names none */
	uint64_t symbol_vaddr;
	struct dbg_scope scope[WHO_MAX_SCOPES]; /* innermost first */
	size_t n_scopes;
	const char *file; /* NULL: not known */
	int line;
};

struct who {
	const char *cls, *field, *type; /* as the debuginfo writes them */
	uint32_t offset, width;
	struct who_store *store; /* by address */
	size_t n;
	/* Where the class begins in classes derived from it: displacements are counted from there too. */
	uint32_t delta[16];
	size_t n_deltas;
	uint64_t bytes; /* of code looked at */
	size_t unread;	/* functions of which not all could be read as instructions */
	size_t indexed; /* stores whose place depends on an index register */
	size_t others;	/* stores through registers at other displacements or of other widths */
	bool partial;	/* set by the caller: the debuginfo is a profile, which has part of it */
	size_t block;	/* string instructions and calls of memset() and the like */
};

/*
 * field: "T::FIELD", T as dbg_find_class takes it. *ret for who_free(). -EINVAL, -ENOENT with the members as
 * hint, -ENOMEM.
 */
int who_stores(struct who *ret, struct dbg *d, const char *field, struct err *err);
void who_free(struct who *w);

#endif
