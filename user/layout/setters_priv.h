/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Between setters.c, which knows the setters, and setter_sites.c, which looks for their stores. */
#ifndef CULPRIT_SETTERS_PRIV_H
#define CULPRIT_SETTERS_PRIV_H

#include "layout/writers_priv.h"
#include "util/hash.h"

struct setter_instance {
	struct dbg_inline in;
	bool inner;   /* inside of another instance for the same field (set_x calls _internal_set_x) */
	bool covered; /* has a site of its own, or its object is on the stack */
};

/* All inlined instances that write one field; without a field: those that write the whole object. */
struct setter_job {
	struct finder *x;
	struct guard_field *f; /* NULL: whole object */
	uint32_t field;	       /* its index */
	const struct part_class *owner;
	char stem[128]; /* "id" of id_ */
	struct setter_instance *v;
	size_t n;
	bool setter_known;  /* the owner declares a setter of the field */
	bool unreadable;    /* code around an instance could not be disassembled */
	const char *setter; /* name for the sites */
};

#define MAX_DELTAS 16

/* Where the object may begin, from the base register. */
struct deltas {
	int64_t v[MAX_DELTAS];
	uint8_t base[MAX_DELTAS]; /* for this register only; STORE_NO_REG: for any */
	size_t n;
};

struct deltas setter_deltas(const struct setter_job *j, const char *caller, const struct dbg_inline *in,
			    const struct store *st, size_t n);
bool setter_for_base(const struct deltas *d, size_t i, const struct store *st);
/*
 * What this function's instances have shown of the store's base register: 1 it holds an object of the type at
 * this distance, -1 at another distance, 0 nothing.
 */
int setter_proved(const struct setter_job *j, const char *caller, const struct store *st, int64_t delta);

bool setter_in_ranges(const struct dbg_inline *in, uint64_t vaddr);
/* A register that may hold a guarded object takes part: none in the function's own frame. */
bool setter_usable(const struct store *st);
/*
 * How the store shows that the job's field is written, if the object is at this distance from its base: fills
 * s's source, object and covers. false: not at all. *exact: it writes no more than this field.
 */
bool setter_shows(const struct setter_job *j, const struct store *st, int64_t delta, struct writer_site *s,
		  bool *exact);
struct writer_site setter_site_of(const struct setter_job *j, const struct store *st,
				  const struct dbg_inline *in, bool in_range);

/* The word of has-bits of the job's class that byte `at` of the object is in; NULL: none. */
const struct guard_field *setter_has_word(const struct setter_job *j, int64_t at);
/* Has-bits, counted over all words of the class, that the store changes if its first byte is `at`. */
bool setter_bits_at(const struct setter_job *j, const struct store *st, int64_t at, unsigned *first,
		    uint32_t *bits);
/* Adds fields to a set of them: one, those of some bytes, those of some has-bits (true: the job's is one). */
void setter_cover(uint64_t *covers, size_t field);
void setter_cover_bytes(const struct guard_type *t, int64_t at, uint32_t width, uint64_t *covers);
bool setter_cover_bits(const struct setter_job *j, unsigned first, uint32_t bits, uint64_t *covers);

/* Data of a message that has setters. */
bool setter_field(const struct guard_field *f);
/* Counts inlined setters in whose code the field's has-bit is set or cleared, or others are but not this one.
 */
void setter_bit_evidence(struct setter_job *j, unsigned *agree, unsigned *against);
/* Sites in the instances' own code. To be called for all fields before the next. */
int setter_own_code(struct setter_job *j);
/* Sites in the functions around them; then, for instances without any, where their code begins. */
int setter_code_around(struct setter_job *j);
/* A function with code of the class in it, whatever code. */
struct type_user {
	uint64_t caller, die;
	const char *name;
	UT_hash_handle hh;
};
/* Sites in it for the fields of n_jobs jobs. After all others. */
int setter_user_code(struct setter_job *j, size_t n_jobs, const struct type_user *u);
/* Stores of inlined functions that write the whole object. */
int setter_whole_code(struct setter_job *j);

#endif
