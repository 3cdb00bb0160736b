// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "report/object.h"

#define MAX_LINE_ELEMS 16 /* scalars of a repeated field on one line */
#define NAME_WIDTH     34

static void text_quoted(FILE *f, const struct object_value *v)
{
	uint64_t n = v->text_len < OBJECT_MAX_TEXT ? v->text_len : OBJECT_MAX_TEXT;

	fputc('"', f);
	for (uint64_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)v->text[i];

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c == '\n')
			fputs("\\n", f);
		else if (c < 0x20 || c >= 0x7f)
			fprintf(f, "\\x%02x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
	if (n < v->text_len)
		fprintf(f, "... (%" PRIu64 " bytes)", v->text_len);
}

/* Names of the bits that are set in word `index` of the has-bits, without the member's final '_'. */
static void text_bits(FILE *f, const struct known_type *t, unsigned index, uint64_t word)
{
	const char *sep = ": ";

	fprintf(f, "0x%" PRIx64, word);
	for (unsigned i = 0; i < 32; i++) {
		size_t bit = 32 * index + i;
		const char *name = bit < t->n_bits ? t->bit_name[bit] : NULL;

		if (!(word >> i & 1))
			continue;
		if (name)
			fprintf(f, "%s%.*s", sep, (int)strlen(name) - 1, name);
		else
			fprintf(f, "%sbit %zu", sep, bit);
		sep = ", ";
	}
}

static void text_value(FILE *f, const struct object_value *v)
{
	switch (v->kind) {
	case VALUE_BOOL:
		if (v->word > 1)
			fprintf(f, "%" PRIu64, v->word);
		else
			fputs(v->word ? "true" : "false", f);
		break;
	case VALUE_ENUM:
		if (v->name)
			fprintf(f, "%s (%" PRId64 ")", v->name, v->i);
		else
			fprintf(f, "%" PRId64, v->i);
		break;
	case VALUE_INT:
		fprintf(f, "%" PRId64, v->i);
		break;
	case VALUE_UINT:
		fprintf(f, "%" PRIu64, v->word);
		break;
	case VALUE_FLOAT:
		fprintf(f, "%g", v->f);
		break;
	case VALUE_TEXT:
		if (v->text)
			text_quoted(f, v);
		else
			fprintf(f, "0x%" PRIx64 " (no string)", v->word);
		break;
	case VALUE_PTR:
		if (!v->word) {
			fputs("NULL", f);
			break;
		}
		/* fall through */
	default:
		fprintf(f, "0x%" PRIx64, v->word);
	}
}

static unsigned bits_index(const struct object *o, const struct object_field *f)
{
	unsigned index = 0;

	for (const struct object_field *p = o->field; p < f; p++)
		index += p->guard->kind == GUARD_HAS_BITS;
	return index;
}

static bool is_repeated(const struct object_field *f)
{
	return f->guard->kind == GUARD_REPEATED || f->guard->kind == GUARD_REPEATED_PTR;
}

static void text_repeated(FILE *f, const struct object_field *x)
{
	size_t n = x->n_elems < MAX_LINE_ELEMS ? x->n_elems : MAX_LINE_ELEMS;
	bool messages = x->guard->kind == GUARD_REPEATED_PTR && x->guard->elem != GUARD_NONE;

	fprintf(f, "%d element%s", x->current, x->current == 1 ? "" : "s");
	if (x->allocated >= 0)
		fprintf(f, ", %d allocated", x->allocated);
	fprintf(f, ", room for %d", x->total);
	for (size_t i = 0; !messages && i < n; i++) {
		fputs(i ? ", " : " [", f);
		text_value(f, &x->elem[i]);
	}
	if (!messages && n)
		fprintf(f, "%s]", n < (size_t)x->current ? ", ..." : "");
}

static void text_why(FILE *f, const struct object_field *x, const char *type)
{
	fprintf(f, "%s: ", write_reason_name(rule_reason(x->bad)));
	rule_explain(f, x->bad, x->guard, type, x->bad_word, x->pointee);
	if (x->has == 0 && rule_reason(x->bad) == WRITE_WILD_POINTER)
		fputs("; its has-bit is clear", f);
}

