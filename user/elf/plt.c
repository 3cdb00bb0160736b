// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which function a PLT stub calls: the GOT word its jump reads, and the relocation that fills that word.
 * x86_64 and aarch64. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "elf/elf_priv.h"
#include "util/grow.h"

static int by_vaddr(const void *a, const void *b)
{
	const struct elf_slot *x = a, *y = b;

	return x->vaddr < y->vaddr ? -1 : x->vaddr > y->vaddr;
}

static bool fills_word(uint16_t machine, uint64_t type)
{
	if (machine == EM_AARCH64)
		return type == R_AARCH64_JUMP_SLOT || type == R_AARCH64_GLOB_DAT;
	return type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT;
}

static int add_relocations(struct elf_file *f, Elf_Scn *scn, const GElf_Shdr *sh)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	Elf_Scn *sym_scn = elf_getscn(f->elf, sh->sh_link);
	size_t n = sh->sh_entsize ? sh->sh_size / sh->sh_entsize : 0;
	Elf_Data *syms = sym_scn ? elf_getdata(sym_scn, NULL) : NULL;
	struct elf_slot *v;
	GElf_Shdr sym_sh;

	if (!data || !syms || !gelf_getshdr(sym_scn, &sym_sh) || sym_sh.sh_type != SHT_DYNSYM)
		return 0;
	for (size_t i = 0; i < n; i++) {
		GElf_Rela r;
		GElf_Sym s;

		if (!gelf_getrela(data, (int)i, &r))
			break;
		if (!fills_word(f->machine, GELF_R_TYPE(r.r_info)))
			continue;
		if (!gelf_getsym(syms, (int)GELF_R_SYM(r.r_info), &s))
			continue;
		if (GROW(&f->slot, f->n_slot))
			return -ENOMEM;
		v = f->slot;
		v[f->n_slot] = (struct elf_slot){.vaddr = r.r_offset,
						 .symbol = elf_strptr(f->elf, sym_sh.sh_link, s.st_name)};
		f->n_slot += v[f->n_slot].symbol != NULL;
	}
	return 0;
}

int elf_read_slots(struct elf_file *f)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;
	int rc = 0;

	if (f->machine != EM_X86_64 && f->machine != EM_AARCH64)
		return 0;
	while (!rc && (scn = elf_nextscn(f->elf, scn)))
		if (gelf_getshdr(scn, &sh) && sh.sh_type == SHT_RELA)
			rc = add_relocations(f, scn, &sh);
	if (f->n_slot)
		qsort(f->slot, f->n_slot, sizeof(*f->slot), by_vaddr);
	return rc;
}

/* Address of the word that the stub at vaddr reads: "adrp x16, PAGE", "ldr x17, [x16, #OFFSET]", behind
 * "bti c" perhaps. 0: it is no stub. */
static uint64_t word_of_aarch64(const struct elf_file *f, uint64_t vaddr)
{
	const uint8_t *p = elf_bytes(f, vaddr, 12);
	uint32_t insn[3];
	uint64_t pages;

	if (!p)
		return 0;
	memcpy(insn, p, sizeof(insn));
	if (insn[0] == 0xd503245f) { /* bti c */
		memmove(insn, insn + 1, 8);
		vaddr += 4;
	}
	if ((insn[0] & 0x9f00001f) != 0x90000010 || (insn[1] & 0xffc003ff) != 0xf9400211)
		return 0;
	pages = (uint64_t)(insn[0] >> 5 & 0x7ffff) << 2 | (insn[0] >> 29 & 3);
	return (vaddr & ~0xfffULL) + (uint64_t)((int64_t)(pages << 43) >> 31) +
	       8ULL * (insn[1] >> 10 & 0xfff);
}

static uint64_t word_of_x86_64(const struct elf_file *f, uint64_t vaddr)
{
	static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
	const uint8_t *p = elf_bytes(f, vaddr, 11);
	int32_t disp;

	if (!p)
		return 0;
	if (!memcmp(p, endbr64, sizeof(endbr64))) {
		p += sizeof(endbr64);
		vaddr += sizeof(endbr64);
	}
	if (*p == 0xf2) { /* bnd */
		p++;
		vaddr++;
	}
	if (p[0] != 0xff || p[1] != 0x25) /* jmp *disp(%rip) */
		return 0;
	memcpy(&disp, p + 2, sizeof(disp));
	return vaddr + 6 + (uint64_t)(int64_t)disp;
}

const char *elf_plt_symbol(const struct elf_file *f, uint64_t vaddr)
{
	struct elf_slot key, *hit;

	key.vaddr = f->machine == EM_AARCH64 ? word_of_aarch64(f, vaddr) : word_of_x86_64(f, vaddr);
	hit = key.vaddr && f->n_slot ? bsearch(&key, f->slot, f->n_slot, sizeof(*f->slot), by_vaddr) : NULL;
	return hit ? hit->symbol : NULL;
}
