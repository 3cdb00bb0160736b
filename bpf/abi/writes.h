/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Records, tables and configuration of bpf/writes.bpf.c. User space fills cfg, types, fields and probes
 * before it attaches; the kernel keeps objects and nodes; watch_slots (bpf/abi/watch.h) is shared with
 * bpf/watch.bpf.c (bpf_map__reuse_fd).
 *
 * An object is what the user guards (a cached lease); its nodes are the messages it is made of: the object
 * itself (the root) and those reached through its fields. A node is known by its address.
 */
#ifndef CULPRIT_ABI_WRITES_H
#define CULPRIT_ABI_WRITES_H

#include "base.h"
#include "stack.h"

#define WR_MAX_TYPES	   32
#define WR_MAX_FIELDS	   1024 /* over all types; a type's are consecutive */
#define WR_MAX_TYPE_FIELDS 128	/* of one type */
#define WR_MAX_PROBES	   4096
#define WR_MAX_CHILDREN	   16  /* fields of one type that lead to other nodes */
#define WR_MAX_VPTRS	   8   /* vtables right for a type: its own and derived classes' */
#define WR_NODE_BYTES	   512 /* of a node are shadowed; the rest of a bigger one is not, and counted */
#define WR_NODE_WORDS	   (WR_NODE_BYTES / 8)
/* A node's shadow: so many bytes stand in its entry of `nodes`, the rest in `pieces`, each keyed by the
 * address of its first byte. */
#define WR_HEAD_BYTES	      64
#define WR_PIECE_BYTES	      160
#define WR_MAX_PIECES	      3
#define WR_SPAN_BYTES	      (WR_HEAD_BYTES + WR_MAX_PIECES * WR_PIECE_BYTES)
#define WR_PIECE_KEY(node, i) ((node) + WR_HEAD_BYTES + (__u64)(i)*WR_PIECE_BYTES)
#define WR_PIECES(size)                                                                                      \
	((size) <= WR_HEAD_BYTES   ? 0                                                                       \
	 : (size) >= WR_NODE_BYTES ? WR_MAX_PIECES                                                           \
				   : ((size)-WR_HEAD_BYTES + WR_PIECE_BYTES - 1) / WR_PIECE_BYTES)
#define WR_PATH_DEPTH	4  /* steps from the object to the node */
#define WR_MAX_WALK	40 /* nodes visited at one touch */
#define WR_MAX_ELEMENTS 16 /* of one repeated field visited */
#define WR_TOUCHES	8
#define WR_NEAR_SIDE	64 /* bytes kept on each side of a suspicious word */
#define WR_NEAR_BYTES	(2 * WR_NEAR_SIDE + 8)
#define WR_DEEP_NS	250000000ull /* so often a touch looks at the object's sub-messages too */
#define WR_MAX_DEREF	3
#define WR_NO_FIELD	0xffff
#define WR_MAX_COUNT	(1 << 24) /* elements of one repeated field: more is taken for damage */

/*
 * Kernels before 5.15 have no attach cookies: there the map `sites` tells which probe it is, by the address
 * of the instruction and the program that runs (addresses of user space leave the upper bits free).
 */
enum wr_program { WR_ON_OBJECT, WR_ON_DESTROY, WR_ON_NODE };
#define WR_SITE_STORES		 8 /* that one instruction can be probed for */
#define WR_SITE_KEY(ip, program) ((__u64)(ip) | (__u64)(program) << 60)

/* bpf/writes_old.bpf.c: programs that its programs go on in. */
enum wr_tail { WR_TAIL_DIGEST, WR_TAIL_WALK, WR_TAIL_END, WR_TAILS };

