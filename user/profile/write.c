// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <elf.h>
#include <errno.h>
#include <gelf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dwarf/dbg_priv.h"
#include "dwarf/record.h"
#include "profile/form.h"
#include "profile/profile.h"
#include "profile/slice.h"
#include "util/grow.h"
#include "util/search.h"

#define MAX_SYMBOL_BYTES (256 << 10)

struct writer {
	FILE *f;
	struct dbg *d;
	struct slice s;
	struct dbg_range *code;
	size_t n_code;
	struct pairs
		coded; /* hashes of the linkage names of functions that more is said of than a declaration */
};

static void print_label(FILE *f, const struct slice_die *x)
{
	fprintf(f, "%0*x", PROFILE_LABEL, (unsigned)slice_label(x));
	if (x->copy)
		fprintf(f, ".%u", x->copy);
}

static void print_name(FILE *f, const struct form_attr *a)
{
	fprintf(f, " %s", a->name);
}

static void print_ranges(struct writer *w, Dwarf_Die *die)
{
	Dwarf_Addr base = 0, lo, hi;
	ptrdiff_t off = 0;
	const char *sep = " ranges=";

	while ((off = dwarf_ranges(die, off, &base, &lo, &hi)) > 0) {
		if (hi <= lo)
			continue;
		fprintf(w->f, "%s0x%" PRIx64 "-0x%" PRIx64, sep, lo, hi);
		sep = ",";
	}
}

static struct form_op op_of(const Dwarf_Op *op)
{
	struct form_op o = {.kind = OP_OTHER};

	if (op->atom >= DW_OP_reg0 && op->atom <= DW_OP_reg31)
		o = (struct form_op){OP_REG, op->atom - DW_OP_reg0, 0};
	else if (op->atom == DW_OP_regx)
		o = (struct form_op){OP_REG, op->number, 0};
	else if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31)
		o = (struct form_op){OP_BREG, op->atom - DW_OP_breg0, (int64_t)op->number};
	else if (op->atom == DW_OP_bregx)
		o = (struct form_op){OP_BREG, op->number, (int64_t)op->number2};
	else if (op->atom == DW_OP_fbreg)
		o = (struct form_op){OP_FBREG, 0, (int64_t)op->number};
	else if (op->atom == DW_OP_plus_uconst && op->number <= INT64_MAX)
		o = (struct form_op){OP_PLUS, 0, (int64_t)op->number};
	else if (op->atom >= DW_OP_lit0 && op->atom <= DW_OP_lit31)
		o = (struct form_op){OP_CONST, 0, op->atom - DW_OP_lit0};
	else if (op->atom >= DW_OP_const1u && op->atom <= DW_OP_consts)
		o = (struct form_op){OP_CONST, 0, (int64_t)op->number};
	else if (form_op_is_plain(op->atom))
		o = (struct form_op){OP_PLAIN, op->atom, 0};
	else if (op->atom == DW_OP_stack_value)
		o.kind = OP_VALUE;
	else if (op->atom == DW_OP_call_frame_cfa)
		o.kind = OP_CFA;
	if (o.off == INT64_MIN)
		o.kind = OP_OTHER;
	return o;
}

static void print_expression(FILE *f, const Dwarf_Op *op, size_t n)
{
	struct form_op out[8], other = {.kind = OP_OTHER};
	bool known = n > 0 && n <= sizeof(out) / sizeof(out[0]);

	for (size_t i = 0; i < n && known; i++) {
		out[i] = op_of(&op[i]);
		known = out[i].kind != OP_OTHER;
	}
	form_print_ops(f, known ? out : &other, known ? n : 1);
}

/* A plain expression says nothing of addresses; a list has one for each of some ranges: those in which code
 * begins, or all if that is NULL. */
static void print_location(struct writer *w, Dwarf_Attribute *a, const struct form_attr *fa, Dwarf_Die *code)
{
	unsigned form = dwarf_whatform(a);
	bool list = form != DW_FORM_exprloc && form != DW_FORM_block1 && form != DW_FORM_block2 &&
		    form != DW_FORM_block4 && form != DW_FORM_block;
	Dwarf_Addr base, lo, hi;
	const char *sep = "=";
	ptrdiff_t off = 0;
	Dwarf_Op *op;
	size_t n;

	while ((off = dwarf_getlocations(a, off, &base, &lo, &hi, &op, &n)) > 0) {
		if (list && (hi <= lo || (code && !slice_begins_in(code, lo, hi))))
			continue;
		if (*sep == '=')
			print_name(w->f, fa);
		fputs(sep, w->f);
		if (list)
			fprintf(w->f, "0x%" PRIx64 "-0x%" PRIx64 ":", lo, hi);
		print_expression(w->f, op, n);
		sep = ",";
	}
}

