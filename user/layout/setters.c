// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Inlined setters: protobuf's set_x() exists only inlined in optimised code, so that what can be probed is an
 * instruction that shows it at work (setter_sites.c).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/bits.h"
#include "layout/setters_priv.h"

/* Of a oneof: which of its fields is set. */
static bool is_case(const struct guard_field *f)
{
	return f->kind == GUARD_ENUM && !strncmp(f->path, "_oneof_case_", 12);
}

static bool is_scalar(const struct guard_field *f)
{
	return f->proto && !f->in_union &&
	       (f->kind == GUARD_BOOL || f->kind == GUARD_ENUM || f->kind == GUARD_INT ||
		f->kind == GUARD_UINT || f->kind == GUARD_FLOAT);
}

bool setter_field(const struct guard_field *f)
{
	if (is_scalar(f))
		return true;
	return f->proto && !f->in_union &&
	       (f->kind == GUARD_ARENA_STRING || f->kind == GUARD_STRING_PTR || f->kind == GUARD_MSG_PTR ||
		f->kind == GUARD_PTR || f->kind == GUARD_REPEATED || f->kind == GUARD_REPEATED_PTR);
}

/* Behind what names of setters begin with, for each such prefix; NULL: no more of them. "": it is none of
 * this one. *names_it: one that the class declares in public. */
static const char *written(const char *name, size_t at, bool *names_it)
{
	static const char *const prefix[] = {"set_",
					     "mutable_",
					     "add_",
					     "clear_",
					     "release_",
					     "set_allocated_",
					     "unsafe_arena_set_allocated_",
					     "unsafe_arena_release_",
					     "_internal_set_",
					     "_internal_mutable_",
					     "_internal_add_",
					     "_internal_clear_",
					     "_internal_release_"};

	if (at >= sizeof(prefix) / sizeof(prefix[0]))
		return NULL;
	*names_it = at < 3;
	return strncmp(name, prefix[at], strlen(prefix[at])) ? "" : name + strlen(prefix[at]);
}

/* Is it a setter of the stem? Templates have their arguments in the name. */
static bool setter_of(const char *name, const char *stem, size_t len, bool *names_it)
{
	const char *rest;

	for (size_t i = 0; (rest = written(name, i, names_it)); i++)
		if (!strncmp(rest, stem, len) && (!rest[len] || rest[len] == '<'))
			return true;
	return false;
}

/* Is it a setter of something that is no field of the type by itself: of what a oneof holds? */
static bool sets_oneof(const struct guard_type *t, const char *name, bool *names_it)
{
	bool setter = false, other;
	const char *rest;

	for (size_t i = 0; (rest = written(name, i, &other)); i++)
		setter |= *rest != '\0';
	for (size_t i = 0; i < t->n_field && setter; i++) {
		size_t len = strlen(t->field[i].path);

		setter = len < 2 || t->field[i].in_union ||
			 !setter_of(name, t->field[i].path, len - 1, &other);
	}
	*names_it = setter;
	return setter;
}

static int add_instances(struct setter_job *j, const struct dbg_func *f)
{
	struct dbg_inline *in = NULL;
	struct setter_instance *v;
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
			j->v[j->n++] = (struct setter_instance){.in = in[i]};
	}
	free(in);
	return 0;
}

