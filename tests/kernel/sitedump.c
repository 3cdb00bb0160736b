// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sitedump FILE: "VADDR SIZE OFFSET PUSHED stepped|emulated looped|once" for every function of its symbol
 * table. */
#include <elf.h>
#include <stdio.h>

#include "elf/elf_file.h"
#include "plan/site.h"

static int one(void *ctx, const struct elf_sym *sym)
{
	const struct elf_file *f = ctx;
	const uint8_t *code;
	struct site s;

	if (!sym->defined || sym->type != STT_FUNC || !sym->size)
		return 0;
	code = elf_bytes(f, sym->vaddr, sym->size);
	if (!code || site_choose(code, sym->size, &s))
		return 0;
	printf("%llx %llu %u %u %s %s\n", (unsigned long long)sym->vaddr, (unsigned long long)sym->size,
	       s.offset, s.pushed, s.stepped ? "stepped" : "emulated", s.looped ? "looped" : "once");
	return 0;
}

int main(int argc, char **argv)
{
	struct elf_file *f;
	struct err err;

	if (argc != 2 || elf_file_open(&f, argv[1], &err)) {
		fprintf(stderr, "usage: sitedump FILE%s%s\n", argc == 2 ? ": " : "",
			argc == 2 ? err.msg : "");
		return 2;
	}
	elf_for_each_symbol(f, one, f);
	elf_file_close(f);
	return 0;
}
