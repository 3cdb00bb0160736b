/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Inside of struct dbg, for the files of user/dwarf, and of user/profile, which copies entries.
 *
 * The index is one array of nodes in the order of the DIEs: namespaces, classes, unions, enumerations and
 * functions that do not stand in a function's body. Node 0 is the root. A DIE is named by its offset with two
 * marks, since type units (DWARF 4) and the alternate file (dwz) count from 0 again.
 */
#ifndef CULPRIT_DBG_PRIV_H
#define CULPRIT_DBG_PRIV_H

#include <dwarf.h>
#include <elfutils/libdw.h>

#include "dwarf/funcs.h"

#define DIE_TYPES (1ULL << 62) /* in .debug_types */
#define DIE_ALT	  (1ULL << 63) /* in the alternate file */
#define MAX_DEPTH 64

enum node_flags {
	NODE_DECL = 1,	   /* DW_AT_declaration */
	NODE_CODE = 2,	   /* function with an address */
	NODE_INLINE = 4,   /* abstract instance */
	NODE_EXTERNAL = 8, /* visible to other units */
	NODE_SCOPE = 16,   /* namespace */
	NODE_CLASS = 32,   /* class, struct, union */
	NODE_ENUM = 64,
	NODE_FUNC = 128,
};

struct node {
	uint64_t die;
	uint64_t origin;     /* DW_AT_specification or DW_AT_abstract_origin, as a die; 0 = none */
	uint64_t hash;	     /* of the qualified name; 0 = not computed yet */
	const char *name;    /* NULL: unnamed, or named by its origin */
	const char *linkage; /* functions */
	uint32_t parent;
	uint32_t end;	/* one past the last node below this one */
	uint32_t canon; /* functions: where the chain of origins ends (itself if there is none) */
	uint16_t flags;
};

/* Sorted by key, then by node. */
struct pair {
	uint64_t key;
	uint32_t node;
};
struct pairs {
	struct pair *v;
	size_t n;
};

struct inherit {
	uint32_t cls;  /* node */
	uint64_t base; /* die of the base's type: as written, the canonical one after resolve_bases() */
};

struct inlined {
	uint64_t die, parent; /* parent: the inlined instance around it, 0 = none */
	uint32_t canon;	      /* of the function that was inlined */
	uint32_t holder;      /* node of the concrete function around it */
};

/* Contiguous code of a function. */
struct code_range {
	uint64_t lo, hi;
	uint32_t node;
};

struct type_entry; /* types.c: cache of type infos */
struct lazy;	   /* lazy.c: which units are walked */
struct record;	   /* record.c: entries looked at */

struct dbg {
	struct elf_file *bin;
	struct elf_file *sep; /* separate debuginfo; NULL if the binary has its own */
	struct elf_debug debug;
	struct inflated *inflated; /* NULL: dw reads the file itself */
	Dwarf *dw, *alt;
	struct node *node;
	size_t n_node;
	struct pairs by_hash;  /* classes and enums, by qualified name */
	struct pairs by_name;  /* canonical functions, by unqualified name */
	struct pairs cls_name; /* classes and enums with a name, by unqualified name */
	struct pairs by_key;   /* canonical functions, by func_key() */
	struct pairs by_canon; /* function nodes with an origin, by canon */
	struct inherit *inherit;
	size_t n_inherit;
	struct inlined *inlined; /* by canon; made at the first need */
	size_t n_inlined;
	struct elf_sym *func_sym; /* defined function symbols by address */
	size_t n_func_sym;
	struct type_entry *types;
	struct hashed *hashed; /* 2^hashed_bits of them: what names_hash() told */
	unsigned hashed_bits;
	size_t n_hashed;
	char **strings; /* names made here */
	size_t n_strings;
	Dwarf_CFI *cfi_eh, *cfi_debug;
	struct code_range *code; /* of all functions, by address; made at the first need */
	size_t n_code;
	struct lazy *lazy;     /* NULL: all units are walked */
	struct record *record; /* NULL: nothing is noted */
	bool have_bases;       /* inherit[].base are canonical */
	bool have_functions;   /* by_name, by_key, by_canon and node[].canon are made */
	bool have_inlined;
	bool have_cfi;
	bool have_code;
};

/* The file that dw reads: its sections. */
Elf *dbg_elf(const struct dbg *d);

/* index.c */
int index_build(struct dbg *d, struct err *err);
/* The tables over the functions, if they are not there. -ENOMEM. */
int index_functions(struct dbg *d);
void index_free(struct dbg *d);
uint64_t die_id(const struct dbg *d, Dwarf_Die *die);
bool die_get(const struct dbg *d, uint64_t id, Dwarf_Die *ret);
/* The same for walks over everything: not recorded. */
bool die_at(const struct dbg *d, uint64_t id, Dwarf_Die *ret);
/* Node of a DIE; 0 if it is not in the index. */
uint32_t node_of(const struct dbg *d, uint64_t id);
uint64_t node_hash(struct dbg *d, uint32_t n);
uint32_t node_origin(const struct dbg *d,
		     uint32_t n); /* follows origins to the last; n itself if there is none */
