/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Between the parts of the writes plan. */
#ifndef CULPRIT_PLAN_WRITES_PRIV_H
#define CULPRIT_PLAN_WRITES_PRIV_H

#include "plan/writes.h"

/* One probe, before its place in the prologue is chosen. */
struct plan_row {
	const char *function;
	uint64_t vaddr, size; /* entry; size 0: not known, the probe stands at the entry */
	bool inlined;
	const struct plan_module *module;	  /* NULL: the binary */
	unsigned role, type;			  /* type: index in the kernel's table */
	uint64_t fields[WR_MAX_TYPE_FIELDS / 64]; /* WR_ROLE_STORE */
	unsigned n_obj;
	struct arg_path obj[2];
};

/* Appends row unless the same role of the same type stands there. What cannot be probed is noted as missing
 * and no error. */
int plan_add_row(struct writes_plan *p, const struct writes_plan_in *in, const struct plan_row *row,
		 struct err *err);
/* Runtime addresses of the vtables right for a type. -ENOMEM. */
int plan_set_vptrs(struct writes_plan *p, unsigned type, const struct writes_plan_in *in);
/* The functions that the spec names for cache c, whose type is the kernel's type `type`. */
int plan_add_functions(struct writes_plan *p, const struct writes_plan_in *in, const struct spec_cache *c,
		       uint32_t type, struct dbg_type root, struct err *err);
/* Functions that write whole objects of the types of a guard table whose type 0 is the kernel's type base.
 * check_too: the root's mutators check it as well, for want of functions that do. */
int plan_add_writers(struct writes_plan *p, const struct writes_plan_in *in, const struct writers *w,
		     uint32_t base, bool check_too, struct err *err);
/* Functions of protobuf's reflection that write messages: once for all types. */
int plan_add_reflection(struct writes_plan *p, const struct writes_plan_in *in, struct err *err);
/* Store instructions of inlined setters. Only those of judged fields: the others' changes are accepted
 * anyway. */
int plan_add_stores(struct writes_plan *p, const struct writes_plan_in *in, const struct writers *w,
		    uint32_t base, struct err *err);

#endif
