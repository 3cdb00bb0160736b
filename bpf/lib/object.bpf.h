/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Walks an object: reads each node once, compares it with its shadow, has changed fields judged, takes it
 * into the digest, and queues the nodes it leads to.
 */
#ifndef CULPRIT_OBJECT_BPF_H
#define CULPRIT_OBJECT_BPF_H

#include "digest.bpf.h"

/* Appends a node to the queue. */
static __always_inline void queue_push(struct wr_scratch *s, __u64 addr, __u64 from, __u32 type, __u32 field,
				       __u32 index, bool element)
{
	__u32 tail = s->tail, depth = s->it.depth;
	struct wr_item *q;

	if (tail >= WR_MAX_WALK || depth >= WR_PATH_DEPTH) {
		count(WR_C_WALK_BOUND);
		return;
	}
	q = &s->q[tail];
	ADDRESS_NOW(q);
	q->addr = addr;
	q->from = from;
	q->parent = s->it.addr;
	q->mutate_ns = s->mutate_ns;
	q->type = type;
	q->parent_type = s->it.type;
	q->depth = depth + 1;
	q->element = element;
	q->from_damaged = s->damaged;
	q->part = element ? s->it.part : WR_DIGEST_SUB;
	q->index = index;
	__builtin_memcpy(q->step, s->it.step, sizeof(q->step));
	q->step[depth & (WR_PATH_DEPTH - 1)].field = field;
	q->step[depth & (WR_PATH_DEPTH - 1)].index = index;
	s->tail = tail + 1;
}

/* Queues the elements of repeated field i of the node in hand. */
WR_FUNCTION wr_push_elements(__u32 level, __u32 i)
{
	struct wr_scratch *s = scratch_at(level);
	struct wr_field *f;
	struct wr_type *t;
	__u64 block;
	__s32 n;

	if (!s)
		return 0;
	t = type_get(s->it.type);
	f = t ? field_get(t, i) : NULL;
	if (!f)
		return 0;
	n = elements_read(s, f, &block);
	if (n < 0)
		count(WR_C_READ_FAILED);
	for (__u32 k = 0; k < WR_MAX_ELEMENTS; k++) {
		if ((__s32)k >= n)
			break;
		queue_push(s, s->ptr[k], block + k * 8, f->pointee, i, k, true);
	}
	return 0;
}

/*
 * Queues the message that field f, the i-th, of the node in hand points to. Only at a deep touch, or if the
 * node has changed: there are many of them, and what happens to one is seen at the next deep touch, at the
 * destruction, or by the sweep.
 */
static __always_inline void push_message(struct wr_scratch *s, const struct wr_field *f, __u32 i)
{
	__u64 p;

	if (!s->deep && !s->changed)
		return;
	p = value_at(s->bytes, f->off, 8);
	if (p)
		queue_push(s, p, s->it.addr + f->off, f->pointee, i, 0, false);
}

/* Which field is child c of type t? */
static __always_inline __u32 child_at(const struct wr_type *t, __u32 c)
{
	const __u16 *at = &t->child[c & (WR_MAX_CHILDREN - 1)];

	ADDRESS_NOW(at);
	return *at;
}

/* Queues what child c of the node in hand leads to. */
static __always_inline void push_child(__u32 level, struct wr_scratch *s, const struct wr_type *t, __u32 c)
{
	__u32 i = child_at(t, c);
	struct wr_field *f = field_get(t, i);

	if (!f)
		return;
	if (f->kind == WR_F_MESSAGE)
		push_message(s, f, i);
	else
		wr_push_elements(level, i);
}

/* An element pointer of a repeated field that leads nowhere: the word of the element block is the suspect. */
static __always_inline void element_bad(__u32 level, struct wr_scratch *s)
{
	struct wr_candidate *c = &s->cand;
	__u32 last = (s->it.depth - 1) & (WR_PATH_DEPTH - 1);

	c->node = s->it.parent;
	c->node_type = s->it.parent_type;
	c->old_value = 0;
	c->new_value = s->it.addr;
	c->word_addr = s->it.from;
	c->word_width = 8;
	c->pad = 0;
	c->pointee = 0;
	c->shadow_ns = 0;
	c->mutate_seq = 0;
	c->mutate_ns = s->it.mutate_ns;
	c->field = s->it.step[last].field;
	c->index = s->it.step[last].index;
	c->reason = WR_BAD_POINTER;
	c->depth = s->it.depth - 1;
	c->flags = WR_CAND_FIRST_SIGHT | (s->destroying ? WR_CAND_DESTROY : 0);
	__builtin_memcpy(c->step, s->it.step, sizeof(c->step));
	wr_emit_candidate(level);
}

/* Is field f to be judged? */
static __always_inline bool field_changed(const struct wr_scratch *s, const struct wr_field *f)
{
	__u64 words = f->kind == WR_F_SCALAR ? s->plain : s->changed;
	__u32 a = f->off / 8, b = (f->off + f->width - 1) / 8;

	/* words a..b */
	return (words >> (a & 63)) & (b - a >= 63 ? ~0ull : (2ull << ((b - a) & 63)) - 1);
}

/* Has the fields judged that overlap s->changed. */
WR_FUNCTION wr_check_fields(__u32 level)
{
	struct wr_scratch *s = scratch_at(level);
	struct wr_type *t;

	if (!s)
		return 0;
	t = type_get(s->it.type);
	if (!t)
		return 0;
	for (__u32 i = 0; i < WR_MAX_TYPE_FIELDS; i++) {
		struct wr_field *f;

		if (i >= t->n_fields)
			break;
		f = field_get(t, i);
		if (!f || !f->width)
			break;
		if (field_changed(s, f))
			wr_check_field(level, i);
	}
	return 0;
}

