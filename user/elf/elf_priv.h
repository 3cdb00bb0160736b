/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Inside of struct elf_file, for the files of user/elf only. */
#ifndef CULPRIT_ELF_PRIV_H
#define CULPRIT_ELF_PRIV_H

#include <gelf.h>

#include "elf/elf_file.h"

struct elf_syms {
	struct elf_sym *sym;
	size_t n;
};

/* A word of the GOT that the loader fills with a symbol's address. */
struct elf_slot {
	uint64_t vaddr;
	const char *symbol;
};

struct elf_file {
	int fd;
	Elf *elf;
	char *path; /* as opened */
	char *name; /* as the target process sees it */
	char *root; /* "/proc/PID/root", or "" */
	uint16_t type, machine;
	const uint8_t *raw; /* the whole file */
	size_t raw_size;
	GElf_Phdr *seg; /* PT_LOAD only */
	size_t n_seg;
	uint8_t build_id[ELF_BUILD_ID_MAX];
	size_t build_id_len;
	char build_id_hex[2 * ELF_BUILD_ID_MAX + 1];
	struct elf_syms symtab, dynsym;
	Elf *mini;	       /* what .gnu_debugdata holds */
	uint8_t *mini_image;   /* its bytes */
	struct elf_slot *slot; /* by vaddr */
	size_t n_slot;
	bool has_debug_info;
	Elf_Data *debuglink;
};

/* Appends the section's named symbols; to->sym must be NULL. */
int elf_add_symbols(struct elf_syms *to, Elf *elf, Elf_Scn *scn, const GElf_Shdr *sh);
void elf_free_symbols(struct elf_syms *s);

/* minidebug.c: symtab from .gnu_debugdata and dynsym. What is damaged there is passed over. -ENOMEM. */
int elf_read_minidebug(struct elf_file *f, Elf_Scn *scn);

/* plt.c: reads the GOT's relocations. Symbols must have been read. */
int elf_read_slots(struct elf_file *f);

#endif
