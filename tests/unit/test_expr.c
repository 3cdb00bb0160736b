// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* DWARF expressions, with values worked out by hand from DWARF 5, section 2.5. */
#include <dwarf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "unwind/expr.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static bool read_word(void *ctx, uint64_t addr, uint64_t *word)
{
	(void)ctx;
	*word = 0x1122334455667788;
	return addr == 0x2000;
}

static const struct unwind_mem mem = {.read = read_word};
static const struct image_regs regs = {
	.reg = {[3] = 0x1000, [ABI_REG_SP] = 0x7000, [ABI_REG_IP] = 0x40100b},
	.known = 1u << 3 | IMAGE_REGS_SP_IP,
};
static const struct expr_env env = {
	.regs = &regs, .mem = &mem, .has_cfa = true, .cfa = 0x7010, .bias = 0x550000000000};

static void expect(const Dwarf_Op *ops, size_t n, uint64_t want, enum expr_kind want_kind)
{
	enum expr_kind kind;
	uint64_t v = 0;

	assert_int_equal(expr_eval(&env, ops, n, &v, &kind), 0);
	assert_true(v == want);
	assert_int_equal(kind, want_kind);
}

static void expect_nothing(const Dwarf_Op *ops, size_t n)
{
	enum expr_kind kind;
	uint64_t v;

	assert_int_equal(expr_eval(&env, ops, n, &v, &kind), -ENODATA);
}

static void locations(void **state)
{
	static const Dwarf_Op addr[] = {{.atom = DW_OP_addr, .number = 0x10}};
	static const Dwarf_Op reg[] = {{.atom = DW_OP_reg3}};
	static const Dwarf_Op breg[] = {{.atom = DW_OP_breg3, .number = (Dwarf_Word)-8}};
	static const Dwarf_Op value[] = {{.atom = DW_OP_breg3, .number = 8}, {.atom = DW_OP_stack_value}};
	static const Dwarf_Op cfa[] = {{.atom = DW_OP_call_frame_cfa},
				       {.atom = DW_OP_plus_uconst, .number = 8}};
	static const Dwarf_Op bregx[] = {{.atom = DW_OP_bregx, .number = ABI_REG_SP, .number2 = 16}};

	(void)state;
	expect(addr, N(addr), 0x550000000010, EXPR_ADDRESS);
	expect(reg, N(reg), 3, EXPR_REGISTER);
	expect(breg, N(breg), 0xff8, EXPR_ADDRESS);
	expect(value, N(value), 0x1008, EXPR_VALUE);
	expect(cfa, N(cfa), 0x7018, EXPR_ADDRESS);
	expect(bregx, N(bregx), 0x7010, EXPR_ADDRESS);
}

/* Found by the fuzzer: operations on a stack that is empty. */
static void nothing_to_work_on(void **state)
{
	static const Dwarf_Op ops[] = {{.atom = DW_OP_neg},  {.atom = DW_OP_deref}, {.atom = DW_OP_plus},
				       {.atom = DW_OP_dup},  {.atom = DW_OP_drop},  {.atom = DW_OP_swap},
				       {.atom = DW_OP_over}, {.atom = DW_OP_rot},   {.atom = DW_OP_pick}};

	(void)state;
	for (size_t i = 0; i < N(ops); i++)
		expect_nothing(&ops[i], 1);
}

static void what_is_not_known(void **state)
{
	static const Dwarf_Op breg[] = {{.atom = DW_OP_breg6, .number = 16}};
	static const Dwarf_Op deref[] = {{.atom = DW_OP_const2u, .number = 0x3000}, {.atom = DW_OP_deref}};
	static const Dwarf_Op piece[] = {{.atom = DW_OP_reg3}, {.atom = DW_OP_piece, .number = 8}};
	static const Dwarf_Op entry[] = {{.atom = DW_OP_entry_value}, {.atom = DW_OP_stack_value}};
	static const Dwarf_Op fbreg[] = {{.atom = DW_OP_fbreg, .number = 0}};
	static const Dwarf_Op empty[] = {{.atom = DW_OP_drop}};
	static const Dwarf_Op plus[] = {{.atom = DW_OP_lit1}, {.atom = DW_OP_plus}};
	static const Dwarf_Op reg[] = {{.atom = DW_OP_reg6}};
	static const Dwarf_Op high[] = {{.atom = DW_OP_regx, .number = 40}};
	uint64_t v;

	(void)state;
	expect_nothing(breg, N(breg));
	expect_nothing(deref, N(deref));
	expect_nothing(piece, N(piece));
	expect_nothing(entry, N(entry));
	expect_nothing(fbreg, N(fbreg));
	expect_nothing(empty, N(empty));
	expect_nothing(plus, N(plus));
	expect_nothing(reg, 0);
	assert_int_equal(expr_fetch(&env, reg, N(reg), &v), -ENODATA);
	assert_int_equal(expr_fetch(&env, high, N(high), &v), -ENODATA);
}