/* Words of the node in hand that differ from its shadow in guarded bytes. */
static __always_inline __u64 words_changed(const struct wr_type *t, const struct wr_scratch *s)
{
	__u32 words = (t->size + 7) / 8;
	__u64 changed = 0, diff;

	for (__u32 w = 0; w < WR_NODE_WORDS; w++) {
		if (w >= words)
			break;
		/* without a branch: the verifier would follow every pattern of changed words */
		diff = (*(__u64 *)(s->shadow + w * 8) ^ *(__u64 *)(s->bytes + w * 8)) & t->mask[w];
		diff |= -diff;
		asm volatile("" : "+r"(diff)); /* or the compiler makes a branch of it */
		changed |= (diff >> 63) << w;
	}
	return changed;
}

/* Looks up the node in hand, or puts it into the table; says in s what of it has changed. NULL: it is no
 * node, or there is no room. */
static __always_inline struct wr_node *node_known(struct wr_scratch *s, const struct wr_type *t)
{
	__u64 key = s->it.addr;
	struct wr_node *n = bpf_map_lookup_elem(&nodes, &key);

	s->first = !n || n->object_id != s->object_id || n->type != s->it.type || !shadow_load(s, n, t->size);
	if (!s->first) {
		s->changed = words_changed(t, s);
		if (s->changed)
			count(WR_C_CHANGED);
		__builtin_memcpy(n->step, s->it.step, sizeof(n->step)); /* elements move */
		return n;
	}
	/* behind a pointer that was judged as a field already: nothing of that type there, not a node */
	if (s->it.depth && !s->it.element && !wr_vptr_ok(s->it.type, *(__u64 *)s->bytes))
		return NULL;
	__builtin_memcpy(s->shadow, s->bytes, sizeof(s->shadow));
	s->changed = ~0ull;
	if (!node_adopt(s, t->size))
		return NULL;
	return bpf_map_lookup_elem(&nodes, &key);
}

/* Takes the next node of the queue in hand: reads it and says in s what of it has changed. NULL: it is none.
 */
static __always_inline struct wr_node *visit_begin(__u32 level, struct wr_scratch *s)
{
	struct wr_type *t;
	struct wr_item *q;
	struct wr_node *n;
	__u32 head = s->head;

	if (head >= WR_MAX_WALK)
		return NULL;
	q = &s->q[head];
	ADDRESS_NOW(q);
	s->it = *q;
	s->head = head + 1;
	t = type_get(s->it.type);
	if (!t)
		return NULL;
	count(WR_C_NODES);
	if (t->size > WR_NODE_BYTES)
		count(WR_C_NODE_TOO_BIG);
	if (!node_read(s, t, s->it.addr)) {
		if (s->it.element)
			element_bad(level, s);
		if (!s->it.from_damaged)
			count(WR_C_READ_FAILED);
		return NULL;
	}
	n = node_known(s, t);
	if (!n)
		return NULL;
	/* of a plain value nothing is to be said unless it has changed */
	s->plain = damaged(n) ? ~0ull : s->first ? 0 : s->changed;
	if (s->destroying)
		s->changed = ~0ull;
	return n;
}

/* Its fields have been judged. */
static __always_inline void visit_end(__u32 level, struct wr_scratch *s, const struct wr_type *t,
				      struct wr_node *n)
{
	if (s->changed)
		shadow_save(s, n, t->size);
	n->shadow_ns = s->now;
	s->damaged = damaged(n);
	s->bad += s->damaged;
	wr_digest_add(level, s->it.addr, s->it.type, s->it.index, s->it.part);
	if (s->first)
		news_add(s);
	s->mutate_ns = n->mutate_ns > s->it.mutate_ns ? n->mutate_ns : s->it.mutate_ns;
}

/* Visits the next node of the queue. */
WR_FUNCTION wr_visit(__u32 level)
{
	struct wr_scratch *s = scratch_at(level);
	struct wr_type *t;
	struct wr_node *n;

	if (!s)
		return 0;
	n = visit_begin(level, s);
	t = n ? type_get(s->it.type) : NULL;
	if (!n || !t)
		return 0;
	if (s->changed)
		wr_check_fields(level);
	visit_end(level, s, t, n);
	for (__u32 c = 0; c < WR_MAX_CHILDREN; c++) {
		if (c >= t->n_children)
			break;
		push_child(level, s, t, c);
	}
	return 0;
}

/* Puts the first node into the queue. */
static __always_inline void walk_begin(struct wr_scratch *s, __u64 addr, __u32 type)
{
	__builtin_memset(&s->q[0], 0, sizeof(s->q[0]));
	s->q[0].addr = addr;
	s->q[0].type = type;
	s->head = 0;
	s->tail = 1;
	s->sum[WR_DIGEST_TOP] = 1;
	s->sum[WR_DIGEST_SUB] = 1;
}

/* Walks everything in the queue. */
static __always_inline void walk(__u32 level, struct wr_scratch *s)
{
	for (int i = 0; i < WR_MAX_WALK; i++) {
		if (s->head >= s->tail)
			break;
		wr_visit(level);
	}
}

/* Forgets all nodes that the walk visited. */
static __always_inline void nodes_forget(struct wr_scratch *s)
{
	for (__u32 i = 0; i < WR_MAX_WALK; i++) {
		struct wr_node *n;
		__u64 key;

		if (i >= s->tail)
			break;
		key = s->q[i].addr;
		n = bpf_map_lookup_elem(&nodes, &key);
		if (n && n->object_id == s->object_id)
			wr_node_delete(key);
	}
}

#endif
