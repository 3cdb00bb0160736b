/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The digest of an object: a sum over its nodes' guarded bytes, their addresses and places. Made by the walk
 * that compares them with their shadows (object.bpf.h), from the bytes it compared; taken again at each
 * touch, without looking at a shadow.
 */
#ifndef CULPRIT_DIGEST_BPF_H
#define CULPRIT_DIGEST_BPF_H

#include "../abi/digest.h"
#include "guard.bpf.h"

/* Adds the node whose bytes are in the scratch to the sum. Leaves its own digest in s->digest. */
WR_FUNCTION wr_digest_add(__u32 level, __u64 addr, __u32 type, __u32 index, __u32 part)
{
	struct wr_scratch *s = scratch_at(level);
	struct wr_type *t = type_get(type);

	if (!s || !t)
		return 0;
	s->digest = wr_digest(addr, type, t, s->bytes);
	s->sum[part & 1] += wr_mix(s->digest, index);
	return 0;
}

/* Reads the node at addr into s->bytes, with zeroes up to the next whole word. */
static __always_inline bool node_read(struct wr_scratch *s, const struct wr_type *t, __u64 addr)
{
	__u64 len = t->size;

	if (len > WR_NODE_BYTES)
		len = WR_NODE_BYTES;
	if (len & 7)
		*(__u64 *)(s->bytes + (len & (WR_NODE_BYTES - 8))) = 0;
	MASK_NOW(len, 2 * WR_NODE_BYTES - 1);
	return !bpf_probe_read_user(s->bytes, len, (void *)addr);
}

/*
 * Reads the element pointers of repeated field f of the node whose bytes are in the scratch. Returns how
 * many, -1 if they cannot be read. *block: address of the first.
 */
static __always_inline __s32 elements_read(struct wr_scratch *s, const struct wr_field *f, __u64 *block)
{
	__s32 n, total;

	*block = 0;
	if (f->off > WR_NODE_BYTES - 24)
		return 0;
	n = (__s32)value_at(s->bytes, f->off + f->current_off, 4);
	total = (__s32)value_at(s->bytes, f->off + f->total_off, 4);
	if (n <= 0 || n > total)
		return 0;
	if (n > WR_MAX_ELEMENTS) {
		n = WR_MAX_ELEMENTS;
		count(WR_C_WALK_BOUND);
	}
	*block = value_at(s->bytes, f->off + f->rep_off, 8) + f->rep_header;
	return bpf_probe_read_user(s->ptr, (n & 31) * 8, (void *)*block) ? -1 : n;
}

static __always_inline struct wr_light *light_at(struct wr_scratch *s, __u64 i)
{
	struct wr_light *l;

	asm volatile("" : "+r"(i)); /* or what is compared is not what is used */
	if (i >= WR_MAX_WALK)
		return NULL;
	asm volatile("" : "+r"(i)); /* or the address is made before it is known to be one */
	l = &s->light[i];
	ADDRESS_NOW(l);
	return l;
}

/* Queues a node that is no element. */
static __always_inline void light_push(struct wr_scratch *s, __u64 addr, __u32 type, __u32 depth, __u32 part)
{
	struct wr_light *to = light_at(s, s->tail);

	if (!to || depth > WR_PATH_DEPTH)
		return;
	to->addr = addr;
	to->type = type;
	to->index = 0;
	to->depth = depth;
	to->part = part;
	s->tail++;
}

/* Queues the elements of field i of the light node at `head`, whose bytes are in the scratch. 0: they cannot
 * be read. */
WR_FUNCTION wr_light_elements(__u32 level, __u32 head, __u32 i)
{
	struct wr_scratch *s = scratch_at(level);
	struct wr_light *l;
	struct wr_field *f;
	struct wr_type *t;
	__u64 block, tail;
	__s32 n;

	l = s ? light_at(s, head) : NULL;
	if (!l)
		return 0;
	t = type_get(l->type);
	f = t ? field_get(t, i) : NULL;
	if (!f)
		return 0;
	n = elements_read(s, f, &block);
	if (l->depth >= WR_PATH_DEPTH)
		return n >= 0;
	tail = s->tail;
	for (__u32 k = 0; k < WR_MAX_ELEMENTS; k++) {
		struct wr_light *to = light_at(s, tail);

		if ((__s32)k >= n || !to)
			break;
		to->addr = s->ptr[k];
		to->type = f->pointee;
		to->index = k;
		to->depth = l->depth + 1;
		to->part = l->part;
		tail++;
	}
	s->tail = tail;
	return n >= 0;
}

/* Takes light node l into the digest. False: it cannot be read. */
static __always_inline bool light_add(struct wr_scratch *s, const struct wr_light *l, const struct wr_type *t)
{
	if (!node_read(s, t, l->addr))
		return false;
	s->sum[l->part & 1] += wr_mix(wr_digest(l->addr, l->type, t, s->bytes), l->index);
	return true;
}

static __always_inline __u32 light_children(const struct wr_scratch *s, const struct wr_type *t)
{
	return s->deep ? t->n_children : t->n_repeated;
}