/* What a probe means. */
enum wr_role {
	WR_ROLE_NONE = 0,
	WR_ROLE_INSERT,	 /* arg is an object that enters the cache */
	WR_ROLE_CHECK,	 /* arg is an object in the cache */
	WR_ROLE_REMOVE,	 /* arg is an object that leaves the cache */
	WR_ROLE_DESTROY, /* arg is an object or node about to be destroyed */
	WR_ROLE_CREATE,	 /* arg is memory in which a node is about to be built */
	WR_ROLE_MUTATE,	 /* arg is a node a legitimate writer is about to change; arg2 too if used (Swap) */
	WR_ROLE_STORE,	 /* arg is a node of which a legitimate store is about to change `fields` */
	WR_ROLE_TOUCH,	 /* no arg: the thread and time of the call are kept in calls */
	WR_ROLE_BIRTH,	 /* arg is memory in which an object is about to be built, to be followed from now on;
			    not if arg2 is used and not NULL: it belongs to an arena, and ends unseen */
	WR_ROLE_ALTER,	 /* CHECK and then MUTATE: all that tells of the object is that it is about to be
			    changed */
	WR_ROLE_MAX,
};

/* Value of an argument: v = reg + off[0]; then n_deref times v = *(u64 *)v + off[i]. reg is a DWARF number
 * (abi/stack.h). */
struct wr_arg {
	__u8 used;
	__u8 reg;
	__u8 n_deref;
	__u8 pad;
	__s32 off[WR_MAX_DEREF + 1];
};
_Static_assert(sizeof(struct wr_arg) == 20, "wr_arg");

struct wr_probe {
	__u16 role; /* enum wr_role */
	__u16 type; /* index into types: what arg points to */
	__u32 next; /* WR_ROLE_STORE without attach cookies: the next probe of the same instruction; 0 = none
		     */
	__u64 fields[WR_MAX_TYPE_FIELDS / 64]; /* WR_ROLE_STORE: the type's fields that it licenses, a bit
						  each, counted from its first */
	struct wr_arg arg, arg2;
};
_Static_assert(sizeof(struct wr_probe) == 64, "wr_probe");

/* Kind of a guarded field: which invariant holds and how to walk on. */
enum wr_field_kind {
	WR_F_SCALAR = 0,    /* no invariant */
	WR_F_VPTR,	    /* one of the type's vptr[] */
	WR_F_MESSAGE,	    /* NULL or a message whose vptr is vptr[] of type `pointee` */
	WR_F_STRING_PTR,    /* std::string *, never NULL (protobuf 2.x) */
	WR_F_STRING_TAGGED, /* protobuf 3.x: std::string *, the low bits in max are a tag */
	WR_F_STRING,	    /* std::string itself: its first word points to the text */
	WR_F_REPEATED_PTR,  /* pointers to messages of type `pointee` (WR_NO_FIELD: not messages) */
	WR_F_REPEATED,	    /* scalars */
	WR_F_BOOL,	    /* 0 or 1 */
	WR_F_ENUM,	    /* min..max, 4 bytes signed */
	WR_F_ENUM_SET,	    /* 4 bytes, bit i of max says whether i is allowed */
	WR_F_HASBITS,	    /* 4 bytes, no bit outside max */
	WR_F_RANGE,	    /* min..max, signed, width bytes: reference counts */
};

enum wr_field_flags {
	WR_FF_SHADOW = 1, /* a change without a licence is a finding: every legitimate writer has a probe */
	WR_FF_NODE = 2,	  /* what it points to is walked as nodes of type `pointee` */
};

struct wr_field {
	__u16 off;  /* from the start of the node */
	__u8 width; /* bytes of the field itself; 24 or 16 for a repeated field */
	__u8 kind;  /* enum wr_field_kind */
	__u8 flags;
	__u8 rep_header;      /* repeated: bytes before the elements in what rep_off points to (3.x: 8) */
	__u8 rep_off;	      /* repeated, relative to off: pointer to the elements */
	__u8 current_off;     /* repeated, relative to off: s32 */
	__u8 total_off;	      /* repeated, relative to off: s32 */
	__u8 alloc_off;	      /* repeated, relative to off: s32; 0xff: not in the node (3.x) */
	__u8 block_alloc_off; /* repeated: s32 in the block that holds the elements; 0xff: none (2.x) */
	__u8 pad1;
	__u16 pointee; /* index into types or WR_NO_FIELD */
	__u16 pad2;
	__s64 min, max;
};
_Static_assert(sizeof(struct wr_field) == 32, "wr_field");

