/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Functions by the name a user gives, their out-of-line entry points, inlined instances and parameters. */
#ifndef CULPRIT_DWARF_FUNCS_H
#define CULPRIT_DWARF_FUNCS_H

#include "dwarf/types.h"

/*
 * How to get a pointer at a probe: v = register; n_deref times v = *(u64 *)(v + offs[i]); the object is v +
 * offs[n_deref]. A NULL read before the last addition means there is no object. Register numbers are DWARF's
 * (x86_64: 0 rax 1 rdx 2 rcx 3 rbx 4 rsi 5 rdi 6 rbp 7 rsp 8-15 r8-r15).
 */
#define ARG_MAX_DEREF 3
struct arg_path {
	uint8_t reg;
	int8_t arg; /* number of the integer argument register (0 = rdi), -1 if reg was found otherwise */
	uint8_t n_deref;
	int32_t offs[ARG_MAX_DEREF + 1];
};

enum dbg_entry_kind {
	DBG_ENTRY_PLAIN,
	DBG_ENTRY_CTOR_COMPLETE, /* C1; also when C1 and C2 are one */
	DBG_ENTRY_CTOR_BASE,	 /* C2 */
	DBG_ENTRY_DTOR_DELETING, /* D0 */
	DBG_ENTRY_DTOR_COMPLETE, /* D1; also when D1 and D2 are one */
	DBG_ENTRY_DTOR_BASE,	 /* D2 */
	DBG_ENTRY_CLONE, /* .isra .constprop: arguments may have moved; only DWARF's location of a parameter
			    counts */
	DBG_ENTRY_PART,	 /* .part: the rest of a partly inlined function, entered from its inlined head */
};

struct dbg_entry {
	uint64_t vaddr;
	uint64_t size; /* of the contiguous range that starts at vaddr */
	enum dbg_entry_kind kind;
	const char *
		symbol; /* mangled with suffix, owned by the dbg; NULL if the symbol table does not name it */
	uint64_t die;	/* its concrete DIE; 0 if only the symbol table knows it */
};

struct dbg_func {
	const char *name;	/* qualified without parameters: zbs::Chunk::Clear; owned by the dbg */
	const char *signature;	/* demangled with parameters if a linkage name is known, else name */
	const char *linkage;	/* mangled (C4/D4 for ctors and dtors with gcc); NULL if not known */
	uint64_t die;		/* canonical declaration; 0 if only the symbol table knows it */
	struct dbg_type cls;	/* class it is a member of; die 0 if none */
	struct dbg_type result; /* die 0 if it returns nothing */
	bool is_static;		/* no this */
	bool is_const;
	struct dbg_entry *entry;
	size_t n_entry; /* 0 if it exists only inlined */
};

/*
 * `A::B::f`, a unique suffix `B::f`, either with a parameter list, or a mangled name. Overloads of one name
 * are ambiguous unless the parameter list tells: -EEXIST with the candidates in the message; -ENOENT with the
 * nearest names as hint. *ret for dbg_func_free().
 */
int dbg_find_function(struct dbg *d, const char *name, struct dbg_func **ret, struct err *err);
void dbg_func_free(struct dbg_func *f); /* NULL is fine */
/* Member functions of a class (not of its bases), those of `_impl_` excluded. fn gets a func it must not
 * free. Non-zero stops. */
int dbg_methods(struct dbg *d, struct dbg_type cls, int (*fn)(void *ctx, const struct dbg_func *f), void *ctx,
		struct err *err);
/*
 * Functions that override virtual METHOD in classes derived from CLS and defined in this module (CLS's own
 * left out if pure). fn as above. Returns -ENOENT with a hint if CLS::METHOD is not known or nothing
 * overrides it.
 */
int dbg_overrides(struct dbg *d, const char *cls_method, int (*fn)(void *ctx, const struct dbg_func *f),
		  void *ctx, struct err *err);

struct dbg_range {
	uint64_t lo, hi; /* [lo, hi) */
};
struct dbg_inline {
	uint64_t entry;	  /* where its first instruction is (DW_AT_entry_pc if stated); 0 = not known */
	bool entry_exact; /* entry_pc was stated or there is one range; else lowest address of several */
	struct dbg_range *range;
	size_t n_range;		 /* 0: its code was merged with the code around it */
	uint64_t caller;	 /* entry vaddr of the out-of-line function that holds it */
	uint64_t die, parent;	 /* its DIE, and that of the inlined instance around it (0 = none): equal
				    numbers, equal instances */
	const char *caller_name; /* symbol, mangled; owned by the dbg */
	uint64_t caller_die;
	bool has_this; /* this_path says where `this` is at entry */
	struct arg_path this_path;
};
/* Inlined instances of f in the whole module. *ret for dbg_inlines_free(). Finding none is no error. */
int dbg_inlines(struct dbg *d, const struct dbg_func *f, struct dbg_inline **ret, size_t *n, struct err *err);
void dbg_inlines_free(struct dbg_inline *i, size_t n);
/* All code of an out-of-line function, by its DIE (dbg_inline.caller_die, dbg_entry.die). *ret for free(). */
int dbg_code_ranges(struct dbg *d, uint64_t die, struct dbg_range **ret, size_t *n);

/* One of the functions whose code stands at an address. */
struct dbg_scope {
	const char *name;    /* qualified, without parameters; owned by the dbg */
	struct dbg_type cls; /* class it is a member of; die 0 if none */
	bool inlined;
};
/* Innermost first; the last is the function itself. *n = 0: the debuginfo knows no function there. -ENOMEM.
 */
int dbg_scopes(struct dbg *d, uint64_t vaddr, struct dbg_scope *v, size_t max, size_t *n);
/* Source file and line of an instruction; NULL if not known. Owned by the dbg. */
const char *dbg_line(struct dbg *d, uint64_t vaddr, int *line);

struct dbg_param {
	const char *name;     /* "this" for the object; "" if unnamed; owned by the dbg */
	struct dbg_type type; /* with pointers and references kept (info.kind DBG_PTR, DBG_REF) */
	int8_t arg;  /* integer argument register, -1: not in one (floating point, memory, or not known) */
	bool by_ref; /* class passed by invisible reference: the register holds its address */
	const char *why_not; /* arg == -1: reason; static text */
};
/* Parameters in order, `this` first, classified after the System V ABI. *ret for free(). */
int dbg_params(struct dbg *d, const struct dbg_func *f, struct dbg_param **ret, size_t *n, struct err *err);

/*
 * Path from a probe at entry e of f to the object of type t. expr: "argN", "*argN", "*(argN+OFF)", a
 * parameter name, or NULL or "" for "the only parameter that leads to t". A parameter whose type DWARF knows
 * is followed through pointers, references and one-pointer smart pointers to t, derived and base classes
 * adjusted. Text with stars or without a known type is taken literally. -ENOENT, -EEXIST (several lead to t:
 * names in the message), -EINVAL (syntax), -ENOTSUP (not in a register here).
 */
int dbg_arg_path(struct dbg *d, const struct dbg_func *f, const struct dbg_entry *e, const char *expr,
		 struct dbg_type t, struct arg_path *ret, struct err *err);
/* "arg1", "*(arg1+16)+8"...; returns buf. */
char *arg_path_text(const struct arg_path *p, char *buf, size_t len);

#endif
