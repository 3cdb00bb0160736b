// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What only a reader of objects asks for: names of enumerators, and of a class's members in the order of the
 * source. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dwarf/dbg_priv.h"

const char *dbg_enumerator(struct dbg *d, struct dbg_type t, int64_t value)
{
	Dwarf_Die die, c;

	if (!t.die || !die_get(d, t.die, &die) || dwarf_tag(&die) != DW_TAG_enumeration_type)
		return NULL;
	for (int more = die_child(&die, &c); more > 0; more = die_next(&c))
		if (dwarf_tag(&c) == DW_TAG_enumerator && enumerator_value(&c) == value)
			return die_name(&c);
	return NULL;
}

static bool is_listed(Dwarf_Die *c, enum dbg_listed what)
{
	int tag = dwarf_tag(c);

	if (what == DBG_LIST_METHODS)
		return tag == DW_TAG_subprogram;
	/* DWARF 5 writes static members as variables, before as external members */
	return tag == DW_TAG_variable || (tag == DW_TAG_member && die_flag(c, DW_AT_external));
}

int dbg_list_names(struct dbg *d, struct dbg_type cls, enum dbg_listed what, const char ***ret, size_t *n)
{
	const char **v = NULL;
	Dwarf_Die die, c;

	*ret = NULL;
	*n = 0;
	if (!cls.die || !die_get(d, cls.die, &die))
		return -EINVAL;
	for (int more = die_child(&die, &c); more > 0; more = die_next(&c)) {
		const char **more_v;

		if (!is_listed(&c, what))
			continue;
		record_die(d, die_id(d, &c));
		more_v = reallocarray(v, *n + 1, sizeof(*v));
		if (!more_v) {
			free(v);
			return -ENOMEM;
		}
		v = more_v;
		v[(*n)++] = die_name(&c);
	}
	*ret = v;
	return 0;
}
