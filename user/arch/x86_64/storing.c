// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "writes/storing.h"

#include <capstone/capstone.h>
#include <stdio.h>
#include <string.h>

#include "arch/x86_64/flow.h"
#include "layout/stores.h"

#define REG_RDI	    5
#define REG_RSP	    7
#define CHUNK_BYTES 64 /* of a repeated string instruction that is stored at once, at most */

struct word {
	uint64_t addr;
	unsigned width;
};

static enum storing unknown(struct store_insn *ret, const char *why)
{
	snprintf(ret->why, sizeof(ret->why), "%s", why);
	return STORING_UNKNOWN;
}

static enum storing verdict(struct store_insn *ret, const struct word *w, uint64_t at, uint64_t len)
{
	if (w->addr < at + len && at < w->addr + w->width) {
		ret->verified = true;
		return STORING_HIT;
	}
	snprintf(ret->why, sizeof(ret->why), "it stores elsewhere");
	return STORING_NOT;
}

static bool is_rep(const cs_insn *in)
{
	uint8_t p = in->detail->x86.prefix[0];

	return p == X86_PREFIX_REP || p == X86_PREFIX_REPNE;
}

static bool is_string(const cs_insn *in)
{
	const cs_x86 *x = &in->detail->x86;

	return stores_is_string(in->id) ||
	       (in->id == X86_INS_MOVSD && x->op_count == 2 && x->operands[0].type == X86_OP_MEM &&
		x->operands[1].type == X86_OP_MEM);
}

/* rdi has moved on by then, up or down. */
static enum storing string_store(const cs_insn *in, const __u64 reg[ABI_REGS], const struct word *w,
				 struct store_insn *ret)
{
	uint64_t len = is_rep(in) ? CHUNK_BYTES : in->detail->x86.operands[0].size;

	ret->width = in->detail->x86.operands[0].size;
	if (verdict(ret, w, reg[REG_RDI] - len, 2 * len + ret->width) == STORING_HIT)
		return STORING_HIT;
	/* a long one may have gone on for more than that before the trap */
	return is_rep(in) ? unknown(ret, "how far it had come is not known") : STORING_NOT;
}

static bool has_changed(csh cs, const cs_insn *in, x86_reg r)
{
	cs_regs read, written;
	uint8_t n_read = 0, n_written = 0, number = flow_reg64(r);

	if (cs_regs_access(cs, in, read, &n_read, written, &n_written))
		return true;
	for (uint8_t i = 0; i < n_written; i++) {
		if (flow_family((x86_reg)written[i]) == number)
			return true;
	}
	return false;
}

/* Address of a memory operand by the registers as they are now. */
static bool operand_addr(csh cs, const cs_insn *in, const cs_x86_op *op, const __u64 reg[ABI_REGS],
			 uint64_t *ret)
{
	const x86_op_mem *m = &op->mem;
	uint64_t v = (uint64_t)m->disp;

	if (m->segment == X86_REG_FS || m->segment == X86_REG_GS)
		return false;
	if (m->base == X86_REG_RIP) {
		v += in->address + in->size;
	} else if (m->base != X86_REG_INVALID) {
		if (flow_reg64(m->base) == FLOW_NO_REG || has_changed(cs, in, m->base))
			return false;
		v += reg[flow_reg64(m->base)];
	}
	if (m->index != X86_REG_INVALID && m->index != X86_REG_RIZ) {
		if (flow_reg64(m->index) == FLOW_NO_REG || has_changed(cs, in, m->index))
			return false;
		v += reg[flow_reg64(m->index)] * (uint64_t)m->scale;
	}
	*ret = v;
	return true;
}

/* Bit instructions with a register reach beyond their operand, and some vector ones scatter. */
static bool reaches_further(const cs_insn *in)
{
	const cs_x86 *x = &in->detail->x86;

	switch (in->id) {
	case X86_INS_BTS:
	case X86_INS_BTR:
	case X86_INS_BTC:
		return x->op_count == 2 && x->operands[1].type == X86_OP_REG;
	case X86_INS_MASKMOVDQU:
	case X86_INS_MASKMOVQ:
	case X86_INS_VMASKMOVDQU:
		return true;
	default:
		return (x->op_count && x->operands[0].type == X86_OP_MEM && !x->operands[0].size) ||
		       strstr(in->mnemonic, "scatter") != NULL;
	}
}

static enum storing one(csh cs, const cs_insn *in, const __u64 reg[ABI_REGS], const struct word *w,
			struct store_insn *ret)
{
	const cs_x86 *x = &in->detail->x86;
	const cs_x86_op *op = &x->operands[0];
	uint64_t at;

	if (is_string(in))
		return string_store(in, reg, w, ret);
	if (in->id == X86_INS_PUSH || in->id == X86_INS_PUSHFQ) {
		ret->width = 8;
		return verdict(ret, w, reg[REG_RSP], 8);
	}
	if (in->id == X86_INS_XCHG && op->type != X86_OP_MEM)
		op++;
	if (in->id == X86_INS_ENTER || reaches_further(in))
		return unknown(ret, "where it stores is not known");
	if (!x->op_count || op->type != X86_OP_MEM || stores_only_reads(in->id)) {
		snprintf(ret->why, sizeof(ret->why), "it is no store");
		return STORING_NOT;
	}
	ret->width = op->size;
	if (!operand_addr(cs, in, op, reg, &at))
		return unknown(ret, "it has changed a register of its operand");
	return verdict(ret, w, at, op->size);
}

static void describe(const cs_insn *in, uint64_t bias, struct store_insn *ret)
{
	*ret = (struct store_insn){.decoded = true, .addr = in->address, .offset = in->address - bias};
	snprintf(ret->text, sizeof(ret->text), "%.20s%s%.50s", in->mnemonic, in->op_str[0] ? " " : "",
		 in->op_str);
}

static enum storing find(csh cs, cs_insn *in, const struct storing_code *code, uint64_t ip,
			 const __u64 reg[ABI_REGS], const struct word *w, struct store_insn *ret)
{
	const uint8_t *p = code->bytes;
	size_t left = code->len;
	uint64_t at = code->start;
	enum storing r;

	while (at < ip && cs_disasm_iter(cs, &p, &left, &at, in))
		;
	if (at != ip)
		return unknown(ret, "the code before the trap could not be read as instructions");
	describe(in, code->bias, ret);
	r = one(cs, in, reg, w, ret);
	if (r == STORING_HIT || !left || !cs_disasm_iter(cs, &p, &left, &at, in) || !is_string(in) ||
	    !is_rep(in))
		return r;
	describe(in, code->bias, ret);
	return string_store(in, reg, w, ret);
}

enum storing storing_find(const struct storing_code *code, uint64_t ip, const __u64 reg[ABI_REGS],
			  uint64_t addr, unsigned width, struct store_insn *ret)
{
	struct word w = {addr, width};
	enum storing r;
	cs_insn *in;
	csh cs;

	*ret = (struct store_insn){0};
	if (ip <= code->start || ip - code->start > code->len)
		return unknown(ret, "no instruction before the trap is known");
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &cs) != CS_ERR_OK)
		return unknown(ret, "the disassembler does not start");
	cs_option(cs, CS_OPT_DETAIL, CS_OPT_ON);
	in = cs_malloc(cs);
	r = in ? find(cs, in, code, ip, reg, &w, ret) : unknown(ret, "out of memory");
	if (in)
		cs_free(in, 1);
	cs_close(&cs);
	return r;
}
