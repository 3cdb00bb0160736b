// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where a variable is at an address, if that can be said with one register, constants and one read of memory.
 */
#include <stdlib.h>

#include "arch/arch.h"
#include "dwarf/dbg_priv.h"

static bool fits(uint64_t v)
{
	return (int64_t)v == (int32_t)v;
}

/* Register and offset a register operation names; false if op is none of these. plain: DW_OP_regN (the value
 * is the register). */
static bool reg_op(const Dwarf_Op *op, uint64_t *reg, int64_t *off, bool *plain)
{
	*plain = false;
	*off = 0;
	if (op->atom >= DW_OP_reg0 && op->atom <= DW_OP_reg31) {
		*reg = op->atom - DW_OP_reg0;
		*plain = true;
	} else if (op->atom == DW_OP_regx) {
		*reg = op->number;
		*plain = true;
	} else if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31) {
		*reg = op->atom - DW_OP_breg0;
		*off = (int64_t)op->number;
	} else if (op->atom == DW_OP_bregx) {
		*reg = op->number;
		*off = (int64_t)op->number2;
	} else {
		return false;
	}
	return *reg < arch.n_general;
}

/* The canonical frame address at pc as register + offset. */
static bool cfa_at(struct dbg *d, uint64_t pc, uint64_t *reg, int64_t *off)
{
	Dwarf_Frame *frame = NULL;
	Dwarf_Op *ops;
	size_t n;
	bool ok, plain;

	if (!d->have_cfi) {
		d->have_cfi = true;
		d->cfi_eh = dwarf_getcfi_elf(elf_file_elf(d->bin));
		d->cfi_debug = dwarf_getcfi(d->dw);
	}
	if ((!d->cfi_eh || dwarf_cfi_addrframe(d->cfi_eh, pc, &frame)) &&
	    (!d->cfi_debug || dwarf_cfi_addrframe(d->cfi_debug, pc, &frame)))
		return false;
	ok = !dwarf_frame_cfa(frame, &ops, &n) && n == 1 && reg_op(&ops[0], reg, off, &plain);
	free(frame);
	return ok;
}

/* DW_AT_frame_base of fn at pc as register + offset. */
static bool frame_base(struct dbg *d, Dwarf_Die *fn, uint64_t pc, uint64_t *reg, int64_t *off)
{
	Dwarf_Attribute a;
	Dwarf_Op *ops;
	size_t n;
	bool plain;

	if (!dwarf_attr_integrate(fn, DW_AT_frame_base, &a) ||
	    dwarf_getlocation_addr(&a, pc, &ops, &n, 1) != 1 || n != 1)
		return false;
	if (ops[0].atom == DW_OP_call_frame_cfa)
		return cfa_at(d, pc, reg, off);
	return reg_op(&ops[0], reg, off, &plain);
}

bool loc_value(struct dbg *d, Dwarf_Die *var, Dwarf_Die *fn, uint64_t pc, struct arg_path *ret)
{
	Dwarf_Attribute a;
	Dwarf_Op *ops;
	size_t n, i = 1;
	uint64_t reg = 0;
	int64_t off = 0;
	bool value;

	if (!dwarf_attr(var, DW_AT_location, &a) || dwarf_getlocation_addr(&a, pc, &ops, &n, 1) != 1 || !n)
		return false;
	if (ops[0].atom == DW_OP_fbreg) {
		if (!frame_base(d, fn, pc, &reg, &off))
			return false;
		off += (int64_t)ops[0].number;
		value = false;
	} else if (!reg_op(&ops[0], &reg, &off, &value)) {
		return false;
	}
	for (; i < n && !value && ops[i].atom == DW_OP_plus_uconst; i++)
		off += (int64_t)ops[i].number;
	if (i < n && !value && ops[i].atom == DW_OP_stack_value) {
		value = true;
		i++;
	}
	if (i != n || !fits((uint64_t)off))
		return false;
	*ret = (struct arg_path){
		.reg = (uint8_t)reg, .arg = -1, .n_deref = value ? 0 : 1, .offs = {(int32_t)off}};
	return true;
}