/* Queues what child c of the light node at `head` leads to. False: that cannot be done. */
static __always_inline bool light_child(__u32 level, struct wr_scratch *s, const struct wr_type *t,
					__u32 head, __u32 depth, __u32 c)
{
	__u32 i = t->child[c & (WR_MAX_CHILDREN - 1)];
	struct wr_field *f = field_get(t, i);
	__u64 p;

	if (!f)
		return true;
	if (f->kind != WR_F_MESSAGE)
		return wr_light_elements(level, head, i);
	p = value_at(s->bytes, f->off, 8);
	if (p)
		light_push(s, p, f->pointee, depth + 1, WR_DIGEST_SUB);
	return true;
}

/* Takes the light node at `head` into the digest and queues what it leads to. 0: that cannot be done. */
WR_FUNCTION wr_light_visit(__u32 level, __u32 head)
{
	struct wr_scratch *s = scratch_at(level);
	struct wr_light *l;
	struct wr_type *t;
	__u32 n;

	l = s ? light_at(s, head) : NULL;
	if (!l)
		return 0;
	t = type_get(l->type);
	if (!t || !light_add(s, l, t))
		return 0;
	n = light_children(s, t);
	for (__u32 c = 0; c < WR_MAX_CHILDREN; c++) {
		if (c >= n)
			break;
		if (!light_child(level, s, t, head, l->depth, c))
			return 0;
	}
	return 1;
}

/* Queues the root, if the object has a digest to be held against. */
static __always_inline bool light_begin(struct wr_scratch *s, const struct wr_object *o, __u64 addr)
{
	if (!o->digest[WR_DIGEST_TOP].sum || (s->deep && !o->digest[WR_DIGEST_SUB].sum))
		return false;
	s->tail = 0;
	s->sum[WR_DIGEST_TOP] = 1;
	s->sum[WR_DIGEST_SUB] = 1;
	light_push(s, addr, o->type, 0, WR_DIGEST_TOP);
	return true;
}

/* All light nodes are in the sum: is it that of the digest? */
static __always_inline bool light_end(struct wr_scratch *s, struct wr_object *o)
{
	if (s->sum[WR_DIGEST_TOP] != o->digest[WR_DIGEST_TOP].sum ||
	    (s->deep && s->sum[WR_DIGEST_SUB] != o->digest[WR_DIGEST_SUB].sum))
		return false;
	o->digest[WR_DIGEST_TOP].seen_ns = s->now;
	if (s->deep) {
		o->digest[WR_DIGEST_SUB].seen_ns = s->now;
		o->deep_ns = s->now;
	}
	return true;
}

/* Is the object as it was when its digest was made? s->deep: its sub-messages too. */
static __always_inline bool digest_holds(__u32 level, struct wr_scratch *s, struct wr_object *o, __u64 addr)
{
	if (!light_begin(s, o, addr))
		return false;
	for (__u32 i = 0; i < WR_MAX_WALK; i++) {
		if (i >= s->tail)
			break;
		if (!wr_light_visit(level, i))
			return false;
	}
	return light_end(s, o);
}

static __always_inline void digest_void(struct wr_digest *d)
{
	d->sum = 0;
	d->from_ns = ~0ull;
}

/*
 * Before a walk that compares nodes with their shadows. Two at a time may leave shadows of what was read
 * first beside a digest of what was read last: so a digest is void while a walk is at work, and only one that
 * was alone makes a new one.
 */
static __always_inline void digest_begin(struct wr_scratch *s, struct wr_object *o)
{
	__sync_fetch_and_add(&o->walkers, 1);
	__sync_fetch_and_add(&o->walks, 1);
	s->alone = *(volatile __u64 *)&o->walkers == 1;
	s->walk = *(volatile __u64 *)&o->walks;
	__builtin_memcpy(s->seen, o->digest, sizeof(s->seen));
	digest_void(&o->digest[WR_DIGEST_TOP]);
	digest_void(&o->digest[WR_DIGEST_SUB]);
}

/* After a walk that compared all nodes it came to: their sum is the digest from now on, if all were good. */
static __always_inline void digest_keep(struct wr_scratch *s, struct wr_object *o)
{
	struct wr_digest *top = &o->digest[WR_DIGEST_TOP], *sub = &o->digest[WR_DIGEST_SUB];
	struct wr_digest d = {.from_ns = s->now, .seen_ns = s->now};

	if (s->deep)
		o->deep_ns = s->now;
	if (!s->bad && s->alone && *(volatile __u64 *)&o->walks == s->walk) {
		d.sum = s->sum[WR_DIGEST_TOP];
		*top = d;
		d.sum = s->sum[WR_DIGEST_SUB];
		if (s->deep)
			*sub = d;
		else if (d.sum == 1) /* else some of them were visited, those of nodes that had changed */
			*sub = s->seen[WR_DIGEST_SUB];
	}
	__sync_fetch_and_add(&o->walkers, -1);
}

#endif
