// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <string.h>
#include <capstone/capstone.h>

#include "plan/site.h"

#define PROLOGUE_MAX 64 /* instructions looked at */
#define RED_ZONE     128

struct code {
	const uint8_t *at;
	size_t size;
	csh cs;
	cs_insn *insn;
};

static bool decode(const struct code *c, size_t at)
{
	const uint8_t *p = c->at + at;
	size_t left = c->size - at;
	uint64_t addr = at;

	return at < c->size && cs_disasm_iter(c->cs, &p, &left, &addr, c->insn);
}

static bool is_endbr64(const cs_insn *i)
{
	return i->size == 4 && !memcmp(i->bytes, "\xf3\x0f\x1e\xfa", 4);
}

/* The kernel may replace it by a call, which would overwrite what a leaf function keeps below rsp. */
static bool is_nop5(const cs_insn *i)
{
	return i->size == 5 && !memcmp(i->bytes, "\x0f\x1f\x44\x00\x00", 5);
}

static bool is_emulated(const uint8_t *b, size_t size)
{
	switch (size) {
	case 1:
		return b[0] == 0x90 || (b[0] >= 0x50 && b[0] <= 0x57);
	case 2:
		return (b[0] == 0x66 && b[1] == 0x90) || (b[0] == 0x41 && b[1] >= 0x50 && b[1] <= 0x57);
	default:
		return false;
	}
}

/* Relative jump or call: emulated too. */
static bool is_branch(const uint8_t *b, size_t size)
{
	switch (size) {
	case 2:
		return b[0] == 0xeb || (b[0] >= 0x70 && b[0] <= 0x7f);
	case 5:
		return b[0] == 0xe9 || b[0] == 0xe8;
	case 6:
		return b[0] == 0x0f && b[1] >= 0x80 && b[1] <= 0x8f;
	default:
		return false;
	}
}

static bool is_argument(x86_reg r)
{
	switch (r) {
	case X86_REG_RDI:
	case X86_REG_EDI:
	case X86_REG_DI:
	case X86_REG_DIL:
	case X86_REG_RSI:
	case X86_REG_ESI:
	case X86_REG_SI:
	case X86_REG_SIL:
	case X86_REG_RDX:
	case X86_REG_EDX:
	case X86_REG_DX:
	case X86_REG_DH:
	case X86_REG_DL:
	case X86_REG_RCX:
	case X86_REG_ECX:
	case X86_REG_CX:
	case X86_REG_CH:
	case X86_REG_CL:
	case X86_REG_R8:
	case X86_REG_R8D:
	case X86_REG_R8W:
	case X86_REG_R8B:
	case X86_REG_R9:
	case X86_REG_R9D:
	case X86_REG_R9W:
	case X86_REG_R9B:
		return true;
	default:
		return false;
	}
}

static bool is_stack_pointer(x86_reg r)
{
	return r == X86_REG_RSP || r == X86_REG_ESP || r == X86_REG_SP || r == X86_REG_SPL;
}

/* A store into the function's own part of the stack: below its return address. */
static bool own_slot(const cs_x86_op *o, uint32_t pushed)
{
	return o->mem.base == X86_REG_RSP && o->mem.index == X86_REG_INVALID &&
	       o->mem.segment == X86_REG_INVALID && o->mem.disp >= -RED_ZONE &&
	       o->mem.disp + (int64_t)o->size <= (int64_t)pushed;
}

/* What the instruction writes is nothing that a probe behind it wants to see as it was at entry. */
static bool harmless(const cs_x86_op *dst, uint32_t pushed)
{
	if (dst->type == X86_OP_REG)
		return !is_argument(dst->reg) && !is_stack_pointer(dst->reg);
	return dst->type == X86_OP_MEM && own_slot(dst, pushed);
}

/*
 * May a probe stand behind this instruction? Only what is understood in full: anything else, and every jump,
 * call and return, ends the prologue. *pushed follows rsp.
 */
static bool pass(const cs_insn *i, uint32_t *pushed)
{
	const cs_x86 *x = &i->detail->x86;

	if (is_endbr64(i))
		return true;
	switch (i->id) {
	case X86_INS_NOP:
	case X86_INS_CMP:
	case X86_INS_TEST:
		return true;
	case X86_INS_PUSH:
		if (x->operands[0].size != 8)
			return false;
		*pushed += 8;
		return true;
	case X86_INS_SUB:
		if (x->operands[0].type == X86_OP_REG && x->operands[0].reg == X86_REG_RSP) {
			if (x->operands[1].type != X86_OP_IMM || x->operands[1].imm < 0 ||
			    x->operands[1].imm > 1 << 30)
				return false;
			*pushed += (uint32_t)x->operands[1].imm;
			return true;
		}
		return harmless(&x->operands[0], *pushed);
	case X86_INS_MOV:
	case X86_INS_MOVABS:
	case X86_INS_MOVZX:
	case X86_INS_MOVSX:
	case X86_INS_MOVSXD:
	case X86_INS_LEA:
	case X86_INS_XOR:
	case X86_INS_AND:
	case X86_INS_OR:
	case X86_INS_ADD:
		return harmless(&x->operands[0], *pushed);
	default:
		return false;
	}
}

