// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <capstone/capstone.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "util/hash.h"

#include "arch/arch.h"
#include "arch/x86_64/flow.h"
#include "layout/stores.h"
#include "util/grow.h"

struct code {
	uint64_t die;
	int rc;
	struct store *v;
	size_t n;
	UT_hash_handle hh;
};

#define MAX_JOINS 64

/* What registers hold where a forward jump goes to, until it is reached. */
struct joins {
	struct {
		uint64_t at;
		struct flow flow;
	} v[MAX_JOINS];
	size_t n;
};

struct stores {
	struct dbg *d;
	csh cs;
	cs_insn *insn;
	struct code *code;
	struct joins joins; /* of the function being read */
};

int stores_create(struct stores **ret, struct dbg *d, struct err *err)
{
	struct stores *s = calloc(1, sizeof(*s));

	*ret = NULL;
	if (!s)
		return err_set(err, -ENOMEM, "out of memory");
	if (elf_file_machine(dbg_binary(d)) != arch.machine) {
		free(s);
		return err_set(err, -ENOTSUP, "%s is not a binary of %s: its instructions cannot be read",
			       elf_file_name(dbg_binary(d)), arch.name);
	}
	s->d = d;
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &s->cs) != CS_ERR_OK) {
		free(s);
		return err_set(err, -ENOSYS, "the disassembler does not start");
	}
	cs_option(s->cs, CS_OPT_DETAIL, CS_OPT_ON);
	s->insn = cs_malloc(s->cs);
	if (!s->insn) {
		stores_destroy(s);
		return err_set(err, -ENOMEM, "out of memory");
	}
	*ret = s;
	return 0;
}

void stores_destroy(struct stores *s)
{
	struct code *c, *next;

	if (!s)
		return;
	c = s->code;
	HASH_CLEAR(hh, s->code); /* the table only: the entries are still chained */
	for (; c; c = next) {
		next = c->hh.next;
		free(c->v);
		free(c);
	}
	if (s->insn)
		cs_free(s->insn, 1);
	cs_close(&s->cs);
	free(s);
}

bool stores_only_reads(unsigned id)
{
	switch (id) {
	case X86_INS_CMP:
	case X86_INS_TEST:
	case X86_INS_PUSH:
	case X86_INS_CALL:
	case X86_INS_LCALL:
	case X86_INS_JMP:
	case X86_INS_LJMP:
	case X86_INS_NOP:
	case X86_INS_LEA:
	case X86_INS_BT:
	case X86_INS_MUL:
	case X86_INS_DIV:
	case X86_INS_IDIV:
	case X86_INS_PREFETCH:
	case X86_INS_PREFETCHNTA:
	case X86_INS_PREFETCHT0:
	case X86_INS_PREFETCHT1:
	case X86_INS_PREFETCHT2:
	case X86_INS_PREFETCHW:
	case X86_INS_FLD:
	case X86_INS_FILD:
	case X86_INS_FADD:
	case X86_INS_FSUB:
	case X86_INS_FMUL:
	case X86_INS_FDIV:
	case X86_INS_FCOM:
	case X86_INS_FCOMP:
	case X86_INS_FLDCW:
	case X86_INS_LDMXCSR:
	case X86_INS_CLFLUSH:
		return true;
	default:
		return false;
	}
}

bool stores_is_string(unsigned id)
{
	switch (id) {
	case X86_INS_MOVSB:
	case X86_INS_MOVSW:
	case X86_INS_MOVSQ:
	case X86_INS_STOSB:
	case X86_INS_STOSW:
	case X86_INS_STOSD:
	case X86_INS_STOSQ:
		return true;
	default:
		return false;
	}
}

static int add(struct code *c, const struct store *st)
{
	if (GROW(&c->v, c->n))
		return -ENOMEM;
	c->v[c->n++] = *st;
	return 0;
}

/* movsd is the string instruction and the SSE one: only the first has two memory operands. */
static bool string_movsd(const cs_insn *in)
{
	const cs_x86 *x = &in->detail->x86;

	return in->id == X86_INS_MOVSD && x->op_count == 2 && x->operands[0].type == X86_OP_MEM &&
	       x->operands[1].type == X86_OP_MEM;
}

/* A call of memset() and the like: compilers make them of loops and assignments. */
static bool fills_memory(const struct stores *s, const cs_insn *in)
{
	static const char *const names[] = {"memset",	    "memcpy",	    "memmove",	    "bzero",
					    "__memset_chk", "__memcpy_chk", "__memmove_chk"};
	const cs_x86 *x = &in->detail->x86;
	const char *callee;

	if ((in->id != X86_INS_CALL && in->id != X86_INS_JMP) || x->op_count != 1 ||
	    x->operands[0].type != X86_OP_IMM)
		return false;
	callee = elf_plt_symbol(dbg_binary(s->d), (uint64_t)x->operands[0].imm);
	for (size_t i = 0; callee && i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(callee, names[i]))
			return true;
	return false;
}

/* A call, or a jump that may be one, with an address in rdi that is a constant away from some register. */
static bool is_call(const struct flow *flow, const cs_insn *in, struct store *st)
{
	const struct flow_reg *rdi = &flow->reg[STORE_REG_RDI];

	if ((in->id != X86_INS_CALL && in->id != X86_INS_JMP) || rdi->kind != FLOW_ADDRESS)
		return false;
	st->call = true;
	st->base = STORE_REG_RDI;
	st->disp = rdi->disp;
	st->from = rdi->base;
	return true;
}

