/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Judges one field of the node in hand: its invariant, and whether a change has a licence. Global functions,
 * so that the verifier looks at each once; their arguments are scalars, what they work on is in the scratch.
 */
#ifndef CULPRIT_GUARD_BPF_H
#define CULPRIT_GUARD_BPF_H

#include "nodes.bpf.h"

/* 1: v is a vtable that type i may have, or that is not known. */
WR_FUNCTION wr_vptr_ok(__u32 i, __u64 v)
{
	struct wr_type *t = type_get(i);

	if (!t || !t->n_vptrs)
		return 1;
	for (__u32 k = 0; k < WR_MAX_VPTRS; k++) {
		if (k >= t->n_vptrs)
			break;
		if (t->vptr[k] == v)
			return 1;
	}
	return 0;
}

static __always_inline __u64 value_at(const void *bytes, __u32 off, __u32 width)
{
	__u64 v, at = off;
	const void *p;

	NUMBER_NOW(at);
	if (at > WR_NODE_BYTES - 8)
		return 0;
	p = bytes + at;
	ADDRESS_NOW(p);
	v = *(__u64 *)p;
	return width >= 8 ? v : v & ((1ull << (width * 8)) - 1);
}

/* Is there a std::string at p, whose first word is the address of its text? Returns enum wr_reason. */
static __always_inline __u32 string_check(__u64 p, __u64 *text)
{
	char c;

	if (bpf_probe_read_user(text, 8, (void *)p)) {
		*text = 0;
		return WR_BAD_POINTER;
	}
	return bpf_probe_read_user(&c, 1, (void *)*text) ? WR_BAD_POINTEE : WR_BAD_NONE;
}

/* Returns enum wr_reason; *pointee gets the word found behind a pointer. */
static __always_inline __u32 invariant(const struct wr_field *f, __u32 type, __u64 v, __u64 *pointee)
{
	char c;

	switch (f->kind) {
	case WR_F_VPTR:
		return wr_vptr_ok(type, v) ? WR_BAD_NONE : WR_BAD_VPTR;
	case WR_F_MESSAGE:
		if (!v)
			return WR_BAD_NONE;
		if (bpf_probe_read_user(pointee, 8, (void *)v)) {
			*pointee = 0;
			return WR_BAD_POINTER;
		}
		return wr_vptr_ok(f->pointee, *pointee) ? WR_BAD_NONE : WR_BAD_POINTEE;
	case WR_F_STRING_PTR:
		return string_check(v, pointee);
	case WR_F_STRING_TAGGED:
		return string_check(v & ~(__u64)f->max, pointee);
	case WR_F_STRING:
		return bpf_probe_read_user(&c, 1, (void *)v) ? WR_BAD_POINTER : WR_BAD_NONE;
	case WR_F_BOOL:
		return v > 1 ? WR_BAD_VALUE : WR_BAD_NONE;
	case WR_F_ENUM:
		return (__s32)v < f->min || (__s32)v > f->max ? WR_BAD_VALUE : WR_BAD_NONE;
	case WR_F_ENUM_SET:
		return v > 63 || !((__u64)f->max >> (v & 63) & 1) ? WR_BAD_VALUE : WR_BAD_NONE;
	case WR_F_HASBITS:
		return v & ~(__u64)f->max ? WR_BAD_VALUE : WR_BAD_NONE;
	case WR_F_RANGE:
		if (f->width == 4)
			v = (__u64)(__s64)(__s32)v;
		return (__s64)v < f->min || (__s64)v > f->max ? WR_BAD_VALUE : WR_BAD_NONE;
	}
	return WR_BAD_NONE;
}

/*
 * Repeated field: 0 <= current <= allocated <= total and a readable element block. *word_off and *width tell
 * which of its words is wrong.
 */
