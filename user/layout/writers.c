// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Functions that may write a whole object: every member function that is not const, of the type and of its
 * bases. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "arch/arch.h"
#include "layout/writers_priv.h"
#include "util/grow.h"

const char *writer_name(const struct dbg_func *f)
{
	const char *last = f->name;
	int depth = 0;

	for (const char *p = f->name; *p; p++) {
		if (!strncmp(p, "operator", 8))
			return p;
		if (*p == '<')
			depth++;
		else if (*p == '>')
			depth--;
		else if (!depth && p[0] == ':' && p[1] == ':')
			last = p + 2;
	}
	return last;
}

bool writer_licensed(const struct finder *x, uint64_t vaddr)
{
	for (size_t i = 0; i < x->w->n_func; i++)
		if (x->w->func[i].type == x->type && x->w->func[i].vaddr == vaddr && !x->w->func[i].inlined)
			return true;
	return false;
}

static int add_func(struct finder *x, const struct writer_func *f)
{
	struct writers *w = x->w;

	for (size_t i = 0; i < w->n_func;
	     i++) /* C1 and C2 may be one; a function of T before the same seen as a base's */
		if (w->func[i].type == f->type && w->func[i].vaddr == f->vaddr)
			return 0;
	if (GROW(&w->func, w->n_func))
		return -ENOMEM;
	w->func[w->n_func++] = *f;
	return 0;
}

static bool same_path(const struct arg_path *a, const struct arg_path *b)
{
	return a->reg == b->reg && a->n_deref == b->n_deref && !memcmp(a->offs, b->offs, sizeof(a->offs));
}

int writer_add_site(struct finder *x, const struct writer_site *s)
{
	struct writers *w = x->w;

	for (size_t i = 0; i < w->n_site; i++) {
		struct writer_site *o = &w->site[i];

		if (o->vaddr != s->vaddr || o->type != s->type || !same_path(&o->obj, &s->obj))
			continue;
		for (size_t k = 0; k < WRITER_FIELD_WORDS; k++)
			o->covers[k] |= s->covers[k];
		o->in_range |= s->in_range;
		return 0;
	}
	if (GROW(&w->site, w->n_site))
		return -ENOMEM;
	w->site[w->n_site++] = *s;
	return 0;
}

static enum writer_role role_of(const struct dbg_func *f, const char *name)
{
	size_t scope = (size_t)(name - f->name), n;
	const char *p;

	if (name[0] == '~' || !strcmp(name, "SharedDtor"))
		return WRITER_DTOR;
	if (!strcmp(name, "SharedCtor"))
		return WRITER_CTOR;
	/* constructor: the class's own name, its template arguments cut off */
	n = strcspn(name, "<");
	if (scope < 2)
		return WRITER_MUTATOR;
	for (p = f->name + scope - 2; p > f->name; p--)
		if (p[-1] == ':' && p - f->name + n <= scope - 2 && !strncmp(p, name, n) &&
		    (p[n] == ':' || p[n] == '<'))
			return WRITER_CTOR;
	return !strncmp(f->name, name, n) && (f->name[n] == ':' || f->name[n] == '<') ? WRITER_CTOR
										      : WRITER_MUTATOR;
}

/* Does it write its other object, too: swaps, and whatever takes an rvalue reference. */
static bool writes_other(const char *name, const struct dbg_type_info *param)
{
	size_t n = strlen(param->name);

	return strstr(name, "Swap") || strstr(name, "swap") ||
	       (param->kind == DBG_REF && n > 2 && !strcmp(param->name + n - 2, "&&"));
}

/* Fills the objects of one entry. false: where they are is not known. */
static bool objects_of(struct finder *x, const struct dbg_func *f, const struct dbg_entry *e,
		       struct writer_func *wf)
{
	const char *name = writer_name(f);
	struct dbg_param *p = NULL;
	size_t n = 0;
	bool ok = true;

