/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One object, read field by field and checked. Pure: memory comes through a function. */
#ifndef CULPRIT_OBJECT_H
#define CULPRIT_OBJECT_H

#include "inspect/known.h"
#include "writes/rules.h"

#define OBJECT_MAX_TEXT	 256 /* bytes of a string that are kept */
#define OBJECT_MAX_ELEMS 64  /* elements of one repeated field that are read */
#define OBJECT_MAX_DEPTH 16
#define OBJECT_MAX_SIZE	 (1u << 20)
#define OBJECT_MAX_NODES 4096 /* objects read in all: what is wrong may point in circles */

enum value_kind {
	VALUE_NONE, /* nothing is known of it but its bytes */
	VALUE_INT,
	VALUE_UINT,
	VALUE_FLOAT,
	VALUE_BOOL,
	VALUE_ENUM,
	VALUE_PTR,
	VALUE_TEXT,
	VALUE_BITS,
};

struct object_value {
	enum value_kind kind;
	uint64_t word; /* of its bytes, the first up to 8, zero-extended */
	int64_t i;     /* VALUE_INT, VALUE_ENUM: sign-extended */
	double f;
	const char *name;  /* VALUE_ENUM: enumerator, NULL = none has this value. Owned by the dbg */
	char *text;	   /* VALUE_TEXT: NULL = not readable */
	uint64_t text_len; /* of the whole string; text has at most OBJECT_MAX_TEXT of it */
};

struct object;

struct object_field {
	const struct guard_field *guard;
	const struct known_field *known;
	uint64_t addr;
	struct object_value value;
	int has; /* its has-bit: 1 set, 0 clear, -1 it has none or not known */
	/* Repeated fields: */
	int32_t current, allocated, total; /* allocated -1: this version keeps none */
	struct object_value *elem;	   /* the first ones: of pointers to messages the pointers */
	size_t n_elems;
	/* Messages followed: one behind a pointer, elements of a repeated field. NULL entries were not
	 * followed. */
	struct object **child;
	size_t n_children;
	/* Broken invariant: */
	unsigned bad;	   /* enum wr_reason, of the field or of an element; WR_BAD_NONE */
	int bad_elem;	   /* -1: the field itself */
	uint64_t bad_addr; /* of the wrong word */
	uint64_t bad_word;
	uint64_t pointee; /* word behind a wrong pointer */
};

struct object {
	const struct known_type *type;
	const struct known_vptr *cls; /* its class by its vtable; NULL: not known */
	uint64_t addr;
	bool unreadable;
	struct object_field *field; /* in the order of the class */
	size_t n_fields;
};

/*
 * Reads the object of type `type` (index into k->type) at addr; messages it leads to are followed `depth`
 * levels down. *ret for object_free(). -ENOMEM; -EFAULT: not one byte of it could be read. Fields past an
 * unreadable page are left out (unreadable).
 */
int object_read(struct object **ret, const struct known *k, const struct rule_mem *m, unsigned type,
		uint64_t addr, unsigned depth);
void object_free(struct object *o); /* NULL is fine */

/* A broken invariant and how it is reached. */
struct object_break {
	const struct object *node;
	const struct object_field *field;
	char *path; /* from the object: "chunks_[1].read_perf_" */
};
/* All of o and what it leads to, in order. *ret for object_breaks_free(). -ENOMEM. */
int object_breaks(const struct object *o, struct object_break **ret, size_t *n);
void object_breaks_free(struct object_break *b, size_t n);
/* Clears what is broken in o unless the same word was so in `before`: a live object may have been read in the
 * middle of a change. */
void object_confirm(struct object *o, const struct object_break *before, size_t n);

#endif
