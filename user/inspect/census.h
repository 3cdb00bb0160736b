/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* All objects of the known classes in a space, found by their vtables. */
#ifndef CULPRIT_CENSUS_H
#define CULPRIT_CENSUS_H

#include "inspect/object.h"
#include "space/heap.h"
#include "space/space.h"

/* What speaks for the word being the start of an object that is alive. */
enum object_state {
	OBJECT_BLOCK,	/* a used block of malloc, of the size of its class, starts there: alive */
	OBJECT_STATIC,	/* a variable: alive */
	OBJECT_INSIDE,	/* in a used block of another size, or on a stack: a member, an element, or what an
			   earlier owner left */
	OBJECT_FREED,	/* in a free block, or below the stack pointer: dead */
	OBJECT_UNKNOWN, /* the heap could not be walked */
	OBJECT_N_STATES,
};
const char *object_state_name(enum object_state s);

struct census_object {
	uint64_t addr;
	const struct known_vptr *cls;
	enum object_state state;
	uint64_t block; /* in which it is; 0 = none or not known */
};

struct census {
	struct census_object *v; /* by address */
	size_t n;
	size_t count[OBJECT_N_STATES];
	struct space_walked walked;
	double seconds;
};

/* -ENOMEM, -ESRCH. *ret for census_free(). Writable memory only. */
int census_take(struct census **ret, struct space *s, const struct known *k, struct err *err);
void census_free(struct census *c); /* NULL is fine */

/* Reads the space; for struct rule_mem. ctx is a struct census_mem. */
struct census_mem {
	const struct space *space;
	const struct known *known;
};
struct rule_mem census_rule_mem(struct census_mem *m);

/* The object whose bytes hold addr and that is not dead; NULL if none. */
const struct census_object *census_at(const struct census *c, const struct known *k, uint64_t addr);

/*
 * Field at addr of object o as a path ("read_perf_"), and then upwards: which other object of the census
 * leads to o by a message pointer or repeated field? *owner is the topmost, path from there
 * ("chunks_[1].read_perf_"). *path is malloc'ed; NULL: no field stands there.
 */
int census_path(const struct census *c, const struct known *k, const struct space *s,
		const struct census_object *o, uint64_t addr, const struct census_object **owner,
		char **path);

#endif
