// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>

#include "dwarf/params_priv.h"

#define MAX_HFA 64 /* bytes: four members of 16 */

/* Has the type a floating point number in it by value, or what is not known? */
static bool may_have_float(struct dbg *d, struct dbg_type t, int depth)
{
	struct dbg_member *m = NULL;
	struct dbg_type_info i;
	bool found = false;
	size_t n = 0;

	if (depth > 16 || dbg_type_info(d, t, &i))
		return true;
	if (i.kind == DBG_FLOAT)
		return true;
	if (i.kind == DBG_ARRAY)
		return may_have_float(d, i.target, depth + 1);
	if (i.kind < DBG_CLASS || i.kind == DBG_FUNC)
		return false;
	if (dbg_members(d, t, &m, &n, NULL))
		return true;
	for (size_t k = 0; k < n && !found; k++)
		found = !m[k].bit_field && may_have_float(d, m[k].type, depth + 1);
	free(m);
	return found;
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
		if (i.size > 16 && (i.size > MAX_HFA || !may_have_float(d, t, 0)))
			*c = (struct classified){.by_ref = true}; /* of a copy */
		else if (i.size > 16 || may_have_float(d, t, 0) || over_aligned(d, t))
			c->unknown = true;
		else /* an empty one too */
			*c = (struct classified){.half = {CLS_INT, i.size > 8 ? CLS_INT : CLS_NONE}};
	}
}
