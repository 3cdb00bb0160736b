// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <dwarf.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "profile/image.h"
#include "util/grow.h"
#include "util/hash.h"

struct image_abbrev {
	uint64_t code;
	size_t len;
	UT_hash_handle hh;
	uint8_t key[]; /* tag, children, attributes with their forms: what stands in .debug_abbrev */
};

struct image_label {
	uint64_t label;
	uint32_t offset;
	UT_hash_handle hh;
};

static void put(struct image *im, struct buf *b, const void *data, size_t len)
{
	if (im->failed || !len)
		return;
	if (b->n + len > b->room) {
		size_t room = (b->n + len) * 2 + 256;
		uint8_t *p = realloc(b->p, room);

		if (!p) {
			im->failed = true;
			return;
		}
		b->p = p;
		b->room = room;
	}
	memcpy(b->p + b->n, data, len);
	b->n += len;
}

static void put_u8(struct image *im, struct buf *b, uint8_t v)
{
	put(im, b, &v, sizeof(v));
}

static void put_u32(struct image *im, struct buf *b, size_t v)
{
	uint32_t u = (uint32_t)v;

	if (v > UINT32_MAX)
		im->failed = true;
	put(im, b, &u, sizeof(u));
}

static void put_u64(struct image *im, struct buf *b, uint64_t v)
{
	put(im, b, &v, sizeof(v));
}

static void put_uleb(struct image *im, struct buf *b, uint64_t v)
{
	do {
		put_u8(im, b, (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0)));
		v >>= 7;
	} while (v);
}

static void put_sleb(struct image *im, struct buf *b, int64_t v)
{
	bool more = true;

	while (more) {
		uint8_t byte = v & 0x7f;

		v >>= 7;
		more = !((v == 0 && !(byte & 0x40)) || (v == -1 && (byte & 0x40)));
		put_u8(im, b, (uint8_t)(byte | (more ? 0x80 : 0)));
	}
}

static void attr(struct image *im, unsigned code, unsigned form)
{
	put_uleb(im, &im->spec, code);
	put_uleb(im, &im->spec, form);
}

void image_entry_begin(struct image *im, unsigned tag)
{
	struct buf *info = &im->section[IMAGE_INFO];

	im->spec.n = im->values.n = 0;
	if (tag != DW_TAG_compile_unit)
		return;
	im->in_unit = true;
	im->unit_start = info->n;
	im->n_code = 0;
	put_u32(im, info, 0); /* length, by image_unit_end() */
	put(im, info, "\4\0", 2);
	put_u32(im, info, 0); /* all units share one table of abbreviations */
	put_u8(im, info, 8);
}

void image_string(struct image *im, unsigned code, const char *s, size_t len)
{
	struct buf *str = &im->section[IMAGE_STR];

	attr(im, code, DW_FORM_strp);
	put_u32(im, &im->values, str->n);
	put(im, str, s, len);
	put_u8(im, str, 0);
}

void image_number(struct image *im, unsigned code, uint64_t v, bool is_negative)
{
	attr(im, code, is_negative ? DW_FORM_sdata : DW_FORM_udata);
	if (is_negative)
		put_sleb(im, &im->values, (int64_t)~v);
	else
		put_uleb(im, &im->values, v);
}

void image_flag(struct image *im, unsigned code)
{
	attr(im, code, DW_FORM_flag_present);
}

void image_address(struct image *im, unsigned code, uint64_t v)
{
	attr(im, code, DW_FORM_addr);
	put_u64(im, &im->values, v);
}

/* The value is put in by image_resolve(); until the entry's end, at counts from the start of values. */
void image_reference(struct image *im, unsigned code, uint64_t label, unsigned line, unsigned col)
{
	attr(im, code, DW_FORM_ref_addr);
	if (GROW(&im->fixup, im->n_fixups)) {
		im->failed = true;
		return;
	}
	im->fixup[im->n_fixups++] =
		(struct image_fixup){.label = label, .at = SIZE_MAX - im->values.n, .line = line, .col = col};
	put_u32(im, &im->values, 0);
}

static void put_ranges(struct image *im, const struct image_range *r, size_t n)
{
	struct buf *b = &im->section[IMAGE_RANGES];

	for (size_t i = 0; i < n; i++) {
		put_u64(im, b, r[i].lo);
		put_u64(im, b, r[i].hi);
	}
	put_u64(im, b, 0);
	put_u64(im, b, 0);
}

