/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Registers out of what getcontext() or a signal handler has, in the order of bpf/arch. */
#ifndef TEST_CONTEXT_H
#define TEST_CONTEXT_H

#include <stdint.h>
#include <ucontext.h>

#include "../../../bpf/abi/stack.h"

static inline void context_regs(const ucontext_t *u, __u64 reg[ABI_REGS])
{
	for (int i = 0; i < 31; i++)
		reg[i] = u->uc_mcontext.regs[i];
	reg[ABI_REG_SP] = u->uc_mcontext.sp;
	reg[ABI_REG_IP] = u->uc_mcontext.pc;
}

#endif
