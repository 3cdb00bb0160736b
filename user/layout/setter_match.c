// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Whether a store, by its width and displacement, writes a field of an object that a register may hold. */
#include <string.h>

#include "layout/setters_priv.h"

bool setter_in_ranges(const struct dbg_inline *in, uint64_t vaddr)
{
	for (size_t i = 0; i < in->n_range; i++)
		if (vaddr >= in->range[i].lo && vaddr < in->range[i].hi)
			return true;
	return !in->n_range && in->entry == vaddr;
}

/* Does a store of these bytes of the object write the field whole, and begin and end where fields do? Of a
 * repeated field: any part of it. */
static bool fits(const struct guard_type *t, const struct guard_field *f, int64_t at, uint32_t width)
{
	int first, last;

	if (f->kind == GUARD_REPEATED || f->kind == GUARD_REPEATED_PTR)
		return at >= (int64_t)f->offset && (uint64_t)at + width <= (uint64_t)f->offset + f->width;
	if (at < 0 || at > (int64_t)f->offset || (uint64_t)at + width < (uint64_t)f->offset + f->width)
		return false;
	if (at == (int64_t)f->offset && width == f->width)
		return true;
	first = guard_field_at(t, (uint32_t)at);
	last = guard_field_at(t, (uint32_t)at + width - 1);
	return first >= 0 && last >= 0 && t->field[first].offset == (uint32_t)at &&
	       t->field[last].offset + t->field[last].width == (uint32_t)at + width;
}

/* The word of has-bits of the job's class that byte `at` of the object is in; NULL: none. */
const struct guard_field *setter_has_word(const struct setter_job *j, int64_t at)
{
	const struct guard_type *t = j->x->t;

	for (size_t i = 0; i < t->n_field; i++) {
		const struct guard_field *h = &t->field[i];

		if (h->kind == GUARD_HAS_BITS && at >= (int64_t)h->offset &&
		    at < (int64_t)h->offset + h->width && !strcmp(h->owner, j->owner->name))
			return h;
	}
	return NULL;
}

/* Has-bits, counted over all words of the class, that the store changes if its first byte is `at`. */
bool setter_bits_at(const struct setter_job *j, const struct store *st, int64_t at, unsigned *first,
		    uint32_t *bits)
{
	const struct guard_field *h = st->bits_known ? setter_has_word(j, at) : NULL, *zero = h;

	if (!h || at + st->width > (int64_t)h->offset + h->width)
		return false;
	while (zero > j->x->t->field && zero[-1].kind == GUARD_HAS_BITS && zero[-1].owner == h->owner)
		zero--;
	*first = (unsigned)((uint32_t)at - zero->offset) * 8;
	*bits = st->bits;
	return true;
}

void setter_cover(uint64_t *covers, size_t field)
{
	if (field < WRITER_FIELD_WORDS * 64)
		covers[field / 64] |= 1ull << (field % 64);
}

void setter_cover_bytes(const struct guard_type *t, int64_t at, uint32_t width, uint64_t *covers)
{
	for (size_t i = 0; i < t->n_field; i++)
		if ((int64_t)t->field[i].offset < at + width &&
		    at < (int64_t)t->field[i].offset + t->field[i].width)
			setter_cover(covers, i);
}

/* true: the job's own field is among those of the bits. */
bool setter_cover_bits(const struct setter_job *j, unsigned first, uint32_t bits, uint64_t *covers)
{
	const struct part_class *c = j->owner;
	bool own = false;

	for (unsigned b = 0; b < 32; b++) {
		if (!(bits >> b & 1) || first + b >= c->n_bits || c->bit_field[first + b] < 0)
			continue;
		setter_cover(covers, (size_t)c->bit_field[first + b]);
		own |= (uint32_t)c->bit_field[first + b] == j->field;
	}
	return own;
}

/*
 * How the store at `at` of the object shows that the job's field is written. false: not at all. *exact: it
 * writes no more than this field.
 */
