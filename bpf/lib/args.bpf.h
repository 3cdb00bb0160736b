/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Arguments of the functions that are probed: registers, and what they lead to. */
#ifndef CULPRIT_ARGS_BPF_H
#define CULPRIT_ARGS_BPF_H

#include "regs.h" /* of bpf/arch/MACHINE */
#include "writes_maps.bpf.h"

/*
 * One load of the context at a constant offset. In assembler, because the compiler would turn the switch
 * below into one load at a variable offset, which the verifier refuses.
 */
#define REG_LOAD(n, field)                                                                                   \
	case n:                                                                                              \
		asm volatile("%0 = *(u64 *)(%1 + %2)"                                                        \
			     : "=r"(v)                                                                       \
			     : "r"(r), "i"(offsetof(struct pt_regs, field)));                                \
		break;

/* Registers by DWARF number. */
static __always_inline __u64 reg_get(struct pt_regs *r, __u32 n)
{
	__u64 v = 0;

	switch (n) {
		ARCH_GENERAL_REGS(REG_LOAD)
	}
	return v;
}

/* 0: there is no object (a NULL on the way) or it cannot be read, which is counted. */
static __always_inline __u64 arg_get(struct pt_regs *r, const struct wr_arg *a)
{
	__u64 v = reg_get(r, a->reg);

	for (int i = 0; i < WR_MAX_DEREF; i++) {
		if (i >= a->n_deref)
			break;
		if (!v)
			return 0;
		if (bpf_probe_read_user(&v, sizeof(v), (void *)(v + a->off[i]))) {
			count(WR_C_ARG_FAILED);
			return 0;
		}
	}
	if (!v)
		return 0;
	return v + a->off[a->n_deref & WR_MAX_DEREF];
}

#endif