void image_ranges(struct image *im, unsigned tag, const struct image_range *r, size_t n)
{
	if (n == 1) {
		image_address(im, DW_AT_low_pc, r[0].lo);
		image_address(im, DW_AT_high_pc, r[0].hi);
	} else {
		attr(im, DW_AT_ranges, DW_FORM_sec_offset);
		put_u32(im, &im->values, im->section[IMAGE_RANGES].n);
		put_ranges(im, r, n);
	}
	for (size_t i = 0; i < n && tag == DW_TAG_subprogram; i++) {
		if (GROW(&im->code, im->n_code))
			im->failed = true;
		else
			im->code[im->n_code++] = r[i];
	}
}

static void put_op(struct image *im, struct buf *b, const struct form_op *o)
{
	switch (o->kind) {
	case OP_REG:
		put_u8(im, b, DW_OP_regx);
		put_uleb(im, b, o->reg);
		break;
	case OP_BREG:
		put_u8(im, b, DW_OP_bregx);
		put_uleb(im, b, o->reg);
		put_sleb(im, b, o->off);
		break;
	case OP_FBREG:
		put_u8(im, b, DW_OP_fbreg);
		put_sleb(im, b, o->off);
		break;
	case OP_PLUS:
		put_u8(im, b, DW_OP_plus_uconst);
		put_uleb(im, b, (uint64_t)o->off);
		break;
	case OP_CONST:
		put_u8(im, b, DW_OP_consts);
		put_sleb(im, b, o->off);
		break;
	case OP_PLAIN:
		put_u8(im, b, (uint8_t)o->reg);
		break;
	case OP_VALUE:
		put_u8(im, b, DW_OP_stack_value);
		break;
	case OP_CFA:
		put_u8(im, b, DW_OP_call_frame_cfa);
		break;
	case OP_OTHER:
		put_u8(im, b, DW_OP_push_object_address); /* one that no reader takes */
	}
}

void image_location(struct image *im, unsigned code, bool list, const struct image_place *p, size_t n)
{
	struct buf *loc = &im->section[IMAGE_LOC], expr = {0};

	attr(im, code, list ? DW_FORM_sec_offset : DW_FORM_exprloc);
	if (list)
		put_u32(im, &im->values, loc->n);
	for (size_t i = 0; i < n; i++) {
		expr.n = 0;
		for (size_t k = 0; k < p[i].n_ops; k++)
			put_op(im, &expr, &p[i].op[k]);
		if (list) {
			uint16_t len = (uint16_t)expr.n;

			put_u64(im, loc, p[i].range.lo);
			put_u64(im, loc, p[i].range.hi);
			put(im, loc, &len, sizeof(len));
			put(im, loc, expr.p, expr.n);
		} else {
			put_uleb(im, &im->values, expr.n);
			put(im, &im->values, expr.p, expr.n);
		}
	}
	if (list) {
		put_u64(im, loc, 0);
		put_u64(im, loc, 0);
	}
	free(expr.p);
}

/* Code of the abbreviation that im->spec spells, which is added if there is none yet. */
static uint64_t abbrev_of(struct image *im)
{
	struct buf *out = &im->section[IMAGE_ABBREV];
	struct image_abbrev *a;

	if (im->failed)
		return 1;
	HASH_FIND(hh, im->abbrevs, im->spec.p, im->spec.n, a);
	if (a)
		return a->code;
	a = malloc(sizeof(*a) + im->spec.n);
	if (!a) {
		im->failed = true;
		return 1;
	}
	a->code = ++im->n_abbrevs;
	a->len = im->spec.n;
	memcpy(a->key, im->spec.p, im->spec.n);
	HASH_ADD(hh, im->abbrevs, key, a->len, a);
	put_uleb(im, out, a->code);
	put(im, out, a->key, a->len);
	put(im, out, "\0\0", 2);
	return a->code;
}

static void unit_attrs(struct image *im)
{
	image_address(im, DW_AT_low_pc, 0); /* what offsets in lists count from */
	attr(im, DW_AT_ranges, DW_FORM_sec_offset);
	im->unit_ranges_at = im->values.n;
	put_u32(im, &im->values, 0);
}

/* Tag and children stand before the attributes. */
static void spec_head(struct image *im, unsigned tag, bool children)
{
	struct buf head = {0};

	put_uleb(im, &head, tag);
	put_u8(im, &head, children);
	put(im, &head, im->spec.p, im->spec.n);
	free(im->spec.p);
	im->spec = head;
}

