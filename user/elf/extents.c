// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* .eh_frame: Linux Standard Base, Core 5.0, 10.6.1; encodings of pointers in it: 10.5.1. */
#include "elf/extents.h"

#include <elfutils/libdw.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "elf/elf_priv.h"
#include "util/grow.h"

#define ENC_ABSPTR 0x00
#define ENC_UDATA4 0x03
#define ENC_SDATA4 0x0b
#define ENC_SDATA8 0x0c
#define ENC_PCREL  0x10

static size_t width(uint8_t encoding)
{
	switch (encoding & 0x0f) {
	case ENC_UDATA4:
	case ENC_SDATA4:
		return 4;
	case ENC_ABSPTR:
	case ENC_SDATA8:
		return 8;
	default:
		return 0;
	}
}

/* How the entries of this kind tell addresses. 0xff: not known. */
static uint8_t encoding_of(const Dwarf_CIE *cie)
{
	const uint8_t *p = cie->augmentation_data, *end = p + cie->augmentation_data_size;

	if (!cie->augmentation || !*cie->augmentation)
		return ENC_ABSPTR;
	if (*cie->augmentation != 'z')
		return 0xff;
	for (const char *a = cie->augmentation + 1; *a && p && p < end; a++) {
		switch (*a) {
		case 'R':
			return *p;
		case 'L':
			p++;
			break;
		case 'P':
			if (!width(*p))
				return 0xff;
			p += 1 + width(*p);
			break;
		case 'S':
		case 'B':
			break;
		default:
			return 0xff;
		}
	}
	return strchr(cie->augmentation, 'R') ? 0xff : ENC_ABSPTR;
}

static uint64_t value(const uint8_t *p, uint8_t encoding)
{
	int32_t narrow;
	uint64_t wide;

	if (width(encoding) == 8) {
		memcpy(&wide, p, sizeof(wide));
		return wide;
	}
	memcpy(&narrow, p, sizeof(narrow));
	return (encoding & 0x0f) == ENC_UDATA4 ? (uint32_t)narrow : (uint64_t)(int64_t)narrow;
}

struct reading {
	struct elf_extents *to;
	const unsigned char *ident;
	Elf_Data *data;
	uint64_t vaddr; /* of the section */
	/* of the CIE read last: entries of one kind stand together */
	Dwarf_Off cie;
	uint8_t encoding;
};

static int add(struct reading *r, const Dwarf_FDE *fde)
{
	const uint8_t *from = r->data->d_buf;
	struct elf_extent e;
	Dwarf_CFI_Entry cie;
	Dwarf_Off next;
	size_t w;

	if (fde->CIE_pointer != r->cie) {
		if (dwarf_next_cfi(r->ident, r->data, true, fde->CIE_pointer, &next, &cie) ||
		    !dwarf_cfi_cie_p(&cie))
			return 0;
		r->cie = fde->CIE_pointer;
		r->encoding = encoding_of(&cie.cie);
	}
	w = width(r->encoding);
	if (!w || (r->encoding & 0xf0 & ~ENC_PCREL) || (size_t)(fde->end - fde->start) < 2 * w)
		return 0;
	e.vaddr = value(fde->start, r->encoding);
	if (r->encoding & ENC_PCREL)
		e.vaddr += r->vaddr + (uint64_t)(fde->start - from);
	e.size = value(fde->start + w, w == 4 ? ENC_UDATA4 : ENC_ABSPTR);
	if (GROW(&r->to->v, r->to->n))
		return -ENOMEM;
	r->to->v[r->to->n++] = e;
	return 0;
}

static int read_section(struct elf_extents *to, const struct elf_file *f, Elf_Scn *scn, uint64_t vaddr)
{
	struct reading r = {.to = to,
			    .ident = (const unsigned char *)elf_getident(f->elf, NULL),
			    .data = elf_rawdata(scn, NULL),
			    .vaddr = vaddr,
			    .cie = (Dwarf_Off)-1};
	Dwarf_Off at = 0, next;
	int rc = 0;

	while (r.ident && r.data && r.data->d_buf && !rc) {
		Dwarf_CFI_Entry entry;
		int got = dwarf_next_cfi(r.ident, r.data, true, at, &next, &entry);

		if (got > 0 || (got < 0 && next <= at))
			break;
		if (!got && !dwarf_cfi_cie_p(&entry))
			rc = add(&r, &entry.fde);
		if (next == (Dwarf_Off)-1)
			break;
		at = next;
	}
	return rc;
}

static int by_vaddr(const void *a, const void *b)
{
	const struct elf_extent *x = a, *y = b;

	return (x->vaddr > y->vaddr) - (x->vaddr < y->vaddr);
}

int elf_extents_read(struct elf_extents *ret, const struct elf_file *f)
{
	size_t names = 0;
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;
	int rc = 0;

	*ret = (struct elf_extents){0};
	if (elf_getshdrstrndx(f->elf, &names))
		return 0;
	while (!rc && (scn = elf_nextscn(f->elf, scn))) {
		const char *name = gelf_getshdr(scn, &sh) ? elf_strptr(f->elf, names, sh.sh_name) : NULL;

		if (name && !strcmp(name, ".eh_frame") && sh.sh_type != SHT_NOBITS)
			rc = read_section(ret, f, scn, sh.sh_addr);
	}
	if (rc)
		elf_extents_deinit(ret);
	else if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_vaddr);
	return rc;
}

void elf_extents_deinit(struct elf_extents *e)
{
	free(e->v);
	*e = (struct elf_extents){0};
}

const struct elf_extent *elf_extent_at(const struct elf_extents *e, uint64_t vaddr)
{
	const struct elf_extent key = {.vaddr = vaddr};

	return e->n ? bsearch(&key, e->v, e->n, sizeof(*e->v), by_vaddr) : NULL;
}