	if (dbg_params(x->d, f, &p, &n, NULL))
		return false;
	wf->n_obj = 0;
	for (size_t i = 0; i < n && ok && wf->n_obj < 2; i++) {
		bool is_this = !f->is_static && i == 0;
		bool first = is_this || (f->is_static && !wf->n_obj);
		struct dbg_type_info info;
		struct arg_path path;
		int rc;

		if (dbg_type_info(x->d, p[i].type, &info) || (!first && !writes_other(name, &info)))
			continue;
		rc = dbg_arg_path(x->d, f, e, p[i].name, x->t->type, &path, NULL);
		if (rc == -ENOENT)
			continue; /* another type's */
		if (rc)
			ok = false;
		else
			wf->obj[wf->n_obj++] = path;
	}
	free(p);
	return ok;
}

static bool is_accessor(const char *name)
{
	/* static members without an object, and New, which returns one */
	static const char *const no[] = {
		"New",		 "default_instance", "internal_default_instance", "descriptor",
		"GetDescriptor", "GetReflection",    "FullMessageName",		  "GetMetadataStatic"};

	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (!strcmp(name, no[i]))
			return true;
	return false;
}

bool writer_may_store(struct finder *x, const struct dbg_entry *e)
{
	const struct store *st = NULL;
	size_t n = 0;

	if (!e->die || stores_of(x->stores, e->die, &st, &n))
		return true;
	for (size_t i = 0; i < n; i++)
		if (!st[i].call && (st[i].string || st[i].base != STORE_REG_RSP))
			return true;
	return false;
}

/* Members of classes that protoc did not write cannot reach a message's fields but by setters, which are
 * probed for themselves. */
static bool whole_object(const struct finder *x, enum writer_role role, const char *name)
{
	return x->cur->generated || role != WRITER_MUTATOR || !strcmp(name, "operator=") ||
	       !strcasecmp(name, "swap");
}

static int one_method(void *ctx, const struct dbg_func *f)
{
	struct finder *x = ctx;
	const char *name = writer_name(f);
	struct writer_func wf = {
		.name = f->signature, .type = x->type, .of_base = x->cur->type.die != x->t->type.die};
	int rc = 0;

	if (f->is_const || is_accessor(name))
		return 0;
	wf.role = role_of(f, name);
	if (!whole_object(x, wf.role, name))
		return 0;
	for (size_t i = 0; i < f->n_entry && !rc; i++) {
		if (!objects_of(x, f, &f->entry[i], &wf)) {
			/* a constructor's or destructor's copy matters to nobody else: nobody holds the
			 * object */
			if (wf.role == WRITER_MUTATOR && writer_may_store(x, &f->entry[i])) {
				x->unlicensed = true;
				x->unlicensed_name = f->signature;
			}
			continue;
		}
		if (!wf.n_obj)
			continue;
		wf.vaddr = f->entry[i].vaddr;
		rc = add_func(x, &wf);
	}
	return rc;
}

/* true: vaddr is the entry of an out-of-line destructor of the type itself. */
static bool is_own_dtor(const struct finder *x, uint64_t vaddr)
{
	for (size_t i = 0; i < x->w->n_func; i++) {
		const struct writer_func *f = &x->w->func[i];

		if (f->type == x->type && f->vaddr == vaddr && f->role == WRITER_DTOR && !f->of_base &&
		    !f->inlined)
			return true;
	}
	return false;
}

/* Inlined destructors of the type itself: hooks that no symbol shows. */
static int one_inlined_dtor(void *ctx, const struct dbg_func *f)
{
	struct finder *x = ctx;
	struct dbg_inline *in = NULL;
	size_t n = 0;
	int rc;

	if (writer_name(f)[0] != '~')
		return 0;
	rc = dbg_inlines(x->d, f, &in, &n, x->err);
	for (size_t i = 0; i < n && !rc; i++) {
		struct writer_func wf = {.name = f->signature,
					 .role = WRITER_DTOR,
					 .type = x->type,
					 .inlined = true,
					 .n_obj = 1};

		if (is_own_dtor(x, in[i].caller))
			continue; /* in the deleting destructor: probed at its entry */
		if (!in[i].entry || !in[i].has_this) {
			x->w->dtors_uncovered += x->type == 0;
			continue;
		}
		wf.vaddr = in[i].entry;
		wf.obj[0] = in[i].this_path;
		rc = add_func(x, &wf);
	}
	dbg_inlines_free(in, n);
	return rc;
}

