// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "elf/elf_priv.h"
#include "elf/words.h"
#include "util/grow.h"

#ifndef SHT_RELR
#define SHT_RELR 19
#endif

/* Relocations that write the address of something: psABI of each machine. */
enum writes { NOTHING, SYMBOL, RELATIVE };

static enum writes kind_of(uint16_t machine, uint64_t type)
{
	if (machine == EM_X86_64)
		return type == R_X86_64_64 || type == R_X86_64_GLOB_DAT ? SYMBOL
		       : type == R_X86_64_RELATIVE			? RELATIVE
									: NOTHING;
	if (machine == EM_AARCH64)
		return type == R_AARCH64_ABS64 || type == R_AARCH64_GLOB_DAT ? SYMBOL
		       : type == R_AARCH64_RELATIVE			     ? RELATIVE
									     : NOTHING;
	return NOTHING;
}

/* The symbol table that a section of relocations goes by, if it is the loader's. */
static Elf_Data *symbols_of(const struct elf_file *f, const GElf_Shdr *sh, size_t *strings)
{
	Elf_Scn *scn = elf_getscn(f->elf, sh->sh_link);
	GElf_Shdr sym;

	if (!scn || !gelf_getshdr(scn, &sym) || sym.sh_type != SHT_DYNSYM)
		return NULL;
	*strings = sym.sh_link;
	return elf_getdata(scn, NULL);
}

static int add(struct elf_words *w, const GElf_Rela *r, Elf_Data *syms, size_t strings)
{
	const struct elf_file *f = w->file;
	enum writes kind = kind_of(f->machine, GELF_R_TYPE(r->r_info));
	struct elf_word word = {.at = r->r_offset, .target = (uint64_t)r->r_addend};
	GElf_Sym s;

	if (kind == NOTHING)
		return 0;
	if (kind == SYMBOL) {
		if (!syms || !gelf_getsym(syms, (int)GELF_R_SYM(r->r_info), &s))
			return 0;
		if (s.st_shndx != SHN_UNDEF)
			word.target += s.st_value;
		else
			word.symbol = elf_strptr(f->elf, strings, s.st_name);
		if (s.st_shndx == SHN_UNDEF && !word.symbol)
			return 0;
	}
	if (GROW(&w->v, w->n))
		return -ENOMEM;
	w->v[w->n++] = word;
	return 0;
}

static int add_section(struct elf_words *w, Elf_Scn *scn, const GElf_Shdr *sh)
{
	Elf_Data *data = elf_getdata(scn, NULL), *syms;
	size_t strings = 0, n = sh->sh_entsize ? sh->sh_size / sh->sh_entsize : 0;
	int rc = 0;

	if (!data)
		return 0;
	syms = symbols_of(w->file, sh, &strings);
	for (size_t i = 0; i < n && !rc; i++) {
		GElf_Rela r;

		if (!gelf_getrela(data, (int)i, &r))
			break;
		rc = add(w, &r, syms, strings);
	}
	return rc;
}

static int by_place(const void *a, const void *b)
{
	const struct elf_word *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

int elf_words_read(struct elf_words *ret, const struct elf_file *f)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;
	int rc = 0;

	*ret = (struct elf_words){.file = f, .plain = f->type != ET_DYN};
	while (!rc && (scn = elf_nextscn(f->elf, scn))) {
		if (!gelf_getshdr(scn, &sh) || !(sh.sh_flags & SHF_ALLOC))
			continue;
		if (sh.sh_type == SHT_RELA)
			rc = add_section(ret, scn, &sh);
		else if (sh.sh_type == SHT_RELR)
			ret->plain = true;
	}
	if (rc) {
		elf_words_deinit(ret);
		return rc;
	}
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_place);
	return 0;
}

void elf_words_deinit(struct elf_words *w)
{
	free(w->v);
	*w = (struct elf_words){0};
}

static bool in_file(const struct elf_file *f, uint64_t vaddr)
{
	for (size_t i = 0; i < f->n_seg; i++)
		if (vaddr >= f->seg[i].p_vaddr && vaddr - f->seg[i].p_vaddr < f->seg[i].p_memsz)
			return true;
	return false;
}

static bool plain_at(const struct elf_words *w, uint64_t at, struct elf_word *ret)
{
	const uint8_t *p = w->plain ? elf_bytes(w->file, at, 8) : NULL;

	*ret = (struct elf_word){.at = at};
	if (!p)
		return false;
	memcpy(&ret->target, p, sizeof(ret->target));
	return ret->target && in_file(w->file, ret->target);
}

bool elf_words_at(const struct elf_words *w, uint64_t at, struct elf_word *ret)
{
	const struct elf_word key = {.at = at};
	const struct elf_word *hit = w->n ? bsearch(&key, w->v, w->n, sizeof(*w->v), by_place) : NULL;

	if (!hit)
		return plain_at(w, at, ret);
	*ret = *hit;
	return true;
}

/* Words of segments without code; those that have relocations were told already. */
static int each_plain(const struct elf_words *w, const GElf_Phdr *seg,
		      int (*fn)(void *ctx, const struct elf_word *word), void *ctx)
{
	size_t left = elf_bytes_left(w->file, seg->p_vaddr);
	struct elf_word word;
	int rc = 0;

	/* by distance: a damaged file's addresses may wrap */
	for (size_t off = -seg->p_vaddr & 7; !rc && left >= 8 && off <= left - 8; off += 8) {
		uint64_t at = seg->p_vaddr + off;
		const struct elf_word key = {.at = at};

		if (plain_at(w, at, &word) && !(w->n && bsearch(&key, w->v, w->n, sizeof(*w->v), by_place)))
			rc = fn(ctx, &word);
	}
	return rc;
}

int elf_words_each(const struct elf_words *w, int (*fn)(void *ctx, const struct elf_word *word), void *ctx)
{
	int rc = 0;

	for (size_t i = 0; i < w->n && !rc; i++)
		rc = fn(ctx, &w->v[i]);
	for (size_t i = 0; w->plain && i < w->file->n_seg && !rc; i++)
		if (!(w->file->seg[i].p_flags & PF_X))
			rc = each_plain(w, &w->file->seg[i], fn, ctx);
	return rc;
}