/* Where a member stands is a number, for old producers a one-step expression, and for virtual bases computed.
 */
static void print_number(struct writer *w, Dwarf_Attribute *a, const struct form_attr *fa)
{
	unsigned form = dwarf_whatform(a);
	Dwarf_Sword s;
	Dwarf_Word v;
	Dwarf_Op *op;
	size_t n;

	if (fa->code == DW_AT_const_value && (form == DW_FORM_sdata || form == DW_FORM_implicit_const) &&
	    !dwarf_formsdata(a, &s) && s < 0) {
		fprintf(w->f, " %s=%" PRId64, fa->name, (int64_t)s);
	} else if (!dwarf_formudata(a, &v)) {
		fprintf(w->f, " %s=%" PRIu64, fa->name, (uint64_t)v);
	} else if (fa->code == DW_AT_data_member_location && !dwarf_getlocation(a, &op, &n)) {
		if (n == 1 && op[0].atom == DW_OP_plus_uconst)
			fprintf(w->f, " %s=%" PRIu64, fa->name, (uint64_t)op[0].number);
		else
			fprintf(w->f, " %s=?", fa->name);
	}
}

static void print_reference(struct writer *w, Dwarf_Attribute *a, const struct form_attr *fa)
{
	const struct slice_die *to;
	Dwarf_Die ref;

	if (!dwarf_formref_die(a, &ref))
		return;
	to = slice_find(&w->s, die_id(w->d, &ref));
	if (!to)
		return; /* of a tag that profiles have not */
	fprintf(w->f, " %s=@", fa->name);
	print_label(w->f, to);
}

static void print_attr(struct writer *w, Dwarf_Attribute *a, const struct form_attr *fa, Dwarf_Die *code)
{
	Dwarf_Addr addr;
	const char *s;
	bool flag;

	switch (fa->kind) {
	case FORM_STRING:
		s = dwarf_formstring(a);
		if (s) {
			fprintf(w->f, " %s=", fa->name);
			form_print_string(w->f, s);
		}
		break;
	case FORM_NUMBER:
		print_number(w, a, fa);
		break;
	case FORM_FLAG:
		if (!dwarf_formflag(a, &flag) && flag)
			print_name(w->f, fa);
		break;
	case FORM_REF:
		print_reference(w, a, fa);
		break;
	case FORM_ADDRESS:
		if (!dwarf_formaddr(a, &addr))
			fprintf(w->f, " %s=0x%" PRIx64, fa->name, (uint64_t)addr);
		break;
	case FORM_LOCATION:
		print_location(w, a, fa, code);
		break;
	case FORM_RANGES:
		break;
	}
}

static bool is_named_type(int tag)
{
	return tag == DW_TAG_class_type || tag == DW_TAG_structure_type || tag == DW_TAG_union_type ||
	       tag == DW_TAG_interface_type || tag == DW_TAG_enumeration_type;
}

/* Ranges, wherever the producer put them; an entry_pc given relative to them becomes an address. */
static void print_code(struct writer *w, Dwarf_Die *die)
{
	Dwarf_Attribute a;
	Dwarf_Addr addr;
	Dwarf_Word off;

	if (dwarf_attr(die, DW_AT_ranges, &a) || dwarf_attr(die, DW_AT_high_pc, &a))
		print_ranges(w, die);
	else if (!dwarf_lowpc(die, &addr))
		fprintf(w->f, " low_pc=0x%" PRIx64, (uint64_t)addr);
	if (dwarf_attr(die, DW_AT_entry_pc, &a) && dwarf_formaddr(&a, &addr) && !dwarf_formudata(&a, &off) &&
	    !dwarf_lowpc(die, &addr))
		fprintf(w->f, " entry_pc=0x%" PRIx64, (uint64_t)addr + off);
}

static bool wanted(const struct slice_die *x, int tag, const struct form_attr *fa)
{
	if (tag == DW_TAG_compile_unit || tag == DW_TAG_partial_unit || tag == DW_TAG_type_unit)
		return fa->code == DW_AT_name || fa->code == DW_AT_language;
	if (is_named_type(tag) && !x->looked_at)
		return fa->code == DW_AT_name || fa->code == DW_AT_specification ||
		       fa->code == DW_AT_signature || fa->code == DW_AT_declaration;
	if (tag == DW_TAG_subprogram && fa->code == DW_AT_containing_type)
		return false;		 /* that it is virtual says enough */
	return fa->code != DW_AT_low_pc; /* print_code() */
}

