/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tables of bpf/writes.bpf.c, its counters, and the scratch memory in which one probe hit works. */
#ifndef CULPRIT_WRITES_MAPS_BPF_H
#define CULPRIT_WRITES_MAPS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "../abi/writes.h"
#include "slots.bpf.h"

/*
 * The larger functions are global ones, which the verifier looks at once each; their arguments are scalars,
 * what they work on is in the scratch. bpf/writes_old.bpf.c has them inlined.
 */
#ifndef WR_FUNCTION
#define WR_FUNCTION int
#endif

#define WR_LEVELS	  4
#define WR_MAX_CANDIDATES 16 /* sent per probe hit */

#define EMIT_LATER_BYTES  sizeof(struct wr_candidate)
#define EMIT_LATER_MAX	  WR_MAX_CANDIDATES
#define EMIT_LATER_LEVELS WR_LEVELS
#include "emit_later.bpf.h"

#define ARRAY_MAP(name, val, n)                                                                              \
	struct {                                                                                             \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                            \
		__uint(max_entries, n);                                                                      \
		__type(key, __u32);                                                                          \
		__type(value, val);                                                                          \
	} name SEC(".maps")

ARRAY_MAP(cfg, struct wr_cfg, 1);
ARRAY_MAP(types, struct wr_type, WR_MAX_TYPES);
ARRAY_MAP(fields, struct wr_field, WR_MAX_FIELDS);
ARRAY_MAP(probes, struct wr_probe, WR_MAX_PROBES);

/* Probe by WR_SITE_KEY, where there are no attach cookies; else one unused slot. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, __u32);
} sites SEC(".maps");

/*
 * Preallocated, because taking memory in a probe is slow, may fail, and older kernels warn of it. User space
 * sizes them (user/writes/capacity.h).
 */
#define OBJECT_MAP(name, val)                                                                                \
	struct {                                                                                             \
		__uint(type, BPF_MAP_TYPE_HASH);                                                             \
		__uint(max_entries, 1024);                                                                   \
		__type(key, __u64);                                                                          \
		__type(value, val);                                                                          \
	} name SEC(".maps")

OBJECT_MAP(objects, struct wr_object);
OBJECT_MAP(nodes, struct wr_node);
OBJECT_MAP(pieces, struct wr_piece);

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, WR_MAX_DAMAGE);
	__type(key, struct wr_damage_key);
	__type(value, struct wr_damage);
} damage SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WR_C_MAX);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WR_MAX_PROBES);
	__type(key, __u32);
	__type(value, __u64);
} hits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, WR_MAX_CALLS);
	__type(key, __u64);
	__type(value, struct wr_touch);
} calls SEC(".maps");

/* A node to be visited. */
struct wr_item {
	__u64 addr;
	__u64 from; /* address of the pointer that leads to it; 0: the root, the probe's argument */
	__u64 parent;
	__u64 mutate_ns; /* last mutation of any ancestor */
	__u16 type, parent_type;
	__u16 depth;
	__u8 element;	   /* 1: from a repeated field */
	__u8 from_damaged; /* 1: the node that leads to it is damaged; it may lead nowhere */
	__u32 part;	   /* enum wr_digest_part */
	__u32 index;	   /* element of a repeated field, else 0 */
	struct wr_step step[WR_PATH_DEPTH];
};

/* The same for a walk that only takes the digest. */
struct wr_light {
	__u64 addr;
	__u16 type;
	__u8 depth, index;
	__u32 part;
};

/* One probe hit at work. */
struct wr_scratch {
	__u64 busy;
	__u64 now;
	__u64 object, object_id;
	__u32 probe;
	__u32 destroying;   /* the object or node at the probe ends */
	__u32 ending;	    /* it ends, or is to be followed no more */
	__u32 node_ending;  /* it is a node that is no object */
	__u32 phase;	    /* bpf/writes_old.bpf.c: enum wr_phase, */
	__u32 cursor, runs; /* field or child in hand, programs so far, */
	__u32 level;	    /* this scratch, */
	__u32 pad;
	__u64 owner;				      /* and the thread that has taken it */
	__u32 reason, word_off, word_width, licensed; /* of the field in hand */
	__u64 mutate_ns;			      /* last mutation of the node in hand or an ancestor */
	__u32 bad;	   /* candidates of this hit, and nodes known to be damaged */
	__u32 head, tail;  /* of q */
	__u32 first;	   /* the node in hand was not known before */
	__u32 deep;	   /* visit sub-messages too */
	__u32 damaged;	   /* the node in hand is known to be */
	__u64 changed;	   /* words of the node in hand that differ from its shadow */
	__u64 plain;	   /* the same for plain values, which have to be judged only then */
	__u64 digest;	   /* of the node in hand */
	__u64 walk, alone; /* this walk's number; no other was at work when it began */
	__u64 sum[WR_DIGESTS];
	struct wr_digest seen[WR_DIGESTS]; /* the object's, as they were before this hit */
	struct wr_item it;		   /* the node in hand */
	struct wr_item q[WR_MAX_WALK];
	struct wr_light light[WR_MAX_WALK];
	__u64 ptr[WR_MAX_ELEMENTS];
	__u8 bytes[WR_SPAN_BYTES];  /* of the node in hand */
	__u8 shadow[WR_SPAN_BYTES]; /* its shadow */
	struct wr_object object_new;
	struct wr_node node_new;
	struct wr_candidate cand;
	struct wr_nodes_rec news; /* nodes this hit has put into the table */
};

/*
 * Uprobe programs may be preempted, and another thread's probe then runs on the same CPU: each hit takes a
 * scratch of its own. A hit that is preempted between the addition and the comparison only makes the other
 * one look further.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WR_LEVELS);
	__type(key, __u32);
	__type(value, struct wr_scratch);
} scratch SEC(".maps");

/* What was stored is read again: the verifier forgets what it knew of it. */
#define barrier() asm volatile("" ::: "memory")

static __always_inline void count(__u32 what)
{
	__u64 *n = bpf_map_lookup_elem(&counters, &what);

	if (n)
		*n += 1;
}

static __always_inline struct wr_scratch *scratch_at(__u32 level)
{
	return bpf_map_lookup_elem(&scratch, &level);
}

/* Returns a level for scratch_at, WR_LEVELS if all are in use. */
static __always_inline __u32 scratch_take(void)
{
	for (__u32 level = 0; level < WR_LEVELS; level++) {
		struct wr_scratch *s = scratch_at(level);

		if (!s)
			break;
		__sync_fetch_and_add(&s->busy, 1);
		if (*(volatile __u64 *)&s->busy == 1)
			return level;
		__sync_fetch_and_add(&s->busy, -1);
	}
	count(WR_C_BUSY);
	return WR_LEVELS;
}

static __always_inline void scratch_give(__u32 level)
{
	struct wr_scratch *s = scratch_at(level);

	if (s)
		__sync_fetch_and_add(&s->busy, -1);
}

static __always_inline struct wr_cfg *cfg_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&cfg, &zero);
}

static __always_inline struct wr_type *type_get(__u32 i)
{
	return bpf_map_lookup_elem(&types, &i);
}

static __always_inline struct wr_field *field_get(const struct wr_type *t, __u32 i)
{
	__u32 k = t->first_field + i;

	return bpf_map_lookup_elem(&fields, &k);
}

#endif
