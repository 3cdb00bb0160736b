// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <dwarf.h>
#include <errno.h>

#include "unwind/expr.h"

#define DEPTH	  64
#define MAX_STEPS 4096 /* a loop in damaged debuginfo ends here */

struct machine {
	const struct expr_env *env;
	uint64_t stack[DEPTH];
	size_t n;
};

static bool push(struct machine *m, uint64_t v)
{
	if (m->n == DEPTH)
		return false;
	m->stack[m->n++] = v;
	return true;
}

static bool reg_get(const struct expr_env *env, uint64_t no, uint64_t *v)
{
	if (no >= ABI_REGS || !(env->regs->known & (1ull << no)))
		return false;
	*v = env->regs->reg[no];
	return true;
}

static bool push_reg(struct machine *m, uint64_t no, uint64_t offset)
{
	uint64_t v;

	return reg_get(m->env, no, &v) && push(m, v + offset);
}

static bool push_fbreg(struct machine *m, uint64_t offset)
{
	struct expr_env base = *m->env;
	enum expr_kind kind;
	uint64_t v;

	base.frame_base = NULL;
	if (!m->env->frame_base || expr_eval(&base, m->env->frame_base, m->env->n_frame_base, &v, &kind))
		return false;
	/* a register as frame base means its content (DWARF 5, 3.3.5) */
	if (kind == EXPR_REGISTER && !reg_get(m->env, v, &v))
		return false;
	return push(m, v + offset);
}

static bool deref(struct machine *m, unsigned size)
{
	const struct unwind_mem *mem = m->env->mem;
	uint64_t v;

	if (m->n < 1 || size < 1 || size > 8 || !mem || !mem->read(mem->ctx, m->stack[m->n - 1], &v))
		return false;
	m->stack[m->n - 1] = size == 8 ? v : v & ((1ull << (size * 8)) - 1);
	return true;
}

static bool unary(struct machine *m, const Dwarf_Op *op)
{
	uint64_t *v;

	if (m->n < 1)
		return false;
	v = &m->stack[m->n - 1];
	switch (op->atom) {
	case DW_OP_abs:
		*v = (int64_t)*v < 0 ? -*v : *v;
		return true;
	case DW_OP_neg:
		*v = -*v;
		return true;
	case DW_OP_not:
		*v = ~*v;
		return true;
	case DW_OP_plus_uconst:
		*v += op->number;
		return true;
	default:
		return false;
	}
}

/* a: second from top, b: top */
static bool compute(uint8_t atom, uint64_t a, uint64_t b, uint64_t *r)
{
	int64_t sa = (int64_t)a, sb = (int64_t)b;

	switch (atom) {
	case DW_OP_and:
		return *r = a & b, true;
	case DW_OP_or:
		return *r = a | b, true;
	case DW_OP_xor:
		return *r = a ^ b, true;
	case DW_OP_plus:
		return *r = a + b, true;
	case DW_OP_minus:
		return *r = a - b, true;
	case DW_OP_mul:
		return *r = a * b, true;
	case DW_OP_div:
		if (!b || (sa == INT64_MIN && sb == -1))
			return false;
		return *r = (uint64_t)(sa / sb), true;
	case DW_OP_mod:
		return b ? (*r = a % b, true) : false;
	case DW_OP_shl:
		return *r = b < 64 ? a << b : 0, true;
	case DW_OP_shr:
		return *r = b < 64 ? a >> b : 0, true;
	case DW_OP_shra:
		return *r = (uint64_t)(sa >> (b < 64 ? b : 63)), true;
	case DW_OP_eq:
		return *r = a == b, true;
	case DW_OP_ne:
		return *r = a != b, true;
	case DW_OP_lt:
		return *r = sa < sb, true;
	case DW_OP_le:
		return *r = sa <= sb, true;
	case DW_OP_gt:
		return *r = sa > sb, true;
	case DW_OP_ge:
		return *r = sa >= sb, true;
	default:
		return false;
	}
}

static bool binary(struct machine *m, uint8_t atom)
{
	uint64_t r;

	if (m->n < 2 || !compute(atom, m->stack[m->n - 2], m->stack[m->n - 1], &r))
		return false;
	m->n--;
	m->stack[m->n - 1] = r;
	return true;
}

