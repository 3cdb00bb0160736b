// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "heap/functions.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plan/site.h"
#include "util/grow.h"

static const struct {
	const char *name;
	enum heap_kind kind;
	bool throws;
} known[] = {
	{"malloc", HEAP_ALLOC, false},
	{"calloc", HEAP_ALLOC_N, false},
	{"realloc", HEAP_REALLOC, false},
	{"memalign", HEAP_ALIGNED, false},
	{"aligned_alloc", HEAP_ALIGNED, false},
	{"posix_memalign", HEAP_ALIGNED_P, false},
	{"valloc", HEAP_ALLOC, false},
	{"pvalloc", HEAP_ALLOC, false},
	{"free", HEAP_RELEASE, false},
	{"cfree", HEAP_RELEASE, false},
	{"sdallocx", HEAP_RELEASE_N, false},
	{"_Znwm", HEAP_ALLOC, true}, /* operator new and new[], plain and with alignment */
	{"_Znam", HEAP_ALLOC, true},
	{"_ZnwmSt11align_val_t", HEAP_ALLOC, true},
	{"_ZnamSt11align_val_t", HEAP_ALLOC, true},
	{"_ZnwmRKSt9nothrow_t", HEAP_ALLOC, false},
	{"_ZnamRKSt9nothrow_t", HEAP_ALLOC, false},
	{"_ZnwmSt11align_val_tRKSt9nothrow_t", HEAP_ALLOC, false},
	{"_ZnamSt11align_val_tRKSt9nothrow_t", HEAP_ALLOC, false},
	{"_ZdlPv", HEAP_RELEASE, false},
	{"_ZdaPv", HEAP_RELEASE, false},
	{"_ZdlPvm", HEAP_RELEASE_N, false},
	{"_ZdaPvm", HEAP_RELEASE_N, false},
	{"_ZdlPvSt11align_val_t", HEAP_RELEASE, false},
	{"_ZdaPvSt11align_val_t", HEAP_RELEASE, false},
	{"_ZdlPvmSt11align_val_t", HEAP_RELEASE_N, false},
	{"_ZdaPvmSt11align_val_t", HEAP_RELEASE_N, false},
	{"_ZdlPvRKSt9nothrow_t", HEAP_RELEASE, false},
	{"_ZdaPvRKSt9nothrow_t", HEAP_RELEASE, false},
};

enum heap_kind heap_function_kind(const char *name, bool *throws)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(name, known[i].name) != 0)
			continue;
		*throws = known[i].throws;
		return known[i].kind;
	}
	return HEAP_NONE_KIND;
}

bool heap_function_shown(const char *symbol)
{
	static const char *const names[] = {
		"operator new", "operator delete", "malloc",	     "calloc", "realloc", "free",     "cfree",
		"memalign",	"aligned_alloc",   "posix_memalign", "valloc", "pvalloc", "sdallocx", "tc_",
		"je_",		"tcmalloc::",	   "do_malloc",	     "do_free"};

	if (!strncmp(symbol, "__libc_", 7))
		symbol += 7;
	else if (!strncmp(symbol, "__", 2))
		symbol += 2;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t n = strlen(names[i]);

		if (!strncmp(symbol, names[i], n) && (names[i][n - 1] == '_' || names[i][n - 1] == ':' ||
						      !symbol[n] || symbol[n] == '(' || symbol[n] == '['))
			return true;
	}
	return false;
}

struct collect {
	const struct elf_file *f;
	struct heap_func *v;
	size_t n;
	bool malloc;
};

