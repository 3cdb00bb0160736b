// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <dwarf.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "profile/form.h"

const struct form_attr form_attrs[] = {
	{"name", DW_AT_name, FORM_STRING},
	{"linkage", DW_AT_linkage_name, FORM_STRING},
	{"linkage", DW_AT_MIPS_linkage_name, FORM_STRING},
	{"type", DW_AT_type, FORM_REF},
	{"spec", DW_AT_specification, FORM_REF},
	{"origin", DW_AT_abstract_origin, FORM_REF},
	{"vtable_of", DW_AT_containing_type, FORM_REF},
	{"signature", DW_AT_signature, FORM_REF},
	{"size", DW_AT_byte_size, FORM_NUMBER},
	{"bit_size", DW_AT_bit_size, FORM_NUMBER},
	{"bit_offset", DW_AT_bit_offset, FORM_NUMBER},
	{"data_bit_offset", DW_AT_data_bit_offset, FORM_NUMBER},
	{"offset", DW_AT_data_member_location, FORM_NUMBER},
	{"encoding", DW_AT_encoding, FORM_NUMBER},
	{"value", DW_AT_const_value, FORM_NUMBER},
	{"upper_bound", DW_AT_upper_bound, FORM_NUMBER},
	{"count", DW_AT_count, FORM_NUMBER},
	{"virtuality", DW_AT_virtuality, FORM_NUMBER},
	{"inline", DW_AT_inline, FORM_NUMBER},
	{"calling", DW_AT_calling_convention, FORM_NUMBER},
	{"defaulted", DW_AT_defaulted, FORM_NUMBER},
	{"language", DW_AT_language, FORM_NUMBER},
	{"declaration", DW_AT_declaration, FORM_FLAG},
	{"external", DW_AT_external, FORM_FLAG},
	{"artificial", DW_AT_artificial, FORM_FLAG},
	{"enum_class", DW_AT_enum_class, FORM_FLAG},
	{"ranges", DW_AT_ranges, FORM_RANGES},
	{"entry_pc", DW_AT_entry_pc, FORM_ADDRESS},
	{"low_pc", DW_AT_low_pc, FORM_ADDRESS},
	{"frame_base", DW_AT_frame_base, FORM_LOCATION},
	{"location", DW_AT_location, FORM_LOCATION},
};
const size_t form_n_attrs = sizeof(form_attrs) / sizeof(form_attrs[0]);

static const struct {
	const char *name;
	unsigned tag;
} tags[] = {
	{"unit", DW_TAG_compile_unit},
	{"namespace", DW_TAG_namespace},
	{"class", DW_TAG_class_type},
	{"struct", DW_TAG_structure_type},
	{"union", DW_TAG_union_type},
	{"enum", DW_TAG_enumeration_type},
	{"enumerator", DW_TAG_enumerator},
	{"member", DW_TAG_member},
	{"variable", DW_TAG_variable},
	{"base", DW_TAG_inheritance},
	{"argument", DW_TAG_template_type_parameter},
	{"function", DW_TAG_subprogram},
	{"param", DW_TAG_formal_parameter},
	{"inlined", DW_TAG_inlined_subroutine},
	{"scalar", DW_TAG_base_type},
	{"unspecified", DW_TAG_unspecified_type},
	{"pointer", DW_TAG_pointer_type},
	{"reference", DW_TAG_reference_type},
	{"rvalue_reference", DW_TAG_rvalue_reference_type},
	{"member_pointer", DW_TAG_ptr_to_member_type},
	{"code_type", DW_TAG_subroutine_type},
	{"array", DW_TAG_array_type},
	{"subrange", DW_TAG_subrange_type},
	{"typedef", DW_TAG_typedef},
	{"const", DW_TAG_const_type},
	{"volatile", DW_TAG_volatile_type},
	{"restrict", DW_TAG_restrict_type},
	{"atomic", DW_TAG_atomic_type},
	{"interface", DW_TAG_interface_type},
};

const struct form_attr *form_attr_named(const char *name, size_t len)
{
	for (size_t i = 0; i < form_n_attrs; i++)
		if (strlen(form_attrs[i].name) == len && !memcmp(form_attrs[i].name, name, len))
			return &form_attrs[i];
	return NULL;
}

const char *form_tag_name(unsigned tag)
{
	if (tag == DW_TAG_partial_unit || tag == DW_TAG_type_unit)
		tag = DW_TAG_compile_unit;
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		if (tags[i].tag == tag)
			return tags[i].name;
	return NULL;
}

unsigned form_tag_named(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		if (strlen(tags[i].name) == len && !memcmp(tags[i].name, name, len))
			return tags[i].tag;
	return 0;
}

bool form_op_is_plain(uint64_t op)
{
	return op == DW_OP_deref || op == DW_OP_dup || op == DW_OP_drop || op == DW_OP_over ||
	       op == DW_OP_swap || op == DW_OP_rot || (op >= DW_OP_abs && op <= DW_OP_plus) ||
	       (op >= DW_OP_shl && op <= DW_OP_xor) || (op >= DW_OP_eq && op <= DW_OP_ne) || op == DW_OP_nop;
}

