/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Puts a debuginfo file together in memory: ELF with a build-id, symbols and DWARF 4, as the ELF gABI and the
 * DWARF 4 standard (sections 7.4, 7.5, 2.6, 2.17) have it. For the reader of profiles only; it hands in
 * entries in the order of the tree.
 */
#ifndef CULPRIT_PROFILE_IMAGE_H
#define CULPRIT_PROFILE_IMAGE_H

#include "profile/form.h"
#include "util/err.h"

struct buf {
	uint8_t *p;
	size_t n, room;
};

enum image_section {
	IMAGE_INFO,
	IMAGE_ABBREV,
	IMAGE_STR,
	IMAGE_RANGES,
	IMAGE_LOC,
	IMAGE_SYMTAB,
	IMAGE_STRTAB,
	IMAGE_NOTE,
	IMAGE_SECTIONS
};

struct image_range {
	uint64_t lo, hi;
};

struct image_abbrev; /* image.c */
struct image_label;
struct image_segment {
	uint64_t vaddr, size, align;
	uint32_t flags; /* PF_* */
};

#define IMAGE_MAX_SEGMENTS 64

struct image {
	struct buf section[IMAGE_SECTIONS];
	bool failed; /* out of memory: nothing of it is to be used */
	bool dyn;
	uint16_t machine;
	struct image_segment seg[IMAGE_MAX_SEGMENTS];
	size_t n_seg;
	struct image_abbrev *abbrevs;
	size_t n_abbrevs;
	struct image_label *labels;
	struct image_fixup {
		uint64_t label;
		size_t at;	    /* in .debug_info */
		unsigned line, col; /* where it was said */
	} * fixup;
	size_t n_fixups;
	struct buf globals; /* symbols that come after the local ones */
	/* of the unit at work */
	size_t unit_start, unit_ranges_at;
	struct image_range *code;
	size_t n_code;
	bool in_unit;
	/* of the entry at work */
	struct buf spec, values;
};

/* An entry: begin, its attributes, end. A unit begins with the first entry and lasts to image_unit_end. */
void image_entry_begin(struct image *im, unsigned tag);
void image_string(struct image *im, unsigned attr, const char *s, size_t len);
void image_number(struct image *im, unsigned attr, uint64_t v,
		  bool is_negative); /* negative: v is its complement */
void image_flag(struct image *im, unsigned attr);
void image_address(struct image *im, unsigned attr, uint64_t v);
void image_reference(struct image *im, unsigned attr, uint64_t label, unsigned line, unsigned col);
void image_ranges(struct image *im, unsigned tag, const struct image_range *r, size_t n);
/* range NULL: one expression, for all addresses. */
struct image_place {
	struct image_range range;
	struct form_op op[8];
	size_t n_ops;
};
void image_location(struct image *im, unsigned attr, bool list, const struct image_place *p, size_t n);
/* label 0: nobody refers to it. false: the label is taken. */
bool image_entry_end(struct image *im, unsigned tag, bool children, uint64_t label);
void image_children_end(struct image *im);
void image_unit_end(struct image *im);

/* All of s but its name. */
void image_symbol(struct image *im, const char *name, size_t len, const struct elf_sym *s);
void image_build_id(struct image *im, const uint8_t *id, size_t len);
/* All references -> offsets. NULL: done; else the one whose label nobody has. */
const struct image_fixup *image_resolve(struct image *im);
/* The file, as one block for free(). NULL on lack of memory. */
uint8_t *image_finish(struct image *im, size_t *len);
void image_deinit(struct image *im);

#endif
