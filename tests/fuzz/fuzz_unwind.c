// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Frame information of an ELF file, and expressions of the debuginfo, over registers and a stack that say
 * anything. */
#include <gelf.h>

#include "fuzz.h"
#include "unwind/unwind.h"

#define STEPS 16

static bool word(void *ctx, uint64_t addr, uint64_t *v)
{
	struct input in = *(struct input *)ctx;

	if (addr & 0x8000)
		return false;
	in.p += in.left ? addr % in.left : 0;
	in.left -= in.left ? addr % in.left : 0;
	*v = take_u64(&in);
	return true;
}

static void expression(struct input *in, const struct expr_env *env)
{
	Dwarf_Op ops[32];
	size_t n = take_u8(in) % (sizeof(ops) / sizeof(ops[0]));
	enum expr_kind kind;
	uint64_t v;

	for (size_t i = 0; i < n; i++) {
		uint8_t gap;

		ops[i] = (Dwarf_Op){.atom = take_u8(in)};
		ops[i].number = take_u8(in);
		if (ops[i].number & 1)
			ops[i].number = take_u64(in);
		ops[i].number2 = take_u8(in);
		gap = take_u8(in) % 4;
		ops[i].offset = i ? ops[i - 1].offset + 1 + gap : 0;
	}
	expr_eval(env, ops, n, &v, &kind);
	expr_fetch(env, ops, n, &v);
}

static void steps(struct input *in, Dwarf_CFI *cfi, const struct unwind_mem *mem)
{
	struct unwind_frame f = {.exact = true}, caller;

	f.regs.known = take_u64(in) & IMAGE_REGS_ALL;
	f.regs.known |= IMAGE_REGS_SP_IP;
	for (unsigned i = 0; i < ABI_REGS; i++)
		f.regs.reg[i] = take_u8(in) | 0x1000;
	f.regs.reg[ABI_REG_IP] = take_u64(in) & 0xffffff;
	for (unsigned i = 0; i < STEPS && unwind_step(&f, cfi, 0, mem, &caller) == UNWIND_CALLER; i++)
		f = caller;
}

/* 64 bytes for the steps, 128 for an expression; the rest is the ELF file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {.p = data, .left = size < 64 ? size : 64}, op = {0}, stack = {data, size};
	struct unwind_mem mem = {.read = word, .ctx = &stack};
	struct image_regs regs = {.known = 0xffff};
	struct expr_env env = {.regs = &regs, .mem = &mem, .has_cfa = true, .cfa = 0x100};
	Dwarf_CFI *cfi;
	char *copy;
	Elf *elf;

	if (size < 192)
		return 0;
	op.p = data + 64;
	op.left = 128;
	expression(&op, &env);
	copy = text_of(data + 192, size - 192); /* libelf may write into an image */
	elf_version(EV_CURRENT);
	elf = elf_memory(copy, size - 192);
	cfi = elf && elf_kind(elf) == ELF_K_ELF ? dwarf_getcfi_elf(elf) : NULL;
	steps(&in, cfi, &mem);
	if (cfi)
		dwarf_cfi_end(cfi);
	elf_end(elf);
	free(copy);
	return 0;
}
