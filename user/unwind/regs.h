/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Registers of a thread or frame of which not all need be known: what is not known is never taken for a
 * value. */
#ifndef CULPRIT_UNWIND_REGS_H
#define CULPRIT_UNWIND_REGS_H

#include <stdint.h>

#include "../../bpf/abi/stack.h"

struct image_regs {
	uint64_t reg[ABI_REGS]; /* numbered as in bpf/abi/stack.h */
	uint64_t known;		/* bit n: reg[n] is valid */
};
#define IMAGE_REGS_ALL	 ((1ull << ABI_REGS) - 1)
#define IMAGE_REGS_SP_IP ((1ull << ABI_REG_SP) | (1ull << ABI_REG_IP))

#endif
