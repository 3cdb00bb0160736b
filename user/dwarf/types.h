/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Classes and other types by name, and their members flattened with offsets. All of it is read from DWARF;
 * nothing is assumed. */
#ifndef CULPRIT_DWARF_TYPES_H
#define CULPRIT_DWARF_TYPES_H

#include "dwarf/dbg.h"

/* A type, cv-qualifiers and typedefs taken off. Two are the same type if their names are (a class may stand
 * in many units). */
struct dbg_type {
	uint64_t die; /* offset of the definition's DIE (of a declaration if there is no definition); 0 = void
			 or none */
};

enum dbg_kind {
	DBG_NONE, /* void, or what this module does not understand */
	DBG_BOOL,
	DBG_INT,  /* signed */
	DBG_UINT, /* unsigned, char types included */
	DBG_FLOAT,
	DBG_ENUM,
	DBG_PTR,   /* target = what it points to */
	DBG_REF,   /* & and && */
	DBG_ARRAY, /* target = element type */
	DBG_CLASS, /* class or struct (by value) that is none of the following */
	DBG_UNION,
	DBG_STRING,	  /* std::string of either ABI */
	DBG_ARENA_STRING, /* google::protobuf::internal::ArenaStringPtr */
	DBG_REPEATED_PTR, /* google::protobuf::RepeatedPtrField<target> */
	DBG_REPEATED,	  /* google::protobuf::RepeatedField<target> */
	DBG_SMART_PTR,	  /* class whose only data is one pointer, to target (std::unique_ptr,
			     boost::intrusive_ptr and the like) */
	DBG_SHARED_PTR,	  /* std::shared_ptr and the like: two pointers, the first to target */
	DBG_FUNC,
};

struct dbg_type_info {
	enum dbg_kind kind;
	const char *name;	/* qualified; "" for an unnamed one; owned by the dbg */
	uint64_t size;		/* bytes; 0 if it is not known (declaration only) */
	bool declaration;	/* no definition in this module's debuginfo */
	struct dbg_type target; /* see enum dbg_kind */
	bool polymorphic;	/* has a vptr of its own or from a base (known only of definitions) */
	int64_t enum_min,
		enum_max;  /* DBG_ENUM: smallest and greatest enumerator; min > max: no enumerators */
	uint64_t enum_set; /* DBG_ENUM: bit i set = i is an enumerator; whole set only if 0 <= min and max <
			      64 */
	bool enum_fixed;   /* DBG_ENUM: scoped or of a stated underlying type */
	uint64_t count;	   /* DBG_ARRAY: number of elements; 0 = not known */
};

struct dbg_member {
	const char *name;  /* "read_perf_"; "_vptr" for a vtable pointer; owned by the dbg */
	const char *owner; /* qualified name of the class that declares it (nearest named one, Impl_ counted
			      to its message) */
	uint32_t offset, size; /* bytes, from the start of the class asked about */
	struct dbg_type type;
	struct dbg_type_info info;
	bool bit_field; /* offset and size: of the storage unit's bytes that hold it */
	bool in_union;	/* shares its bytes with other members */
	bool in_base;	/* declared in a base class */
};

/*
 * name: qualified, as C++ writes it; spaces in template argument lists do not matter. -ENOENT with the
 * nearest names as hint, -ENODATA if it is only declared here (*ret is the declaration), -EEXIST if several
 * different classes have the name's unique suffix.
 */
int dbg_find_class(struct dbg *d, const char *name, struct dbg_type *ret, struct err *err);
int dbg_type_info(struct dbg *d, struct dbg_type t, struct dbg_type_info *ret);
bool dbg_type_same(struct dbg *d, struct dbg_type a, struct dbg_type b);

/*
 * Data members in order of offset. Bases, unnamed structs and unions and protobuf's `_impl_` are dissolved;
 * other members of class type stay one member (ask again with its type). Static members are left out, virtual
 * bases are an error (-ENOTSUP). *ret is an array of *n for free().
 */
int dbg_members(struct dbg *d, struct dbg_type cls, struct dbg_member **ret, size_t *n, struct err *err);
/* All bases, nearest first, with their offset in cls. Same ownership. */
struct dbg_base {
	struct dbg_type type;
	uint32_t offset;
};
int dbg_bases(struct dbg *d, struct dbg_type cls, struct dbg_base **ret, size_t *n, struct err *err);
/* Offset of base in derived. false: not a base of it (same type: true, 0). */
bool dbg_base_offset(struct dbg *d, struct dbg_type derived, struct dbg_type base, uint32_t *offset);
/* Classes defined in this module that have base among their bases. Same ownership. */
int dbg_derived(struct dbg *d, struct dbg_type base, struct dbg_base **ret, size_t *n, struct err *err);
/* Number of static data members of cls (not of its bases) whose names start and end like this. */
uint32_t dbg_count_statics(struct dbg *d, struct dbg_type cls, const char *start, const char *end);

/* Name of an enumerator; NULL if t is no enumeration or has none of this value. Owned by the dbg. */
const char *dbg_enumerator(struct dbg *d, struct dbg_type t, int64_t value);
/* Unqualified names of member functions or static data members that cls's definition declares, in its order.
 * *ret for free(). */
enum dbg_listed { DBG_LIST_METHODS, DBG_LIST_STATICS };
int dbg_list_names(struct dbg *d, struct dbg_type cls, enum dbg_listed what, const char ***ret, size_t *n);

#endif