bool image_entry_end(struct image *im, unsigned tag, bool children, uint64_t label)
{
	struct buf *info = &im->section[IMAGE_INFO];
	struct image_label *l = NULL;
	size_t start = info->n, values;

	if (tag == DW_TAG_compile_unit)
		unit_attrs(im);
	spec_head(im, tag, children);
	put_uleb(im, info, abbrev_of(im));
	values = info->n;
	put(im, info, im->values.p, im->values.n);
	for (size_t i = im->n_fixups; i && im->fixup[i - 1].at > SIZE_MAX / 2; i--)
		im->fixup[i - 1].at = values + (SIZE_MAX - im->fixup[i - 1].at);
	if (tag == DW_TAG_compile_unit)
		im->unit_ranges_at += values;
	if (!label)
		return true;
	HASH_FIND(hh, im->labels, &label, sizeof(label), l);
	if (l)
		return false;
	l = calloc(1, sizeof(*l));
	if (!l) {
		im->failed = true;
		return true;
	}
	l->label = label;
	l->offset = (uint32_t)start;
	HASH_ADD(hh, im->labels, label, sizeof(l->label), l);
	return true;
}

void image_children_end(struct image *im)
{
	put_u8(im, &im->section[IMAGE_INFO], 0);
}

static void patch(struct image *im, size_t at, size_t v)
{
	uint32_t u = (uint32_t)v;

	if (v > UINT32_MAX)
		im->failed = true;
	if (!im->failed)
		memcpy(im->section[IMAGE_INFO].p + at, &u, sizeof(u));
}

void image_unit_end(struct image *im)
{
	if (!im->in_unit)
		return;
	patch(im, im->unit_start, im->section[IMAGE_INFO].n - im->unit_start - 4);
	patch(im, im->unit_ranges_at, im->section[IMAGE_RANGES].n);
	put_ranges(im, im->code, im->n_code);
	im->in_unit = false;
}

static uint16_t section_at(const struct image *im, uint64_t vaddr)
{
	for (size_t i = 0; i < im->n_seg; i++)
		if (vaddr - im->seg[i].vaddr < im->seg[i].size)
			return (uint16_t)(1 + i);
	return SHN_ABS;
}

void image_symbol(struct image *im, const char *name, size_t len, const struct elf_sym *from)
{
	struct buf *str = &im->section[IMAGE_STRTAB], *sym = &im->section[IMAGE_SYMTAB];
	Elf64_Sym s = {.st_info = ELF64_ST_INFO(from->bind, from->type),
		       .st_value = from->vaddr,
		       .st_size = from->size};

	if (!str->n) {
		put_u8(im, str, 0);
		put(im, sym, &(Elf64_Sym){0}, sizeof(s));
	}
	if (str->n > UINT32_MAX)
		im->failed = true;
	s.st_name = (Elf64_Word)str->n;
	s.st_shndx = from->defined ? section_at(im, from->vaddr) : SHN_UNDEF;
	put(im, str, name, len);
	put_u8(im, str, 0);
	put(im, from->bind == STB_LOCAL ? sym : &im->globals, &s, sizeof(s));
}

void image_build_id(struct image *im, const uint8_t *id, size_t len)
{
	struct buf *b = &im->section[IMAGE_NOTE];
	Elf64_Nhdr nh = {.n_namesz = 4, .n_descsz = (Elf64_Word)len, .n_type = NT_GNU_BUILD_ID};

	put(im, b, &nh, sizeof(nh));
	put(im, b, "GNU", 4);
	put(im, b, id, len);
	while (b->n % 4 && !im->failed)
		put_u8(im, b, 0);
}

const struct image_fixup *image_resolve(struct image *im)
{
	for (size_t i = 0; i < im->n_fixups; i++) {
		struct image_label *l;

		HASH_FIND(hh, im->labels, &im->fixup[i].label, sizeof(l->label), l);
		if (!l)
			return &im->fixup[i];
		patch(im, im->fixup[i].at, l->offset);
	}
	return NULL;
}

void image_deinit(struct image *im)
{
	struct image_abbrev *a, *next_a;
	struct image_label *l, *next_l;

	HASH_ITER (hh, im->abbrevs, a, next_a) {
		HASH_DEL(im->abbrevs, a);
		free(a);
	}
	HASH_ITER (hh, im->labels, l, next_l) {
		HASH_DEL(im->labels, l);
		free(l);
	}
	for (int i = 0; i < IMAGE_SECTIONS; i++)
		free(im->section[i].p);
	free(im->globals.p);
	free(im->spec.p);
	free(im->values.p);
	free(im->fixup);
	free(im->code);
	*im = (struct image){0};
}

/* The file: header, program headers, the sections' bytes, section headers. */
struct file {
	struct image *im;
	struct buf out, names;
	Elf64_Shdr sh[IMAGE_MAX_SEGMENTS + IMAGE_SECTIONS + 2];
	size_t n_sh;
};

