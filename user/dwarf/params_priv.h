/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How a parameter's type is passed: between params.c and the calling convention of the machine. */
#ifndef CULPRIT_PARAMS_PRIV_H
#define CULPRIT_PARAMS_PRIV_H

#include "dwarf/dbg_priv.h"

enum arg_class { CLS_NONE, CLS_INT, CLS_SSE, CLS_MEMORY, CLS_UNKNOWN };

struct classified {
	enum arg_class half[2]; /* CLS_SSE: floating point, whichever registers the machine has for it */
	bool by_ref;		/* its address is passed, as an integer */
	bool memory;
	bool unknown;
};

/*
 * Turns what the System V ABI says of the type into what the Procedure Call Standard for the Arm 64-bit
 * Architecture (aapcs64, 6.8.2) does. Classes with floating point members are unknown: whether all members
 * are alike is not looked at.
 */
void params_aapcs(struct dbg *d, struct dbg_type t, struct classified *c);

#endif
