// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>

#include "arch/x86_64/flow.h"

static const x86_reg by_size[4][FLOW_REGS] = {
	{X86_REG_RAX, X86_REG_RDX, X86_REG_RCX, X86_REG_RBX, X86_REG_RSI, X86_REG_RDI, X86_REG_RBP,
	 X86_REG_RSP, X86_REG_R8, X86_REG_R9, X86_REG_R10, X86_REG_R11, X86_REG_R12, X86_REG_R13, X86_REG_R14,
	 X86_REG_R15},
	{X86_REG_EAX, X86_REG_EDX, X86_REG_ECX, X86_REG_EBX, X86_REG_ESI, X86_REG_EDI, X86_REG_EBP,
	 X86_REG_ESP, X86_REG_R8D, X86_REG_R9D, X86_REG_R10D, X86_REG_R11D, X86_REG_R12D, X86_REG_R13D,
	 X86_REG_R14D, X86_REG_R15D},
	{X86_REG_AX, X86_REG_DX, X86_REG_CX, X86_REG_BX, X86_REG_SI, X86_REG_DI, X86_REG_BP, X86_REG_SP,
	 X86_REG_R8W, X86_REG_R9W, X86_REG_R10W, X86_REG_R11W, X86_REG_R12W, X86_REG_R13W, X86_REG_R14W,
	 X86_REG_R15W},
	{X86_REG_AL, X86_REG_DL, X86_REG_CL, X86_REG_BL, X86_REG_SIL, X86_REG_DIL, X86_REG_BPL, X86_REG_SPL,
	 X86_REG_R8B, X86_REG_R9B, X86_REG_R10B, X86_REG_R11B, X86_REG_R12B, X86_REG_R13B, X86_REG_R14B,
	 X86_REG_R15B},
};

uint8_t flow_reg64(x86_reg r)
{
	for (uint8_t i = 0; i < FLOW_REGS; i++)
		if (by_size[0][i] == r)
			return i;
	return FLOW_NO_REG;
}

uint8_t flow_family(x86_reg r)
{
	for (size_t s = 0; s < 4; s++)
		for (uint8_t i = 0; i < FLOW_REGS; i++)
			if (by_size[s][i] == r)
				return i;
	switch (r) {
	case X86_REG_AH:
		return 0;
	case X86_REG_DH:
		return 1;
	case X86_REG_CH:
		return 2;
	case X86_REG_BH:
		return 3;
	default:
		return FLOW_NO_REG;
	}
}

static uint32_t mask(unsigned width)
{
	return width >= 4 ? UINT32_MAX : (1u << (8 * width)) - 1;
}

/* ah, bh, ch, dh: bits 8..15 of theirs. */
static unsigned shift_of(const cs_x86_op *o)
{
	if (o->type != X86_OP_REG)
		return 0;
	switch (o->reg) {
	case X86_REG_AH:
	case X86_REG_BH:
	case X86_REG_CH:
	case X86_REG_DH:
		return 8;
	default:
		return 0;
	}
}

/* base + constant, in no segment of its own. */
static bool simple(const x86_op_mem *m)
{
	return m->index == X86_REG_INVALID && m->segment == X86_REG_INVALID &&
	       flow_reg64(m->base) != FLOW_NO_REG;
}

static bool is_bit_insn(unsigned id)
{
	return id == X86_INS_BTS || id == X86_INS_BTR || id == X86_INS_BTC;
}

/* The bits that "or, and, bts.. dst, imm" changes. */
static bool changed_bits(const cs_insn *in, uint32_t *bits)
{
	const cs_x86 *x = &in->detail->x86;
	unsigned width = x->operands[0].size;

	if (x->op_count != 2 || x->operands[1].type != X86_OP_IMM || width > 4)
		return false;
	if (in->id == X86_INS_OR || in->id == X86_INS_XOR)
		*bits = (uint32_t)x->operands[1].imm & mask(width);
	else if (in->id == X86_INS_AND)
		*bits = ~(uint32_t)x->operands[1].imm & mask(width);
	else if (is_bit_insn(in->id))
		*bits = 1u << (x->operands[1].imm & 31);
	else
		return false;
	*bits <<= shift_of(&x->operands[0]);
	return true;
}

bool flow_bits(const struct flow *f, const cs_insn *in, uint32_t *bits)
{
	const cs_x86 *x = &in->detail->x86;
	const cs_x86_op *o = x->operands;
	const struct flow_reg *r;
	uint8_t reg;

	if (x->op_count != 2 || o[0].type != X86_OP_MEM)
		return false;
	if (changed_bits(in, bits))
		return true;
	if (in->id != X86_INS_MOV || o[1].type != X86_OP_REG || !simple(&o[0].mem))
		return false;
	reg = flow_family(o[1].reg);
	if (reg == FLOW_NO_REG)
		return false;
	r = &f->reg[reg];
	if (r->kind != FLOW_WORD || r->base != flow_reg64(o[0].mem.base) || r->disp != o[0].mem.disp ||
	    r->width != o[0].size)
		return false;
	*bits = r->bits;
	return true;
}