bool setter_shows(const struct setter_job *j, const struct store *st, int64_t delta, struct writer_site *s,
		  bool *exact)
{
	int64_t at = st->disp - delta;
	unsigned first;
	uint32_t bits;

	*exact = true;
	if (st->call) {
		if (at != (int64_t)j->f->offset)
			return false;
		s->source = WRITER_BY_CALL;
		s->obj.offs[0] = -(int32_t)j->f->offset; /* rdi has its address */
		setter_cover(s->covers, j->field);
		return true;
	}
	s->obj.offs[0] = (int32_t)delta;
	if (fits(j->x->t, j->f, at, st->width)) {
		s->source = WRITER_BY_STORE;
		*exact = st->width <= j->f->width;
		setter_cover_bytes(j->x->t, at, st->width, s->covers);
		return true;
	}
	if (!setter_bits_at(j, st, at, &first, &bits) || !setter_cover_bits(j, first, bits, s->covers))
		return false;
	s->source = WRITER_BY_BITS;
	setter_cover_bytes(j->x->t, at, st->width, s->covers);
	return true;
}

struct writer_site setter_site_of(const struct setter_job *j, const struct store *st,
				  const struct dbg_inline *in, bool in_range)
{
	return (struct writer_site){.vaddr = st->vaddr,
				    .type = j->x->type,
				    .obj = {.reg = st->base, .arg = -1},
				    .setter = j->setter,
				    .caller = in->caller_name,
				    .in_range = in_range};
}

static void add_delta(struct deltas *d, int64_t v, uint8_t base)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->v[i] == v && d->base[i] == base)
			return;
	if (d->n < MAX_DELTAS) {
		d->v[d->n] = v;
		d->base[d->n++] = base;
	}
}

bool setter_for_base(const struct deltas *d, size_t i, const struct store *st)
{
	return d->base[i] == STORE_NO_REG || d->base[i] == (st->call ? st->from : st->base);
}

/* Does the site say at which distance from its base register the object is? */
static bool tells_base(const struct writer_site *s)
{
	return s->in_range && (s->source == WRITER_BY_STORE || s->source == WRITER_BY_BITS);
}

/*
 * Any base register may hold the object, or the part of it that declares the field. Inside of an instance
 * also what DWARF says of `this`, and what the has-bits' place says: they are set beside the value.
 */
struct deltas setter_deltas(const struct setter_job *j, const char *caller, const struct dbg_inline *in,
			    const struct store *st, size_t n)
{
	struct deltas d = {.n = 0};
	int64_t own = (int64_t)j->owner->offset;

	add_delta(&d, 0, STORE_NO_REG);
	if (own)
		add_delta(&d, -own, STORE_NO_REG);
	for (size_t i = 0; i < j->x->w->n_site; i++) { /* what instances in this function have proved */
		const struct writer_site *s = &j->x->w->site[i];

		if (s->type == j->x->type && tells_base(s) && s->obj.offs[0] && s->caller == caller)
			add_delta(&d, s->obj.offs[0], s->obj.reg);
	}
	if (!in)
		return d;
	if (in->has_this && !in->this_path.n_deref)
		add_delta(&d, in->this_path.offs[0] - own, in->this_path.reg);
	for (size_t k = 0; k < j->x->t->n_field; k++) {
		const struct guard_field *h = &j->x->t->field[k];

		if (h->kind != GUARD_HAS_BITS || strcmp(h->owner, j->owner->name) != 0)
			continue;
		for (size_t i = 0; i < n; i++)
			if (st[i].bits_known && st[i].width == h->width && !st[i].indexed &&
			    st[i].base != STORE_NO_REG && setter_in_ranges(in, st[i].vaddr))
				add_delta(&d, st[i].disp - (int64_t)h->offset, st[i].base);
	}
	return d;
}

bool setter_usable(const struct store *st)
{
	return st->call ||
	       (!st->string && !st->indexed && st->base != STORE_NO_REG && st->base != STORE_REG_RSP);
}

/*
 * What this function's instances have shown of the register: 1 it holds an object of the type at this
 * distance, -1 at another distance, 0 nothing.
 */
int setter_proved(const struct setter_job *j, const char *caller, const struct store *st, int64_t delta)
{
	uint8_t base = st->call ? st->from : st->base;
	int result = 0;

	for (size_t i = 0; i < j->x->w->n_site; i++) {
		const struct writer_site *s = &j->x->w->site[i];

		if (s->type != j->x->type || !tells_base(s) || s->caller != caller || s->obj.reg != base)
			continue;
		if (s->obj.offs[0] == delta)
			return 1;
		result = -1;
	}
	return result;
}
