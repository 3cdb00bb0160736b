// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The functions at an address by DWARF. A unit's functions are indexed when the first address of it is asked
 * for. */
#include <dwarf.h>
#include <stdlib.h>
#include "util/hash.h"

#include "proc/slurp.h"
#include "symbol/image_priv.h"
#include "util/grow.h"
#include "util/search.h"

/* A contiguous piece of a function's code. */
struct function_range {
	Dwarf_Addr lo, hi;
	Dwarf_Die die;
};

struct unit_index {
	Dwarf_Off off;
	struct function_range *v; /* by lo */
	size_t n;
	UT_hash_handle hh;
};

void unit_indexes_free(struct unit_index *all)
{
	struct unit_index *u, *next;

	HASH_ITER (hh, all, u, next) {
		HASH_DEL(all, u);
		free(u->v);
		free(u);
	}
}

static bool may_hold_functions(int tag)
{
	return tag == DW_TAG_namespace || tag == DW_TAG_class_type || tag == DW_TAG_structure_type ||
	       tag == DW_TAG_union_type || tag == DW_TAG_module || tag == DW_TAG_subprogram;
}

static bool add_function(struct unit_index *u, Dwarf_Die *die)
{
	Dwarf_Addr base, lo, hi;
	ptrdiff_t at = 0;

	while ((at = dwarf_ranges(die, at, &base, &lo, &hi)) > 0) {
		if (lo == hi)
			continue;
		if (GROW(&u->v, u->n))
			return false;
		u->v[u->n++] = (struct function_range){.lo = lo, .hi = hi, .die = *die};
	}
	return true;
}

/* Functions stand in the unit, in namespaces and classes, and those of local classes in other functions. */
static bool collect(struct unit_index *u, Dwarf_Die *parent, unsigned depth)
{
	Dwarf_Die die;

	if (depth == IMAGE_MAX_INLINE || dwarf_child(parent, &die))
		return true;
	do {
		int tag = dwarf_tag(&die);

		if (tag == DW_TAG_subprogram && !add_function(u, &die))
			return false;
		if (may_hold_functions(tag) && !collect(u, &die, depth + 1))
			return false;
	} while (!dwarf_siblingof(&die, &die));
	return true;
}

static int by_lo(const void *a, const void *b)
{
	const struct function_range *x = a, *y = b;

	return (x->lo > y->lo) - (x->lo < y->lo);
}

static struct unit_index *unit_index(struct image_module *m, Dwarf_Die *cu)
{
	Dwarf_Off off = dwarf_dieoffset(cu);
	struct unit_index *u;

	HASH_FIND(hh, m->units, &off, sizeof(off), u);
	if (u)
		return u;
	u = calloc(1, sizeof(*u));
	if (!u)
		return NULL;
	u->off = off;
	if (!collect(u, cu, 0)) {
		free(u->v);
		free(u);
		return NULL;
	}
	if (u->n)
		qsort(u->v, u->n, sizeof(*u->v), by_lo);
	HASH_ADD(hh, m->units, off, sizeof(off), u);
	return u;
}

static struct function_range *function_at(const struct unit_index *u, Dwarf_Addr pc)
{
	return RANGE_WITH(u->v, u->n, lo, hi, pc);
}

/* Descends to the inlined functions that cover pc; scope[] gets them on the way, outermost first. */
static size_t descend(Dwarf_Die *parent, Dwarf_Addr pc, Dwarf_Die *scope, size_t n, unsigned depth)
{
	Dwarf_Die die;

	if (depth == IMAGE_MAX_INLINE * 2 || dwarf_child(parent, &die))
		return n;
	do {
		int tag = dwarf_tag(&die);

		if ((tag != DW_TAG_inlined_subroutine && tag != DW_TAG_lexical_block) ||
		    dwarf_haspc(&die, pc) != 1)
			continue;
		if (tag == DW_TAG_inlined_subroutine && n < IMAGE_MAX_INLINE)
			scope[n++] = die;
		return descend(&die, pc, scope, n, depth + 1);
	} while (!dwarf_siblingof(&die, &die));
	return n;
}

static bool find_cu(Dwfl_Module *mod, uint64_t addr, Dwarf_Die *cu, Dwarf_Addr *bias)
{
	Dwarf_Die *found = dwfl_module_addrdie(mod, addr, bias), *die = NULL;

	/* a compiler that writes no .debug_aranges */
	while (!found && (die = dwfl_module_nextcu(mod, die, bias))) {
		if (dwarf_haspc(die, addr - *bias) == 1)
			found = die;
	}
	if (found)
		*cu = *found;
	return found;
}

size_t scopes_at(struct image_module *m, uint64_t addr, Dwarf_Die *cu, Dwarf_Die scope[IMAGE_MAX_INLINE],
		 uint64_t *bias)
{
	Dwfl_Module *mod = module_dwfl(m);
	struct function_range *f;
	struct unit_index *u;
	Dwarf_Addr b;
	size_t n;

	if (!mod || !find_cu(mod, addr, cu, &b))
		return 0;
	*bias = b;
	u = unit_index(m, cu);
	f = u ? function_at(u, addr - b) : NULL;
	if (!f)
		return 0;
	scope[0] = f->die;
	n = descend(&f->die, addr - b, scope, 1, 0);
	for (size_t i = 0; i < n / 2; i++) {
		Dwarf_Die t = scope[i];

		scope[i] = scope[n - 1 - i];
		scope[n - 1 - i] = t;
	}
	return n;
}