static void fetch(void **state)
{
	static const Dwarf_Op reg[] = {{.atom = DW_OP_reg3}};
	static const Dwarf_Op at[] = {{.atom = DW_OP_breg3, .number = 0x1000}};
	static const Dwarf_Op off[] = {{.atom = DW_OP_breg3, .number = 0x1004}};
	static const Dwarf_Op small[] = {{.atom = DW_OP_breg3, .number = 0x1000},
					 {.atom = DW_OP_deref_size, .number = 2},
					 {.atom = DW_OP_stack_value}};
	uint64_t v;

	(void)state;
	assert_int_equal(expr_fetch(&env, reg, N(reg), &v), 0);
	assert_true(v == 0x1000);
	assert_int_equal(expr_fetch(&env, at, N(at), &v), 0);
	assert_true(v == 0x1122334455667788);
	assert_int_equal(expr_fetch(&env, off, N(off), &v), -ENODATA);
	assert_int_equal(expr_fetch(&env, small, N(small), &v), 0);
	assert_true(v == 0x7788);
}

static void arithmetic(void **state)
{
	static const struct {
		uint8_t op;
		int64_t a, b;
		uint64_t want;
	} rows[] = {
		{DW_OP_plus, 5, -7, (uint64_t)-2},
		{DW_OP_minus, 5, 7, (uint64_t)-2},
		{DW_OP_mul, -3, 4, (uint64_t)-12},
		{DW_OP_div, -7, 2, (uint64_t)-3},
		{DW_OP_mod, 7, 4, 3},
		{DW_OP_and, 12, 10, 8},
		{DW_OP_or, 12, 10, 14},
		{DW_OP_xor, 12, 10, 6},
		{DW_OP_shl, 3, 4, 48},
		{DW_OP_shl, 3, 64, 0},
		{DW_OP_shr, -1, 63, 1},
		{DW_OP_shra, -8, 1, (uint64_t)-4},
		{DW_OP_lt, -1, 1, 1},
		{DW_OP_ge, -1, 1, 0},
		{DW_OP_le, 4, 4, 1},
		{DW_OP_gt, 5, 4, 1},
		{DW_OP_eq, 4, 4, 1},
		{DW_OP_ne, 4, 4, 0},
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		Dwarf_Op ops[] = {{.atom = DW_OP_consts, .number = (Dwarf_Word)rows[i].a},
				  {.atom = DW_OP_consts, .number = (Dwarf_Word)rows[i].b},
				  {.atom = rows[i].op}};

		expect(ops, N(ops), rows[i].want, EXPR_ADDRESS);
	}
	for (unsigned i = 0; i < 2; i++) {
		Dwarf_Op ops[] = {
			{.atom = DW_OP_lit4}, {.atom = DW_OP_lit0}, {.atom = i ? DW_OP_div : DW_OP_mod}};

		expect_nothing(ops, N(ops));
	}
}

static void stack_order(void **state)
{
	static const Dwarf_Op rot[] = {{.atom = DW_OP_lit1},  {.atom = DW_OP_lit2},
				       {.atom = DW_OP_lit3},  {.atom = DW_OP_rot}, /* 3 1 2 */
				       {.atom = DW_OP_minus}, {.atom = DW_OP_minus}};
	static const Dwarf_Op swap[] = {
		{.atom = DW_OP_lit1}, {.atom = DW_OP_lit9}, {.atom = DW_OP_swap}, {.atom = DW_OP_minus}};
	static const Dwarf_Op pick[] = {{.atom = DW_OP_lit7},
					{.atom = DW_OP_lit8},
					{.atom = DW_OP_lit9},
					{.atom = DW_OP_pick, .number = 2}};
	static const Dwarf_Op over[] = {{.atom = DW_OP_lit7}, {.atom = DW_OP_lit8}, {.atom = DW_OP_over}};

	(void)state;
	expect(rot, N(rot), 4, EXPR_ADDRESS);
	expect(swap, N(swap), 8, EXPR_ADDRESS);
	expect(pick, N(pick), 7, EXPR_ADDRESS);
	expect(over, N(over), 7, EXPR_ADDRESS);
}

