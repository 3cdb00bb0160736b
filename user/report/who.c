// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <stdlib.h>

#include "arch/arch.h"
#include "report/report.h"
#include "report/who.h"

static const char *const about[] = {
	[WHO_MEMBER] = "in code of the class, of a base or of a derived one",
	[WHO_USER] = "in functions that hold inlined code of the class",
	[WHO_MATCH] = ("width and displacement match, nothing more: an object of any class, or a pointer to "
		       "the field"),
};

/* Name of the function that holds it, without parameters if the debuginfo knows it. */
static const char *holder(const struct who_store *s, char *buf, size_t len)
{
	if (s->n_scopes)
		return s->scope[s->n_scopes - 1].name;
	return s->symbol ? dbg_demangle(s->symbol, buf, len) : "?";
}

static void text_store(FILE *f, const struct who_store *s)
{
	char name[1024];

	fprintf(f, "  0x%-10" PRIx64 " %2u bytes  0x%" PRIx64 "(%s)%s", s->vaddr, s->width, (uint64_t)s->disp,
		arch_reg_name(s->base),
		s->pointer ? "  pointer to the field"
		: s->exact ? ""
			   : "  in part or with others");
	if (s->has_imm)
		fprintf(f, "  constant 0x%" PRIx64, (uint64_t)s->imm);
	fprintf(f, "  %s", holder(s, name, sizeof(name)));
	if (s->symbol)
		fprintf(f, "+0x%" PRIx64, s->vaddr - s->symbol_vaddr);
	for (size_t i = s->n_scopes; i > 1; i--)
		fprintf(f, " < %s", s->scope[i - 2].name);
	if (s->file)
		fprintf(f, "  %s:%d", s->file, s->line);
	fputc('\n', f);
}

void text_who(FILE *f, const struct who *w)
{
	fprintf(f, "%s::%s, %s, %u bytes at %u\n", w->cls, w->field, w->type, w->width, w->offset);
	for (int e = WHO_MEMBER; e <= WHO_MATCH; e++) {
		size_t n = 0;

		for (size_t i = 0; i < w->n; i++)
			n += w->store[i].evidence == (enum who_evidence)e;
		fprintf(f, "%s: %zu, %s\n", who_evidence_name((enum who_evidence)e), n, about[e]);
		for (size_t i = 0; i < w->n; i++)
			if (w->store[i].evidence == (enum who_evidence)e)
				text_store(f, &w->store[i]);
	}
	fprintf(f,
		"%" PRIu64
		" bytes of code; not listed: %zu stores with an index register, %zu string instructions "
		"and calls of memset() and the like, %zu stores of other widths or displacements (through a "
		"pointer "
		"into the object), %zu functions not read to their end, and what other modules and the "
		"kernel "
		"write\n",
		w->bytes, w->indexed, w->block, w->others, w->unread);
	if (w->partial)
		fprintf(f,
			"from a profile: inlined code and functions that it says nothing of count as `%s`, "
			"files and "
			"lines are not in it\n",
			who_evidence_name(WHO_MATCH));
}

static json_t *json_store(const struct who_store *s)
{
	char addr[24], name[1024];
	json_t *from = json_array();

	snprintf(addr, sizeof(addr), "0x%" PRIx64, s->vaddr);
	for (size_t i = 0; i + 1 < s->n_scopes; i++)
		json_array_append_new(from, json_str(s->scope[i].name));
	return json_pack("{s:s, s:s, s:s, s:o, s:I, s:o, s:i, s:b, s:b, s:s, s:I, s:o, s:o, s:o}", "kind",
			 "store", "evidence", who_evidence_name(s->evidence), "addr", addr, "function",
			 json_str(holder(s, name, sizeof(name))), "offset",
			 (json_int_t)(s->symbol ? s->vaddr - s->symbol_vaddr : 0), "inlined", from, "width",
			 (int)s->width, "exact", s->exact, "pointer", s->pointer, "register",
			 arch_reg_name(s->base), "displacement", (json_int_t)s->disp, "immediate",
			 s->has_imm ? json_integer(s->imm) : json_null(), "file", json_str(s->file), "line",
			 s->file ? json_integer(s->line) : json_null());
}

int json_who(FILE *f, const struct who *w)
{
	int rc = 0;

	for (size_t i = 0; i < w->n && !rc; i++)
		rc = json_line(f, json_store(&w->store[i]));
	if (rc)
		return rc;
	return json_line(f,
			 json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:b}",
				   "kind", "summary", "command", "layout", "class", w->cls, "field", w->field,
				   "type", w->type, "offset", (int)w->offset, "width", (int)w->width,
				   "stores", (json_int_t)w->n, "code_bytes", (json_int_t)w->bytes, "indexed",
				   (json_int_t)w->indexed, "block", (json_int_t)w->block, "others",
				   (json_int_t)w->others, "unread", (json_int_t)w->unread, "from_profile",
				   w->partial));
}
