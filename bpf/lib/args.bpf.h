/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Arguments of the functions that are probed: registers, and what they lead to. */
#ifndef CULPRIT_ARGS_BPF_H
#define CULPRIT_ARGS_BPF_H

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
		break

/* Registers by DWARF number. */
static __always_inline __u64 reg_get(struct pt_regs *r, __u32 n)
{
	__u64 v = 0;

	switch (n) {
		REG_LOAD(0, ax);
		REG_LOAD(1, dx);
		REG_LOAD(2, cx);
		REG_LOAD(3, bx);
		REG_LOAD(4, si);
		REG_LOAD(5, di);
		REG_LOAD(6, bp);
		REG_LOAD(7, sp);
		REG_LOAD(8, r8);
		REG_LOAD(9, r9);
		REG_LOAD(10, r10);
		REG_LOAD(11, r11);
		REG_LOAD(12, r12);
		REG_LOAD(13, r13);
		REG_LOAD(14, r14);
		REG_LOAD(15, r15);
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
