// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Where a probe sees an inlined setter at work: at the store of the value, at the store that sets or clears
 * the field's has-bit, at a call with the field's address. Looked for inside the ranges DWARF gives the
 * instance, and, since compilers attribute many instructions to the caller and merge several setters' stores,
 * in the whole function around it. Where there is none: where the instance begins, if DWARF says what `this`
 * is there.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "layout/setters_priv.h"

static bool in_any(const struct setter_job *j, uint64_t caller, uint64_t vaddr)
{
	for (size_t i = 0; i < j->n; i++)
		if (j->v[i].in.caller == caller && setter_in_ranges(&j->v[i].in, vaddr))
			return true;
	return false;
}

/* A store into the frame: is it to an object there? Then the has-bits that are set in the same code are at
 * the right distance. */
static bool beside_has_bits(const struct setter_job *j, const struct dbg_inline *in, const struct store *st,
			    size_t n, const struct store *value)
{
	for (size_t k = 0; k < j->x->t->n_field; k++) {
		const struct guard_field *h = &j->x->t->field[k];

		for (size_t i = 0; h->kind == GUARD_HAS_BITS && i < n; i++)
			if (st[i].bits_known && st[i].base == value->base &&
			    setter_in_ranges(in, st[i].vaddr) &&
			    st[i].disp - (int64_t)h->offset == value->disp - (int64_t)j->f->offset)
				return true;
	}
	return false;
}

/* The same anywhere in the function: for a value whose field's has-bit is set at the right distance. */
static bool has_bits_beside(const struct setter_job *j, const struct store *st, size_t n,
			    const struct store *value)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t covers[WRITER_FIELD_WORDS] = {0};
		int64_t at = st[i].disp - (value->disp - (int64_t)j->f->offset);
		unsigned first;
		uint32_t bits;

		if (st[i].base == value->base && !st[i].indexed && !st[i].call &&
		    setter_bits_at(j, &st[i], at, &first, &bits) && setter_cover_bits(j, first, bits, covers))
			return true;
	}
	return false;
}

/* An object in the frame of the function is in no cache. */
static bool in_frame(const struct dbg_inline *in)
{
	return in->has_this && !in->this_path.n_deref && in->this_path.reg == STORE_REG_RSP;
}

/* Sites of the instance that are stores to has-bits, or those that are not. Returns how many, -ENOMEM. */
static int add_own(struct setter_job *j, const struct setter_instance *i, const struct deltas *d,
		   const struct store *st, size_t n, bool bits)
{
	int found = 0;

	for (size_t k = 0; k < n; k++) {
		if (!setter_in_ranges(&i->in, st[k].vaddr) || !setter_usable(&st[k]))
			continue;
		for (size_t m = 0; m < d->n; m++) {
			struct writer_site s = setter_site_of(j, &st[k], &i->in, true);
			bool exact;

			if (!setter_for_base(d, m, &st[k]) || !setter_shows(j, &st[k], d->v[m], &s, &exact))
				continue;
			if ((s.source == WRITER_BY_BITS) != bits)
				break;
			if (writer_add_site(j->x, &s))
				return -ENOMEM;
			found++;
			break;
		}
	}
	return found;
}

/* Stores of one instance's own code. Where it sets its has-bit that alone serves: often for several at once.
 */
static int own_stores(struct setter_job *j, struct setter_instance *i, const struct store *st, size_t n)
{
	struct deltas d = setter_deltas(j, i->in.caller_name, &i->in, st, n);
	int found;

	i->covered |= in_frame(&i->in);
	for (size_t k = 0; k < n; k++)
		i->covered |= setter_in_ranges(&i->in, st[k].vaddr) && st[k].base == STORE_REG_RSP &&
			      !st[k].indexed && st[k].width == j->f->width &&
			      (!i->in.has_this || beside_has_bits(j, &i->in, st, n, &st[k]));
	found = add_own(j, i, &d, st, n, true);
	if (!found)
		found = add_own(j, i, &d, st, n, false);
	i->covered |= found > 0;
	return found < 0 ? found : 0;
}

/*
 * The rest of the function: every store that fits gets a probe. Instances without a site of their own count
 * as covered if there are at least as many such stores as instances. Stores wider than the field are as
 * likely another type's: they count only with a register that is known to hold an object of this one.
 */
