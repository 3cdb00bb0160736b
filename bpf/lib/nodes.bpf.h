/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The nodes in the tables: their shadows, which stand in pieces, and what was found damaged in them. */
#ifndef CULPRIT_NODES_BPF_H
#define CULPRIT_NODES_BPF_H

#include "writes_maps.bpf.h"

/* Takes a node out of the table, with its pieces. Returns whether it was there. */
WR_FUNCTION wr_node_delete(__u64 addr)
{
	struct wr_node *n = bpf_map_lookup_elem(&nodes, &addr);
	struct wr_type *t;
	__u32 n_pieces;

	if (!n)
		return 0;
	t = type_get(n->type);
	n_pieces = t ? WR_PIECES(t->size) : 0;
	bpf_map_delete_elem(&nodes, &addr);
	for (__u32 i = 0; i < WR_MAX_PIECES; i++) {
		__u64 key = WR_PIECE_KEY(addr, i);

		if (i < n_pieces)
			bpf_map_delete_elem(&pieces, &key);
	}
	return 1;
}

/* Puts the shadow of the node in hand together. False: a piece of it is missing. */
static __always_inline bool shadow_load(struct wr_scratch *s, const struct wr_node *n, __u32 size)
{
	__builtin_memcpy(s->shadow, n->shadow, WR_HEAD_BYTES);
	for (__u32 i = 0; i < WR_MAX_PIECES; i++) {
		__u64 key = WR_PIECE_KEY(s->it.addr, i);
		struct wr_piece *p;

		if (i >= WR_PIECES(size))
			break;
		p = bpf_map_lookup_elem(&pieces, &key);
		if (!p)
			return false;
		__builtin_memcpy(s->shadow + WR_HEAD_BYTES + i * WR_PIECE_BYTES, p->shadow, WR_PIECE_BYTES);
	}
	return true;
}

/* What was read of the node in hand is its shadow from now on. */
static __always_inline void shadow_save(struct wr_scratch *s, struct wr_node *n, __u32 size)
{
	__builtin_memcpy(n->shadow, s->bytes, WR_HEAD_BYTES);
	for (__u32 i = 0; i < WR_MAX_PIECES; i++) {
		__u64 key = WR_PIECE_KEY(s->it.addr, i);
		struct wr_piece *p;

		if (i >= WR_PIECES(size))
			break;
		p = bpf_map_lookup_elem(&pieces, &key);
		if (p)
			__builtin_memcpy(p->shadow, s->bytes + WR_HEAD_BYTES + i * WR_PIECE_BYTES,
					 WR_PIECE_BYTES);
	}
}

static __always_inline bool pieces_add(struct wr_scratch *s, __u32 size)
{
	for (__u32 i = 0; i < WR_MAX_PIECES; i++) {
		__u64 key = WR_PIECE_KEY(s->it.addr, i);

		if (i >= WR_PIECES(size))
			break;
		if (bpf_map_update_elem(&pieces, &key, s->bytes + WR_HEAD_BYTES + i * WR_PIECE_BYTES,
					BPF_ANY))
			return false;
	}
	return true;
}

static __always_inline void pieces_delete(__u64 addr, __u32 size)
{
	for (__u32 i = 0; i < WR_MAX_PIECES; i++) {
		__u64 key = WR_PIECE_KEY(addr, i);

		if (i < WR_PIECES(size))
			bpf_map_delete_elem(&pieces, &key);
	}
}

/* Notes the new node in hand for user space. */
static __always_inline void news_add(struct wr_scratch *s)
{
	__u64 n = s->news.n;

	if (n >= WR_MAX_WALK)
		return;
	s->news.node[n].addr = s->it.addr;
	s->news.node[n].digest = s->damaged ? 0 : s->digest;
	s->news.node[n].type = s->it.type;
	s->news.n = n + 1;
}

/* Tells user space of the nodes this hit has put into the table. */
static __always_inline void news_send(void *ctx, struct wr_scratch *s)
{
	__u64 n = s->news.n;

	if (!n || n > WR_MAX_WALK)
		return;
	hdr_fill(&s->news.hdr, WR_REC_NODES,
		 offsetof(struct wr_nodes_rec, node) + n * sizeof(struct wr_new_node));
	if (emit_uncounted(ctx, &s->news,
			   offsetof(struct wr_nodes_rec, node) + n * sizeof(struct wr_new_node)))
		count(WR_C_NEWS_LOST);
}

/*
 * Puts the node in hand, just read, into the table; what stood there is of another object, and goes. The head
 * comes last: who finds it finds the pieces too.
 */
static __always_inline bool node_adopt(struct wr_scratch *s, __u32 size)
{
	struct wr_node *n = &s->node_new;
	__u64 key = s->it.addr;

	wr_node_delete(key);
	__builtin_memset(n, 0, sizeof(*n));
	n->object = s->object;
	n->object_id = s->object_id;
	n->type = s->it.type;
	n->depth = s->it.depth;
	n->flags = (s->it.depth ? 0 : WR_NODE_ROOT) | (s->it.part == WR_DIGEST_SUB ? WR_NODE_SUB : 0);
	n->shadow_ns = s->now;
	__builtin_memcpy(n->step, s->it.step, sizeof(n->step));
	__builtin_memcpy(n->shadow, s->bytes, WR_HEAD_BYTES);
	if (!pieces_add(s, size) || bpf_map_update_elem(&nodes, &key, n, BPF_ANY)) {
		pieces_delete(key, size);
		count(WR_C_NODES_FULL);
		lost_add(ABI_LOST_MAP);
		return false;
	}
	return true;
}

static __always_inline bool damaged(const struct wr_node *n)
{
	return (n->damaged[0] | n->damaged[1]) != 0;
}

/* What is known of field i, if it was found damaged and not seen good since. */
static __always_inline struct wr_damage *damage_of(const struct wr_scratch *s, const struct wr_node *n,
						   __u32 i)
{
	struct wr_damage_key key = {.node = s->it.addr, .field = i};
	struct wr_damage *d;

	if (!(n->damaged[(i / 64) & 1] >> (i & 63) & 1))
		return NULL;
	d = bpf_map_lookup_elem(&damage, &key);
	return d && d->object_id == n->object_id ? d : NULL;
}

static __always_inline void damage_set(const struct wr_scratch *s, struct wr_node *n, __u32 i, __u32 reason,
				       __u64 old, __u64 new)
{
	struct wr_damage_key key = {.node = s->it.addr, .field = i};
	struct wr_damage d = {.object_id = n->object_id, .value = new, .old = old, .reason = reason};

	n->damaged[(i / 64) & 1] |= 1ull << (i & 63);
	bpf_map_update_elem(&damage, &key, &d, BPF_ANY);
}

/* Field i is good again. */
static __always_inline void damage_clear(const struct wr_scratch *s, struct wr_node *n, __u32 i)
{
	struct wr_damage_key key = {.node = s->it.addr, .field = i};

	if (!(n->damaged[(i / 64) & 1] >> (i & 63) & 1))
		return;
	n->damaged[(i / 64) & 1] &= ~(1ull << (i & 63));
	bpf_map_delete_elem(&damage, &key);
}

#endif
