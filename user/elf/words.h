/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Words of an ELF file that hold addresses: what the loader writes into them, by the relocations. */
#ifndef CULPRIT_ELF_WORDS_H
#define CULPRIT_ELF_WORDS_H

#include "elf/elf_file.h"

struct elf_word {
	uint64_t at;	    /* vaddr of the word */
	uint64_t target;    /* vaddr in this file; of another file's symbol: what is added to it */
	const char *symbol; /* of another file, owned by the elf_file; NULL: this one's */
};

struct elf_words {
	const struct elf_file *file;
	struct elf_word *v; /* by `at` */
	size_t n;
	bool plain; /* addresses may stand in the file without a relocation of their own (not position
		       independent, or packed) */
};

/* x86_64 and aarch64; of others there are none. -ENOMEM. */
int elf_words_read(struct elf_words *ret, const struct elf_file *f);
void elf_words_deinit(struct elf_words *w);
/* What the word at `at` holds. false: no address, as far as the file tells. */
bool elf_words_at(const struct elf_words *w, uint64_t at, struct elf_word *ret);
/* fn for all words that hold an address. Non-zero stops; that value is returned. */
int elf_words_each(const struct elf_words *w, int (*fn)(void *ctx, const struct elf_word *word), void *ctx);

#endif
