// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which instruction stored: encodings are by hand, from the Intel SDM's opcode tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "writes/storing.h"

#define BASE 0x555500001000ull
#define WORD 0x7f0000001040ull

enum { RAX, RDX, RCX, RBX, RSI, RDI, RBP, RSP, R8, R9, R10, R11, R12, R13, R14, R15, RIP };

struct row {
	const char *name;
	uint8_t code[24];
	size_t len, ip; /* where the trap is */
	size_t reg;
	uint64_t value; /* of reg; the others are 0x1111 * number */
	enum storing verdict;
	size_t at; /* of the instruction named */
	size_t width;
	const char *text;
};

static const struct row rows[] = {
	{"mov [rdi+0x28], rax",
	 {0x90, 0x48, 0x89, 0x47, 0x28, 0xc3},
	 6,
	 5,
	 RDI,
	 WORD - 0x28,
	 STORING_HIT,
	 1,
	 8,
	 "mov qword ptr [rdi + 0x28], rax"},
	{"the same, another object",
	 {0x90, 0x48, 0x89, 0x47, 0x28, 0xc3},
	 6,
	 5,
	 RDI,
	 WORD,
	 STORING_NOT,
	 1,
	 8,
	 NULL},
	{"mov byte [rbx+7], 5: last byte",
	 {0xc6, 0x43, 0x07, 0x05},
	 4,
	 4,
	 RBX,
	 WORD,
	 STORING_HIT,
	 0,
	 1,
	 NULL},
	{"mov dword [rdx+r8*4-4], eax",
	 {0x42, 0x89, 0x44, 0x82, 0xfc},
	 5,
	 5,
	 RDX,
	 WORD + 4 - 4 * 0x8888,
	 STORING_HIT,
	 0,
	 4,
	 NULL},
	{"mov rax, [rdi]: a load", {0x48, 0x8b, 0x07}, 3, 3, RDI, WORD, STORING_NOT, 0, 0, NULL},
	{"cmp [rdi], rax: only reads", {0x48, 0x39, 0x07}, 3, 3, RDI, WORD, STORING_NOT, 0, 0, NULL},
	{"add [rdi], eax", {0x01, 0x07}, 2, 2, RDI, WORD, STORING_HIT, 0, 4, NULL},
	{"lock inc dword [rdi]", {0xf0, 0xff, 0x07}, 3, 3, RDI, WORD, STORING_HIT, 0, 4, NULL},
	{"xchg [rdi], rax", {0x48, 0x87, 0x07}, 3, 3, RDI, WORD, STORING_HIT, 0, 8, NULL},
	{"xchg [rax], rax: the base has gone",
	 {0x48, 0x87, 0x00},
	 3,
	 3,
	 RAX,
	 WORD,
	 STORING_UNKNOWN,
	 0,
	 8,
	 NULL},
	{"lock cmpxchg [rdi], rcx", {0xf0, 0x48, 0x0f, 0xb1, 0x0f}, 5, 5, RDI, WORD, STORING_HIT, 0, 8, NULL},
	{"push rax", {0x50}, 1, 1, RSP, WORD, STORING_HIT, 0, 8, NULL},
	{"stosq", {0x48, 0xab}, 2, 2, RDI, WORD + 8, STORING_HIT, 0, 8, NULL},
	{"stosb, far away", {0xaa}, 1, 1, RDI, WORD + 800, STORING_NOT, 0, 1, NULL},
	{"rep movsb, between two rounds",
	 {0x90, 0xf3, 0xa4, 0xc3},
	 4,
	 1,
	 RDI,
	 WORD + 3,
	 STORING_HIT,
	 1,
	 1,
	 NULL},
	{"rep stosq, done", {0xf3, 0x48, 0xab, 0xc3}, 4, 3, RDI, WORD + 16, STORING_HIT, 0, 8, NULL},
	{"rep movsb, far away", {0xf3, 0xa4, 0xc3}, 3, 2, RDI, WORD + 800, STORING_UNKNOWN, 0, 1, NULL},
	{"movups [rdi], xmm0", {0x0f, 0x11, 0x07}, 3, 3, RDI, WORD - 12, STORING_HIT, 0, 16, NULL},
	{"vmovdqu [rdi], ymm0", {0xc5, 0xfe, 0x7f, 0x07}, 4, 4, RDI, WORD - 31, STORING_HIT, 0, 32, NULL},
	{"mov [rip+0x10], eax", {0x89, 0x05, 0x10, 0, 0, 0}, 6, 6, RAX, 0, STORING_NOT, 0, 4, NULL},
	{"mov fs:[rdi], eax", {0x64, 0x89, 0x07}, 3, 3, RDI, WORD, STORING_UNKNOWN, 0, 4, NULL},
	{"bts [rdi], rax: far bits", {0x48, 0x0f, 0xab, 0x07}, 4, 4, RDI, WORD, STORING_UNKNOWN, 0, 0, NULL},
	{"ret", {0xc3}, 1, 1, RDI, WORD, STORING_NOT, 0, 0, NULL},
};

