/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Evaluates the DWARF expressions of call frame information and of variables' locations (DWARF 5,
 * section 2.5). */
#ifndef CULPRIT_UNWIND_EXPR_H
#define CULPRIT_UNWIND_EXPR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <elfutils/libdw.h>

#include "unwind/regs.h"

/* Reads the 8 bytes at addr of the thread's memory; false if they are not all known. */
struct unwind_mem {
	bool (*read)(void *ctx, uint64_t addr, uint64_t *word);
	void *ctx;
};

struct expr_env {
	const struct image_regs *regs;
	const struct unwind_mem *mem;
	bool has_cfa;
	uint64_t cfa;		    /* DW_OP_call_frame_cfa */
	uint64_t bias;		    /* added to DW_OP_addr */
	const Dwarf_Op *frame_base; /* location that DW_OP_fbreg counts from; NULL: none */
	size_t n_frame_base;
};

enum expr_kind {
	EXPR_ADDRESS,  /* *v is the address of the thing */
	EXPR_REGISTER, /* *v is the number of the register that holds it */
	EXPR_VALUE,    /* *v is the thing itself (DW_OP_stack_value) */
};

/*
 * 0, or -ENODATA if a register or memory word is not known or an operation is not supported (typed values,
 * pieces, entry values, thread-local storage).
 */
int expr_eval(const struct expr_env *env, const Dwarf_Op *ops, size_t n, uint64_t *v, enum expr_kind *kind);
/* The word that a location expression leads to, read from its register or from memory if it is there. */
int expr_fetch(const struct expr_env *env, const Dwarf_Op *ops, size_t n, uint64_t *v);

#endif
