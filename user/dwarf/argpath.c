// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* From a probe's registers to an object: by what the user wrote, or by following a parameter's type. */
#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "dwarf/dbg_priv.h"

struct request {
	struct dbg *d;
	const struct dbg_func *f;
	const struct dbg_entry *e;
	struct dbg_type t;
	struct err *err;
	bool by_base; /* out: the parameter is of a base class of t: it may be a t */
};

static int add_deref(struct arg_path *p)
{
	if (p->n_deref == ARG_MAX_DEREF)
		return -E2BIG;
	p->n_deref++;
	p->offs[p->n_deref] = 0;
	return 0;
}

/* Adds the way from a pointer or reference to class `from` to the t in or around it. -ENOENT: they are not
 * related. */
static int adjust(struct request *q, struct dbg_type from, struct arg_path *p)
{
	uint32_t off;

	if (dbg_base_offset(q->d, from, q->t, &off))
		p->offs[p->n_deref] += (int32_t)off;
	else if (dbg_base_offset(q->d, q->t, from, &off) && (q->by_base = true))
		p->offs[p->n_deref] -= (int32_t)off;
	else
		return -ENOENT;
	return 0;
}

/*
 * p leads to the value of a variable of type `type` if value, else to its address. Follows to q->t. -ENOENT:
 * does not lead there.
 */
static int follow(struct request *q, struct dbg_type type, bool value, struct arg_path *p)
{
	struct dbg_type_info i;

	for (int step = 0; step < 8; step++) {
		if (dbg_type_info(q->d, type, &i))
			return -EINVAL;
		if (i.kind >= DBG_CLASS && !value && !adjust(q, type, p))
			return 0; /* a class that is t is not followed through its only pointer */
		if (i.kind != DBG_PTR && i.kind != DBG_REF && i.kind != DBG_SMART_PTR &&
		    i.kind != DBG_SHARED_PTR)
			return -ENOENT;
		if (!value && add_deref(p))
			return -E2BIG;
		type = i.target; /* the pointer's value is the address of what it points to */
		value = false;
	}
	return -ENOENT;
}

#define STATED_NOTHING (-1)
#define STATED_SLOT    (-2) /* unoptimised code: a stack slot, filled after the entry */

/*
 * Register of a parameter at the entry as DWARF states it. A plain expression (no list) counts for the whole
 * function, so that one that is no argument register is not where the value comes in.
 */
static int stated_register(struct request *q, const char *name)
{
	Dwarf_Die fn, c;

	if (!q->e->die || !die_get(q->d, q->e->die, &fn))
		return STATED_NOTHING;
	for (int more = die_child(&fn, &c); more > 0; more = die_next(&c)) {
		struct arg_path p;
		Dwarf_Attribute a;
		bool plain;

		if (dwarf_tag(&c) != DW_TAG_formal_parameter || strcmp(die_name(&c), name) != 0)
			continue;
		if (!dwarf_attr(&c, DW_AT_location, &a) || !loc_value(q->d, &c, &fn, q->e->vaddr, &p))
			return STATED_NOTHING;
		plain = dwarf_whatform(&a) == DW_FORM_exprloc || dwarf_whatform(&a) == DW_FORM_block1;
		if (plain && (p.n_deref || arch_arg_number(p.reg) < 0))
			return STATED_SLOT;
		return p.n_deref || p.offs[0] ? STATED_NOTHING : p.reg;
	}
	return STATED_NOTHING;
}

/* Start of a path: the register that holds parameter par. Functions nobody else can call need not keep to the
 * convention. */