static __always_inline __u32 repeated_check(const struct wr_field *f, const void *bytes, __u32 *word_off,
					    __u32 *width)
{
	__s32 current = (__s32)value_at(bytes, f->off + f->current_off, 4);
	__s32 total = (__s32)value_at(bytes, f->off + f->total_off, 4);
	__u64 block = value_at(bytes, f->off + f->rep_off, 8);
	__s32 allocated = total;

	*width = 4;
	*word_off = f->off + f->total_off;
	if (total < 0 || total > WR_MAX_COUNT)
		return WR_BAD_REPEATED;
	*word_off = f->off + f->current_off;
	if (current < 0 || current > total)
		return WR_BAD_REPEATED;
	if (f->alloc_off != 0xff) {
		allocated = (__s32)value_at(bytes, f->off + f->alloc_off, 4);
		*word_off = f->off + f->alloc_off;
	}
	if (total > 0) {
		__u8 last;

		if (f->block_alloc_off != 0xff &&
		    bpf_probe_read_user(&allocated, 4, (void *)(block + f->block_alloc_off)))
			allocated = -1;
		if (bpf_probe_read_user(&last, 1, (void *)block)) {
			*word_off = f->off + f->rep_off;
			*width = 8;
			return WR_BAD_POINTER;
		}
	}
	return allocated < current || allocated > total ? WR_BAD_REPEATED : WR_BAD_NONE;
}

/* What stands around the suspicious word now. */
static __always_inline void candidate_near(struct wr_candidate *c)
{
	c->near_start = (c->word_addr & ~7ull) - WR_NEAR_SIDE;
	c->pad2 = 0;
	c->near_len = WR_NEAR_BYTES;
	if (bpf_probe_read_user(c->near, WR_NEAR_BYTES, (void *)c->near_start))
		c->near_len = 0;
}

/* Sends s->cand, whose field, reason, word, values and node are set. */
WR_FUNCTION wr_emit_candidate(__u32 level)
{
	struct wr_scratch *s = scratch_at(level);
	struct wr_candidate *c;
	struct wr_object *o;
	__u64 key;

	if (!s)
		return 0;
	c = &s->cand;
	s->bad++;
	if (s->bad > WR_MAX_CANDIDATES)
		return 0;
	count(WR_C_VIOLATIONS);
	hdr_fill(&c->hdr, WR_REC_CANDIDATE, sizeof(*c));
	c->object = s->object;
	c->object_id = s->object_id;
	c->probe = s->probe;
	key = s->object;
	o = bpf_map_lookup_elem(&objects, &key);
	if (o) {
		c->object_since_ns = o->since_ns;
		c->object_type = o->type;
		c->object_flags = o->flags;
		c->last_good = o->last_good;
		c->n_touches = o->n_touches;
		__builtin_memcpy(c->touch, o->touch, sizeof(c->touch));
	} else {
		c->object_since_ns = 0;
		c->object_type = s->it.type;
		c->object_flags = 0;
		c->n_touches = 0;
		__builtin_memset(&c->last_good, 0, sizeof(c->last_good));
		__builtin_memset(c->touch, 0, sizeof(c->touch));
	}
	candidate_near(c);
	emit_later(level, c, sizeof(*c));
	return 0;
}

/* When the node in hand was last known to equal its shadow. */
static __always_inline __u64 since(const struct wr_scratch *s, const struct wr_node *n)
{
	return wr_since(n, &s->seen[s->it.part & 1]);
}

/* Is a change of field i since then covered by a licence? */
static __always_inline bool licensed(const struct wr_scratch *s, const struct wr_node *n, __u32 i,
				     const struct wr_cfg *g)
{
	__u64 licence_ns = g->licence_ns;
	__u64 from = since(s, n);
	__u64 whole = n->mutate_ns > s->it.mutate_ns ? n->mutate_ns : s->it.mutate_ns;

	if (from < g->resumed_ns || (whole && whole + licence_ns >= from))
		return true;
	i &= WR_MAX_TYPE_FIELDS - 1;
	return n->store_ns + licence_ns >= from && (n->store_fields[i / 64] >> (i & 63) & 1);
}