struct wr_type {
	__u32 size;	   /* bytes of the class */
	__u32 first_field; /* into fields */
	__u32 n_fields;
	__u32 n_vptrs; /* 0: not known, then nothing is judged by it and nothing adopted */
	__u32 n_children;
	__u16 child[WR_MAX_CHILDREN]; /* its fields with WR_FF_NODE, counted from its first */
	__u32 n_repeated;	      /* so many of them, the first ones, are repeated */
	__u64 vptr[WR_MAX_VPTRS];     /* runtime addresses */
	__u64 mask[WR_NODE_WORDS];    /* bytes that belong to a guarded field; others may change freely */
};
_Static_assert(sizeof(struct wr_type) == 120 + WR_NODE_BYTES, "wr_type");

struct wr_cfg {
	__u32 tgid; /* as the host counts; 0: everything is a no-op */
	__u32 n_types;
	__u64 deadline_ns; /* CLOCK_MONOTONIC; moved on by user space; past it every probe is a no-op */
	__u64 licence_ns;  /* how long after its entry a mutator may still store */
	__u64 resumed_ns;  /* end of the last time the probes did nothing: changes since a shadow read before
			      are not judged */
};
_Static_assert(sizeof(struct wr_cfg) == 32, "wr_cfg");

struct wr_touch {
	__u64 ts_ns; /* 0: never */
	__u32 tid;
	__u32 probe; /* index into probes */
	char comm[ABI_COMM_LEN];
};
_Static_assert(sizeof(struct wr_touch) == 32, "wr_touch");

/* calls: last call of a WR_ROLE_TOUCH function by a thread; key tid << 32 | probe -> struct wr_touch. The
 * oldest give way. */
#define WR_MAX_CALLS 1024

enum wr_object_flags {
	WR_OBJ_ADOPTED = 1, /* was in the cache before the session; since_ns is its first touch */
	WR_OBJ_BORN = 2,    /* taken in when its constructor began: since_ns; has no node until something
			       looks at it */
};

/* A sum over the guarded bytes of nodes, as a walk read them when it compared them with their shadows and
 * found them good. As long as it is the same, no guarded byte has changed. */
struct wr_digest {
	__u64 sum;     /* 0: none, they have to be compared */
	__u64 from_ns; /* the walk that made it; nodes with an older shadow were not in it. ~0: it is void */
	__u64 seen_ns; /* last time it was seen to hold */
};
_Static_assert(sizeof(struct wr_digest) == 24, "wr_digest");

enum wr_digest_part {
	WR_DIGEST_TOP, /* the object and elements of its repeated fields */
	WR_DIGEST_SUB, /* nodes behind message pointers */
	WR_DIGESTS,
};

/* objects: address of the object -> this. */
struct wr_object {
	__u64 id; /* never reused: time of insertion or adoption, made unique by cpu */
	__u64 since_ns;
	__u32 type;
	__u32 flags;	      /* enum wr_object_flags */
	__u32 n_nodes;	      /* visited at the last touch */
	__u32 n_touches;      /* ever; touch[(n_touches - 1) % WR_TOUCHES] is the newest */
	__u64 deep_ns;	      /* last walk that visited sub-messages too */
	__u64 walkers, walks; /* that compare nodes with their shadows: at work, and ever begun */
	struct wr_digest digest[WR_DIGESTS];
	struct wr_touch last_good; /* last check that found nothing */
	struct wr_touch touch[WR_TOUCHES];
};
_Static_assert(sizeof(struct wr_object) == 88 + 24 * WR_DIGESTS + 32 * WR_TOUCHES, "wr_object");