/* What the first operand, a register, holds after the instruction. */
static struct flow_reg result(const struct flow *f, const cs_insn *in, uint8_t dst)
{
	const cs_x86 *x = &in->detail->x86;
	const cs_x86_op *o = x->operands;
	struct flow_reg r = f->reg[dst], none = {.kind = FLOW_NOTHING};
	uint32_t bits;
	uint8_t src;

	if (r.kind == FLOW_WORD && o[0].size <= 4 && changed_bits(in, &bits)) {
		r.bits |= bits;
		return r;
	}
	if (x->op_count != 2 || shift_of(&o[0]))
		return none;
	switch (in->id) {
	case X86_INS_MOV:
	case X86_INS_MOVZX:
		if (o[1].type == X86_OP_MEM)
			return simple(&o[1].mem) && o[1].size <= 4
				       ? (struct flow_reg){.kind = FLOW_WORD,
							   .base = flow_reg64(o[1].mem.base),
							   .disp = o[1].mem.disp,
							   .width = o[1].size}
				       : none;
		src = o[1].type == X86_OP_REG ? flow_family(o[1].reg) : FLOW_NO_REG;
		if (src == FLOW_NO_REG)
			return none;
		if (f->reg[src].kind != FLOW_NOTHING || o[0].size != 8)
			return f->reg[src];
		return (struct flow_reg){.kind = FLOW_ADDRESS, .base = src};
	case X86_INS_LEA:
		if (o[0].size != 8 || !simple(&o[1].mem))
			return none;
		src = flow_reg64(o[1].mem.base);
		r = f->reg[src];
		if (r.kind != FLOW_ADDRESS)
			r = (struct flow_reg){.kind = FLOW_ADDRESS, .base = src};
		r.disp += o[1].mem.disp;
		return r;
	case X86_INS_ADD:
	case X86_INS_SUB:
		if (o[0].size != 8 || o[1].type != X86_OP_IMM)
			return none;
		if (r.kind != FLOW_ADDRESS)
			r = (struct flow_reg){.kind = FLOW_ADDRESS, .base = FLOW_NO_REG};
		r.disp += in->id == X86_INS_ADD ? o[1].imm : -o[1].imm;
		return r;
	default:
		return none;
	}
}

/* Register n has another value from now on. */
static void changed(struct flow *f, uint8_t n)
{
	for (size_t i = 0; i < FLOW_REGS; i++) {
		struct flow_reg *r = &f->reg[i];

		if (r->kind == FLOW_NOTHING || r->base != n)
			continue;
		if (r->kind == FLOW_ADDRESS)
			r->base = FLOW_NO_REG;
		else
			r->kind = FLOW_NOTHING;
	}
}

/* Registers that a called function may change (System V AMD64 ABI): rax rdx rcx rsi rdi r8-r11. */
static bool is_callers(uint8_t n)
{
	return n <= 2 || n == 4 || n == 5 || (n >= 8 && n <= 11);
}

void flow_step(struct flow *f, csh cs, const cs_insn *in)
{
	const cs_x86 *x = &in->detail->x86;
	cs_regs reads, writes;
	uint8_t n_reads, n_writes, dst = FLOW_NO_REG;
	struct flow_reg r = {.kind = FLOW_NOTHING};

	if (in->id == X86_INS_JMP || in->id == X86_INS_RET) {
		memset(f, 0, sizeof(*f)); /* what follows is come to from elsewhere */
		return;
	}
	for (uint8_t i = 0; in->id == X86_INS_CALL && i < FLOW_REGS; i++) {
		if (is_callers(i)) {
			changed(f, i);
			f->reg[i].kind = FLOW_NOTHING;
		}
	}
	if (in->id == X86_INS_CALL || in->id == X86_INS_CMP || in->id == X86_INS_TEST)
		return;
	if (x->op_count && x->operands[0].type == X86_OP_REG) {
		dst = flow_family(x->operands[0].reg);
		if (dst != FLOW_NO_REG)
			r = result(f, in, dst);
	}
	if (cs_regs_access(cs, in, reads, &n_reads, writes, &n_writes) != CS_ERR_OK) {
		memset(f, 0, sizeof(*f));
		return;
	}
	for (uint8_t i = 0; i < n_writes; i++) {
		uint8_t n = flow_family((x86_reg)writes[i]);

		if (n == FLOW_NO_REG)
			continue;
		changed(f, n);
		f->reg[n].kind = FLOW_NOTHING;
	}
	if (dst == FLOW_NO_REG || r.kind == FLOW_NOTHING)
		return;
	if (r.base ==
	    dst) { /* "add rdi, 8" has been seen to by result(); a word of its own old place is lost */
		if (r.kind == FLOW_WORD)
			return;
		r.base = FLOW_NO_REG;
	}
	f->reg[dst] = r;
}