/* What s->cand says of the node in hand, whatever its field. */
static __always_inline void candidate_fill(struct wr_scratch *s, const struct wr_node *n)
{
	struct wr_candidate *c = &s->cand;

	c->node = s->it.addr;
	c->node_type = s->it.type;
	c->pad = 0;
	c->shadow_ns = since(s, n);
	c->mutate_seq = n->mutate_seq;
	c->mutate_ns = n->mutate_ns > n->store_ns ? n->mutate_ns : n->store_ns;
	c->index = 0;
	c->depth = s->it.depth;
	c->flags |= (s->first ? WR_CAND_FIRST_SIGHT : 0) | (s->destroying ? WR_CAND_DESTROY : 0);
	__builtin_memcpy(c->step, s->it.step, sizeof(c->step));
}

/* The word of field f that is judged, and what is wrong with it whatever it was before: for s->reason,
 * word_off and word_width, so that the verifier goes on in one state, whatever the kind of the field. */
static __always_inline void field_look(struct wr_scratch *s, const struct wr_field *f)
{
	__u32 off = f->off, width = f->width, reason;

	if (f->kind == WR_F_REPEATED || f->kind == WR_F_REPEATED_PTR)
		reason = repeated_check(f, s->bytes, &off, &width);
	else
		reason = invariant(f, s->it.type, value_at(s->bytes, off, width), &s->cand.pointee);
	s->reason = reason;
	s->word_off = off;
	s->word_width = width;
	barrier();
}

/* The word has changed: s->reason, if nothing else was wrong, and s->licensed. d: its damage, NULL. */
static __always_inline void change_look(struct wr_scratch *s, const struct wr_node *n,
					const struct wr_field *f, __u32 i, const struct wr_cfg *g,
					const struct wr_damage *d, __u64 new)
{
	__u32 reason = s->reason;
	bool lic = licensed(s, n, i, g);

	if (!reason && lic)
		count(WR_C_LICENSED);
	else if (!reason && d && d->old == new)
		; /* healed */
	else if (!reason && (f->flags & WR_FF_SHADOW))
		reason = WR_BAD_UNEXPLAINED;
	else if (!reason)
		count(WR_C_ACCEPTED);
	s->reason = reason;
	s->licensed = lic;
}

/* Judges field i of the node in hand. Returns 0 always (the verifier wants a scalar). */
WR_FUNCTION wr_check_field(__u32 level, __u32 i)
{
	struct wr_scratch *s = scratch_at(level);
	struct wr_candidate *c;
	struct wr_damage *d;
	struct wr_field *f;
	struct wr_type *t;
	struct wr_node *n;
	struct wr_cfg *g;
	__u32 off, width, reason, flags = 0;
	__u64 old, new, key;

	if (!s)
		return 0;
	key = s->it.addr;
	t = type_get(s->it.type);
	n = bpf_map_lookup_elem(&nodes, &key);
	g = cfg_get();
	if (!t || !n || !g || i >= t->n_fields)
		return 0;
	f = field_get(t, i);
	if (!f || f->off > WR_NODE_BYTES - 8 || (__u32)f->off + f->width > t->size)
		return 0;
	c = &s->cand;
	c->pointee = 0;
	field_look(s, f);
	off = s->word_off;
	width = s->word_width;
	new = value_at(s->bytes, off, width);
	old = value_at(s->shadow, off, width);

	d = damage_of(s, n, i);
	s->licensed = false;
	if (!s->first && old != new)
		change_look(s, n, f, i, g, d, new);
	barrier();
	reason = s->reason;
	if (d && d->value == new) {
		if (s->destroying) {
			flags |= WR_CAND_REPEATED;
			old = d->old;
			reason = d->reason;
		} else if (!reason) {
			return 0; /* still damaged, and sent before */
		}
	}
	if (!reason) {
		damage_clear(s, n, i);
		return 0;
	}
	if (!(flags & WR_CAND_REPEATED))
		damage_set(s, n, i, reason, old, new);
	c->old_value = old;
	c->new_value = new;
	c->word_addr = s->it.addr + off;
	c->word_width = width > 8 ? 8 : width;
	c->field = i;
	c->reason = reason;
	c->flags = flags | (s->licensed ? WR_CAND_LICENSED : 0);
	candidate_fill(s, n);
	return wr_emit_candidate(level);
}

#endif