static Elf64_Shdr *add_section(struct file *f, const char *name, uint32_t type)
{
	Elf64_Shdr *sh = &f->sh[f->n_sh++];

	*sh = (Elf64_Shdr){.sh_name = (Elf64_Word)f->names.n, .sh_type = type, .sh_addralign = 1};
	put(f->im, &f->names, name, strlen(name) + 1);
	return sh;
}

static void add_data(struct file *f, Elf64_Shdr *sh, const struct buf *b)
{
	while (f->out.n % 8 && !f->im->failed)
		put_u8(f->im, &f->out, 0);
	sh->sh_offset = f->out.n;
	sh->sh_size = b->n;
	put(f->im, &f->out, b->p, b->n);
}

static void add_sections(struct file *f)
{
	static const char *const names[IMAGE_SECTIONS] = {".debug_info",   ".debug_abbrev",	".debug_str",
							  ".debug_ranges", ".debug_loc",	".symtab",
							  ".strtab",	   ".note.gnu.build-id"};
	struct image *im = f->im;

	add_section(f, "", SHT_NULL)->sh_addralign = 0;
	for (size_t i = 0; i < im->n_seg; i++) {
		Elf64_Shdr *sh = add_section(f, im->seg[i].flags & PF_X ? ".text" : ".data", SHT_NOBITS);

		sh->sh_flags = SHF_ALLOC | (im->seg[i].flags & PF_X ? SHF_EXECINSTR : 0) |
			       (im->seg[i].flags & PF_W ? SHF_WRITE : 0);
		sh->sh_addr = im->seg[i].vaddr;
		sh->sh_size = im->seg[i].size;
	}
	for (int i = 0; i < IMAGE_SECTIONS; i++) {
		uint32_t type = i == IMAGE_SYMTAB   ? SHT_SYMTAB
				: i == IMAGE_STRTAB ? SHT_STRTAB
				: i == IMAGE_NOTE   ? SHT_NOTE
						    : SHT_PROGBITS;
		Elf64_Shdr *sh = add_section(f, names[i], type);

		if (i == IMAGE_SYMTAB) {
			sh->sh_link = (Elf64_Word)f->n_sh; /* .strtab is next */
			sh->sh_entsize = sizeof(Elf64_Sym);
			sh->sh_info = (Elf64_Word)(im->section[i].n / sizeof(Elf64_Sym));
			sh->sh_addralign = 8;
			put(im, &im->section[i], im->globals.p, im->globals.n);
		} else if (i == IMAGE_NOTE) {
			sh->sh_addralign = 4;
		}
		add_data(f, sh, &im->section[i]);
	}
}

uint8_t *image_finish(struct image *im, size_t *len)
{
	struct file f = {.im = im};
	Elf64_Ehdr eh = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			 .e_version = EV_CURRENT,
			 .e_ehsize = sizeof(eh),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phoff = sizeof(eh),
			 .e_shentsize = sizeof(Elf64_Shdr)};
	Elf64_Shdr *names;

	put_u8(im, &im->section[IMAGE_ABBREV], 0);
	put(im, &f.out, &eh, sizeof(eh));
	for (size_t i = 0; i < im->n_seg; i++) {
		const struct image_segment *s = &im->seg[i];
		Elf64_Phdr ph = {.p_type = PT_LOAD,
				 .p_flags = s->flags,
				 .p_vaddr = s->vaddr,
				 .p_paddr = s->vaddr,
				 .p_memsz = s->size,
				 .p_align = s->align};

		put(im, &f.out, &ph, sizeof(ph));
	}
	add_sections(&f);
	names = add_section(&f, ".shstrtab", SHT_STRTAB);
	add_data(&f, names, &f.names);
	eh.e_type = im->dyn ? ET_DYN : ET_EXEC;
	eh.e_machine = im->machine;
	eh.e_phnum = (Elf64_Half)im->n_seg;
	eh.e_shnum = (Elf64_Half)f.n_sh;
	eh.e_shstrndx = (Elf64_Half)(f.n_sh - 1);
	while (f.out.n % 8 && !im->failed)
		put_u8(im, &f.out, 0);
	eh.e_shoff = f.out.n;
	put(im, &f.out, f.sh, f.n_sh * sizeof(f.sh[0]));
	free(f.names.p);
	if (im->failed) {
		free(f.out.p);
		return NULL;
	}
	memcpy(f.out.p, &eh, sizeof(eh));
	*len = f.out.n;
	return f.out.p;
}