/* Could the bytes at p be a jump to first..last? Asked where the disassembler does not know where
 * instructions begin. */
static bool looks_like_jump(const struct code *c, size_t p, size_t first, size_t last)
{
	const uint8_t *b = c->at + p;
	size_t left = c->size - p;
	uint64_t to = UINT64_MAX;
	int32_t rel;

	if (left >= 2 && (b[0] == 0xeb || (b[0] >= 0x70 && b[0] <= 0x7f) || (b[0] >= 0xe0 && b[0] <= 0xe3))) {
		to = p + 2 + (uint64_t)(int64_t)(int8_t)b[1];
	} else if (left >= 5 && b[0] == 0xe9) {
		memcpy(&rel, b + 1, sizeof(rel));
		to = p + 5 + (uint64_t)(int64_t)rel;
	} else if (left >= 6 && b[0] == 0x0f && b[1] >= 0x80 && b[1] <= 0x8f) {
		memcpy(&rel, b + 2, sizeof(rel));
		to = p + 6 + (uint64_t)(int64_t)rel;
	}
	return to >= first && to <= last;
}

static bool is_jump(const cs_insn *i)
{
	for (int g = 0; g < i->detail->groups_count; g++) {
		if (i->detail->groups[g] == X86_GRP_JUMP)
			return true;
	}
	/* not in the group in capstone 4 */
	return i->id == X86_INS_LOOP || i->id == X86_INS_LOOPE || i->id == X86_INS_LOOPNE;
}

/* Does the function jump to first..last? Around bytes that are no known instruction every possible jump
 * counts. */
static bool jumps_between(const struct code *c, size_t first, size_t last)
{
	for (size_t at = 0; at < c->size;) {
		const cs_x86_op *o = c->insn->detail->x86.operands;

		if (!decode(c, at)) {
			/* the next few are suspect too, until the decoder has found an instruction's
			 * beginning again */
			for (size_t p = at; p < c->size && p < at + 16; p++) {
				if (looks_like_jump(c, p, first, last))
					return true;
			}
			at++;
			continue;
		}
		if (is_jump(c->insn) && o[0].type == X86_OP_IMM && (uint64_t)o[0].imm >= first &&
		    (uint64_t)o[0].imm <= last)
			return true;
		at += c->insn->size;
	}
	return false;
}

static bool jumps_to(const struct code *c, size_t target)
{
	return jumps_between(c, target, target);
}

static bool is_leaf(const struct code *c)
{
	for (size_t at = 0; at < c->size; at += c->insn->size) {
		if (!decode(c, at))
			return true;
		if (c->insn->id == X86_INS_CALL)
			return false;
	}
	return true;
}

static bool choose_emulated(const struct code *c, struct site *ret)
{
	uint32_t pushed = 0;
	size_t at = 0;

	for (int n = 0; n < PROLOGUE_MAX && decode(c, at); n++) {
		size_t size = c->insn->size;
		uint32_t before = pushed;
		bool emulated = is_emulated(c->insn->bytes, size);
		bool branch = is_branch(c->insn->bytes, size);
		bool on = pass(c->insn, &pushed);

		/* a push cannot be in a loop that begins before it, a jump can */
		if ((emulated && !jumps_to(c, at)) || (branch && !jumps_between(c, 0, at))) {
			*ret = (struct site){.offset = (uint32_t)at, .pushed = before, .ra = before};
			return true;
		}
		if (!on)
			return false;
		at += size;
	}
	return false;
}

/* The entry, or what is as good: behind endbr64, and behind a nop5 that must not be probed. */
static void choose_stepped(const struct code *c, struct site *ret)
{
	uint32_t at = 0, after = 0;

	decode(c, 0);
	if (is_endbr64(c->insn))
		after = c->insn->size;
	if (after < c->size && !jumps_to(c, after))
		at = after;
	while (decode(c, at) && is_nop5(c->insn) && at + 5 < c->size && is_leaf(c))
		at += 5;
	*ret = (struct site){.offset = at, .stepped = true, .looped = jumps_to(c, at)};
}

bool site_stepped(const uint8_t *code, size_t size)
{
	/* no instruction of these begins another: no need to know where it ends */
	for (size_t n = 1; n <= 6 && n <= size; n++) {
		if (is_emulated(code, n) || is_branch(code, n))
			return false;
	}
	return true;
}

int site_choose(const uint8_t *code, size_t size, struct site *ret)
{
	struct code c = {.at = code, .size = size};
	int err = 0;

	if (!size || size > UINT32_MAX)
		return -EINVAL;
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &c.cs) != CS_ERR_OK)
		return -ENOTSUP;
	cs_option(c.cs, CS_OPT_DETAIL, CS_OPT_ON);
	c.insn = cs_malloc(c.cs);
	if (!c.insn) {
		err = -ENOMEM;
		goto out;
	}
	/* what the disassembler does not know, the kernel may: the entry can always be tried */
	*ret = (struct site){.stepped = true};
	if (decode(&c, 0) && !choose_emulated(&c, ret))
		choose_stepped(&c, ret);
out:
	if (c.insn)
		cs_free(c.insn, 1);
	cs_close(&c.cs);
	return err;
}
