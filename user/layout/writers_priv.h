/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by writers.c and setters.c. */
#ifndef CULPRIT_WRITERS_PRIV_H
#define CULPRIT_WRITERS_PRIV_H

#include "layout/stores.h"
#include "layout/writers.h"

/* A class whose members may write the type: the type itself or a base of it. */
struct part_class {
	struct dbg_type type;
	const char *name;
	uint32_t offset; /* in the type */
	bool generated;	 /* by protoc: its members may write message fields directly; others only by (inlined)
			    setters */
	int32_t *bit_field; /* of each has-bit, its field's index in the type; -1: not known */
	size_t n_bits;
};

struct finder {
	struct dbg *d;
	struct guard_table *g;
	struct writers *w;
	struct stores *stores;
	struct err *err;
	/* of the type at work */
	uint32_t type;
	struct guard_type *t;
	struct part_class *cls;
	size_t n_cls;
	const struct part_class *cur; /* whose methods are being looked at */
	bool unlicensed;	      /* a mutator has a copy that cannot be probed */
	const char *unlicensed_name;
};

/* Last part of a function's name without template arguments' scopes: "set_id", "~Chunk". */
const char *writer_name(const struct dbg_func *f);
/* true: vaddr is the entry of a function that has a licence for the whole object of the type at work. */
bool writer_licensed(const struct finder *x, uint64_t vaddr);
/* A copy of f that cannot be probed: false if it writes nothing but its frame. */
bool writer_may_store(struct finder *x, const struct dbg_entry *e);
int writer_add_site(struct finder *x, const struct writer_site *s);
/* Store sites of inlined setters of the type at work, and the judgement of its fields. After its functions
 * are known. */
int setters_find(struct finder *x);

#endif
