// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Names and source lines of an address: DWARF where there is any, else the symbol table. */
#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "util/hash.h"

#include "symbol/image_priv.h"

#define CACHE_MAX 65536

struct symbol_entry {
	uint64_t addr;
	struct frames f; /* addr and offset of the frames are the looked-up address's */
	UT_hash_handle hh;
};

void image_cache_drop(struct image *im)
{
	struct symbol_entry *e, *next;

	HASH_ITER (hh, im->cache, e, next) {
		HASH_DEL(im->cache, e);
		frames_deinit(&e->f);
		free(e);
	}
	im->n_cached = 0;
}

/* May a function's declaration stand in it? */
static bool is_scope(int tag)
{
	return tag == DW_TAG_namespace || tag == DW_TAG_class_type || tag == DW_TAG_structure_type ||
	       tag == DW_TAG_union_type || tag == DW_TAG_module;
}

static const char *string_of(Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attr;

	return dwarf_formstring(dwarf_attr_integrate(die, name, &attr));
}

static const char *linkage_name(Dwarf_Die *die)
{
	const char *name = string_of(die, DW_AT_linkage_name);

	return name ? name : string_of(die, DW_AT_MIPS_linkage_name);
}

/* The DIE that stands where the function was declared, which tells its namespace and class. */
static Dwarf_Die declaration(Dwarf_Die die)
{
	static const unsigned via[] = {DW_AT_abstract_origin, DW_AT_specification};
	Dwarf_Attribute attr;
	Dwarf_Die next;

	for (size_t i = 0; i < sizeof(via) / sizeof(via[0]); i++) {
		while (dwarf_formref_die(dwarf_attr(&die, via[i], &attr), &next))
			die = next;
	}
	return die;
}

static char *die_name(Dwarf_Die *die, unsigned depth);

/* "outer::name"; frees both. */
static char *qualify(char *outer, char *name)
{
	char *full;

	if (!outer || !name || asprintf(&full, "%s::%s", outer, name) < 0)
		full = NULL;
	free(outer);
	free(name);
	return full;
}

/* For functions whose linkage name DWARF leaves out, as gcc does for what only this file can call. */
static char *qualified_name(Dwarf_Die *die, unsigned depth)
{
	Dwarf_Die decl = declaration(*die), *scope;
	const char *name = string_of(die, DW_AT_name);
	char *full = name ? strdup(name) : NULL;
	int n = full ? dwarf_getscopes_die(&decl, &scope) : 0;

	for (int i = 1; i < n && full; i++) {
		int tag = dwarf_tag(&scope[i]);
		const char *outer = dwarf_diename(&scope[i]);

		/* a function may hold a class of its own, and has a full name itself */
		if (tag == DW_TAG_subprogram && depth < IMAGE_MAX_INLINE) {
			full = qualify(die_name(&scope[i], depth + 1), full);
			break;
		}
		if (!is_scope(tag))
			continue;
		if (!outer)
			outer = tag == DW_TAG_namespace ? "(anonymous namespace)" : "{lambda}";
		full = qualify(strdup(outer), full);
	}
	if (n > 0)
		free(scope);
	if (full) {
		symbol_cut_clone(full);
		symbol_shorten(full);
	}
	return full;
}

static char *die_name(Dwarf_Die *die, unsigned depth)
{
	const char *linkage = linkage_name(die);

	/* that of a C function is its assembler name: an alias, or a clone with a suffix */
	return linkage && !strncmp(linkage, "_Z", 2) ? symbol_name(linkage) : qualified_name(die, depth);
}

/*
 * The symbol whose size covers addr. One without size is taken only where the table names every function, so
 * that the code behind an exported function of a stripped file is not taken for a part of it.
 */
static char *table_name(struct image_module *m, uint64_t addr)
{
	Dwfl_Module *mod = module_dwfl(m);
	const char *name;
	GElf_Off off = 0;
	GElf_Sym sym;

	if (!mod)
		return NULL;
	name = dwfl_module_addrinfo(mod, addr, &off, &sym, NULL, NULL, NULL);
	if (!name || !*name || (sym.st_size ? off >= sym.st_size : !m->has_symtab))
		return NULL;
	if (GELF_ST_TYPE(sym.st_info) == STT_OBJECT || GELF_ST_TYPE(sym.st_info) == STT_TLS)
		return NULL;
	return symbol_name(name);
}