static int scan_caller(struct setter_job *j, size_t first, const struct store *st, size_t n)
{
	const struct dbg_inline *in = &j->v[first].in;
	struct deltas d = setter_deltas(j, in->caller_name, NULL, NULL, 0);
	size_t open = 0, values = 0, bits = 0, frames = 0;
	int rc = 0, known;

	for (size_t k = 0; k < n && !rc; k++) {
		if (in_any(j, in->caller, st[k].vaddr))
			continue;
		frames += st[k].base == STORE_REG_RSP && st[k].width == j->f->width &&
			  has_bits_beside(j, st, n, &st[k]);
		if (!setter_usable(&st[k]))
			continue;
		for (size_t m = 0; m < d.n && !rc; m++) {
			struct writer_site s = setter_site_of(j, &st[k], in, false);
			bool exact;

			if (!setter_for_base(&d, m, &st[k]) || !setter_shows(j, &st[k], d.v[m], &s, &exact))
				continue;
			known = setter_proved(j, in->caller_name, &st[k], d.v[m]);
			if (s.source == WRITER_BY_BITS)
				bits += known >= 0;
			else
				values += known > 0 || (!known && exact);
			rc = writer_add_site(j->x, &s);
			break;
		}
	}
	for (size_t i = first; i < j->n; i++)
		open += j->v[i].in.caller == in->caller && !j->v[i].inner && !j->v[i].covered;
	for (size_t i = first; i < j->n && (values + frames >= open || bits + frames >= open); i++)
		if (j->v[i].in.caller == in->caller)
			j->v[i].covered = true;
	return rc;
}

/* An inner instance's store is its outer one's. */
static void pass_outwards(struct setter_job *j)
{
	for (size_t i = 0; i < j->n; i++)
		for (size_t k = 0; k < j->n && j->v[i].covered; k++)
			if (j->v[i].in.parent && j->v[i].in.parent == j->v[k].in.die)
				j->v[k].covered = true;
}

static bool first_of_caller(const struct setter_job *j, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (j->v[k].in.caller == j->v[i].in.caller)
			return false;
	return true;
}

void setter_bit_evidence(struct setter_job *j, unsigned *agree, unsigned *against)
{
	const struct store *st;
	size_t n;

	for (size_t i = 0; i < j->n; i++) {
		if (stores_of(j->x->stores, j->v[i].in.caller_die, &st, &n))
			continue;
		for (size_t k = 0; k < n; k++) {
			uint64_t covers[WRITER_FIELD_WORDS] = {0};
			unsigned first;
			uint32_t bits;

			if (!setter_usable(&st[k]) || !setter_in_ranges(&j->v[i].in, st[k].vaddr) ||
			    !setter_bits_at(j, &st[k], st[k].disp + (int64_t)j->owner->offset, &first, &bits))
				continue;
			if (setter_cover_bits(j, first, bits, covers))
				(*agree)++;
			else
				(*against)++;
		}
	}
}

int setter_own_code(struct setter_job *j)
{
	const struct store *st;
	size_t n;
	int rc = 0;

	for (size_t i = 0; i < j->n && !rc; i++) {
		rc = stores_of(j->x->stores, j->v[i].in.caller_die, &st, &n);
		j->unreadable = j->unreadable || rc == -EILSEQ;
		rc = rc == -EILSEQ ? 0 : rc;
		if (!rc)
			rc = own_stores(j, &j->v[i], st, n);
	}
	pass_outwards(j);
	return rc;
}

/* The second source: `this` where the instance begins. */
static int entry_site(struct setter_job *j, struct setter_instance *i)
{
	struct writer_site s = {.vaddr = i->in.entry,
				.type = j->x->type,
				.source = WRITER_BY_ENTRY,
				.obj = i->in.this_path,
				.setter = j->setter,
				.caller = i->in.caller_name};

	if (i->inner || i->covered || !i->in.entry || !i->in.entry_exact || !i->in.has_this)
		return 0;
	s.obj.offs[s.obj.n_deref] -= (int32_t)j->owner->offset;
	setter_cover(s.covers, j->field);
	i->covered = true;
	return writer_add_site(j->x, &s);
}

int setter_code_around(struct setter_job *j)
{
	const struct store *st;
	size_t n;
	int rc = 0;

	for (size_t i = 0; i < j->n && !rc; i++) {
		if (!first_of_caller(j, i))
			continue;
		rc = stores_of(j->x->stores, j->v[i].in.caller_die, &st, &n);
		rc = rc == -EILSEQ ? 0 : rc;
		if (!rc)
			rc = scan_caller(j, i, st, n);
	}
	for (size_t i = 0; i < j->n && !rc; i++)
		rc = entry_site(j, &j->v[i]);
	return rc;
}

/*
 * Compilers drop the description of setters whose code they merged: in functions that use the class every
 * store to has-bits counts, and stores beside them by the same register.
 */
int setter_user_code(struct setter_job *j, size_t n_jobs, const struct type_user *u)
{
	const struct dbg_inline in = {.caller = u->caller, .caller_name = u->name};
	const struct store *st;
	size_t n;
	int rc = stores_of(j->x->stores, u->die, &st, &n);

	if (rc)
		return rc == -EILSEQ ? 0 : rc;
	for (size_t i = 0; i < n_jobs && !rc; i++) {
		struct deltas d = setter_deltas(&j[i], u->name, NULL, NULL, 0);

		for (size_t k = 0; k < n && !rc; k++) {
			struct writer_site s = setter_site_of(&j[i], &st[k], &in, false);
			bool exact;

			for (size_t m = 0; m < d.n && setter_usable(&st[k]) && !st[k].call; m++) {
				if (!setter_for_base(&d, m, &st[k]) ||
				    !setter_shows(&j[i], &st[k], d.v[m], &s, &exact))
					continue;
				if (s.source == WRITER_BY_BITS ||
				    (exact && setter_proved(&j[i], u->name, &st[k], d.v[m]) > 0))
					rc = writer_add_site(j->x, &s);
				break;
			}
		}
	}
	return rc;
}