struct wr_step {
	__u16 field; /* of the parent's type, counted from its first */
	__u16 index; /* element of a repeated field, else 0 */
};

/* damage: what was wrong with a field found damaged, for the check at its destruction. The oldest give way.
 */
#define WR_MAX_DAMAGE 4096
struct wr_damage_key {
	__u64 node;
	__u64 field; /* of the node's type, counted from its first */
};
struct wr_damage {
	__u64 object_id;
	__u64 value; /* that was seen in it */
	__u64 old;
	__u64 reason; /* enum wr_reason */
};

enum wr_node_flags {
	WR_NODE_ROOT = 1,
	WR_NODE_SUB = 2, /* in the object's WR_DIGEST_SUB, not in WR_DIGEST_TOP */
};

/* nodes: address of the node -> this. */
struct wr_node {
	__u64 object;	 /* address of the object it belongs to */
	__u64 object_id; /* wr_object.id: a node of another id is stale */
	__u16 type;
	__u8 depth; /* steps used; 0 for the root */
	__u8 flags; /* enum wr_node_flags */
	struct wr_step step[WR_PATH_DEPTH];
	__u32 pad;
	__u64 shadow_ns;			     /* when the shadow was compared with the target */
	__u64 mutate_seq;			     /* whole-node mutators entered so far */
	__u64 mutate_ns;			     /* when the last one was entered */
	__u64 store_ns;				     /* when the last licensed single-field store was */
	__u64 store_fields[WR_MAX_TYPE_FIELDS / 64]; /* fields licensed by single-field stores */
	__u64 damaged[WR_MAX_TYPE_FIELDS / 64];	     /* fields found damaged, and not seen good since */
	__u64 shadow[WR_HEAD_BYTES / 8];	     /* its first bytes */
};
_Static_assert(sizeof(struct wr_node) == 104 + WR_HEAD_BYTES, "wr_node");

/* pieces: WR_PIECE_KEY -> this. */
struct wr_piece {
	__u64 shadow[WR_PIECE_BYTES / 8];
};

/* When the node's memory was last known to equal its shadow: a change is younger than that. */
static inline __u64 wr_since(const struct wr_node *n, const struct wr_digest *d)
{
	return n->shadow_ns >= d->from_ns && d->seen_ns > n->shadow_ns ? d->seen_ns : n->shadow_ns;
}

/* Per-CPU counters, index into `counters`. */
enum wr_counter {
	WR_C_CHECKS = 0, /* objects checked */
	WR_C_NODES,	 /* nodes compared */
	WR_C_INSERTED,
	WR_C_ADOPTED,
	WR_C_REMOVED,
	WR_C_DESTROYED,
	WR_C_REPLACED,	 /* built or inserted where an object was still known: its end was missed */
	WR_C_CHANGED,	 /* nodes that had changed */
	WR_C_ACCEPTED,	 /* changed fields accepted without a licence, because not every writer has a probe */
	WR_C_LICENSED,	 /* changed fields accepted by a licence */
	WR_C_VIOLATIONS, /* candidates sent */
	WR_C_MUTATIONS,	 /* licences given by mutators */
	WR_C_STORES,	 /* licences given by single-field stores */
	WR_C_NOT_ADOPTED,  /* argument was no object of the type */
	WR_C_ARG_FAILED,   /* argument could not be read */
	WR_C_OBJECTS_FULL, /* an object could not be tracked: table full */
	WR_C_NODES_FULL,
	WR_C_WALK_BOUND,     /* nodes left out: WR_MAX_WALK, WR_MAX_ELEMENTS or WR_PATH_DEPTH */
	WR_C_NODE_TOO_BIG,   /* nodes checked up to WR_NODE_BYTES only */
	WR_C_READ_FAILED,    /* nodes that could not be read */
	WR_C_DEADLINE,	     /* probe hits ignored: the loader did not move the deadline */
	WR_C_SLOTS_RELEASED, /* watch slots released by a destruction */
	WR_C_PURGED,	     /* objects forgotten by user space after a gap; the kernel never counts here */
	WR_C_BUSY,	     /* probe hits ignored: all scratch of this CPU in use by preempted threads */
	WR_C_ON_ARENA,	     /* objects built on an arena: not followed */
	WR_C_QUICK,	     /* checks by the digest alone */
	WR_C_NEWS_LOST,	     /* WR_REC_NODES that found no room: user space has to look through the table */
	WR_C_MAX = 32,
};