static int add(struct collect *c, const struct elf_sym *s, const char *name, enum heap_kind kind, bool throws)
{
	bool alloc = kind != HEAP_RELEASE && kind != HEAP_RELEASE_N;
	struct heap_func *h;
	struct site site = {.stepped = true};
	size_t left = elf_bytes_left(c->f, s->vaddr), size = s->size && s->size < left ? s->size : left;
	const uint8_t *code;

	for (size_t i = 0; i < c->n; i++)
		if (c->v[i].vaddr == s->vaddr)
			return 0; /* an alias; the sites below are moved at the end */
	if (size > 256 && !s->size)
		size = 256;
	code = size ? elf_bytes(c->f, s->vaddr, size) : NULL;
	if (!code)
		return 0;
	/* a return probe replaces the return address where the stack pointer points */
	if (site_choose(code, size, &site) || (alloc && site.pushed))
		site = (struct site){.stepped = site_stepped(code, size)};
	if (GROW(&c->v, c->n))
		return -ENOMEM;
	h = &c->v[c->n++];
	*h = (struct heap_func){.name = name,
				.kind = kind,
				.throws = throws,
				.vaddr = s->vaddr,
				.offset = site.offset,
				.pushed = site.pushed,
				.stepped = site.stepped};
	return 0;
}

static int on_symbol(void *ctx, const struct elf_sym *s)
{
	struct collect *c = ctx;
	enum heap_kind kind;
	bool throws = false;

	if (!s->defined || (s->type != STT_FUNC && s->type != STT_GNU_IFUNC) || !s->vaddr)
		return 0;
	kind = heap_function_kind(s->name, &throws);
	if (kind == HEAP_NONE_KIND)
		return 0;
	c->malloc |= !strcmp(s->name, "malloc");
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(known[i].name, s->name))
			return add(c, s, known[i].name, kind, throws);
	return 0;
}

int heap_functions(const struct elf_file *f, const struct elf_file *symbols, struct heap_func **ret,
		   size_t *n)
{
	struct collect c = {.f = f};
	size_t kept = 0;
	int err = elf_for_each_symbol(symbols, on_symbol, &c);

	*ret = NULL;
	*n = 0;
	if (err || !c.malloc) {
		free(c.v);
		return err;
	}
	for (size_t i = 0; i < c.n; i++) { /* from the function to its probe */
		struct heap_func h = c.v[i];

		h.vaddr += h.offset;
		if (elf_vaddr_to_offset(f, h.vaddr, &h.offset))
			c.v[kept++] = h;
	}
	*ret = c.v;
	*n = kept;
	return 0;
}

const char *heap_allocator_name(const struct elf_file *symbols, const char *path)
{
	const char *base = path ? strrchr(path, '/') : NULL;
	struct elf_sym s;

	base = base ? base + 1 : path ? path : "";
	if (!elf_symbol(symbols, "tc_malloc", &s) ||
	    !elf_symbol(symbols, "MallocExtension_GetNumericProperty", &s))
		return "tcmalloc";
	if (!elf_symbol(symbols, "sdallocx", &s) || !elf_symbol(symbols, "je_malloc", &s))
		return "jemalloc";
	if (!strncmp(base, "libc.so.", 8) || !strncmp(base, "libc-2.", 7) ||
	    !elf_symbol(symbols, "__libc_malloc", &s))
		return "glibc";
	return "another";
}

/* Bits of [from, to]. */
static void add_range(__u64 sizes[HEAP_SIZE_WORDS], uint64_t from, uint64_t to)
{
	for (uint64_t u = (from + HEAP_UNIT - 1) / HEAP_UNIT; u <= (to + HEAP_UNIT - 1) / HEAP_UNIT; u++)
		if (u / 64 < HEAP_SIZE_WORDS)
			sizes[u / 64] |= 1ull << (u % 64);
}

void heap_sizes_add(__u64 sizes[HEAP_SIZE_WORDS], uint64_t size, bool glibc_only)
{
	/* glibc: 8 bytes of overhead, multiples of 16 (malloc.c, request2size) */
	uint64_t chunk = (size + 8 + 15) & ~15ull;

	if (chunk < 32)
		chunk = 32;
	add_range(sizes, chunk > 32 ? chunk - 8 - 15 : 1, chunk - 8);
	/* jemalloc has four classes between powers of two, tcmalloc wastes at most an eighth */
	if (!glibc_only)
		add_range(sizes, size - size / 4 > 16 ? size - size / 4 - 16 : 1, size + size / 4 + 16);
}
