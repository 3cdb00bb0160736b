// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>

#include "dwarf/params_priv.h"

#define MAX_HFA 64 /* bytes: four members of 16 */

/* What a type holds by value, at whatever depth. */
#define HOLDS_FLOAT   1u
#define HOLDS_OTHER   2u
#define HOLDS_UNKNOWN 4u

static unsigned holds(struct dbg *d, struct dbg_type t, int depth)
{
	struct dbg_member *m = NULL;
	struct dbg_type_info i;
	unsigned all = 0;
	size_t n = 0;

	if (depth > 16 || dbg_type_info(d, t, &i))
		return HOLDS_UNKNOWN;
	if (i.kind == DBG_FLOAT)
		return HOLDS_FLOAT;
	if (i.kind == DBG_ARRAY)
		return holds(d, i.target, depth + 1);
	if (i.kind < DBG_CLASS || i.kind == DBG_FUNC)
		return HOLDS_OTHER;
	if (dbg_members(d, t, &m, &n, NULL))
		return HOLDS_UNKNOWN;
	for (size_t k = 0; k < n; k++)
		all |= m[k].bit_field ? HOLDS_OTHER : holds(d, m[k].type, depth + 1);
	free(m);
	return all;
}

/* Homogeneous aggregates, which go to registers of their own, hold nothing but floating point numbers or
 * vectors (5.9.5). */
static bool may_be_homogeneous(struct dbg *d, struct dbg_type t)
{
	unsigned all = holds(d, t, 0);

	return all && !(all & HOLDS_OTHER);
}

/* 16 bytes of alignment ask for an even register. */
static bool over_aligned(struct dbg *d, struct dbg_type t)
{
	uint64_t alignment;
	Dwarf_Die die;

	return !die_get(d, t.die, &die) || (die_udata(&die, DW_AT_alignment, &alignment) && alignment > 8);
}

void params_aapcs(struct dbg *d, struct dbg_type t, struct classified *c)
{
	struct dbg_type_info i;

	if (c->by_ref || c->unknown)
		return;
	if (dbg_type_info(d, t, &i)) {
		c->unknown = true;
	} else if (i.kind == DBG_FLOAT) { /* long double too */
		*c = (struct classified){.half = {CLS_SSE}};
	} else if (i.kind == DBG_INT || i.kind == DBG_UINT) {
		c->unknown = i.size > 8;
	} else if (i.kind >= DBG_CLASS && i.kind != DBG_FUNC) {
		if (i.size > 16 && (i.size > MAX_HFA || !may_be_homogeneous(d, t)))
			*c = (struct classified){.by_ref = true}; /* of a copy */
		else if (i.size > 16 || may_be_homogeneous(d, t) || over_aligned(d, t))
			c->unknown = true;
		else /* an empty one too */
			*c = (struct classified){.half = {CLS_INT, i.size > 8 ? CLS_INT : CLS_NONE}};
	}
}