static char *function_name(struct image_module *m, uint64_t addr, Dwarf_Die *die, bool out_of_line)
{
	char *name = NULL;

	/* the symbol table knows local C++ functions better, but C functions by any of their aliases and
	 * clones */
	if (out_of_line && !linkage_name(die))
		name = table_name(m, addr);
	if (name && strstr(name, "::"))
		return name;
	free(name);
	return die_name(die, 0);
}

/* The strings of f are the frames' from here on, or freed. */
static int add_frame(struct frames *out, const struct frame *f)
{
	struct frame *v = reallocarray(out->v, out->n + 1, sizeof(*v));

	if (!v) {
		free(f->module);
		free(f->build_id);
		free(f->symbol);
		free(f->file);
		return -ENOMEM;
	}
	out->v = v;
	v[out->n++] = *f;
	return 0;
}

static char *copy_of(const char *s)
{
	return s ? strdup(s) : NULL;
}

/* File and line of the innermost frame; the others' are where the next inner one was inlined. */
static void innermost_line(Dwarf_Die *cu, Dwarf_Addr pc, const char **file, int *line)
{
	Dwarf_Line *l = dwarf_getsrc_die(cu, pc);

	*file = NULL;
	*line = 0;
	if (!l || dwarf_lineno(l, line))
		return;
	*file = dwarf_linesrc(l, NULL, NULL);
}

static void call_line(Dwarf_Die *cu, Dwarf_Die *inlined, const char **file, int *line)
{
	Dwarf_Attribute attr;
	Dwarf_Files *files;
	Dwarf_Word v;
	size_t n;

	*file = NULL;
	*line = 0;
	if (!dwarf_formudata(dwarf_attr(inlined, DW_AT_call_file, &attr), &v) &&
	    !dwarf_getsrcfiles(cu, &files, &n))
		*file = dwarf_filesrc(files, v, NULL, NULL);
	if (!dwarf_formudata(dwarf_attr(inlined, DW_AT_call_line, &attr), &v))
		*line = (int)v;
}

static int expand(struct image_module *m, uint64_t addr, const struct frame *base, struct frames *out)
{
	Dwarf_Die cu, scope[IMAGE_MAX_INLINE];
	const char *file;
	uint64_t bias;
	size_t n;
	int line, err = 0;

	n = scopes_at(m, addr, &cu, scope, &bias);
	if (n)
		innermost_line(&cu, addr - bias, &file, &line);
	for (size_t i = 0; i < n && !err; i++) {
		struct frame f = *base;

		f.module = copy_of(base->module);
		f.build_id = copy_of(base->build_id);
		f.symbol = function_name(m, addr, &scope[i], i == n - 1);
		f.file = copy_of(file);
		f.line = line;
		f.inlined = dwarf_tag(&scope[i]) == DW_TAG_inlined_subroutine;
		if (f.inlined)
			call_line(&cu, &scope[i], &file, &line);
		err = add_frame(out, &f);
	}
	return err;
}

static int look_up(struct image *im, uint64_t addr, struct frames *out)
{
	struct image_module *m = image_module_at(im, addr);
	struct frame f = {.addr = addr};
	int err;

	if (!m)
		return add_frame(out, &f);
	f.module = m->path;
	f.build_id = m->build_id;
	f.offset = addr - module_bias(m);
	err = expand(m, addr, &f, out);
	if (err || out->n)
		return err;
	f.module = copy_of(m->path);
	f.build_id = copy_of(m->build_id);
	f.symbol = table_name(m, addr);
	return add_frame(out, &f);
}

static int append(const struct frames *from, uint64_t pc, struct frames *out)
{
	for (size_t i = 0; i < from->n; i++) {
		struct frame f = from->v[i];

		f.addr = pc;
		f.module = copy_of(f.module);
		f.build_id = copy_of(f.build_id);
		f.symbol = copy_of(f.symbol);
		f.file = copy_of(f.file);
		if (add_frame(out, &f))
			return -ENOMEM;
	}
	return 0;
}

int image_symbolize(struct image *im, uint64_t pc, bool is_return, struct frames *out)
{
	uint64_t addr = is_return ? pc - 1 : pc;
	struct symbol_entry *e;
	int err;

	HASH_FIND(hh, im->cache, &addr, sizeof(addr), e);
	if (e)
		return append(&e->f, pc, out);
	if (im->n_cached == CACHE_MAX)
		image_cache_drop(im);
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->addr = addr;
	err = look_up(im, addr, &e->f);
	if (err) {
		frames_deinit(&e->f);
		free(e);
		return err;
	}
	HASH_ADD(hh, im->cache, addr, sizeof(addr), e);
	im->n_cached++;
	return append(&e->f, pc, out);
}
