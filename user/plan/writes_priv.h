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
/* One module's view of a cache's type and of what it contains. */
struct plan_part {
	struct writes_plan_in in; /* with the module's debuginfo */
	struct dbg_type root;
	struct guard_table *g; /* owned by the plan, as is w */
	struct writers *w;
	uint32_t type[WR_MAX_TYPES]; /* index in the kernel's table of each of g's types */
	size_t n_types;		     /* that have one: the first of g's */
};
#define PLAN_NO_TYPE UINT32_MAX

/* The modules that define c's type: *ret of *n, for free(). The first is the one whose tables the kernel
 * gets. Fills in, root, g and w, and in the first one's g what the others know better or worse. */
int plan_parts_find(struct writes_plan *p, const struct writes_plan_in *in, const struct spec_cache *c,
		    struct plan_part **ret, size_t *n, struct err *err);
/* The tables of a part. in: of the session, not of the module. */
int plan_part_build(struct writes_plan *p, const struct writes_plan_in *in, struct plan_part *part,
		    uint32_t max_types, struct err *err);
/* The same class, compiled the same way? */
bool plan_types_agree(const struct guard_type *a, const struct guard_type *b);
/* t's field where another description of the type has f; NULL: t does not know it. */
const struct guard_field *plan_same_field(const struct guard_type *t, const struct guard_field *f);
/* Its vtables are not known, and not for want of a symbol, which another module may have. */
bool plan_vptrs_unknown(const struct guard_type *t);
/* The probes of one module that has the type. */
int plan_add_part(struct writes_plan *p, const struct spec_cache *c, const struct plan_part *part,
		  struct err *err);
/* Fills type of all parts: the first's types stand in the kernel's table from base on. */
int plan_parts_map(struct writes_plan *p, struct plan_part *part, size_t n, uint32_t base, const char *type);
/* in for module i: 0 is the binary. false: there is no debuginfo of it. */
bool plan_in_module(const struct writes_plan_in *in, size_t i, struct writes_plan_in *ret);

/* The functions that the spec names for cache c, whose type is the kernel's type `type`. */
int plan_add_functions(struct writes_plan *p, const struct writes_plan_in *in, const struct spec_cache *c,
		       uint32_t type, const struct plan_part *part, struct err *err);
/* The same in one module: in's. A function that is not there is no error. */
int plan_add_functions_in(struct writes_plan *p, const struct writes_plan_in *in, const struct spec_cache *c,
			  uint32_t type, struct dbg_type root, struct err *err);
/* Functions that write whole objects of a part's types. check_too: the root's mutators check it as well, for
 * want of functions that do. */
int plan_add_writers(struct writes_plan *p, const struct plan_part *part, bool check_too, struct err *err);
/* Instructions of inlined setters. */
int plan_add_stores(struct writes_plan *p, const struct plan_part *part, struct err *err);
/* Functions of protobuf's reflection that write messages: once for all types. */
int plan_add_reflection(struct writes_plan *p, const struct writes_plan_in *in, struct err *err);
/* What joined the plan later; NULL is fine. */
void plan_additions_free(struct plan_addition *a);

#endif
