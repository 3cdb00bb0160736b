/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One step up a stack by call frame information (.eh_frame, .debug_frame). Nothing is guessed: no frame
 * pointer, no scanning. */
#ifndef CULPRIT_UNWIND_H
#define CULPRIT_UNWIND_H

#include "unwind/expr.h"

struct unwind_frame {
	struct image_regs regs; /* as this frame sees them; ABI_REG_IP is its pc */
	bool exact;		/* the pc is the next instruction itself, not the one after a call */
	bool signal;		/* out of unwind_step: this is the frame that a signal handler returns to */
	bool has_cfa;		/* out of unwind_step */
	uint64_t cfa;
};

/* The address to look up for the frame's code: within the call instruction, if there is one. */
uint64_t unwind_lookup_pc(const struct unwind_frame *f);

enum unwind_result {
	UNWIND_CALLER,	  /* *caller is filled */
	UNWIND_OUTERMOST, /* the frame information says that nobody called this frame */
	UNWIND_STOPPED,	  /* there is a caller, but what is needed to find it is not known */
};

/*
 * Steps from f to its caller. cfi must cover f's pc, bias is the cfi's load bias; cfi NULL stops. Fills
 * f->cfa and f->signal, which are known even if the step fails after them.
 */
enum unwind_result unwind_step(struct unwind_frame *f, Dwarf_CFI *cfi, uint64_t bias,
			       const struct unwind_mem *mem, struct unwind_frame *caller);

#endif