static void text_level(FILE *f, const struct object *o, int indent);

static void text_children(FILE *f, const struct object_field *x, int indent)
{
	for (size_t i = 0; i < x->n_children; i++) {
		if (!x->child[i])
			continue;
		fprintf(f, "%*s", indent + 11, "");
		if (is_repeated(x))
			fprintf(f, "%s[%zu] = ", x->guard->path, i);
		text_level(f, x->child[i], indent + 11);
	}
}

static void text_field(FILE *f, const struct object *o, const struct object_field *x, int indent)
{
	const char *type = x->known->type;
	int width = NAME_WIDTH - indent > 12 ? NAME_WIDTH - indent : 12;

	fprintf(f, "%*s%c %5u  %-*s %-4s ", indent, "", x->bad ? '!' : ' ', x->guard->offset, width,
		x->guard->path,
		x->has < 0 ? ""
		: x->has   ? "set"
			   : "-");
	if (x->guard->kind == GUARD_HAS_BITS)
		text_bits(f, o->type, bits_index(o, x), x->value.word);
	else if (x->guard->kind == GUARD_VPTR && o->cls && o->cls->value == x->value.word)
		fprintf(f, "0x%" PRIx64 " vtable for %s", x->value.word, o->cls->cls);
	else if (is_repeated(x))
		text_repeated(f, x);
	else
		text_value(f, &x->value);
	if (x->guard->in_union)
		fputs("  (union: may be another member's)", f);
	if (*type && x->guard->kind != GUARD_VPTR)
		fprintf(f, "  %s", type);
	fputc('\n', f);
	if (x->bad) {
		fprintf(f, "%*s         BROKEN ", indent, "");
		if (x->bad_elem >= 0)
			fprintf(f, "element %d: ", x->bad_elem);
		text_why(f, x, o->type->guard->name);
		fputc('\n', f);
	}
	text_children(f, x, indent);
}

static void text_level(FILE *f, const struct object *o, int indent)
{
	const struct guard_type *g = o->type->guard;

	fprintf(f, "%s 0x%" PRIx64 ", %u bytes", g->name, o->addr, g->size);
	if (o->cls && strcmp(o->cls->cls, g->name) != 0)
		fprintf(f, ", part of a %s", o->cls->cls);
	fputc('\n', f);
	for (size_t i = 0; i < o->n_fields; i++)
		text_field(f, o, &o->field[i], indent);
	if (o->unreadable)
		fprintf(f, "%*s         the rest of it is not readable\n", indent, "");
}

void text_object(FILE *f, const struct object *o)
{
	text_level(f, o, 0);
}

void text_break(FILE *f, const struct object_break *b)
{
	fprintf(f, "%s = 0x%" PRIx64 ", ", b->path, b->field->bad_word);
	text_why(f, b->field, b->node->type->guard->name);
}

static json_t *json_text(const struct object_value *v)
{
	size_t n = v->text_len < OBJECT_MAX_TEXT ? (size_t)v->text_len : OBJECT_MAX_TEXT;
	json_t *j;
	char *copy;

	if (!v->text)
		return json_null();
	j = json_stringn(v->text, n);
	if (j)
		return j;
	/* bytes, not text: what is no ASCII becomes '?' */
	copy = malloc(n + 1);
	if (!copy)
		return json_null();
	for (size_t i = 0; i < n; i++)
		copy[i] = (unsigned char)v->text[i] < 0x80 ? v->text[i] : '?';
	j = json_stringn(copy, n);
	free(copy);
	return j ? j : json_null();
}

static json_t *json_value(const struct object_value *v)
{
	switch (v->kind) {
	case VALUE_BOOL:
		return v->word > 1 ? json_integer((json_int_t)v->word) : json_boolean(v->word);
	case VALUE_ENUM:
	case VALUE_INT:
		return json_integer(v->i);
	case VALUE_UINT:
		/* JSON's integers end at 2^63 - 1 here */
		return v->word >> 63 ? json_sprintf("%" PRIu64, v->word) : json_integer((json_int_t)v->word);
	case VALUE_FLOAT:
		return json_real(v->f) ?: json_sprintf("%g", v->f); /* NaN and infinity are no JSON numbers */
	case VALUE_TEXT:
		return json_text(v);
	default:
		return json_hex(v->word);
	}
}