/* Whether a function is visible to other units is asked of no member. */
static bool is_class(Dwarf_Die *die)
{
	int tag = dwarf_tag(die);

	return is_named_type(tag) && tag != DW_TAG_enumeration_type;
}

static void print_die(struct writer *w, const struct slice_die *x)
{
	Dwarf_Die die, around;
	int tag;

	if (!die_at(w->d, x->id, &die))
		return;
	if (!die_at(w->d, w->s.v[x->parent].id, &around))
		return;
	tag = dwarf_tag(&die);
	fprintf(w->f, "%*s%s", x->depth * PROFILE_INDENT, "", form_tag_name((unsigned)tag));
	if (x->referred) {
		fputs(" #", w->f);
		print_label(w->f, x);
	}
	for (size_t i = 0; i < form_n_attrs; i++) {
		Dwarf_Attribute a;

		if (!wanted(x, tag, &form_attrs[i]) ||
		    (tag == DW_TAG_subprogram && form_attrs[i].code == DW_AT_external && is_class(&around)) ||
		    !dwarf_attr(&die, form_attrs[i].code, &a))
			continue;
		print_attr(w, &a, &form_attrs[i],
			   tag == DW_TAG_formal_parameter && !w->s.v[x->parent].throughout ? &around : NULL);
	}
	if (is_named_type(tag) && !x->looked_at && !die_declaration(&die))
		fputs(" declaration", w->f);
	if (tag == DW_TAG_inlined_subroutine || tag == DW_TAG_subprogram)
		print_code(w, &die);
	fputc('\n', w->f);
}

struct symbols {
	const struct writer *w;
	bool all; /* functions that nothing refers to, too */
	struct elf_sym *v;
	size_t n, bytes, left_out;
	bool failed;
};

static bool is_function(const struct elf_sym *s)
{
	return s->type == STT_FUNC || s->type == STT_GNU_IFUNC;
}

/* The vtable of a class that was looked at, defined here or elsewhere. */
static bool is_wanted_vtable(const struct writer *w, const char *name)
{
	char text[2048];
	static const char head[] = "vtable for ";
	struct part parts[MAX_DEPTH];
	const struct pair *p;
	size_t n, n_parts;

	if (strncmp(name, "_ZTV", 4) != 0 ||
	    strncmp(dbg_demangle(name, text, sizeof(text)), head, sizeof(head) - 1) != 0)
		return false;
	n_parts = name_split(text + sizeof(head) - 1, parts, MAX_DEPTH);
	p = pairs_find(&w->d->cls_name, name_hash(NAME_SEED, parts[n_parts - 1].p, parts[n_parts - 1].n), &n);
	for (size_t i = 0; i < n; i++) {
		const struct slice_die *x = slice_find(&w->s, w->d->node[p[i].node].die);

		if (x && x->looked_at && node_matches(w->d, p[i].node, parts, n_parts) != MATCH_NO)
			return true;
	}
	return false;
}

