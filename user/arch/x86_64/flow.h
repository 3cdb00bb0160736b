/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What general registers hold along a run of instructions, as far as setters need it: an address a constant
 * away from another register, or a word of memory in which bits are set and cleared before it is stored back.
 * Joins of control flow are not followed: what is said holds on the path that falls through.
 */
#ifndef CULPRIT_FLOW_H
#define CULPRIT_FLOW_H

#include <capstone/capstone.h>
#include <stdbool.h>
#include <stdint.h>

#define FLOW_REGS   16
#define FLOW_NO_REG 0xff

enum flow_kind {
	FLOW_NOTHING,
	FLOW_ADDRESS, /* base + disp; base FLOW_NO_REG: of a register that has changed since */
	FLOW_WORD,    /* what stood at base + disp, with bits changed */
};

struct flow_reg {
	enum flow_kind kind;
	uint8_t base; /* DWARF number */
	uint8_t width;
	uint32_t bits; /* FLOW_WORD: set or cleared since it was read */
	int64_t disp;
};

struct flow {
	struct flow_reg reg[FLOW_REGS]; /* by DWARF number */
};

/* DWARF's number of a 64-bit general register (System V AMD64 ABI, figure 3.36); FLOW_NO_REG for all others.
 */
uint8_t flow_reg64(x86_reg r);
uint8_t flow_family(x86_reg r); /* the same of a part of one: eax, ax, ah, al */
/* After instruction in (with details, of handle cs). A zeroed flow knows nothing. */
void flow_step(struct flow *f, csh cs, const cs_insn *in);
/*
 * Bits of the word that the instruction writes to memory which it may set or clear, if that is all it does to
 * it. To be asked before flow_step. false: not known.
 */
bool flow_bits(const struct flow *f, const cs_insn *in, uint32_t *bits);

#endif