/* 1 = a store. For xchg and xadd either operand may be the one in memory. */
static bool as_store(const struct stores *s, const struct flow *flow, const cs_insn *in, struct store *st)
{
	const cs_x86 *x = &in->detail->x86;
	const cs_x86_op *op = &x->operands[0];

	memset(st, 0, sizeof(*st));
	st->vaddr = in->address;
	st->base = st->from = STORE_NO_REG;
	if (stores_is_string(in->id) || string_movsd(in) || fills_memory(s, in)) {
		st->string = true;
		return true;
	}
	if (is_call(flow, in, st))
		return true;
	if (!x->op_count || stores_only_reads(in->id) || (in->id == X86_INS_IMUL && x->op_count == 1))
		return false;
	if (op->type != X86_OP_MEM && in->id == X86_INS_XCHG && x->op_count == 2)
		op = &x->operands[1];
	if (op->type != X86_OP_MEM)
		return false;
	st->base = flow_reg64(op->mem.base);
	st->indexed = op->mem.index != X86_REG_INVALID || op->mem.segment == X86_REG_FS ||
		      op->mem.segment == X86_REG_GS;
	st->disp = op->mem.disp;
	st->width = op->size;
	st->has_imm = x->op_count == 2 && x->operands[1].type == X86_OP_IMM;
	st->imm = st->has_imm ? x->operands[1].imm : 0;
	st->bits_known = st->width <= 4 && flow_bits(flow, in, &st->bits);
	return true;
}

/* A jump within the function. */
static bool stays(const cs_insn *in, const struct dbg_range *r)
{
	const cs_x86_op *o = in->detail->x86.operands;

	return in->id == X86_INS_JMP && o->type == X86_OP_IMM && (uint64_t)o->imm >= r->lo &&
	       (uint64_t)o->imm < r->hi;
}

static bool is_jump(const cs_insn *in)
{
	for (int g = 0; g < in->detail->groups_count; g++)
		if (in->detail->groups[g] == X86_GRP_JUMP)
			return true;
	return false;
}

static void join_add(struct joins *j, const cs_insn *in, const struct flow *flow)
{
	const cs_x86 *x = &in->detail->x86;

	if (!is_jump(in) || x->op_count != 1 || x->operands[0].type != X86_OP_IMM ||
	    (uint64_t)x->operands[0].imm <= in->address || j->n == MAX_JOINS)
		return;
	j->v[j->n].at = (uint64_t)x->operands[0].imm;
	j->v[j->n++].flow = *flow;
}

static bool knows_nothing(const struct flow *flow)
{
	for (size_t i = 0; i < FLOW_REGS; i++)
		if (flow->reg[i].kind != FLOW_NOTHING)
			return false;
	return true;
}

/* Where nothing is known of the way from above, what is known of a jump to here serves. */
static void join_take(struct joins *j, uint64_t at, struct flow *flow)
{
	for (size_t i = 0; i < j->n;) {
		if (j->v[i].at > at) {
			i++;
			continue;
		}
		if (j->v[i].at == at && knows_nothing(flow))
			*flow = j->v[i].flow;
		j->v[i] = j->v[--j->n];
	}
}

static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};

static int decode(struct stores *s, struct code *c, const struct dbg_range *r)
{
	const uint8_t *p = elf_bytes(dbg_binary(s->d), r->lo, r->hi - r->lo);
	size_t left = r->hi - r->lo;
	uint64_t at = r->lo;
	struct flow flow = {0};
	struct joins *joins = &s->joins;

	joins->n = 0;
	if (!p)
		return -EILSEQ;
	while (left) {
		struct store st;

		if (!cs_disasm_iter(s->cs, &p, &left, &at, s->insn)) {
			if (left < sizeof(endbr64) || memcmp(p, endbr64, sizeof(endbr64)) != 0)
				return -EILSEQ;
			p += sizeof(endbr64); /* not known to every capstone */
			left -= sizeof(endbr64);
			at += sizeof(endbr64);
			continue;
		}
		join_take(joins, s->insn->address, &flow);
		join_add(joins, s->insn, &flow);
		if (as_store(s, &flow, s->insn, &st) && !stays(s->insn, r) && add(c, &st))
			return -ENOMEM;
		flow_step(&flow, s->cs, s->insn);
	}
	return 0;
}

static int by_vaddr(const void *a, const void *b)
{
	const struct store *x = a, *y = b;

	return x->vaddr < y->vaddr ? -1 : x->vaddr > y->vaddr;
}

int stores_of(struct stores *s, uint64_t func_die, const struct store **ret, size_t *n)
{
	struct dbg_range *r = NULL;
	struct code *c = NULL;
	size_t n_r = 0;

	HASH_FIND(hh, s->code, &func_die, sizeof(func_die), c);
	if (!c) {
		c = calloc(1, sizeof(*c));
		if (!c)
			return -ENOMEM;
		c->die = func_die;
		c->rc = dbg_code_ranges(s->d, func_die, &r, &n_r);
		for (size_t i = 0; i < n_r && (!c->rc || c->rc == -EILSEQ); i++) {
			int rc = decode(s, c, &r[i]);

			c->rc = rc ? rc : c->rc;
		}
		free(r);
		if (c->n)
			qsort(c->v, c->n, sizeof(*c->v), by_vaddr);
		HASH_ADD(hh, s->code, die, sizeof(c->die), c);
	}
	*ret = c->v;
	*n = c->n;
	return c->rc;
}

int stores_between(struct stores *s, uint64_t lo, uint64_t hi, struct store **ret, size_t *n)
{
	const struct dbg_range r = {.lo = lo, .hi = hi};
	struct code c = {0};
	int rc = decode(s, &c, &r);

	*ret = c.v;
	*n = c.n;
	return rc;
}
