// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Parameters of functions that are on the stack, by their DWARF locations. */
#include <dwarf.h>
#include <errno.h>
#include <string.h>

#include "symbol/image_priv.h"

static bool find_parameter(Dwarf_Die *function, const char *name, Dwarf_Die *param)
{
	Dwarf_Attribute attr;

	if (dwarf_child(function, param))
		return false;
	do {
		const char *n;

		if (dwarf_tag(param) != DW_TAG_formal_parameter)
			continue;
		n = dwarf_formstring(dwarf_attr_integrate(param, DW_AT_name, &attr));
		if (n && !strcmp(n, name))
			return true;
	} while (!dwarf_siblingof(param, param));
	return false;
}

/* One machine word: an integer, pointer or reference of 8 bytes. Narrower ones have undefined upper halves.
 */
static bool is_word(Dwarf_Die *param)
{
	Dwarf_Attribute attr;
	Dwarf_Die type;
	Dwarf_Word size = 0;

	if (!dwarf_formref_die(dwarf_attr_integrate(param, DW_AT_type, &attr), &type) ||
	    dwarf_peel_type(&type, &type))
		return false;
	switch (dwarf_tag(&type)) {
	case DW_TAG_pointer_type:
	case DW_TAG_reference_type:
	case DW_TAG_rvalue_reference_type:
		return true;
	case DW_TAG_base_type:
	case DW_TAG_enumeration_type:
		return !dwarf_aggregate_size(&type, &size) && size == 8;
	default:
		return false;
	}
}

static int location(Dwarf_Die *die, unsigned name, Dwarf_Addr pc, Dwarf_Op **ops, size_t *n)
{
	Dwarf_Attribute attr;

	if (!dwarf_attr_integrate(die, name, &attr) || dwarf_getlocation_addr(&attr, pc, ops, n, 1) != 1 ||
	    !*n)
		return -ENODATA;
	return 0;
}

static int evaluate(struct image *im, const struct image_frame *f, Dwarf_Die *function, Dwarf_Die *param,
		    uint64_t bias, uint64_t *value)
{
	struct unwind_mem mem = image_memory(im);
	Dwarf_Addr pc = unwind_lookup_pc(&f->u) - bias;
	struct expr_env env = {
		.regs = &f->u.regs,
		.mem = &mem,
		.has_cfa = f->u.has_cfa,
		.cfa = f->u.cfa,
		.bias = bias,
	};
	Dwarf_Attribute attr;
	Dwarf_Op *ops, *base;
	size_t n, n_base;
	Dwarf_Word v;

	if (!dwarf_formudata(dwarf_attr(param, DW_AT_const_value, &attr), &v)) {
		*value = v;
		return 0;
	}
	if (location(param, DW_AT_location, pc, &ops, &n))
		return -ENODATA;
	if (!location(function, DW_AT_frame_base, pc, &base, &n_base)) {
		env.frame_base = base;
		env.n_frame_base = n_base;
	}
	return expr_fetch(&env, ops, n, value);
}

int image_frame_param(struct image *im, size_t index, const char *name, uint64_t *value)
{
	Dwarf_Die cu, scope[IMAGE_MAX_INLINE], param;
	const struct image_frame *f = NULL;
	struct image_module *m;
	uint64_t bias = 0, addr;
	size_t n;

	for (size_t i = 0; i < im->n_frames && !f; i++) {
		if (index >= im->frame[i].first && index < im->frame[i].first + im->frame[i].n)
			f = &im->frame[i];
	}
	if (!f)
		return -ESTALE;
	addr = unwind_lookup_pc(&f->u);
	m = image_module_at(im, addr);
	n = m ? scopes_at(m, addr, &cu, scope, &bias) : 0;
	if (index - f->first >= n || !find_parameter(&scope[index - f->first], name, &param) ||
	    !is_word(&param))
		return -ENODATA;
	return evaluate(im, f, &scope[n - 1], &param, bias, value);
}
