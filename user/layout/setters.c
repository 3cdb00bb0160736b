// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Inlined setters: protobuf's set_x() exists only inlined in optimised code, so that what can be probed is
 * the instruction that stores the value. It is looked for inside the ranges DWARF gives the instance, and,
 * since compilers attribute many stores to the caller, in the whole function around it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/writers_priv.h"

#define MAX_PREFIX 5
#define MAX_DELTAS 16

struct instance {
	struct dbg_inline in;
	bool inner;   /* inside of another instance for the same field (set_x calls _internal_set_x) */
	bool covered; /* has a store in its own code, or its object is on the stack */
};

/* All inlined instances that write one field; without a field: those that write the whole object. */
struct field_job {
	struct finder *x;
	struct guard_field *f; /* NULL: whole object */
	const struct part_class *owner;
	char stem[128]; /* "id" of id_ */
	struct instance *v;
	size_t n;
	bool setter_known;  /* the owner declares set_<stem> */
	bool unreadable;    /* code around an instance could not be disassembled */
	const char *setter; /* name for the sites */
};

static bool is_scalar(const struct guard_field *f)
{
	return f->proto && !f->in_union &&
	       (f->kind == GUARD_BOOL || f->kind == GUARD_ENUM || f->kind == GUARD_INT ||
		f->kind == GUARD_UINT || f->kind == GUARD_FLOAT);
}

/* 1: name is a setter of the stem; 2: set_<stem> itself. */
static int setter_of(const char *name, const char *stem)
{
	static const char *const prefix[MAX_PREFIX] = {"set_", "_internal_set_", "clear_", "_internal_clear_",
						       "mutable_"};

	for (int i = 0; i < MAX_PREFIX; i++)
		if (!strncmp(name, prefix[i], strlen(prefix[i])) && !strcmp(name + strlen(prefix[i]), stem))
			return i ? 1 : 2;
	return 0;
}

static int add_instances(struct field_job *j, const struct dbg_func *f)
{
	struct dbg_inline *in = NULL;
	struct instance *v;
	size_t n = 0;
	int rc = dbg_inlines(j->x->d, f, &in, &n, j->x->err);

	if (rc || !n)
		return rc;
	v = reallocarray(j->v, j->n + n, sizeof(*v));
	if (!v) {
		dbg_inlines_free(in, n);
		return -ENOMEM;
	}
	j->v = v;
	for (size_t i = 0; i < n; i++) {
		if (writer_licensed(j->x, in[i].caller))
			free(in[i].range); /* its function has a licence for the whole object */
		else
			j->v[j->n++] = (struct instance){.in = in[i]};
	}
	free(in);
	return 0;
}

struct jobs {
	struct finder *x;
	struct field_job *v;
	size_t n;
	const struct part_class *cls; /* whose methods are being looked at */
};

/* Generated functions that write whatever fields there are. Constructors and destructors write objects nobody
 * else has. */
