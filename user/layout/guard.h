/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The guard table: what must hold in every live object of a type and of everything it contains, as a flat
 * list of fields with offsets. Offsets, kinds and vtables are read from DWARF and the symbol table. Where the
 * shape of a field is not known it is GUARD_OPAQUE with the reason, and nothing is checked.
 */
#ifndef CULPRIT_GUARD_H
#define CULPRIT_GUARD_H

#include "dwarf/types.h"

#define GUARD_MAX_VPTRS 8
#define GUARD_NONE	(-1)

enum guard_kind {
	GUARD_OPAQUE,	  /* never checked; `reason` says why */
	GUARD_VPTR,	  /* 8 bytes: one of the type's vptrs (only at the object's own start) */
	GUARD_MSG_PTR,	  /* NULL, or pointer to a readable object of types[elem] */
	GUARD_PTR,	  /* pointer to something that has no vtable, or is not known: no invariant */
	GUARD_STRING_PTR, /* protobuf 2: std::string *, never NULL, readable (may be the shared empty string)
			   */
	GUARD_ARENA_STRING, /* protobuf 3: ArenaStringPtr; low `tag_mask` bits are a tag; the rest is never
			       NULL, readable */
	GUARD_STRING,	    /* std::string by value */
	GUARD_REPEATED_PTR, /* see struct guard_repeated; elements are pointers to types[elem], or to strings
			       if elem == GUARD_NONE */
	GUARD_REPEATED,	    /* see struct guard_repeated; elements are scalars of elem_size bytes */
	GUARD_BOOL,	    /* 1 byte, 0 or 1 */
	GUARD_ENUM,	    /* min..max, and bit in enum_set if enum_exact */
	GUARD_INT,
	GUARD_UINT,
	GUARD_FLOAT,
	GUARD_HAS_BITS,	   /* 4 bytes, no bit outside has_mask */
	GUARD_CACHED_SIZE, /* int, changes in const functions (ByteSize): only >= 0 */
	GUARD_METADATA,	   /* unknown fields and arena pointer */
};
const char *guard_kind_name(enum guard_kind k);

struct guard_repeated {
	/* Offsets in the field (not in the object); GUARD_NONE: this version has no such member. All counts
	 * are 4-byte int. */
	int32_t current, allocated, total;
	int32_t pointer; /* of the pointer to the elements or to the block that holds them; NULL when total is
			    0 */
	uint32_t header; /* from where the pointer points to element 0: 0 (2.x), 8 (3.x rep_) */
	int32_t rep_allocated; /* offset of int allocated in the pointed-to block, GUARD_NONE if it has none
				*/
	uint32_t elem_size;    /* 8 for pointers */
	bool pointer_may_be_arena; /* total == 0: the pointer word holds an arena, not elements (3.x
				      RepeatedField) */
};

struct guard_field {
	uint32_t offset, width; /* bytes in the object */
	enum guard_kind kind;
	const char *path;     /* fragment as a report shows it: "read_perf_", "node_.next" */
	const char *owner;    /* class that declares it */
	struct dbg_type type; /* as declared; or the enumeration that an int's accessor returns */
	int32_t elem;	      /* index into guard_table.types of what it points to or repeats; GUARD_NONE */
	bool proto;	      /* data of a generated protobuf message (else plain C++: invariants only) */
	bool in_union;	      /* oneof or union: shares bytes, so no invariant of its own */
	int64_t enum_min, enum_max;
	uint64_t enum_set; /* see enum_exact */
	bool enum_exact;   /* protobuf enum within 0..63: bit i of enum_set says whether i is allowed */
	uint32_t has_mask; /* GUARD_HAS_BITS: bits that may be set; all ones if not known */
	uint8_t tag_mask;  /* GUARD_ARENA_STRING */
	struct guard_repeated rep;
	/*
	 * A change of this field that no licensed writer explains is a finding: scalar of a message, and
	 * every inlined writer has a probe site (see writers.h, which sets these four).
	 */
	bool shadow_judged;
	uint32_t inlined_writers;   /* inlined instances of its setters outside the type's own functions */
	uint32_t inlined_uncovered; /* of these, without a store site */
	char reason[128];	    /* why opaque, or why not shadow_judged; "" else */
};

/* Where a class's vtable stands: expected vptr = load bias of module + vaddr. */
struct guard_vptr {
	const struct elf_file *module; /* the binary, or one of the libraries given */
	uint64_t vaddr;		       /* _ZTV symbol + 16 */
	const char *cls; /* class it is the vtable of (the type itself or a class derived from it) */
};

struct guard_type {
	const char *name; /* qualified */
	struct dbg_type type;
	uint32_t size;
	bool message; /* generated protobuf message or a class derived from one */
	/*
	 * Any of these is right in an object seen as this type: its own first, then classes derived from it
	 * in the binary. vptrs_known false: a vtable was not found or there are too many; then no vptr of
	 * this type may be judged.
	 */
	bool vptrs_known;
	uint32_t n_vptr;
	struct guard_vptr vptr[GUARD_MAX_VPTRS];
	char vptr_reason[128]; /* why not known */
	/* Default instance of the message (of its first base, for a class derived from one) in
	 * `default_module`: where defaults of its fields can be read. 0 = not known. */
	const struct elf_file *default_module;
	uint64_t default_vaddr;
	bool default_is_pointer; /* 2.x: the symbol is a pointer to it */
	size_t n_field;
	struct guard_field *field; /* by offset */
};

struct guard_table {
	size_t n_type;
	struct guard_type *type; /* [0] is the root; order of discovery, breadth first */
	bool truncated; /* more types are reachable than max_types or max_depth allow; those fields are opaque
			 */
	/* NULL, or the table of another module, of_dbg's, that this is a copy of: the types are those of a
	 * module that may only declare them; die 0: not even that. */
	const struct guard_table *of;
	struct dbg *of_dbg;
};

struct guard_opts {
	uint32_t max_types; /* 0 = 32 */
	uint32_t max_depth; /* of containment; 0 = 4 */
	const struct elf_file *const
		*libs; /* other modules of the process, searched for vtables; kept by the table */
	size_t n_libs;
};

/* Table of root and all it contains by protobuf containment. *ret for guard_free(); needs d alive. -ENOMEM,
 * -EINVAL, dbg errors. */
int guard_build(struct guard_table **ret, struct dbg *d, struct dbg_type root, const struct guard_opts *opts,
		struct err *err);
void guard_free(struct guard_table *g); /* NULL is fine */

/* Index of the field that holds byte `offset` (the innermost is unambiguous but in unions: the first);
 * GUARD_NONE if none does. */
int guard_field_at(const struct guard_type *t, uint32_t offset);

#endif
