/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The words of a profile, for the files of user/profile only: which DWARF tags and attributes it has, and how
 * their values are written. docs/profile.md has the form. */
#ifndef CULPRIT_PROFILE_FORM_H
#define CULPRIT_PROFILE_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "elf/elf_file.h"

#define PROFILE_MAGIC	  "culprit-profile 1"
#define PROFILE_MAX_DEPTH 64
#define PROFILE_INDENT	  1 /* spaces per level */
#define PROFILE_LABEL	  6 /* hex digits */

enum form_kind {
	FORM_STRING,
	FORM_NUMBER,
	FORM_FLAG,
	FORM_REF,
	FORM_ADDRESS,
	FORM_RANGES,   /* LO-HI,LO-HI */
	FORM_LOCATION, /* EXPR, or LO-HI:EXPR,... */
};

struct form_attr {
	const char *name;
	unsigned code; /* DW_AT_... */
	enum form_kind kind;
};
extern const struct form_attr form_attrs[];
extern const size_t form_n_attrs;
const struct form_attr *form_attr_named(const char *name, size_t len); /* NULL */
/* "param" for DW_TAG_formal_parameter; NULL: not in profiles. */
const char *form_tag_name(unsigned tag);
unsigned form_tag_named(const char *name, size_t len); /* 0 */

/* As nm has them: T t W a function, global, local, weak; B b V an object; U one that is defined elsewhere. */
char form_symbol_letter(const struct elf_sym *s);
/* type, bind and defined of s; false: no such letter. */
bool form_symbol_read(char letter, struct elf_sym *s);

/* One operation of a location expression. OP_OTHER: it needs what a profile does not have. */
enum form_op_kind { OP_REG, OP_BREG, OP_FBREG, OP_PLUS, OP_CONST, OP_VALUE, OP_CFA, OP_PLAIN, OP_OTHER };
struct form_op {
	enum form_op_kind kind;
	uint64_t reg; /* OP_PLAIN: DW_OP_..., of form_op_is_plain() */
	int64_t off;
};
/* An operation without operands that only calculates or reads memory. */
bool form_op_is_plain(uint64_t op);
void form_print_ops(FILE *f, const struct form_op *op, size_t n);
/* Reads an expression up to anything else; returns where that is, NULL: no expression. */
const char *form_read_ops(const char *s, struct form_op *op, size_t max, size_t *n);

void form_print_string(FILE *f, const char *s);
/* Unsigned number, decimal or 0x; returns what follows, NULL: none, or too large. */
const char *form_read_number(const char *s, uint64_t *v);

#endif