/* Why a field is suspected. */
enum wr_reason {
	WR_BAD_NONE = 0,
	WR_BAD_VPTR,	    /* the node's own vptr */
	WR_BAD_POINTER,	    /* not readable at the time: unmapped or not resident, user space decides */
	WR_BAD_POINTEE,	    /* readable, but not a message of the right type */
	WR_BAD_REPEATED,    /* counts or elements */
	WR_BAD_VALUE,	    /* bool, enum, has-bits or range */
	WR_BAD_UNEXPLAINED, /* changed without a licence */
};

enum wr_record_kind {
	WR_REC_CANDIDATE = ABI_KIND_WRITES + 1,
	WR_REC_NODES = ABI_KIND_WRITES + 32,
};

enum wr_candidate_flags {
	WR_CAND_FIRST_SIGHT = 1, /* the node was not known before: there is no old value */
	WR_CAND_DESTROY = 2,	 /* seen by a destroy probe: nobody else may touch the object now */
	WR_CAND_REPEATED =
		4, /* the word was already pending with this very value: sent again at destruction */
	WR_CAND_LICENSED = 8, /* a licence covers this field */
	WR_CAND_LAST = 16, /* user space: as it stood when the process died; nobody can change it any more */
};

/* WR_REC_CANDIDATE: one suspicious field of one node. */
struct wr_candidate {
	struct abi_hdr hdr; /* tid and comm of the thread at the probe */
	__u64 object, object_id, object_since_ns;
	__u64 node;
	__u64 old_value, new_value; /* of the field, zero-extended; repeated: of the damaged word */
	__u64 word_addr;	    /* of the damaged field or word */
	__u64 pointee;	  /* word found behind a pointer: a vptr, a string's text; 0 if unreadable */
	__u64 shadow_ns;  /* when old_value was read */
	__u64 mutate_seq; /* of the node */
	__u64 mutate_ns;
	__u32 probe;
	__u16 object_type, node_type;
	__u16 field;  /* of node_type, counted from its first */
	__u16 reason; /* enum wr_reason */
	__u16 index;  /* element of a repeated field */
	__u8 depth;
	__u8 flags;	  /* enum wr_candidate_flags */
	__u32 word_width; /* 1, 2, 4, 8 */
	__u32 pad;
	struct wr_step step[WR_PATH_DEPTH];
	struct wr_touch last_good; /* ts_ns 0: never seen good */
	__u32 n_touches;
	__u32 object_flags;
	struct wr_touch touch[WR_TOUCHES];
	__u64 near_start; /* of near[]: a multiple of 8; the word may be gone when the record is looked at */
	__u32 near_len;	  /* 0: could not be read in one piece */
	__u32 pad2;
	__u8 near[WR_NEAR_BYTES];
};
_Static_assert(sizeof(struct wr_candidate) ==
		       48 + 88 + 24 + 4 * WR_PATH_DEPTH + 32 + 8 + 32 * WR_TOUCHES + 16 + WR_NEAR_BYTES,
	       "wr_candidate");

/* WR_REC_NODES: nodes new in the table, for the sweep. The record ends after n of them. */
struct wr_new_node {
	__u64 addr;
	__u64 digest; /* abi/digest.h, of the bytes that are its shadow; 0: something is wrong in it */
	__u64 type;
};
struct wr_nodes_rec {
	struct abi_hdr hdr;
	__u64 n;
	struct wr_new_node node[WR_MAX_WALK];
};

#endif