static int start(struct request *q, const struct dbg_param *par, struct arg_path *p)
{
	const struct elf_sym *sym = dbg_symbol_at(q->d, q->e->vaddr);
	bool clone = q->e->kind == DBG_ENTRY_CLONE || q->e->kind == DBG_ENTRY_PART;
	bool own = clone || (sym && sym->bind == STB_LOCAL);
	int stated = *par->name ? stated_register(q, par->name) : STATED_NOTHING;

	*p = (struct arg_path){.arg = -1};
	if (own && stated >= 0) {
		p->reg = (uint8_t)stated;
		p->arg = (int8_t)arch_arg_number(p->reg);
		return 0;
	}
	if (clone || (own && stated == STATED_NOTHING))
		return err_set(q->err, -ENOTSUP,
			       "%s: the compiler may change the arguments of a copy or of a function that "
			       "only its file "
			       "can call (%s), and where %s is it does not say",
			       q->f->name, q->e->symbol ? q->e->symbol : "?", par->name);
	if (par->arg < 0)
		return err_set(q->err, -ENOTSUP, "%s: parameter %s is in no integer register: %s", q->f->name,
			       par->name, par->why_not);
	p->reg = arch.arg[par->arg];
	p->arg = par->arg;
	if (stated >= 0 && stated != p->reg)
		return err_set(q->err, -ENOTSUP,
			       "%s: debuginfo has parameter %s in register %d, the calling convention in %d",
			       q->f->name, par->name, stated, p->reg);
	return 0;
}

static int to_type(struct request *q, const struct dbg_param *par, struct arg_path *p)
{
	int rc;

	q->by_base = false;
	*p = (struct arg_path){.arg = -1};
	rc = follow(q, par->type, !par->by_ref, p); /* does the type lead there at all? */
	if (rc)
		return rc;
	rc = start(q, par, p);
	return rc ? rc : follow(q, par->type, !par->by_ref, p);
}

static const char *type_name(struct request *q)
{
	struct dbg_type_info i;

	return dbg_type_info(q->d, q->t, &i) ? "?" : i.name;
}

/* The only one that leads to t or to a class derived from it; if there is none, the only one that leads to a
 * base of t. */
static int infer(struct request *q, const struct dbg_param *par, size_t n, struct arg_path *ret)
{
	char names[256] = "";
	size_t hits = 0, used = 0;
	bool base_only = true;
	struct arg_path p;
	int first = -ENOENT;

	for (size_t i = 0; i < n; i++) {
		int rc = to_type(q, &par[i], &p);

		if (rc == -ENOENT || rc == -E2BIG || (q->by_base && !base_only))
			continue;
		if (base_only && !q->by_base) {
			base_only = false;
			hits = used = 0;
		}
		if (!hits++) {
			first = rc;
			*ret = p;
		}
		if (used < sizeof(names))
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "",
						 par[i].name);
	}
	if (hits > 1)
		return err_set(q->err, -EEXIST, "%s: several parameters lead to %s: %s; name one", q->f->name,
			       type_name(q), names);
	if (!hits)
		return err_set(q->err, -ENOENT,
			       "%s: no parameter leads to %s; say which one with :argN or its name",
			       q->f->name, type_name(q));
	return first;
}

/* "argN"; true and *end behind it. */
static bool parse_arg(const char *s, unsigned *n, const char **end)
{
	if (strncmp(s, "arg", 3) != 0 || !isdigit((unsigned char)s[3]))
		return false;
	*n = (unsigned)(s[3] - '0');
	*end = s + 4;
	return !isalnum((unsigned char)**end) && **end != '_';
}

/* "*argN", "*(argN+OFF)", "*(argN-OFF)". */
static int parse_stars(struct request *q, const char *expr, struct arg_path *ret)
{
	const char *s = expr + 1, *end;
	bool paren = *s == '(';
	unsigned n;
	long off = 0;

	if (paren)
		s++;
	while (*s == ' ')
		s++;
	if (!parse_arg(s, &n, &end) || n >= arch.n_args)
		goto bad;
	while (*end == ' ')
		end++;
	if (paren && (*end == '+' || *end == '-')) {
		char *stop;
		bool minus = *end++ == '-';

		while (*end == ' ')
			end++;
		if (!isdigit((unsigned char)*end))
			goto bad;
		errno = 0;
		off = strtol(end, &stop, 0);
		if (errno || off > INT32_MAX)
			goto bad;
		off = minus ? -off : off;
		end = stop;
		while (*end == ' ')
			end++;
	}
	if (paren && *end++ != ')')
		goto bad;
	if (*end)
		goto bad;
	*ret = (struct arg_path){
		.reg = arch.arg[n], .arg = (int8_t)n, .n_deref = 1, .offs = {(int32_t)off, 0}};
	return 0;
bad:
	return err_set(q->err, -EINVAL,
		       "'%s': argN (0 to %d), *argN, *(argN+OFFSET) or a parameter's name is wanted", expr,
		       arch.n_args - 1);
}

