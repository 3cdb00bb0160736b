/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Registers out of what getcontext() or a signal handler has, in the order of bpf/arch. */
#ifndef TEST_CONTEXT_H
#define TEST_CONTEXT_H

#include <stdint.h>
#include <ucontext.h>

#include "../../../bpf/abi/stack.h"

static inline void context_regs(const ucontext_t *u, __u64 reg[ABI_REGS])
{
	static const int order[ABI_REGS] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
					    REG_RBP, REG_RSP, REG_R8,  REG_R9,	REG_R10, REG_R11,
					    REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};

	for (int i = 0; i < ABI_REGS; i++)
		reg[i] = (uint64_t)u->uc_mcontext.gregs[order[i]];
}

#endif
