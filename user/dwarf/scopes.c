// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The functions, inlined ones included, whose code stands at an address. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dwarf/dbg_priv.h"
#include "elf/inflate.h"
#include "util/grow.h"
#include "util/search.h"

static int by_low(const void *a, const void *b)
{
	const struct code_range *x = a, *y = b;

	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

/* Ranges of all functions, by address. */
static int read_code(struct dbg *d)
{
	for (uint32_t i = 1; i < d->n_node && !d->have_code; i++) {
		Dwarf_Addr base, lo, hi;
		ptrdiff_t off = 0;
		Dwarf_Die die;

		if ((d->node[i].flags & (NODE_FUNC | NODE_CODE)) != (NODE_FUNC | NODE_CODE) ||
		    !die_at(d, d->node[i].die, &die))
			continue;
		while ((off = dwarf_ranges(&die, off, &base, &lo, &hi)) > 0) {
			if (!lo || hi <= lo)
				continue;
			if (GROW(&d->code, d->n_code))
				return -ENOMEM;
			d->code[d->n_code++] = (struct code_range){.lo = lo, .hi = hi, .node = i};
		}
	}
	if (!d->have_code && d->n_code)
		qsort(d->code, d->n_code, sizeof(*d->code), by_low);
	d->have_code = true;
	return 0;
}

static uint32_t node_with(const struct dbg *d, uint64_t vaddr)
{
	const struct code_range *c = RANGE_WITH(d->code, d->n_code, lo, hi, vaddr);

	return c ? c->node : 0;
}

static void fill(struct dbg *d, uint32_t node, bool inlined, struct dbg_scope *s)
{
	uint32_t canon = node_origin(d, node), parent = d->node[canon].parent;
	Dwarf_Die die;

	*s = (struct dbg_scope){.name = node_qualified(d, node), .inlined = inlined};
	if ((d->node[parent].flags & NODE_CLASS) && die_at(d, d->node[parent].die, &die) &&
	    type_peel(d, &die, &die))
		s->cls = type_id(d, &die);
}

/* The inlined instances around vaddr below parent, outermost first. */
static size_t descend(struct dbg *d, Dwarf_Die *parent, uint64_t vaddr, struct dbg_scope *v, size_t n,
		      size_t max, int depth)
{
	Dwarf_Die c, origin;
	Dwarf_Attribute a;

	if (depth > 4 * MAX_DEPTH)
		return n;
	for (int more = die_child(parent, &c); more > 0; more = die_next(&c)) {
		int tag = dwarf_tag(&c);
		uint32_t node;

		if ((tag != DW_TAG_inlined_subroutine && tag != DW_TAG_lexical_block &&
		     tag != DW_TAG_try_block && tag != DW_TAG_catch_block) ||
		    dwarf_haspc(&c, vaddr) != 1)
			continue;
		node = tag == DW_TAG_inlined_subroutine && dwarf_attr(&c, DW_AT_abstract_origin, &a) &&
				       dwarf_formref_die(&a, &origin)
			       ? node_of(d, die_id(d, &origin))
			       : 0;
		if (node && n < max)
			fill(d, node, true, &v[n++]);
		return descend(d, &c, vaddr, v, n, max, depth + 1);
	}
	return n;
}

int dbg_scopes(struct dbg *d, uint64_t vaddr, struct dbg_scope *v, size_t max, size_t *n)
{
	int rc = read_code(d);
	uint32_t node = rc ? 0 : node_with(d, vaddr);
	Dwarf_Die die;

	*n = 0;
	if (!node || !max || !die_at(d, d->node[node].die, &die))
		return rc;
	fill(d, node, false, &v[0]);
	*n = descend(d, &die, vaddr, v, 1, max, 0);
	for (size_t i = 0; i < *n / 2; i++) {
		struct dbg_scope t = v[i];

		v[i] = v[*n - 1 - i];
		v[*n - 1 - i] = t;
	}
	return 0;
}

const char *dbg_line(struct dbg *d, uint64_t vaddr, int *line)
{
	uint32_t node = read_code(d) ? 0 : node_with(d, vaddr);
	Dwarf_Die die, cu;
	Dwarf_Line *l;

	*line = 0;
	if (!node || !die_at(d, d->node[node].die, &die) || !dwarf_diecu(&die, &cu, NULL, NULL))
		return NULL;
	if (inflate_lines(d->inflated, NULL))
		return NULL;
	l = dwarf_getsrc_die(&cu, vaddr);
	if (!l || dwarf_lineno(l, line))
		return NULL;
	return dwarf_linesrc(l, NULL, NULL);
}