static int by_number(struct request *q, const char *expr, unsigned n, const struct dbg_param *par,
		     size_t n_par, struct arg_path *ret)
{
	int rc;

	if (n >= arch.n_args)
		return parse_stars(q, expr, ret); /* the message */
	for (size_t i = 0; i < n_par; i++) {
		if (par[i].arg != (int)n)
			continue;
		rc = to_type(q, &par[i], ret);
		if (rc != -ENOENT)
			return rc;
	}
	if (q->e->kind == DBG_ENTRY_CLONE || q->e->kind == DBG_ENTRY_PART)
		return err_set(q->err, -ENOTSUP, "%s: the compiler changed the arguments of this copy (%s)",
			       q->f->name, q->e->symbol ? q->e->symbol : "?");
	*ret = (struct arg_path){.reg = arch.arg[n], .arg = (int8_t)n};
	return 0;
}

static int by_name(struct request *q, const char *name, const struct dbg_param *par, size_t n,
		   struct arg_path *ret)
{
	char list[256] = "";
	size_t used = 0;
	int rc;

	for (size_t i = 0; i < n; i++) {
		if (!strcmp(par[i].name, name)) {
			rc = to_type(q, &par[i], ret);
			if (rc == -ENOENT || rc == -E2BIG)
				err_set(q->err, rc, "%s: parameter %s does not lead to %s", q->f->name, name,
					type_name(q));
			return rc;
		}
		if (used < sizeof(list))
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", used ? ", " : "",
						 par[i].name);
	}
	err_set(q->err, -ENOENT, "%s has no parameter %s", q->f->name, name);
	err_hint(q->err, n ? "it has: %s" : "it has none%s", list);
	return -ENOENT;
}

int dbg_arg_path(struct dbg *d, const struct dbg_func *f, const struct dbg_entry *e, const char *expr,
		 struct dbg_type t, struct arg_path *ret, struct err *err)
{
	struct request q = {.d = d, .f = f, .e = e, .t = t, .err = err};
	struct dbg_param *par = NULL;
	const char *end;
	unsigned n;
	size_t n_par = 0;
	bool moved = e->kind == DBG_ENTRY_CLONE || e->kind == DBG_ENTRY_PART;
	int rc;

	if (expr && *expr == '*') {
		if (moved)
			return err_set(err, -ENOTSUP,
				       "%s: the compiler changed the arguments of this copy (%s)", f->name,
				       e->symbol ? e->symbol : "?");
		return parse_stars(&q, expr, ret);
	}
	rc = dbg_params(d, f, &par, &n_par, err);
	if (rc == -ENODATA && expr && parse_arg(expr, &n, &end) && !*end)
		rc = by_number(&q, expr, n, NULL, 0, ret);
	else if (rc)
		return rc;
	else if (!expr || !*expr)
		rc = infer(&q, par, n_par, ret);
	else if (parse_arg(expr, &n, &end) && !*end)
		rc = by_number(&q, expr, n, par, n_par, ret);
	else
		rc = by_name(&q, expr, par, n_par, ret);
	free(par);
	return rc;
}

char *arg_path_text(const struct arg_path *p, char *buf, size_t len)
{
	char cur[128], next[128];

	if (p->arg >= 0)
		snprintf(cur, sizeof(cur), "arg%d", p->arg);
	else
		snprintf(cur, sizeof(cur), "%s", arch_reg_name(p->reg));
	for (unsigned i = 0; i <= p->n_deref; i++) {
		bool last = i == p->n_deref;

		if (last)
			snprintf(next, sizeof(next), p->offs[i] ? "%.100s%+d" : "%.100s", cur, p->offs[i]);
		else
			snprintf(next, sizeof(next), p->offs[i] ? "*(%.100s%+d)" : "*%.100s", cur,
				 p->offs[i]);
		snprintf(cur, sizeof(cur), "%s", next);
	}
	snprintf(buf, len, "%s", cur);
	return buf;
}
