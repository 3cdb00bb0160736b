// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Which integer register holds which parameter: System V AMD64 ABI 1.0, section 3.2.3, and the Itanium C++
 * ABI 3.1.2.3 (classes that are not trivial for calls go by invisible reference). For aarch64:
 * params_aapcs.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "dwarf/params_priv.h"
#include "util/grow.h"

#define N_SSE_ARGS 8 /* of both machines */
#define MAX_BYTES  16

/* Whether a class is passed by invisible reference: 1 yes, 0 no, -1 not known. */
static int non_trivial(struct dbg *d, Dwarf_Die *cls, int depth)
{
	uint64_t cc;
	Dwarf_Die c, t;
	Dwarf_Attribute a;
	int rc = 0;

	if (depth > 16)
		return -1;
	if (die_udata(cls, DW_AT_calling_convention, &cc) &&
	    (cc == DW_CC_pass_by_reference || cc == DW_CC_pass_by_value))
		return cc == DW_CC_pass_by_reference;
	for (int more = die_child(cls, &c); more > 0 && rc != 1; more = die_next(&c)) {
		int tag = dwarf_tag(&c);
		const char *name = die_name(&c);

		if (tag == DW_TAG_inheritance && dwarf_attr(&c, DW_AT_virtuality, &a))
			return 1;
		if (tag == DW_TAG_member && (!strncmp(name, "_vptr", 5)))
			return 1;
		if ((tag == DW_TAG_inheritance || (tag == DW_TAG_member && !die_flag(&c, DW_AT_external))) &&
		    type_of(d, &c, &t) &&
		    (dwarf_tag(&t) == DW_TAG_class_type || dwarf_tag(&t) == DW_TAG_structure_type)) {
			int sub = non_trivial(d, &t, depth + 1);

			rc = sub ? sub : rc;
		}
		/*
		 * Without DW_AT_calling_convention (gcc before 8): a destructor that is written out makes it
		 * non-trivial. Whether a constructor is a copying one, and whether either is defaulted, those
		 * producers do not say.
		 */
		if (tag == DW_TAG_subprogram && name[0] == '~' && !die_flag(&c, DW_AT_artificial))
			rc = dwarf_attr(&c, DW_AT_defaulted, &a) ? -1 : 1;
		else if (tag == DW_TAG_subprogram && !strcmp(name, die_name(cls)) && !rc &&
			 !die_flag(&c, DW_AT_artificial))
			rc = -1;
	}
	return rc;
}

static enum arg_class merge(enum arg_class a, enum arg_class b)
{
	if (a == CLS_UNKNOWN || b == CLS_UNKNOWN)
		return CLS_UNKNOWN;
	if (a == CLS_MEMORY || b == CLS_MEMORY)
		return CLS_MEMORY;
	if (a == CLS_INT || b == CLS_INT)
		return CLS_INT;
	return a > b ? a : b;
}

static void put(struct classified *c, uint64_t offset, uint64_t size, enum arg_class k)
{
	if (!size || offset % (size > 8 ? 8 : size) || offset + size > MAX_BYTES) {
		c->memory = true; /* unaligned or too large */
		return;
	}
	for (uint64_t i = offset / 8; i <= (offset + size - 1) / 8; i++)
		c->half[i] = merge(c->half[i], k);
}

static void classify_at(struct dbg *d, struct dbg_type t, uint64_t offset, struct classified *c, int depth);

static void classify_members(struct dbg *d, struct dbg_type t, uint64_t offset, struct classified *c,
			     int depth)
{
	struct dbg_member *m = NULL;
	size_t n = 0;

	if (dbg_members(d, t, &m, &n, NULL))
		c->unknown = true;
	for (size_t i = 0; i < n; i++) {
		if (m[i].bit_field)
			put(c, (offset + m[i].offset) & ~7ULL, 8, CLS_INT);
		else
			classify_at(d, m[i].type, offset + m[i].offset, c, depth + 1);
	}
	free(m);
}

static void classify_at(struct dbg *d, struct dbg_type t, uint64_t offset, struct classified *c, int depth)
{
	struct dbg_type_info i;
	Dwarf_Die die;

	if (depth > 16 || !die_get(d, t.die, &die) || dbg_type_info(d, t, &i) || !i.size) {
		/* a pointer to member has no byte size: one word to data, two to a function */
		if (t.die && die_get(d, t.die, &die) && dwarf_tag(&die) == DW_TAG_ptr_to_member_type) {
			Dwarf_Die to;
			bool fn = type_of(d, &die, &to) && dwarf_tag(&to) == DW_TAG_subroutine_type;

			put(c, offset, 8, CLS_INT);
			if (fn)
				put(c, offset + 8, 8, CLS_INT);
			return;
		}
		c->unknown = true;
		return;
	}
	switch (i.kind) {
	case DBG_BOOL:
	case DBG_INT:
	case DBG_UINT:
	case DBG_ENUM:
	case DBG_PTR:
	case DBG_REF:
		put(c, offset, i.size, CLS_INT);
		break;
	case DBG_FLOAT:
		put(c, offset, i.size,
		    i.size <= 8 ? CLS_SSE : CLS_MEMORY); /* long double: x87, never in an integer register */
		break;
	case DBG_ARRAY:
		if (!i.count || i.count > MAX_BYTES)
			c->memory = true;
		for (uint64_t k = 0; k < i.count && !c->memory; k++)
			classify_at(d, i.target, offset + k * (i.size / i.count), c, depth + 1);
		break;
	case DBG_NONE:
	case DBG_FUNC:
		if (dwarf_tag(&die) == DW_TAG_unspecified_type) /* std::nullptr_t */
			put(c, offset, 8, CLS_INT);
		else
			c->unknown = true;
		break;
	default:
		if (i.declaration)
			c->unknown = true;
		else
			classify_members(d, t, offset, c, depth);
	}
}