static int by_low(const void *a, const void *b)
{
	const struct dbg_range *x = a, *y = b;

	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

/* Code of the functions in the slice, by address. */
static int find_code(struct writer *w)
{
	for (size_t i = 0; i < w->s.n; i++) {
		Dwarf_Addr base, lo, hi;
		ptrdiff_t off = 0;
		Dwarf_Die die;

		if (!die_at(w->d, w->s.v[i].id, &die) || dwarf_tag(&die) != DW_TAG_subprogram)
			continue;
		while ((off = dwarf_ranges(&die, off, &base, &lo, &hi)) > 0) {
			if (GROW(&w->code, w->n_code))
				return -ENOMEM;
			w->code[w->n_code++] = (struct dbg_range){.lo = lo, .hi = hi};
		}
	}
	if (w->n_code)
		qsort(w->code, w->n_code, sizeof(*w->code), by_low);
	return 0;
}

static bool is_wanted_function(const struct writer *w, const struct elf_sym *s)
{
	return RANGE_WITH(w->code, w->n_code, lo, hi, s->vaddr) != NULL;
}

static int take(void *ctx, const struct elf_sym *s)
{
	struct symbols *t = ctx;
	bool fn = is_function(s);

	if (!*s->name)
		return 0;
	if (fn && s->defined && s->vaddr) {
		if (!t->all && !dbg_recorded_symbol(t->w->d, s->name) && !is_wanted_function(t->w, s)) {
			t->left_out++;
			return 0;
		}
	} else if (fn || !(dbg_recorded_symbol(t->w->d, s->name) || is_wanted_vtable(t->w, s->name))) {
		return 0;
	}
	if (GROW(&t->v, t->n)) {
		t->failed = true;
		return 1;
	}
	t->v[t->n++] = *s;
	t->bytes += strlen(s->name) + 32;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct elf_sym *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c ? c : x->vaddr < y->vaddr ? -1 : x->vaddr > y->vaddr;
}

static int write_symbols(struct writer *w, size_t max)
{
	struct symbols t = {.w = w, .all = true};

	dbg_for_each_symbol(w->d, take, &t);
	if (!t.failed && t.bytes > max) {
		free(t.v);
		t = (struct symbols){.w = w};
		dbg_for_each_symbol(w->d, take, &t);
	}
	if (t.n)
		qsort(t.v, t.n, sizeof(*t.v), by_name);
	if (t.left_out)
		fprintf(w->f, "# %zu symbols of functions that the plan does not need are left out\n",
			t.left_out);
	for (size_t i = 0; i < t.n; i++) {
		const struct elf_sym *s = &t.v[i];

		fprintf(w->f, "symbol %c 0x%" PRIx64 " %" PRIu64 " ", form_symbol_letter(s), s->vaddr,
			s->size);
		form_print_string(w->f, s->name);
		fputc('\n', w->f);
	}
	free(t.v);
	return t.failed ? -ENOMEM : 0;
}

/* So that addresses mean the same in what is made of it. */
static void write_segments(struct writer *w)
{
	Elf *elf = elf_file_elf(dbg_binary(w->d));
	GElf_Ehdr eh;
	GElf_Phdr ph;
	size_t n = 0;

	elf_getphdrnum(elf, &n);
	if (gelf_getehdr(elf, &eh))
		fprintf(w->f, "machine %u\n", eh.e_machine);
	fprintf(w->f, "type %s\n", elf_file_is_pie(dbg_binary(w->d)) ? "dyn" : "exec");
	for (size_t i = 0; i < n; i++)
		if (gelf_getphdr(elf, (int)i, &ph) && ph.p_type == PT_LOAD)
			fprintf(w->f, "segment 0x%" PRIx64 " 0x%" PRIx64 " 0x%" PRIx64 " %c%c%c\n",
				ph.p_vaddr, ph.p_memsz, ph.p_align, ph.p_flags & PF_R ? 'r' : '-',
				ph.p_flags & PF_W ? 'w' : '-', ph.p_flags & PF_X ? 'x' : '-');
}

int profile_write(FILE *f, struct dbg *d, const struct profile_info *info, struct err *err)
{
	struct writer w = {.f = f, .d = d};
	const struct elf_file *bin = dbg_binary(d);
	const char *name = strrchr(elf_file_name(bin), '/');
	int rc;

	if (!*elf_file_build_id_hex(bin)) {
		err_set(err, -ENODATA,
			"%s has no build-id: nothing would tell whether the profile is its own",
			elf_file_name(bin));
		err_hint(err, "link it with -Wl,--build-id");
		return -ENODATA;
	}
	rc = slice_make(&w.s, d, err);
	if (!rc && find_code(&w))
		rc = err_set(err, -ENOMEM, "out of memory");
	if (rc)
		goto out;
	fprintf(f, PROFILE_MAGIC "\nbuild-id %s\nbinary ", elf_file_build_id_hex(bin));
	form_print_string(f, name ? name + 1 : elf_file_name(bin));
	fputs("\nfor ", f);
	form_print_string(f, info->what);
	fputc('\n', f);
	write_segments(&w);
	for (size_t i = 0; i < info->n_probes; i++) {
		const struct profile_probe *p = &info->probe[i];

		fprintf(f, "probe %s 0x%" PRIx64 " +%" PRIu64 " ", p->role, p->entry, p->vaddr - p->entry);
		form_print_string(f, p->function);
		fputc('\n', f);
	}
	rc = write_symbols(&w, info->max_symbol_bytes ? info->max_symbol_bytes : MAX_SYMBOL_BYTES);
	for (size_t i = 0; i < w.s.n && !rc; i++)
		print_die(&w, &w.s.v[i]);
	if (rc)
		err_set(err, rc, "out of memory");
	fputs("end\n", f);
	if (!rc && (fflush(f) || ferror(f)))
		rc = err_set(err, -EIO, "cannot write the profile: %s", strerror(errno));
out:
	free(w.code);
	slice_deinit(&w.s);
	return rc;
}
