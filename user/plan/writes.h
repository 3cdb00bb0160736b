/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What `writes` loads into the kernel and where it attaches: the guard tables as bpf/abi/writes.h wants them,
 * and one row per probe. Pure: from debuginfo, spec and load addresses only; the executor
 * (user/trace/writes.c) is a loop over the rows.
 */
#ifndef CULPRIT_PLAN_WRITES_H
#define CULPRIT_PLAN_WRITES_H

#include "../../bpf/abi/writes.h"
#include "layout/guard.h"
#include "layout/writers.h"
#include "spec/spec.h"
#include "util/err.h"

enum setters_mode {
	SETTERS_OFF,  /* no probes on inlined setters: their fields are judged by invariants only */
	SETTERS_AUTO, /* probes, dropped when they cost more than the budget */
	SETTERS_ALL,
};

/* A file of the process beside its binary. */
struct plan_module {
	const struct elf_file *file;
	struct dbg *dbg;  /* NULL: no debuginfo, or nothing in it that the spec names */
	bool blind;	  /* its symbols mention a type of the spec, but it has no debuginfo */
	const char *name; /* as the process sees it */
	const char *path; /* as we can open it and attach to it; NULL: not mapped in this process */
	uint64_t bias;
};

struct plan_probe {
	unsigned module; /* 0: the plan's binary; else writes_plan.module[module - 1] */
	struct wr_probe wire;
	uint64_t entry;	 /* of the function, or the instruction meant */
	uint64_t vaddr;	 /* where the probe stands */
	uint64_t offset; /* of vaddr in the file */
	char *function;	 /* as a report names it */
	bool stepped;	 /* the instruction is single-stepped: a hit costs a multiple */
	bool inlined;	 /* an inlined instance's entry or a store instruction, not a function's entry */
};

/* One type of the kernel's table. */
struct plan_type {
	const struct guard_type *guard;
	struct dbg *dbg;       /* that guard's types belong to */
	const char *cache;     /* name of the spec's cache if it is a root, else NULL */
	uint32_t base;	       /* index of its guard table's type 0 */
	uint16_t *guard_field; /* of each field of the kernel's table: index into guard->field */
};

/* How the fields of all types are guarded. */
struct plan_coverage {
	unsigned invariant; /* fields with an invariant */
	unsigned judged;    /* whose changes are judged */
	unsigned changes;   /* scalars whose changes are accepted: not every writer has a probe */
	unsigned opaque;    /* not looked at */
	unsigned too_far;   /* beyond WR_NODE_BYTES */
};

struct writes_plan {
	const char *binary; /* to attach to; as given */
	const struct plan_module *module;
	size_t n_types, n_fields, n_probes;
	struct wr_type type[WR_MAX_TYPES];
	struct plan_type info[WR_MAX_TYPES];
	struct wr_field field[WR_MAX_FIELDS];
	struct plan_probe *probe;
	struct plan_coverage coverage;
	bool births;	  /* some type is followed from its constructors: no function of it was named */
	bool ends_missed; /* some destructor has no probe: an object in the table may be gone */
	/* Sites that should be probed but cannot be, and why; each counts as planned and failed. */
	char **missing;
	size_t n_missing;
	/* What else is not covered, and why. */
	char **note;
	size_t n_notes;
	size_t own_from;		 /* the first probe whose function's name is this plan's own */
	struct plan_addition *additions; /* owned: what joined later */
	bool probes_shared;		 /* the array is the one of the plan that this is a copy of */
	bool copy;			 /* of a plan that owns all that follows */
	/* owned */
	struct guard_table **guard;
	struct writers **writers;
	size_t n_tables;
};

struct writes_plan_in {
	struct dbg *dbg;
	const struct spec *spec;
	const char *binary; /* path to attach to, kept by the plan */
	enum setters_mode setters;
	/* Load bias of a module of the process; false: it is not mapped. */
	bool (*bias)(void *ctx, const struct elf_file *module, uint64_t *bias);
	void *ctx;
	const struct plan_module *module; /* the other files of the process; kept by the plan */
	size_t n_modules;
	bool partial; /* debuginfo are profiles: a class that one has nothing of may be declared there */
	unsigned at;  /* the plan's own: which of them dbg is of, as plan_probe.module */
};

/*
 * A type may be defined in the binary and in libraries: functions of all of them serve. *ret for
 * writes_plan_free(); keeps pointers into in->dbg, in->spec, in->binary and in->module. Errors: those of the
 * lookups (no such type or function, with the nearest names as hint; ambiguous; argument does not lead to the
 * type), -E2BIG: more types, fields or probes than the kernel's tables hold.
 */
int writes_plan_build(struct writes_plan **ret, const struct writes_plan_in *in, struct err *err);
/*
 * The same plan for another process of the same files, where they are loaded elsewhere. in: its binary and
 * load biases; of must outlive *ret. -ENOMEM.
 */
int writes_plan_copy(struct writes_plan **ret, const struct writes_plan *of, const struct writes_plan_in *in,
		     struct err *err);
void writes_plan_free(struct writes_plan *p); /* NULL is fine */

/*
 * What a module adds that was loaded after the plan was built, or takes out of judgement: its functions,
 * stores and vtables, for in->module[in->n_modules - 1]; in->dbg is its debuginfo, NULL if there is none. p
 * is only read, so that another thread may do this. Errors as of writes_plan_build; what is not in the module
 * is none.
 */
struct plan_addition;
int plan_addition_build(struct plan_addition **ret, const struct writes_plan *p,
			const struct writes_plan_in *in, struct err *err);
void plan_addition_free(struct plan_addition *a); /* NULL is fine */
/* Makes a part of p, which takes it over: types, fields and probes grow in place, p's first probes stay what
 * they are. -E2BIG: too many probes; then p is as it was and a still the caller's. -ENOMEM. */
int writes_plan_join(struct writes_plan *p, struct plan_addition *a, struct err *err);
/* A file of the plan that took [from, from + size) is loaded at `to` now: its vtables move along. False: it
 * has none. */
bool writes_plan_move(struct writes_plan *p, uint64_t from, uint64_t size, uint64_t to);
/* Does it end objects, where that was not seen before? */
bool plan_addition_destroys(const struct plan_addition *a);

/*
 * Guard table -> kernel's types and fields, appended to p. Used by writes_plan_build; separate for its tests.
 */
int plan_add_types(struct writes_plan *p, const struct guard_table *g, const char *cache,
		   const struct writes_plan_in *in, struct err *err);

/*
 * Guard's field -> the rule that holds in it, with what the kernel needs to know to check it. base: index of
 * the guard table's type 0 in the kernel's (pointees count from it). false: no invariant, and changes are not
 * judged.
 */
bool plan_field_rule(const struct guard_field *g, uint32_t base, struct wr_field *ret);

const char *wr_role_name(unsigned role); /* "insert", ... */
/* The guard's field behind a type's field of the kernel's table; NULL if there is none. */
const struct guard_field *plan_guard_field(const struct writes_plan *p, unsigned type, unsigned field);
/* "chunks_[1].read_perf_": the steps from a root and the field at their end. root is the type of the object.
 * For free(). */
char *plan_path(const struct writes_plan *p, unsigned root, const struct wr_step *step, unsigned depth,
		unsigned type, unsigned field, int index);
/* printf into p->note or p->missing. -ENOMEM. */
int plan_note(struct writes_plan *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int plan_missing(struct writes_plan *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