static bool whole_object(const char *name)
{
	static const char *const names[] = {"Clear",
					    "MergeFrom",
					    "MergeImpl",
					    "CopyFrom",
					    "Swap",
					    "InternalSwap",
					    "UnsafeArenaSwap",
					    "operator=",
					    "_InternalParse",
					    "MergePartialFromCodedStream",
					    "swap"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

static int collect(void *ctx, const struct dbg_func *f)
{
	struct jobs *all = ctx;
	const char *name = writer_name(f);
	int rc = 0;

	for (size_t i = 0; i < all->n && !rc; i++) {
		struct field_job *j = &all->v[i];
		int kind = j->owner != all->cls ? 0 : j->f ? setter_of(name, j->stem) : whole_object(name);

		if (kind == 2) {
			j->setter_known = true;
			j->setter = f->signature;
		}
		if (kind)
			rc = add_instances(j, f);
	}
	return rc;
}

/* COMDAT functions are described by each unit that has them: the same code, counted once. */
static bool same_place(const struct dbg_inline *a, const struct dbg_inline *b)
{
	if (a->caller != b->caller || a->entry != b->entry || a->n_range != b->n_range)
		return false;
	return !a->n_range || !memcmp(a->range, b->range, a->n_range * sizeof(*a->range));
}

static void mark_inner(struct field_job *j)
{
	for (size_t i = 0; i < j->n; i++) {
		for (size_t k = 0; k < j->n && !j->v[i].inner; k++) {
			const struct dbg_inline *a = &j->v[i].in, *b = &j->v[k].in;

			j->v[i].inner =
				k != i && ((a->parent && a->parent == b->die) ||
					   (k < i && a->caller_die != b->caller_die && same_place(a, b)));
		}
	}
}

static bool in_ranges(const struct dbg_inline *in, uint64_t vaddr)
{
	for (size_t i = 0; i < in->n_range; i++)
		if (vaddr >= in->range[i].lo && vaddr < in->range[i].hi)
			return true;
	return !in->n_range && in->entry == vaddr;
}

/* Does a store of these bytes of the object write the field whole, and begin and end where fields do? */
static bool fits(const struct guard_type *t, const struct guard_field *f, int64_t at, uint32_t width)
{
	int first, last;

	if (at < 0 || at > (int64_t)f->offset || (uint64_t)at + width < (uint64_t)f->offset + f->width)
		return false;
	if (at == (int64_t)f->offset && width == f->width)
		return true;
	first = guard_field_at(t, (uint32_t)at);
	last = guard_field_at(t, (uint32_t)at + width - 1);
	return first >= 0 && last >= 0 && t->field[first].offset == (uint32_t)at &&
	       t->field[last].offset + t->field[last].width == (uint32_t)at + width;
}

static int add_site(struct field_job *j, const struct store *st, int64_t delta, const struct dbg_inline *in,
		    bool in_range)
{
	struct writer_site s = {.vaddr = st->vaddr,
				.type = j->x->type,
				.base_reg = st->base,
				.delta = delta,
				.offset = (uint32_t)(st->disp - delta),
				.width = st->width,
				.setter = j->setter,
				.caller = in->caller_name,
				.in_range = in_range};

	return writer_add_site(j->x, &s);
}

/* Where the object may begin, from the base register. */
struct deltas {
	int64_t v[MAX_DELTAS];
	uint8_t base[MAX_DELTAS]; /* for this register only; STORE_NO_REG: for any */
	size_t n;
};

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

/*
 * Any base register may hold the object, or the part of it that declares the field. Inside of an instance
 * also what DWARF says of `this`, and what the has-bits' place says: they are set beside the value.
 */
static struct deltas deltas_of(const struct field_job *j, const char *caller, const struct dbg_inline *in,
			       const struct store *st, size_t n)
{
	struct deltas d = {.n = 0};
	int64_t own = (int64_t)j->owner->offset;

	add_delta(&d, 0, STORE_NO_REG);
	if (own)
		add_delta(&d, -own, STORE_NO_REG);
	for (size_t i = 0; i < j->x->w->n_site; i++) { /* what instances in this function have proved */
		const struct writer_site *s = &j->x->w->site[i];

		if (s->type == j->x->type && s->in_range && s->delta && s->caller == caller)
			add_delta(&d, s->delta, s->base_reg);
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
			if (st[i].bit_or && st[i].width == h->width && !st[i].indexed &&
			    st[i].base != STORE_NO_REG && in_ranges(in, st[i].vaddr))
				add_delta(&d, st[i].disp - (int64_t)h->offset, st[i].base);
	}
	return d;
}

static bool usable(const struct store *st)
{
	return !st->string && !st->indexed && st->base != STORE_NO_REG && st->base != STORE_REG_RSP;
}

/* A store into the frame: is it to an object there? Then the has-bits that are set in the same code are at
 * the right distance. */
static bool beside_has_bits(const struct field_job *j, const struct dbg_inline *in, const struct store *st,
			    size_t n, const struct store *value)
{
	for (size_t k = 0; k < j->x->t->n_field; k++) {
		const struct guard_field *h = &j->x->t->field[k];

		for (size_t i = 0; h->kind == GUARD_HAS_BITS && i < n; i++)
			if (st[i].bit_or && st[i].base == value->base && in_ranges(in, st[i].vaddr) &&
			    st[i].disp - (int64_t)h->offset == value->disp - (int64_t)j->f->offset)
				return true;
	}
	return false;
}

/* Stores of one instance's own code. */
static int own_stores(struct field_job *j, struct instance *i, const struct store *st, size_t n)
{
	struct deltas d = deltas_of(j, i->in.caller_name, &i->in, st, n);
	int rc = 0;

	/* an object in the frame of the function is in no cache */
	if (i->in.has_this && !i->in.this_path.n_deref && i->in.this_path.reg == STORE_REG_RSP)
		i->covered = true;
	for (size_t k = 0; k < n && !rc; k++) {
		if (!in_ranges(&i->in, st[k].vaddr))
			continue;
		if (st[k].base == STORE_REG_RSP && !st[k].indexed && st[k].width == j->f->width &&
		    (!i->in.has_this || beside_has_bits(j, &i->in, st, n, &st[k])))
			i->covered = true;
		if (!usable(&st[k]))
			continue;
		for (size_t m = 0; m < d.n && !rc; m++) {
			if ((d.base[m] != STORE_NO_REG && d.base[m] != st[k].base) ||
			    !fits(j->x->t, j->f, st[k].disp - d.v[m], st[k].width))
				continue;
			i->covered = true;
			rc = add_site(j, &st[k], d.v[m], &i->in, true);
			break;
		}
	}
	return rc;
}

static bool in_any(const struct field_job *j, uint64_t caller, uint64_t vaddr)
{
	for (size_t i = 0; i < j->n; i++)
		if (j->v[i].in.caller == caller && in_ranges(&j->v[i].in, vaddr))
			return true;
	return false;
}

/*
 * What this function's instances have shown of the register: 1 it holds an object of the type at this
 * distance, -1 at another distance, 0 nothing.
 */
static int proved(const struct field_job *j, const char *caller, const struct store *st, int64_t delta)
{
	int result = 0;

	for (size_t i = 0; i < j->x->w->n_site; i++) {
		const struct writer_site *s = &j->x->w->site[i];

		if (s->type != j->x->type || !s->in_range || s->caller != caller || s->base_reg != st->base)
			continue;
		if (s->delta == delta)
			return 1;
		result = -1;
	}
	return result;
}

/*
 * The rest of the function: every store that fits gets a probe. Instances without a store of their own count
 * as covered if there are at least as many such stores as instances. Stores wider than the field are as
 * likely another type's: they count only with a register that is known to hold an object of this one.
 */
static int scan_caller(struct field_job *j, size_t first, const struct store *st, size_t n)
{
	const struct dbg_inline *in = &j->v[first].in;
	struct deltas d = deltas_of(j, in->caller_name, NULL, NULL, 0);
	size_t open = 0, found = 0;
	int rc = 0, known;

	for (size_t k = 0; k < n && !rc; k++) {
		if (!usable(&st[k]) || in_any(j, in->caller, st[k].vaddr))
			continue;
		for (size_t m = 0; m < d.n && !rc; m++) {
			if (!fits(j->x->t, j->f, st[k].disp - d.v[m], st[k].width))
				continue;
			known = proved(j, in->caller_name, &st[k], d.v[m]);
			found += known > 0 || (!known && st[k].width == j->f->width);
			rc = add_site(j, &st[k], d.v[m], in, false);
			break;
		}
	}
	for (size_t i = first; i < j->n; i++)
		open += j->v[i].in.caller == in->caller && !j->v[i].inner && !j->v[i].covered;
	for (size_t i = first; i < j->n && found >= open; i++)
		if (j->v[i].in.caller == in->caller)
			j->v[i].covered = true;
	return rc;
}

/* An inner instance's store is its outer one's. */
static void pass_outwards(struct field_job *j)
{
	for (size_t i = 0; i < j->n; i++)
		for (size_t k = 0; k < j->n && j->v[i].covered; k++)
			if (j->v[i].in.parent && j->v[i].in.parent == j->v[k].in.die)
				j->v[k].covered = true;
}

static bool first_of_caller(const struct field_job *j, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (j->v[k].in.caller == j->v[i].in.caller)
			return false;
	return true;
}

static int own_code(struct field_job *j)
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

static bool covers_scalar(const struct guard_type *t, uint32_t at, uint32_t width)
{
	for (size_t i = 0; i < t->n_field; i++)
		if (is_scalar(&t->field[i]) && t->field[i].offset < at + width &&
		    at < t->field[i].offset + t->field[i].width)
			return true;
	return false;
}

/*
 * Inlined MergeFrom() and the like mostly call the functions proper. Where they store themselves each store
 * must be one to scalar fields that can be probed, or into the frame; else nothing of this type can be
 * judged.
 */
static int whole_stores(struct field_job *j, const struct instance *i, const struct store *st, size_t n)
{
	struct deltas d = deltas_of(j, i->in.caller_name, &i->in, st, n);
	const struct guard_type *t = j->x->t;
	int rc = 0;

	for (size_t k = 0; k < n && !rc; k++) {
		bool known = st[k].base == STORE_REG_RSP && !st[k].string;

		if (!in_ranges(&i->in, st[k].vaddr))
			continue;
		for (size_t m = 0; usable(&st[k]) && m < d.n && !rc && !known; m++) {
			int64_t at = st[k].disp - d.v[m];
			int f = d.base[m] != STORE_NO_REG && d.base[m] != st[k].base ? GUARD_NONE
				: at < 0 || at > UINT32_MAX			     ? GUARD_NONE
							    : guard_field_at(t, (uint32_t)at);

			known = f >= 0 && t->field[f].offset == (uint32_t)at;
			if (known && covers_scalar(t, (uint32_t)at, st[k].width))
				rc = add_site(j, &st[k], d.v[m], &i->in, true);
		}
		if (!known) {
			j->x->unlicensed = true;
			j->x->unlicensed_name = i->in.caller_name;
		}
	}
	return rc;
}

static int whole_code(struct field_job *j)
{
	const struct store *st;
	size_t n;
	int rc = 0;

	for (size_t i = 0; i < j->n && !rc; i++) {
		rc = stores_of(j->x->stores, j->v[i].in.caller_die, &st, &n);
		if (rc == -EILSEQ) {
			j->x->unlicensed = true;
			j->x->unlicensed_name = j->v[i].in.caller_name;
			rc = 0;
		}
		rc = rc ? rc : whole_stores(j, &j->v[i], st, n);
	}
	return rc;
}

static int code_around(struct field_job *j)
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
	return rc;
}

static void judge(struct field_job *j)
{
	struct guard_field *f = j->f;

	for (size_t i = 0; i < j->n; i++) {
		f->inlined_writers += !j->v[i].inner;
		f->inlined_uncovered += !j->v[i].inner && !j->v[i].covered;
	}
	if (!j->setter_known)
		snprintf(f->reason, sizeof(f->reason), "no setter of this name in %.80s", f->owner);
	else if (j->x->unlicensed)
		snprintf(f->reason, sizeof(f->reason), "a copy of %.80s cannot be probed",
			 j->x->unlicensed_name);
	else if (j->unreadable)
		snprintf(f->reason, sizeof(f->reason),
			 "code around an inlined setter cannot be disassembled");
	else if (f->inlined_uncovered)
		snprintf(f->reason, sizeof(f->reason),
			 "%u of %u inlined setters have no store that can be probed", f->inlined_uncovered,
			 f->inlined_writers);
	else
		f->shadow_judged = true;
}

/* Adds a job for a scalar field that stands in a class of its own and not in one by value. */
static void add_job(struct jobs *all, struct guard_field *f)
{
	struct field_job *j = &all->v[all->n];
	size_t len = strlen(f->path);

	if (len < 2 || len > sizeof(j->stem) || f->path[len - 1] != '_' || strchr(f->path, '.')) {
		snprintf(f->reason, sizeof(f->reason), "not a message's own field");
		return;
	}
	*j = (struct field_job){.x = all->x, .f = f};
	memcpy(j->stem, f->path, len - 1);
	for (size_t i = 0; i < all->x->n_cls && !j->owner; i++)
		if (!strcmp(all->x->cls[i].name, f->owner))
			j->owner = &all->x->cls[i];
	all->n += j->owner != NULL;
}

/* First the instances' own stores of all fields: they tell which registers hold objects, which the scan of
 * what is around uses. */
int setters_find(struct finder *x)
{
	struct jobs all = {.x = x, .v = calloc(x->t->n_field + x->n_cls + 1, sizeof(*all.v))};
	size_t n_fields;
	int rc = all.v ? 0 : -ENOMEM;

	for (size_t i = 0; i < x->t->n_field && !rc; i++)
		if (is_scalar(&x->t->field[i]))
			add_job(&all, &x->t->field[i]);
	n_fields = all.n;
	for (size_t i = 0; i < x->n_cls && !rc; i++)
		if (x->cls[i].generated)
			all.v[all.n++] =
				(struct field_job){.x = x, .owner = &x->cls[i], .setter = x->cls[i].name};
	for (size_t i = 0; i < x->n_cls && !rc && all.n; i++) {
		all.cls = &x->cls[i];
		if (x->cls[i].generated)
			rc = dbg_methods(x->d, x->cls[i].type, collect, &all, x->err);
	}
	for (size_t i = 0; i < all.n; i++)
		mark_inner(&all.v[i]);
	for (size_t i = 0; i < 2 * n_fields && !rc;
	     i++) /* twice: what one field's setters show of a register serves the others */
		rc = own_code(&all.v[i % n_fields]);
	for (size_t i = n_fields; i < all.n && !rc; i++)
		rc = whole_code(&all.v[i]);
	for (size_t i = 0; i < n_fields && !rc; i++) {
		rc = code_around(&all.v[i]);
		judge(&all.v[i]);
	}
	for (size_t i = 0; i < all.n; i++) {
		for (size_t k = 0; k < all.v[i].n; k++)
			free(all.v[i].v[k].in.range);
		free(all.v[i].v);
	}
	free(all.v);
	return rc;
}