static struct classified classify_sysv(struct dbg *d, struct dbg_type t)
{
	struct classified c = {0};
	struct dbg_type_info i;
	uint64_t cc;
	Dwarf_Die die;
	int nt;

	if (!die_get(d, t.die, &die) || dbg_type_info(d, t, &i)) {
		c.unknown = true;
		return c;
	}
	if (i.kind >= DBG_CLASS && i.kind != DBG_FUNC) {
		nt = class_complete(d, t, 0) ? non_trivial(d, &die, 0) : -1;
		if (die_udata(&die, DW_AT_calling_convention, &cc) && cc == DW_CC_pass_by_reference)
			nt = 1; /* said outright: what it consists of does not matter */
		if (nt == 1 || i.kind == DBG_STRING || i.kind == DBG_SHARED_PTR) {
			c.by_ref = true;
			return c;
		}
		if (i.size > MAX_BYTES && nt == 0) {
			c.memory = true;
			return c;
		}
		if (nt < 0) {
			c.unknown = true;
			return c;
		}
	}
	classify_at(d, t, 0, &c, 0);
	for (int k = 0; k < 2; k++) {
		c.memory = c.memory || c.half[k] == CLS_MEMORY;
		c.unknown = c.unknown || c.half[k] == CLS_UNKNOWN;
	}
	return c;
}

static struct classified classify(struct dbg *d, struct dbg_type t)
{
	struct classified c = classify_sysv(d, t);

	if (arch.aapcs)
		params_aapcs(d, t, &c);
	return c;
}

struct regs {
	int n_int, n_sse;
	bool lost; /* what follows is not known */
};

/* Gives the parameter its registers. A class gets all of its registers or none. */
static void assign(const struct classified *c, struct regs *r, struct dbg_param *p)
{
	int ints = 0, sses = 0;

	p->arg = -1;
	if (r->lost || c->unknown) {
		p->why_not = c->unknown ? "how its type is passed is not known"
					: "how an earlier parameter is passed is not known";
		r->lost = true;
		return;
	}
	for (int k = 0; k < 2; k++) {
		ints += c->half[k] == CLS_INT;
		sses += c->half[k] == CLS_SSE;
	}
	if (c->by_ref)
		ints = 1;
	p->by_ref = c->by_ref;
	if (c->memory || r->n_int + ints > arch.n_args || r->n_sse + sses > N_SSE_ARGS) {
		p->why_not = "it is passed on the stack";
		if (arch.aapcs && ints) /* and so are all integers that follow */
			r->n_int = arch.n_args;
		return;
	}
	if (ints && (c->by_ref || c->half[0] == CLS_INT))
		p->arg = (int8_t)r->n_int;
	else
		p->why_not = ints || sses ? "it is passed in a floating point register"
					  : "an empty class is not passed";
	r->n_int += ints;
	r->n_sse += sses;
}

/* A result that does not fit into registers takes the first integer argument for its address. */
static void hidden_result(struct dbg *d, Dwarf_Die *fn, struct regs *r)
{
	struct classified c;
	Dwarf_Die t;

	if (arch.aapcs || !type_of(d, fn, &t)) /* there it comes in x8 */
		return;
	c = classify(d, type_id(d, &t));
	if (c.unknown)
		r->lost = true;
	else if (c.by_ref || c.memory)
		r->n_int++;
}

/* true: constructors and destructors return nothing, whatever the producer writes. */
static bool is_special(const struct dbg_func *f)
{
	const char *last = strrchr(f->name, ':');
	const char *name = last ? last + 1 : f->name;

	return *name == '~';
}

int dbg_params(struct dbg *d, const struct dbg_func *f, struct dbg_param **ret, size_t *n, struct err *err)
{
	uint32_t def = func_definition(d, f);
	struct dbg_param *list = NULL, *p;
	struct regs r = {0};
	Dwarf_Die die, decl, c, t;
	size_t count = 0;

	*ret = NULL;
	*n = 0;
	if (!def || !die_get(d, f->die, &decl) || !die_get(d, d->node[def].die, &die))
		return err_set(err, -ENODATA, "%s has no debuginfo: its parameters are not known", f->name);
	if (!is_special(f))
		hidden_result(d, &decl, &r);
	for (int more = die_child(&die, &c); more > 0; more = die_next(&c)) {
		const char *name = die_name(&c);
		struct classified k;

		if (dwarf_tag(&c) != DW_TAG_formal_parameter)
			continue;
		if (!strcmp(name, "__in_chrg"))
			continue; /* written by gcc, passed by nobody in this ABI */
		if (GROW(&list, count)) {
			free(list);
			return err_set(err, -ENOMEM, "out of memory");
		}
		p = &list[count++];
		memset(p, 0, sizeof(*p));
		p->name = name;
		k = (struct classified){.unknown = true};
		if (type_of(d, &c, &t)) {
			p->type = type_id(d, &t);
			k = classify(d, p->type);
		}
		assign(&k, &r, p);
	}
	*ret = list;
	*n = count;
	return 0;
}
