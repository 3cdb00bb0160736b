// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* An ELF file: segments, symbols, PLT, build-id, and where its debuginfo is. */
#include "elf/elf_file.h"
#include "elf/rtti.h"
#include "fuzz.h"

static const struct elf_file *file;
static size_t sum;

static int symbol(void *ctx, const struct elf_sym *s)
{
	const uint8_t *code = elf_bytes(file, s->vaddr, s->size);
	const char *plt = elf_plt_symbol(file, s->vaddr);
	uint64_t off;

	(void)ctx;
	sum += strlen(s->name) + (plt ? strlen(plt) : 0) + elf_vaddr_is_code(file, s->vaddr);
	if (code)
		sum += code[0] + code[s->size - 1];
	if (elf_vaddr_to_offset(file, s->vaddr, &off))
		sum += elf_offset_to_vaddr(file, off, &off) + elf_bytes_left(file, s->vaddr);
	return 0;
}

static int function(void *ctx, const struct rtti_function *fun)
{
	(void)ctx;
	sum += fun->vaddr + fun->size + strlen(fun->cls);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct elf_file *f;
	struct elf_debug debug;
	struct elf_sym s;
	const uint8_t *id;
	char path[32];
	int fd = file_of(data, size, path);

	if (!elf_file_open(&f, path, NULL)) {
		file = f;
		elf_for_each_symbol(f, symbol, NULL);
		elf_for_each_dynsym(f, symbol, NULL);
		elf_symbol(f, "main", &s);
		sum += elf_file_build_id(f, &id) + elf_file_base(f);
		rtti_functions(f, "N2fx4BaseE", 2, function, NULL);
		elf_find_debug(f, NULL, &debug);
		elf_find_debug(f, path, &debug);
		elf_file_close(f);
	}
	close(fd);
	return 0;
}