/* The rule that the linker writes for .plt of x86-64: CFA = rsp + 8 + ((rip & 15) >= 11 ? 8 : 0). */
static void plt(void **state)
{
	static const Dwarf_Op ops[] = {
		{.atom = DW_OP_bregx, .number = ABI_REG_SP, .number2 = 8},
		{.atom = DW_OP_bregx, .number = ABI_REG_IP, .number2 = 0},
		{.atom = DW_OP_lit15},
		{.atom = DW_OP_and},
		{.atom = DW_OP_lit11},
		{.atom = DW_OP_ge},
		{.atom = DW_OP_lit3},
		{.atom = DW_OP_shl},
		{.atom = DW_OP_plus},
	};

	(void)state;
	expect(ops, N(ops), 0x7010, EXPR_ADDRESS);
}

static void jumps(void **state)
{
	/* 0: lit3; 1: lit1; 2: minus; 3: dup; 4: bra -6 to 1; 7: lit5; 8: skip +1 to 12; 11: drop; 12: nop */
	static const Dwarf_Op ops[] = {
		{.atom = DW_OP_lit3, .offset = 0},
		{.atom = DW_OP_lit1, .offset = 1},
		{.atom = DW_OP_minus, .offset = 2},
		{.atom = DW_OP_dup, .offset = 3},
		{.atom = DW_OP_bra, .number = (Dwarf_Word)-6, .offset = 4},
		{.atom = DW_OP_lit5, .offset = 7},
		{.atom = DW_OP_skip, .number = 1, .offset = 8},
		{.atom = DW_OP_drop, .offset = 11},
		{.atom = DW_OP_nop, .offset = 12},
	};
	static const Dwarf_Op forever[] = {{.atom = DW_OP_lit1},
					   {.atom = DW_OP_skip, .number = (Dwarf_Word)-4, .offset = 1}};
	static const Dwarf_Op nowhere[] = {{.atom = DW_OP_lit1},
					   {.atom = DW_OP_skip, .number = 77, .offset = 1}};

	(void)state;
	expect(ops, N(ops), 5, EXPR_ADDRESS);
	expect_nothing(forever, N(forever));
	expect_nothing(nowhere, N(nowhere));
}

static void frame_base(void **state)
{
	static const Dwarf_Op base_cfa[] = {{.atom = DW_OP_call_frame_cfa}};
	static const Dwarf_Op base_reg[] = {{.atom = DW_OP_reg3}};
	static const Dwarf_Op base_lost[] = {{.atom = DW_OP_reg6}};
	static const Dwarf_Op ops[] = {{.atom = DW_OP_fbreg, .number = (Dwarf_Word)-16}};
	struct expr_env e = env;
	enum expr_kind kind;
	uint64_t v;

	(void)state;
	e.frame_base = base_cfa;
	e.n_frame_base = 1;
	assert_int_equal(expr_eval(&e, ops, 1, &v, &kind), 0);
	assert_true(v == 0x7000);
	e.frame_base = base_reg;
	assert_int_equal(expr_eval(&e, ops, 1, &v, &kind), 0);
	assert_true(v == 0xff0);
	e.frame_base = base_lost;
	assert_int_equal(expr_eval(&e, ops, 1, &v, &kind), -ENODATA);
	e.frame_base = ops; /* counts from itself */
	assert_int_equal(expr_eval(&e, ops, 1, &v, &kind), -ENODATA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(locations),
		cmocka_unit_test(nothing_to_work_on),
		cmocka_unit_test(what_is_not_known),
		cmocka_unit_test(fetch),
		cmocka_unit_test(arithmetic),
		cmocka_unit_test(stack_order),
		cmocka_unit_test(plt),
		cmocka_unit_test(jumps),
		cmocka_unit_test(frame_base),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
