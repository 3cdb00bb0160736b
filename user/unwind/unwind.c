// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "unwind/unwind.h"

uint64_t unwind_lookup_pc(const struct unwind_frame *f)
{
	return f->regs.reg[ABI_REG_IP] - (f->exact || f->signal ? 0 : 1);
}

static bool find_cfa(struct unwind_frame *f, struct expr_env *env, Dwarf_Frame *frame)
{
	enum expr_kind kind;
	Dwarf_Op *ops;
	size_t n;

	if (dwarf_frame_cfa(frame, &ops, &n) || !n || expr_eval(env, ops, n, &f->cfa, &kind))
		return false;
	f->has_cfa = env->has_cfa = true;
	env->cfa = f->cfa;
	return kind != EXPR_REGISTER;
}

/*
 * The caller's registers by their rules, the pc by that of column `ra`. An undefined register (one the callee
 * may overwrite) stays unknown. *ra_undefined: so is the return address, which is how the outermost frame is
 * marked.
 */
static void find_registers(const struct unwind_frame *f, const struct expr_env *env, Dwarf_Frame *frame,
			   int ra, struct image_regs *out, bool *ra_undefined)
{
	*ra_undefined = false;
	for (int r = 0; r < ABI_REGS; r++) {
		int column = r == ABI_REG_IP ? ra : r;
		Dwarf_Op mem[3], *ops;
		bool known = false;
		size_t n;

		if (dwarf_frame_register(frame, column, mem, &ops, &n))
			continue;
		if (n) {
			known = !expr_fetch(env, ops, n, &out->reg[r]);
		} else if (!ops) { /* same value */
			known = f->regs.known & (1ull << column);
			out->reg[r] = f->regs.reg[column];
		} else if (r == ABI_REG_IP) {
			*ra_undefined = true;
		}
		if (known)
			out->known |= 1ull << r;
	}
	out->reg[ABI_REG_IP] = arch_code_address(out->reg[ABI_REG_IP]);
}

enum unwind_result unwind_step(struct unwind_frame *f, Dwarf_CFI *cfi, uint64_t bias,
			       const struct unwind_mem *mem, struct unwind_frame *caller)
{
	struct expr_env env = {.regs = &f->regs, .mem = mem, .bias = bias};
	enum unwind_result result = UNWIND_STOPPED;
	Dwarf_Frame *frame = NULL;
	bool outermost;
	int ra;

	memset(caller, 0, sizeof(*caller));
	f->has_cfa = false;
	if (!cfi || dwarf_cfi_addrframe(cfi, unwind_lookup_pc(f) - bias, &frame))
		return UNWIND_STOPPED;
	ra = dwarf_frame_info(frame, NULL, NULL, &f->signal);
	if (ra < 0 || ra >= ABI_REGS || !find_cfa(f, &env, frame))
		goto out;
	find_registers(f, &env, frame, ra, &caller->regs, &outermost);
	if (f->signal && arch_signal_regs(f->regs.reg[ABI_REG_SP], mem, &caller->regs))
		outermost = false;
	if (outermost) {
		result = UNWIND_OUTERMOST;
		goto out;
	}
	if ((caller->regs.known & IMAGE_REGS_SP_IP) != IMAGE_REGS_SP_IP)
		goto out;
	/* a thread's first function may return to address 0 instead of saying that it has no caller */
	if (!caller->regs.reg[ABI_REG_IP]) {
		result = UNWIND_OUTERMOST;
		goto out;
	}
	/* stacks grow down: only a signal handler may stand on another stack than its caller; a function that
	 * needs no stack may leave the pointer where it is, if its return address came in a register */
	if (!f->signal &&
	    (caller->regs.reg[ABI_REG_SP] < f->regs.reg[ABI_REG_SP] ||
	     (caller->regs.reg[ABI_REG_SP] == f->regs.reg[ABI_REG_SP] && (ra == ABI_REG_IP || !f->exact))))
		goto out;
	caller->exact = f->signal;
	result = UNWIND_CALLER;
out:
	free(frame);
	return result;
}