const char *node_name(const struct dbg *d, uint32_t n); /* "" if unnamed */
uint64_t func_key(struct dbg *d, uint32_t canon);
/* First entry with this key; count in *n. */
const struct pair *pairs_find(const struct pairs *p, uint64_t key, size_t *n);
int pairs_add(struct pairs *p, uint64_t key, uint32_t node);
void pairs_sort(struct pairs *p);
/* Next child in *c; first: of parent. 1 = got one, 0 = end, negative: damaged. Refuses to go backwards. */
int die_child(Dwarf_Die *parent, Dwarf_Die *c);
int die_next(Dwarf_Die *c);
/* Makes the inlined table. */
int index_inlined(struct dbg *d, struct err *err);

/* record.c */
void record_die(const struct dbg *d, uint64_t id);
void record_symbol(const struct dbg *d, const char *name);
void record_free(struct record *r);

/* canon.c */
/* The name with its template arguments in one spelling. 0: it has none, or does not fit: take it as it is. */
size_t name_canonical(const char *s, size_t len, char *out, size_t max);

/* names.c: spaces and the spelling of template arguments do not count */
uint64_t name_hash(uint64_t seed, const char *s, size_t len);
/* name_hash(NAME_SEED, ...) of a name that stays where it is as long as d: units share their strings, so each
 * is hashed once. */
uint64_t names_hash(struct dbg *d, const char *name);
uint64_t bytes_hash(uint64_t seed, const void *bytes, size_t len);
#define NAME_SEED 0xcbf29ce484222325ULL
bool name_eq(const char *a, size_t na, const char *b, size_t nb);
/* Splits at "::" outside of <> and (); returns the number of parts, at most max. */
struct part {
	const char *p;
	size_t n;
};
size_t name_split(const char *name, struct part *parts, size_t max);
enum name_match { MATCH_NO, MATCH_SUFFIX, MATCH_FULL };
enum name_match node_matches(const struct dbg *d, uint32_t n, const struct part *parts, size_t n_parts);
/* Qualified name; owned by d. "" on lack of memory. */
const char *node_qualified(struct dbg *d, uint32_t n);
/* Keeps s (takes it over; NULL is passed on) until d is closed. */
const char *dbg_keep(struct dbg *d, char *s);
/* "did you mean" hint for a class or function name among the pairs given. */
void names_nearest(struct dbg *d, const struct pairs *p, const char *name, const char *what, struct err *err);

/* types.c */
bool is_class_tag(int tag);
/* Peels cv and typedefs; declarations become definitions. false: no type (void). */
bool type_peel(struct dbg *d, Dwarf_Die *die, Dwarf_Die *ret);
bool type_of(struct dbg *d, Dwarf_Die *die, Dwarf_Die *ret); /* DW_AT_type, peeled */
struct dbg_type type_id(const struct dbg *d, Dwarf_Die *die);
void types_free(struct dbg *d);
bool die_flag(Dwarf_Die *die, unsigned attr);
bool die_declaration(Dwarf_Die *die);
bool die_udata(Dwarf_Die *die, unsigned attr, uint64_t *ret);
const char *die_name(Dwarf_Die *die); /* "" if it has none */
int64_t enumerator_value(Dwarf_Die *die);
/* Everything it consists of is defined in this module's debuginfo: what is not listed is not there. */
bool class_complete(struct dbg *d, struct dbg_type cls, int depth);
/* Data members without the dissolving rules of names: fn per leaf. */
int class_leaves(struct dbg *d, struct dbg_type cls, struct dbg_member *leaf, size_t max, size_t *n);

/* loc.c */
/* Value of a variable (DIE with DW_AT_location) at pc inside function fn as a path. false: not expressible.
 */
bool loc_value(struct dbg *d, Dwarf_Die *var, Dwarf_Die *fn, uint64_t pc, struct arg_path *ret);

/* funcs.c */
/* Where a concrete function starts. false: it is not in the program. */
bool func_entry(const struct dbg *d, uint32_t n, struct dbg_entry *e);
/* Makes a func of all nodes with this key; decl: one of them. */
int func_make(struct dbg *d, uint32_t decl, struct dbg_func **ret);
/* A definition's node whose parameters have names: abstract instance, concrete one, or the declaration. */
uint32_t func_definition(struct dbg *d, const struct dbg_func *f);

#endif