void form_print_ops(FILE *f, const struct form_op *op, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (i)
			fputc('.', f);
		switch (op[i].kind) {
		case OP_REG:
			fprintf(f, "reg%" PRIu64, op[i].reg);
			break;
		case OP_BREG:
			fprintf(f, "breg%" PRIu64 "%+" PRId64, op[i].reg, op[i].off);
			break;
		case OP_FBREG:
			fprintf(f, "fbreg%+" PRId64, op[i].off);
			break;
		case OP_PLUS:
			fprintf(f, "plus%+" PRId64, op[i].off);
			break;
		case OP_CONST:
			fprintf(f, "const%+" PRId64, op[i].off);
			break;
		case OP_PLAIN:
			fprintf(f, "op0x%02" PRIx64, op[i].reg);
			break;
		case OP_VALUE:
			fputs("value", f);
			break;
		case OP_CFA:
			fputs("cfa", f);
			break;
		case OP_OTHER:
			fputc('?', f);
		}
	}
}

const char *form_read_number(const char *s, uint64_t *v)
{
	char *end;

	if (*s < '0' || *s > '9')
		return NULL;
	errno = 0;
	*v = strtoull(s, &end, s[0] == '0' && s[1] == 'x' ? 16 : 10);
	return errno ? NULL : end;
}

/* "+8", "-8" */
static const char *read_offset(const char *s, int64_t *v)
{
	bool minus = *s == '-';
	uint64_t u;

	if (*s != '+' && *s != '-')
		return NULL;
	s = form_read_number(s + 1, &u);
	if (!s || u > (uint64_t)INT64_MAX)
		return NULL;
	*v = minus ? -(int64_t)u : (int64_t)u;
	return s;
}

static const char *skip(const char *s, const char *word)
{
	size_t n = strlen(word);

	return strncmp(s, word, n) ? NULL : s + n;
}

static const char *read_op(const char *s, struct form_op *op)
{
	const char *p;

	*op = (struct form_op){.kind = OP_OTHER};
	if ((p = skip(s, "reg"))) {
		op->kind = OP_REG;
		return form_read_number(p, &op->reg);
	}
	if ((p = skip(s, "breg"))) {
		op->kind = OP_BREG;
		p = form_read_number(p, &op->reg);
		return p ? read_offset(p, &op->off) : NULL;
	}
	if ((p = skip(s, "fbreg"))) {
		op->kind = OP_FBREG;
		return read_offset(p, &op->off);
	}
	if ((p = skip(s, "plus"))) {
		op->kind = OP_PLUS;
		return read_offset(p, &op->off);
	}
	if ((p = skip(s, "const"))) {
		op->kind = OP_CONST;
		return read_offset(p, &op->off);
	}
	if ((p = skip(s, "op"))) {
		op->kind = OP_PLAIN;
		p = form_read_number(p, &op->reg);
		return p && form_op_is_plain(op->reg) ? p : NULL;
	}
	if ((p = skip(s, "value"))) {
		op->kind = OP_VALUE;
		return p;
	}
	if ((p = skip(s, "cfa"))) {
		op->kind = OP_CFA;
		return p;
	}
	return skip(s, "?");
}

const char *form_read_ops(const char *s, struct form_op *op, size_t max, size_t *n)
{
	*n = 0;
	for (;;) {
		if (*n == max)
			return NULL;
		s = read_op(s, &op[(*n)++]);
		if (!s || *s != '.')
			return s;
		s++;
	}
}

void form_print_string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(f, "\\x%02x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

static const struct {
	char letter;
	uint8_t type, bind;
} letters[] = {
	{'T', STT_FUNC, STB_GLOBAL},   {'t', STT_FUNC, STB_LOCAL},   {'W', STT_FUNC, STB_WEAK},
	{'B', STT_OBJECT, STB_GLOBAL}, {'b', STT_OBJECT, STB_LOCAL}, {'V', STT_OBJECT, STB_WEAK},
};
#define UNDEFINED 'U'

char form_symbol_letter(const struct elf_sym *s)
{
	uint8_t type = s->type == STT_GNU_IFUNC ? STT_FUNC : s->type;
	uint8_t bind = s->bind > STB_WEAK ? STB_GLOBAL : s->bind;

	for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]) && s->defined; i++)
		if (letters[i].type == (type == STT_FUNC ? STT_FUNC : STT_OBJECT) && letters[i].bind == bind)
			return letters[i].letter;
	return UNDEFINED;
}

bool form_symbol_read(char letter, struct elf_sym *s)
{
	*s = (struct elf_sym){.type = STT_OBJECT, .bind = STB_GLOBAL};
	for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
		if (letters[i].letter == letter)
			*s = (struct elf_sym){
				.type = letters[i].type, .bind = letters[i].bind, .defined = true};
	return s->defined || letter == UNDEFINED;
}