static enum storing find(const struct row *r, struct store_insn *ret)
{
	struct storing_code code = {.start = BASE, .bias = BASE - 0x1000, .bytes = r->code, .len = r->len};
	__u64 reg[ABI_REGS];

	for (unsigned i = 0; i < ABI_REGS; i++)
		reg[i] = 0x1111ull * i;
	reg[r->reg] = r->value;
	return storing_find(&code, BASE + r->ip, reg, WORD, 8, ret);
}

static void each_instruction(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		struct store_insn s;
		enum storing got = find(r, &s);

		if (got != r->verdict || !s.decoded || s.addr != BASE + r->at || s.offset != 0x1000 + r->at ||
		    s.width != r->width || s.verified != (got == STORING_HIT) || !!s.why[0] == s.verified ||
		    (r->text && strcmp(s.text, r->text) != 0))
			fail_msg("%s: verdict %d, at +%llu, width %u, '%s' (%s)", r->name, got,
				 (unsigned long long)(s.addr - BASE), s.width, s.text, s.why);
	}
}

/* mov [rip+d], eax reaches the word only if d says so. */
static void relative_to_ip(void **state)
{
	uint8_t bytes[6] = {0x89, 0x05, 0x3a, 0, 0, 0};
	struct storing_code code = {.start = BASE, .bias = 0, .bytes = bytes, .len = sizeof(bytes)};
	const __u64 reg[ABI_REGS] = {0};
	struct store_insn s;

	(void)state;
	assert_int_equal(storing_find(&code, BASE + 6, reg, BASE + 0x40, 8, &s), STORING_HIT);
	assert_int_equal(storing_find(&code, BASE + 6, reg, BASE + 0x44, 8, &s), STORING_NOT);
}

/* What cannot be decoded up to the trap is never named. */
static void undecodable(void **state)
{
	static const uint8_t bad[] = {0x06, 0x48, 0x89, 0x07}, split[] = {0x48, 0x89, 0x47, 0x28};
	struct storing_code code = {.start = BASE, .bytes = bad, .len = sizeof(bad)};
	__u64 reg[ABI_REGS] = {0};
	struct store_insn s;

	(void)state;
	reg[RDI] = WORD;
	assert_int_equal(storing_find(&code, BASE + 4, reg, WORD, 8, &s), STORING_UNKNOWN);
	assert_false(s.decoded || s.verified);
	assert_true(s.why[0]);
	code = (struct storing_code){.start = BASE, .bytes = split, .len = sizeof(split)};
	assert_int_equal(storing_find(&code, BASE + 3, reg, WORD, 8, &s),
			 STORING_UNKNOWN); /* in the middle of it */
	assert_false(s.decoded);
	assert_int_equal(storing_find(&code, BASE, reg, WORD, 8, &s),
			 STORING_UNKNOWN); /* nothing before it */
	assert_int_equal(storing_find(&code, BASE + 5, reg, WORD, 8, &s),
			 STORING_UNKNOWN); /* beyond what was read */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_instruction),
		cmocka_unit_test(relative_to_ip),
		cmocka_unit_test(undecodable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
