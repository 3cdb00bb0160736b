// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Where to put the entry probe of a function of aarch64: at its first instruction, always. All but a few
 * instructions are executed out of line with a single step; branches, adr, literal loads and (since 6.12)
 * nop are simulated (arch/arm64/kernel/probes/decode-insn.c), and none of them stands in a prologue by habit.
 * Instructions: Arm ARM (DDI 0487), C4.1.
 */
#include <errno.h>
#include <string.h>

#include "plan/site.h"

#define PROLOGUE_MAX 32 /* instructions looked at */
#define REG_FP	     29
#define REG_LR	     30
#define REG_SP	     31

static uint32_t at(const uint8_t *code, size_t i)
{
	uint32_t v;

	memcpy(&v, code + 4 * i, sizeof(v));
	return v;
}

static int64_t sign_extend(uint32_t v, unsigned bits)
{
	return (int64_t)((uint64_t)v << (64 - bits)) >> (64 - bits);
}

/* Target of a direct branch that is no call, in instructions from it; 0: it is none. */
static int64_t branch(uint32_t insn)
{
	if ((insn & 0xfc000000) == 0x14000000) /* b */
		return sign_extend(insn & 0x3ffffff, 26);
	if ((insn & 0xff000000) == 0x54000000 || (insn & 0x7e000000) == 0x34000000) /* b.cond, cbz, cbnz */
		return sign_extend(insn >> 5 & 0x7ffff, 19);
	if ((insn & 0x7e000000) == 0x36000000) /* tbz, tbnz */
		return sign_extend(insn >> 5 & 0x3fff, 14);
	return 0;
}

static bool ends_prologue(uint32_t insn)
{
	return (insn & 0x7c000000) == 0x14000000 || /* b, bl */
	       (insn & 0xfe000000) == 0xd6000000;   /* br, blr, ret */
}

static bool jumps_to_entry(const uint8_t *code, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (branch(at(code, i)) == -(int64_t)i)
			return true;
	return false;
}

/* stp x29, x30, [sp, #imm]! or [sp, #imm]; *pre: the first. */
static bool saves_link(uint32_t insn, int64_t *imm, bool *pre)
{
	*pre = (insn & 0xffc00000) == 0xa9800000;
	if (!*pre && (insn & 0xffc00000) != 0xa9000000)
		return false;
	*imm = 8 * sign_extend(insn >> 15 & 0x7f, 7);
	return (insn >> 5 & 31) == REG_SP && (insn >> 10 & 31) == REG_LR && (insn & 31) == REG_FP;
}

/* How far below the entry's stack pointer the prologue saves the return address; 0: not understood. */
static uint32_t link_slot(const uint8_t *code, size_t n)
{
	int64_t low = 0, imm;
	bool pre;

	for (size_t i = 0; i < n && i < PROLOGUE_MAX; i++) {
		uint32_t insn = at(code, i);

		if (saves_link(insn, &imm, &pre)) {
			low -= pre ? imm : 0;
			imm = low - (pre ? 0 : imm) - 8;
			return imm > 0 && imm < 1 << 20 ? (uint32_t)imm : 0;
		}
		if ((insn & 0xff8003ff) == 0xd10003ff) /* sub sp, sp, #imm {, lsl #12} */
			low += (int64_t)(insn >> 10 & 0xfff) << (insn >> 22 & 1 ? 12 : 0);
		else if ((insn & 0xffe00c00) == 0xf8000c00 &&
			 (insn >> 5 & 31) == REG_SP) /* str, pre-indexed */
			low -= sign_extend(insn >> 12 & 0x1ff, 9);
		else if ((insn & 0xffc00000) == 0xa9800000 && (insn >> 5 & 31) == REG_SP) /* another stp */
			low -= 8 * sign_extend(insn >> 15 & 0x7f, 7);
		else if (ends_prologue(insn))
			return 0;
		else if ((insn & 0x1f000000) == 0x11000000 &&
			 (insn & 31) == REG_SP) /* any other add or sub to sp */
			return 0;
	}
	return 0;
}

bool site_stepped(const uint8_t *code, size_t size)
{
	uint32_t insn;

	if (size < 4)
		return true;
	insn = at(code, 0);
	/* branches; adr, adrp; literal loads but for prfm */
	return !(branch(insn) || ends_prologue(insn) || (insn & 0x1f000000) == 0x10000000 ||
		 ((insn & 0x3b000000) == 0x18000000 && (insn >> 30) != 3));
}

int site_choose(const uint8_t *code, size_t size, struct site *ret)
{
	if (size < 4 || size > UINT32_MAX)
		return -EINVAL;
	*ret = (struct site){.stepped = site_stepped(code, size),
			     .looped = jumps_to_entry(code, size / 4),
			     .ra = link_slot(code, size / 4)};
	return 0;
}