struct jobs {
	struct finder *x;
	struct setter_job *v;
	size_t n, n_fields;	      /* the first n_fields are for a field each */
	struct type_user *user;	      /* hash by caller */
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

/* Of a repeated field, functions that write or hand out one element write nothing of the message itself. */
static bool of_element(const struct guard_field *f, const char *name, const char *signature)
{
	if (f->kind != GUARD_REPEATED && f->kind != GUARD_REPEATED_PTR)
		return false;
	return strstr(name, "set_") || (strstr(name, "mutable_") && strstr(signature, "(int)"));
}

/* Is the function one of those that the job is about? */
static bool is_writer(const struct setter_job *j, const char *name, bool *names_it)
{
	if (!j->f)
		return whole_object(name);
	if (is_case(j->f))
		return sets_oneof(j->x->t, name, names_it);
	return setter_of(name, j->stem, strlen(j->stem), names_it);
}

static int add_users(struct jobs *all, const struct dbg_func *f)
{
	struct dbg_inline *in = NULL;
	size_t n = 0;
	int rc = dbg_inlines(all->x->d, f, &in, &n, all->x->err);

	for (size_t i = 0; i < n && !rc; i++) {
		struct type_user *u = NULL;

		HASH_FIND(hh, all->user, &in[i].caller, sizeof(in[i].caller), u);
		if (u || writer_licensed(all->x, in[i].caller))
			continue;
		u = calloc(1, sizeof(*u));
		if (!u) {
			rc = -ENOMEM;
			break;
		}
		u->caller = in[i].caller;
		u->die = in[i].caller_die;
		u->name = in[i].caller_name;
		HASH_ADD(hh, all->user, caller, sizeof(u->caller), u);
	}
	dbg_inlines_free(in, n);
	return rc;
}

static int collect(void *ctx, const struct dbg_func *f)
{
	struct jobs *all = ctx;
	const char *name = writer_name(f);
	int rc = add_users(all, f);

	for (size_t i = 0; i < all->n && !rc; i++) {
		struct setter_job *j = &all->v[i];
		bool names_it = false;

		if (j->owner != all->cls || !is_writer(j, name, &names_it) ||
		    (j->f && of_element(j->f, name, f->signature)))
			continue;
		if (names_it && !j->setter_known) {
			j->setter_known = true;
			j->setter = f->signature;
		}
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

static void mark_inner(struct setter_job *j)
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

/* Why a change of a field that is no scalar is not judged by who made it. */
static const char *reference_reason(const struct guard_field *f)
{
	switch (f->kind) {
	case GUARD_ENUM:
		return "what a oneof holds is not followed";
	case GUARD_REPEATED:
	case GUARD_REPEATED_PTR:
		return "mutable_x() hands it out: code that has it may change it without a setter";
	default:
		return "what it points to is checked";
	}
}

static const char *first_uncovered(const struct setter_job *j)
{
	for (size_t i = 0; i < j->n; i++)
		if (!j->v[i].inner && !j->v[i].covered)
			return j->v[i].in.caller_name;
	return "";
}

static void judge(struct setter_job *j)
{
	struct guard_field *f = j->f;

	for (size_t i = 0; i < j->n; i++) {
		f->inlined_writers += !j->v[i].inner;
		f->inlined_uncovered += !j->v[i].inner && !j->v[i].covered;
	}
	if (!j->setter_known && !j->x->g->of) /* else only those are declared that are used */
		snprintf(f->reason, sizeof(f->reason), "no setter of this name in %.80s", f->owner);
	else if (j->x->unlicensed)
		snprintf(f->reason, sizeof(f->reason), "a copy of %.80s cannot be probed",
			 j->x->unlicensed_name);
	else if (j->unreadable)
		snprintf(f->reason, sizeof(f->reason),
			 "code around an inlined setter cannot be disassembled");
	else if (f->inlined_uncovered)
		snprintf(f->reason, sizeof(f->reason),
			 "%u of %u inlined setters have no instruction that can be probed: %.60s",
			 f->inlined_uncovered, f->inlined_writers, first_uncovered(j));
	else if (is_scalar(f) && !is_case(f))
		f->shadow_judged = true;
	else
		snprintf(f->reason, sizeof(f->reason), "%s", reference_reason(f));
}

static void find_owner(struct jobs *all, struct setter_job *j)
{
	for (size_t i = 0; i < all->x->n_cls && !j->owner; i++)
		if (!strcmp(all->x->cls[i].name, j->f->owner))
			j->owner = &all->x->cls[i];
	all->n += j->owner != NULL;
}

/* Adds a job for a field that stands in a class of its own and not in one by value. */
static void add_job(struct jobs *all, uint32_t field)
{
	struct guard_field *f = &all->x->t->field[field];
	struct setter_job *j = &all->v[all->n];
	size_t len = strlen(f->path);

	if (is_case(f)) { /* written by the setters of what the oneof holds */
		*j = (struct setter_job){.x = all->x, .f = f, .field = field};
		find_owner(all, j);
		return;
	}
	if (len < 2 || len > sizeof(j->stem) || f->path[len - 1] != '_' || strchr(f->path, '.')) {
		snprintf(f->reason, sizeof(f->reason), "not a message's own field");
		return;
	}
	*j = (struct setter_job){.x = all->x, .f = f, .field = field};
	memcpy(j->stem, f->path, len - 1);
	find_owner(all, j);
}

/* The field of each has-bit of a class. */
static int bits_of(struct finder *x, struct part_class *c)
{
	const char **name = NULL;
	size_t n = 0;
	int rc = x->g->of ? guard_bit_names(x->g->of_dbg, x->g->of->type[x->type].type, &name, &n)
			  : guard_bit_names(x->d, c->type, &name, &n);

	if (rc)
		return rc == -ENOMEM ? rc : 0;
	c->bit_field = calloc(n + 1, sizeof(*c->bit_field));
	for (size_t b = 0; c->bit_field && b < n; b++) {
		c->bit_field[b] = -1;
		for (size_t i = 0; name[b] && i < x->t->n_field; i++)
			if (!strcmp(x->t->field[i].path, name[b]) && !strcmp(x->t->field[i].owner, c->name))
				c->bit_field[b] = (int32_t)i;
	}
	c->n_bits = c->bit_field ? n : 0;
	free(name);
	return c->bit_field ? 0 : -ENOMEM;
}

static void check_bits(struct jobs *all, struct part_class *c)
{
	unsigned agree = 0, against = 0;

	for (size_t i = 0; i < all->n; i++)
		if (all->v[i].f && all->v[i].owner == c)
			setter_bit_evidence(&all->v[i], &agree, &against);
	if (against > agree)
		c->n_bits = 0; /* not as debuginfo has it */
}

static int all_jobs(struct jobs *all)
{
	struct finder *x = all->x;
	int rc = 0;

	for (uint32_t i = 0; i < x->t->n_field; i++)
		if (setter_field(&x->t->field[i]))
			add_job(all, i);
	all->n_fields = all->n;
	for (size_t i = 0; i < x->n_cls; i++)
		if (x->cls[i].generated)
			all->v[all->n++] =
				(struct setter_job){.x = x, .owner = &x->cls[i], .setter = x->cls[i].name};
	for (size_t i = 0; i < x->n_cls && !rc && all->n; i++) {
		all->cls = &x->cls[i];
		if (!x->cls[i].generated)
			continue;
		rc = bits_of(x, &x->cls[i]);
		if (!rc)
			rc = dbg_methods(x->d, x->cls[i].type, collect, all, x->err);
		if (!rc)
			check_bits(all, &x->cls[i]);
	}
	for (size_t i = 0; i < all->n; i++)
		mark_inner(&all->v[i]);
	return rc;
}

static void free_users(struct type_user *u)
{
	struct type_user *first = u, *next;

	HASH_CLEAR(hh, u); /* the table only: the entries are still chained */
	for (u = first; u; u = next) {
		next = u->hh.next;
		free(u);
	}
}

/* First the instances' own code for all fields: it tells which registers hold objects, which the scan of
 * what is around uses. */
int setters_find(struct finder *x)
{
	struct jobs all = {.x = x, .v = calloc(x->t->n_field + x->n_cls + 1, sizeof(*all.v))};
	int rc = all.v ? all_jobs(&all) : -ENOMEM;

	for (size_t i = 0; i < 2 * all.n_fields && !rc;
	     i++) /* twice: what one field's setters show of a register serves the others */
		rc = setter_own_code(&all.v[i % all.n_fields]);
	for (size_t i = all.n_fields; i < all.n && !rc; i++)
		rc = setter_whole_code(&all.v[i]);
	for (size_t i = 0; i < all.n_fields && !rc; i++) {
		rc = setter_code_around(&all.v[i]);
		judge(&all.v[i]);
	}
	for (struct type_user *u = all.user; u && all.n_fields && !rc; u = u->hh.next)
		rc = setter_user_code(all.v, all.n_fields, u);
	for (size_t i = 0; i < all.n; i++) {
		for (size_t k = 0; k < all.v[i].n; k++)
			free(all.v[i].v[k].in.range);
		free(all.v[i].v);
	}
	free(all.v);
	free_users(all.user);
	for (size_t i = 0; i < x->n_cls; i++)
		free(x->cls[i].bit_field);
	return rc;
}