static bool is_generated(const struct guard_type *t, const char *cls)
{
	for (size_t i = 0; i < t->n_field; i++)
		if (t->field[i].proto && !strcmp(t->field[i].owner, cls))
			return true;
	return false;
}

static int classes_of(struct finder *x)
{
	struct dbg_base *base = NULL;
	size_t n = 0;
	int rc = dbg_bases(x->d, x->t->type, &base, &n, x->err);

	if (rc)
		return rc;
	x->cls = calloc(n + 1, sizeof(*x->cls));
	x->n_cls = 0;
	for (size_t i = 0; i <= n && x->cls; i++) {
		struct dbg_type type = i ? base[i - 1].type : x->t->type;
		struct dbg_type_info info;

		if (!dbg_type_info(x->d, type, &info) && (!info.declaration || x->g->of))
			x->cls[x->n_cls++] = (struct part_class){.type = type,
								 .name = info.name,
								 .offset = i ? base[i - 1].offset : 0,
								 .generated = is_generated(x->t, info.name)};
	}
	free(base);
	return x->cls ? 0 : -ENOMEM;
}

static int one_type(struct finder *x)
{
	struct dbg_type_info info;
	int rc;

	if (x->g->of && !x->t->type.die)
		return 0; /* not in this module */
	rc = dbg_type_info(x->d, x->t->type, &info);
	if (rc || (info.declaration && !x->g->of))
		return rc; /* a library's: its fields are not listed either */
	x->unlicensed = false;
	rc = classes_of(x);
	for (size_t i = 0; i < x->n_cls && !rc; i++) {
		x->cur = &x->cls[i];
		rc = dbg_methods(x->d, x->cls[i].type, one_method, x, x->err);
	}
	if (!rc)
		rc = dbg_methods(x->d, x->t->type, one_inlined_dtor, x, x->err);
	if (!rc)
		rc = setters_find(x);
	free(x->cls);
	x->cls = NULL;
	return rc;
}

static int func_cmp(const void *a, const void *b)
{
	const struct writer_func *x = a, *y = b;

	if (x->vaddr != y->vaddr)
		return x->vaddr < y->vaddr ? -1 : 1;
	return x->type < y->type ? -1 : x->type > y->type;
}

static int site_cmp(const void *a, const void *b)
{
	const struct writer_site *x = a, *y = b;

	if (x->vaddr != y->vaddr)
		return x->vaddr < y->vaddr ? -1 : 1;
	return x->type < y->type ? -1 : x->type > y->type;
}

int writers_find(struct writers **ret, struct dbg *d, struct guard_table *g, struct err *err)
{
	struct finder x = {.d = d, .g = g, .err = err};
	int rc;

	*ret = NULL;
	x.w = calloc(1, sizeof(*x.w));
	if (x.w && arch.no_stores) { /* `writes` is refused there; a profile serves what needs no stores */
		*ret = x.w;
		return 0;
	}
	rc = x.w ? stores_create(&x.stores, d, err) : -ENOMEM;
	for (size_t i = 0; i < g->n_type && !rc; i++) {
		x.type = (uint32_t)i;
		x.t = &g->type[i];
		rc = one_type(&x);
	}
	stores_destroy(x.stores);
	if (rc) {
		writers_free(x.w);
		return rc == -ENOMEM ? err_set(err, rc, "out of memory") : rc;
	}
	if (x.w->n_func)
		qsort(x.w->func, x.w->n_func, sizeof(*x.w->func), func_cmp);
	if (x.w->n_site)
		qsort(x.w->site, x.w->n_site, sizeof(*x.w->site), site_cmp);
	*ret = x.w;
	return 0;
}

void writers_free(struct writers *w)
{
	if (!w)
		return;
	free(w->func);
	free(w->site);
	free(w);
}