static bool covers_data(const struct guard_type *t, uint32_t at, uint32_t width)
{
	for (size_t i = 0; i < t->n_field; i++)
		if (setter_field(&t->field[i]) && t->field[i].offset < at + width &&
		    at < t->field[i].offset + t->field[i].width)
			return true;
	return false;
}

static void cover_class(const struct setter_job *j, uint64_t *covers)
{
	for (size_t i = 0; i < j->x->t->n_field; i++)
		if (!strcmp(j->x->t->field[i].owner, j->owner->name))
			setter_cover(covers, i);
}

/*
 * One probe for the whole of an inlined Clear() or the like: where it writes the has-bits, or where it
 * begins, if its object is known there. 1: there is one.
 */
static int whole_site(struct setter_job *j, const struct setter_instance *i, const struct store *st, size_t n)
{
	struct writer_site s = {.vaddr = i->in.entry,
				.type = j->x->type,
				.source = WRITER_BY_ENTRY,
				.obj = i->in.this_path,
				.setter = j->setter,
				.caller = i->in.caller_name};
	int rc = 0;
	bool found = false;

	for (size_t k = 0; k < n && !rc; k++) {
		struct writer_site at = setter_site_of(j, &st[k], &i->in, true);
		const struct guard_field *h;

		if (!setter_usable(&st[k]) || st[k].call || !setter_in_ranges(&i->in, st[k].vaddr))
			continue;
		h = setter_has_word(j, st[k].disp + (int64_t)j->owner->offset);
		if (!h || st[k].disp + (int64_t)j->owner->offset != (int64_t)h->offset ||
		    st[k].width != h->width)
			continue;
		at.source = WRITER_BY_BITS;
		at.obj.offs[0] = -(int32_t)j->owner->offset;
		cover_class(j, at.covers);
		rc = writer_add_site(j->x, &at);
		found = true;
	}
	if (rc || found)
		return rc ? rc : 1;
	if (!i->in.entry || !i->in.entry_exact || !i->in.has_this)
		return 0;
	s.obj.offs[s.obj.n_deref] -= (int32_t)j->owner->offset;
	cover_class(j, s.covers);
	rc = writer_add_site(j->x, &s);
	return rc ? rc : 1;
}

/*
 * Inlined MergeFrom() and the like mostly call the functions proper. Where they store themselves each store
 * may be one to fields that can be probed, or into the frame. *all: they all are.
 */
static int whole_stores(struct setter_job *j, const struct setter_instance *i, const struct store *st,
			size_t n, bool *all)
{
	struct deltas d = setter_deltas(j, i->in.caller_name, &i->in, st, n);
	const struct guard_type *t = j->x->t;
	int rc = 0;

	*all = true;
	for (size_t k = 0; k < n && !rc; k++) {
		bool known = st[k].call || (st[k].base == STORE_REG_RSP && !st[k].string);

		if (!setter_in_ranges(&i->in, st[k].vaddr))
			continue;
		for (size_t m = 0; setter_usable(&st[k]) && m < d.n && !rc && !known; m++) {
			struct writer_site s = setter_site_of(j, &st[k], &i->in, true);
			int64_t at = st[k].disp - d.v[m];
			int f = !setter_for_base(&d, m, &st[k]) || at < 0 || at > UINT32_MAX
					? GUARD_NONE
					: guard_field_at(t, (uint32_t)at);

			known = f >= 0 && t->field[f].offset == (uint32_t)at;
			if (!known || !covers_data(t, (uint32_t)at, st[k].width))
				continue;
			s.obj.offs[0] = (int32_t)d.v[m];
			setter_cover_bytes(t, at, st[k].width, s.covers);
			rc = writer_add_site(j->x, &s);
		}
		*all &= known;
	}
	return rc;
}

int setter_whole_code(struct setter_job *j)
{
	const struct store *st;
	size_t n;
	int rc = 0;

	for (size_t i = 0; i < j->n && !rc; i++) {
		bool all = false;

		rc = stores_of(j->x->stores, j->v[i].in.caller_die, &st, &n);
		if (!rc)
			rc = whole_stores(j, &j->v[i], st, n, &all);
		if (!rc && !all)
			rc = whole_site(j, &j->v[i], st, n);
		if ((!rc && !all) || rc == -EILSEQ) { /* nothing of this type can be judged */
			j->x->unlicensed = true;
			j->x->unlicensed_name = j->v[i].in.caller_name;
		}
		rc = rc > 0 || rc == -EILSEQ ? 0 : rc;
	}
	return rc;
}