static bool shuffle(struct machine *m, const Dwarf_Op *op)
{
	uint64_t *top = &m->stack[m->n], t;
	size_t depth = op->atom == DW_OP_pick ? op->number : op->atom == DW_OP_over ? 1 : 0;

	switch (op->atom) {
	case DW_OP_dup:
	case DW_OP_over:
	case DW_OP_pick:
		return depth < m->n && push(m, top[-1 - (ptrdiff_t)depth]);
	case DW_OP_drop:
		return m->n ? (m->n--, true) : false;
	case DW_OP_swap:
		if (m->n < 2)
			return false;
		t = top[-1], top[-1] = top[-2], top[-2] = t;
		return true;
	case DW_OP_rot:
		if (m->n < 3)
			return false;
		t = top[-1], top[-1] = top[-2], top[-2] = top[-3], top[-3] = t;
		return true;
	default:
		return false;
	}
}

/* Everything but jumps and what ends a location. */
static bool step(struct machine *m, const Dwarf_Op *op)
{
	switch (op->atom) {
	case DW_OP_nop:
		return true;
	case DW_OP_lit0 ... DW_OP_lit31:
		return push(m, op->atom - DW_OP_lit0);
	case DW_OP_addr:
		return push(m, op->number + m->env->bias);
	case DW_OP_const1u:
	case DW_OP_const1s:
	case DW_OP_const2u:
	case DW_OP_const2s:
	case DW_OP_const4u:
	case DW_OP_const4s:
	case DW_OP_const8u:
	case DW_OP_const8s:
	case DW_OP_constu:
	case DW_OP_consts:
		return push(m, op->number);
	case DW_OP_breg0 ... DW_OP_breg31:
		return push_reg(m, op->atom - DW_OP_breg0, op->number);
	case DW_OP_bregx:
		return push_reg(m, op->number, op->number2);
	case DW_OP_fbreg:
		return push_fbreg(m, op->number);
	case DW_OP_call_frame_cfa:
		return m->env->has_cfa && push(m, m->env->cfa);
	case DW_OP_deref:
		return deref(m, 8);
	case DW_OP_deref_size:
		return deref(m, (unsigned)op->number);
	case DW_OP_abs:
	case DW_OP_neg:
	case DW_OP_not:
	case DW_OP_plus_uconst:
		return unary(m, op);
	case DW_OP_dup:
	case DW_OP_over:
	case DW_OP_pick:
	case DW_OP_drop:
	case DW_OP_swap:
	case DW_OP_rot:
		return shuffle(m, op);
	default:
		return binary(m, op->atom);
	}
}

/* Index of the operation at byte offset `to`; n is just behind the last one. */
static bool find_op(const Dwarf_Op *ops, size_t n, uint64_t to, size_t *at)
{
	for (size_t i = 0; i < n; i++) {
		if (ops[i].offset == to) {
			*at = i;
			return true;
		}
	}
	return false;
}

int expr_eval(const struct expr_env *env, const Dwarf_Op *ops, size_t n, uint64_t *v, enum expr_kind *kind)
{
	struct machine m = {.env = env};
	unsigned steps = 0;

	*kind = EXPR_ADDRESS;
	for (size_t i = 0; i < n;) {
		const Dwarf_Op *op = &ops[i];
		bool jump = op->atom == DW_OP_skip;

		if (steps++ == MAX_STEPS)
			return -ENODATA;
		/* a register location stands alone */
		if ((op->atom >= DW_OP_reg0 && op->atom <= DW_OP_reg31) || op->atom == DW_OP_regx) {
			*kind = EXPR_REGISTER;
			*v = op->atom == DW_OP_regx ? op->number : (uint64_t)(op->atom - DW_OP_reg0);
			return n == 1 ? 0 : -ENODATA;
		}
		if (op->atom == DW_OP_stack_value) {
			*kind = EXPR_VALUE;
			if (i + 1 != n)
				return -ENODATA;
			break;
		}
		if (op->atom == DW_OP_bra) {
			if (m.n < 1)
				return -ENODATA;
			jump = m.stack[--m.n] != 0;
		}
		if (jump) {
			/* counted from the operand's end: one byte of operation, two of operand */
			if (!find_op(ops, n, op->offset + 3 + (uint64_t)(int64_t)(int16_t)op->number, &i))
				return -ENODATA;
			continue;
		}
		if (op->atom != DW_OP_bra && !step(&m, op))
			return -ENODATA;
		i++;
	}
	if (!m.n)
		return -ENODATA;
	*v = m.stack[m.n - 1];
	return 0;
}

int expr_fetch(const struct expr_env *env, const Dwarf_Op *ops, size_t n, uint64_t *v)
{
	enum expr_kind kind;
	uint64_t at;
	int err;

	err = expr_eval(env, ops, n, &at, &kind);
	if (err)
		return err;
	if (kind == EXPR_VALUE) {
		*v = at;
		return 0;
	}
	if (kind == EXPR_REGISTER)
		return reg_get(env, at, v) ? 0 : -ENODATA;
	return env->mem && env->mem->read(env->mem->ctx, at, v) ? 0 : -ENODATA;
}