static json_t *json_bits(const struct known_type *t, unsigned index, uint64_t word)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < 32; i++) {
		size_t bit = 32 * index + i;
		const char *name = bit < t->n_bits ? t->bit_name[bit] : NULL;

		if (word >> i & 1)
			json_array_append_new(a, name ? json_stringn(name, strlen(name) - 1)
						      : json_integer((json_int_t)bit));
	}
	return a;
}

static json_t *json_broken(const struct object_field *x, const char *type)
{
	char *why = NULL;
	json_t *j;
	size_t len;
	FILE *f;

	if (!x->bad)
		return json_null();
	f = open_memstream(&why, &len);
	if (!f)
		return json_null();
	rule_explain(f, x->bad, x->guard, type, x->bad_word, x->pointee);
	fclose(f);
	j = json_pack("{s:s, s:o, s:o, s:o, s:o}", "reason", write_reason_name(rule_reason(x->bad)), "addr",
		      json_hex(x->bad_addr), "value", json_hex(x->bad_word), "element",
		      x->bad_elem < 0 ? json_null() : json_integer(x->bad_elem), "explanation",
		      json_str(why));
	free(why);
	return j;
}

static void json_add_repeated(json_t *j, const struct object_field *x)
{
	json_t *a = json_array();

	for (size_t i = 0; i < x->n_elems; i++)
		json_array_append_new(a, x->n_children > i && x->child[i] ? json_object_of(x->child[i])
									  : json_value(&x->elem[i]));
	json_object_set_new(j, "current", json_integer(x->current));
	json_object_set_new(j, "allocated", x->allocated < 0 ? json_null() : json_integer(x->allocated));
	json_object_set_new(j, "total", json_integer(x->total));
	json_object_set_new(j, "elements", a);
}

static json_t *json_field(const struct object *o, const struct object_field *x)
{
	json_t *j = json_pack("{s:s, s:I, s:I, s:s, s:s, s:o, s:o, s:b}", "name", x->guard->path, "offset",
			      (json_int_t)x->guard->offset, "width", (json_int_t)x->guard->width, "type",
			      x->known->type, "kind", guard_kind_name(x->guard->kind), "has",
			      x->has < 0 ? json_null() : json_boolean(x->has), "broken",
			      json_broken(x, o->type->guard->name), "in_union", x->guard->in_union);

	if (is_repeated(x)) {
		json_add_repeated(j, x);
		return j;
	}
	json_object_set_new(j, "value", json_value(&x->value));
	json_object_set_new(j, "raw", json_hex(x->value.word));
	if (x->value.kind == VALUE_ENUM)
		json_object_set_new(j, "enumerator", json_str(x->value.name));
	if (x->value.kind == VALUE_TEXT)
		json_object_set_new(j, "length",
				    x->value.text ? json_integer((json_int_t)x->value.text_len)
						  : json_null());
	if (x->guard->kind == GUARD_HAS_BITS)
		json_object_set_new(j, "set", json_bits(o->type, bits_index(o, x), x->value.word));
	if (x->n_children && x->child[0])
		json_object_set_new(j, "message", json_object_of(x->child[0]));
	return j;
}

json_t *json_object_of(const struct object *o)
{
	json_t *fields = json_array();

	for (size_t i = 0; i < o->n_fields; i++)
		json_array_append_new(fields, json_field(o, &o->field[i]));
	return json_pack("{s:s, s:o, s:o, s:I, s:b, s:o}", "type", o->type->guard->name, "class",
			 o->cls ? json_str(o->cls->cls) : json_null(), "addr", json_hex(o->addr), "size",
			 (json_int_t)o->type->guard->size, "complete", !o->unreadable, "fields", fields);
}

json_t *json_break(const struct object_break *b)
{
	json_t *j = json_broken(b->field, b->node->type->guard->name);

	json_object_set_new(j, "path", json_str(b->path));
	json_object_set_new(j, "node", json_hex(b->node->addr));
	json_object_set_new(j, "node_type", json_str(b->node->type->guard->name));
	return j;
}
