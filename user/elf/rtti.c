// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "elf/rtti.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "elf/elf_priv.h"
#include "elf/extents.h"
#include "elf/words.h"
#include "util/grow.h"
#include "util/search.h"

#define BASES_MAX   16	 /* direct ones of a class that are looked at */
#define DEPTH_MAX   16	 /* of derivation */
#define CLASSES_MAX 8192 /* on one level of derivation: no program has as many */

/* Typeinfo of which class of the ABI's: how its bases are told. */
enum form { FORM_NONE, FORM_LEAF, FORM_SINGLE, FORM_SEVERAL };
static const char *const forms[] = {
	[FORM_LEAF] = "N10__cxxabiv117__class_type_infoE",
	[FORM_SINGLE] = "N10__cxxabiv120__si_class_type_infoE",
	[FORM_SEVERAL] = "N10__cxxabiv121__vmi_class_type_infoE",
};

/* A class that has the base `offset` bytes from its begin. */
struct node {
	uint64_t typeinfo;  /* 0: of another module */
	const char *symbol; /* then this one */
	int64_t offset;
};

struct level {
	struct node *v; /* by typeinfo */
	size_t n;
};

struct search {
	const struct elf_file *file;
	struct elf_words words;
	struct elf_extents extents;
	unsigned slot;
	int (*fn)(void *ctx, const struct rtti_function *fun);
	void *ctx;
	struct level now, next;
	uint64_t *told; /* functions */
	size_t n_told;
};

static bool text_is(const struct elf_file *f, uint64_t vaddr, const char *text)
{
	const uint8_t *p = elf_bytes(f, vaddr, strlen(text) + 1);

	return p && !memcmp(p, text, strlen(text) + 1);
}

/* Its first word is the address point of a vtable, 16 bytes into it. Where libstdc++ is linked statically,
 * that vtable's own typeinfo tells its name. */
static enum form form_of(const struct search *s, uint64_t typeinfo)
{
	struct elf_word vptr, rtti, name;
	struct elf_sym sym;

	if (typeinfo % 8 || !elf_words_at(&s->words, typeinfo, &vptr))
		return FORM_NONE;
	for (enum form i = FORM_LEAF; i <= FORM_SEVERAL; i++) {
		char ztv[64];

		snprintf(ztv, sizeof(ztv), "_ZTV%s", forms[i]);
		if (vptr.symbol) {
			if (vptr.target == 16 && !strcmp(vptr.symbol, ztv))
				return i;
		} else if (!elf_dynsym(s->file, ztv, &sym) && vptr.target == sym.vaddr + 16) {
			return i;
		}
	}
	if (vptr.symbol || !elf_words_at(&s->words, vptr.target - 8, &rtti) || rtti.symbol ||
	    !elf_words_at(&s->words, rtti.target + 8, &name) || name.symbol)
		return FORM_NONE;
	for (enum form i = FORM_LEAF; i <= FORM_SEVERAL; i++)
		if (text_is(s->file, name.target, forms[i]))
			return i;
	return FORM_NONE;
}

static int by_typeinfo(const void *a, const void *b)
{
	const struct node *x = a, *y = b;

	return x->typeinfo != y->typeinfo ? (x->typeinfo > y->typeinfo) - (x->typeinfo < y->typeinfo)
					  : (x->offset > y->offset) - (x->offset < y->offset);
}

static int add_node(struct level *l, uint64_t typeinfo, const char *symbol, int64_t offset)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].typeinfo == typeinfo && l->v[i].offset == offset)
			return 0;
	if (l->n == CLASSES_MAX)
		return 0;
	if (GROW(&l->v, l->n))
		return -ENOMEM;
	l->v[l->n++] = (struct node){.typeinfo = typeinfo, .symbol = symbol, .offset = offset};
	return 0;
}

/* Is the word part of the list of bases of a typeinfo? Adds the class that it belongs to. */
static int derived_by(struct search *s, uint64_t at, const struct node *base)
{
	uint32_t n;
	int64_t flags;

	if (form_of(s, at - 16) == FORM_SINGLE)
		return add_node(&s->next, at - 16, NULL, base->offset);
	for (unsigned i = 0; i < BASES_MAX; i++) {
		uint64_t typeinfo = at - 24 - 16ULL * i;
		const uint8_t *count = elf_bytes(s->file, typeinfo + 20, 4);
		const uint8_t *how = elf_bytes(s->file, at + 8, 8);

		if (form_of(s, typeinfo) != FORM_SEVERAL || !count || !how)
			continue;
		memcpy(&n, count, sizeof(n));
		memcpy(&flags, how, sizeof(flags));
		/* lowest bit: virtual; from the ninth on: the offset */
		return i < n && !(flags & 1) ? add_node(&s->next, typeinfo, NULL, base->offset + (flags >> 8))
					     : 0;
	}
	return 0;
}

static bool function_at(const struct search *s, uint64_t vaddr, uint64_t *size)
{
	const struct elf_extent *e = elf_extent_at(&s->extents, vaddr);

	if (!e || !e->size || !elf_vaddr_is_code(s->file, vaddr))
		return false;
	*size = e->size;
	return true;
}

/* Entry `slot` of the vtable with this address point. */
static bool entry(const struct search *s, uint64_t point, unsigned slot, uint64_t *vaddr, uint64_t *size)
{
	struct elf_word w;

	if (!elf_words_at(&s->words, point + 8ULL * slot, &w) || w.symbol)
		return false;
	*vaddr = w.target;
	return function_at(s, w.target, size);
}

/* In a part of a class that is not its first, the entry corrects `this` and jumps to the function. aarch64:
 * "sub x0, x0, #imm" and "b", behind "bti c" perhaps. */
static uint64_t behind_thunk_aarch64(const struct search *s, uint64_t vaddr, uint64_t *size)
{
	const uint8_t *p = elf_bytes(s->file, vaddr, 12);
	uint64_t at = vaddr, to, to_size;
	uint32_t insn[3];

	if (!p)
		return vaddr;
	memcpy(insn, p, sizeof(insn));
	if (insn[0] == 0xd503245f) { /* bti c */
		memmove(insn, insn + 1, 8);
		at += 4;
	}
	if ((insn[0] & 0xff8003ff) != 0xd1000000 || (insn[1] & 0xfc000000) != 0x14000000)
		return vaddr;
	at += 4;
	to = at + (uint64_t)((int64_t)((uint64_t)insn[1] << 38) >> 36);
	if (!function_at(s, to, &to_size))
		return vaddr;
	*size = to_size;
	return to;
}

static uint64_t behind_thunk(const struct search *s, uint64_t vaddr, uint64_t *size)
{
	static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
	uint64_t at = vaddr, to, to_size;
	const uint8_t *p = elf_bytes(s->file, at, 4);
	int32_t far;

	if (s->file->machine == EM_AARCH64)
		return behind_thunk_aarch64(s, vaddr, size);
	if (s->file->machine != EM_X86_64 || !p)
		return vaddr;
	if (!memcmp(p, endbr64, sizeof(endbr64)))
		at += sizeof(endbr64);
	p = elf_bytes(s->file, at, 12);
	if (!p || p[0] != 0x48 || (p[1] != 0x83 && p[1] != 0x81) || (p[2] != 0xef && p[2] != 0xc7))
		return vaddr;
	at += p[1] == 0x83 ? 4 : 7; /* sub or add $imm, %rdi */
	p = elf_bytes(s->file, at, 5);
	if (!p)
		return vaddr;
	memcpy(&far, p + 1, sizeof(far));
	if (p[0] == 0xe9)
		to = at + 5 + (uint64_t)(int64_t)far;
	else if (p[0] == 0xeb)
		to = at + 2 + (uint64_t)(int64_t)(int8_t)p[1];
	else
		return vaddr;
	if (!function_at(s, to, &to_size))
		return vaddr;
	*size = to_size;
	return to;
}

static int tell(struct search *s, uint64_t typeinfo, uint64_t vaddr, uint64_t size)
{
	struct rtti_function fun = {.vaddr = vaddr, .size = size};
	struct elf_word name;
	size_t left;

	for (size_t i = 0; i < s->n_told; i++)
		if (s->told[i] == vaddr)
			return 0;
	if (!elf_words_at(&s->words, typeinfo + 8, &name) || name.symbol)
		return 0;
	left = elf_bytes_left(s->file, name.target);
	fun.cls = left ? (const char *)elf_bytes(s->file, name.target, left) : NULL;
	if (!fun.cls || !memchr(fun.cls, '\0', left))
		return 0;
	fun.cls += *fun.cls == '*'; /* compared by address only */
	if (GROW(&s->told, s->n_told))
		return -ENOMEM;
	s->told[s->n_told++] = vaddr;
	return s->fn(s->ctx, &fun);
}

/* Is the word the RTTI pointer of a vtable of that part of the class? All entries up to the one asked for
 * must be functions, ours or another module's. */
static int vtable_by(struct search *s, uint64_t at, const struct node *n)
{
	uint64_t point = at + 8, vaddr = 0, size = 0;
	const uint8_t *p = elf_bytes(s->file, at - 8, 8);
	struct elf_word w;
	int64_t to_top;

	if (!p)
		return 0;
	memcpy(&to_top, p, sizeof(to_top));
	if (to_top != -n->offset || elf_words_at(&s->words, at - 8, &w))
		return 0;
	for (unsigned i = 0; i < s->slot; i++)
		if (!entry(s, point, i, &vaddr, &size) &&
		    (!elf_words_at(&s->words, point + 8ULL * i, &w) || !w.symbol))
			return 0;
	if (!entry(s, point, s->slot, &vaddr, &size))
		return 0;
	if (n->offset)
		vaddr = behind_thunk(s, vaddr, &size);
	return tell(s, n->typeinfo, vaddr, size);
}

static int look_at(void *ctx, const struct elf_word *w)
{
	struct search *s = ctx;
	struct level *l = &s->now;
	size_t at;
	int rc = 0;

	if (w->symbol) { /* nodes of other modules are the first: their typeinfo is 0 */
		for (size_t i = 0; i < l->n && !l->v[i].typeinfo && !rc; i++)
			if (!w->target && !strcmp(w->symbol, l->v[i].symbol))
				rc = derived_by(s, w->at, &l->v[i]);
		return rc;
	}
	at = FIRST_FROM(l->v, l->n, typeinfo, w->target);
	for (; at < l->n && l->v[at].typeinfo == w->target && w->target && !rc; at++) {
		rc = vtable_by(s, w->at, &l->v[at]);
		if (!rc)
			rc = derived_by(s, w->at, &l->v[at]);
	}
	return rc;
}

/* Where the base's name stands: where its typeinfo is defined without a symbol (linked statically), that
 * points there. */
struct texts {
	struct search *s;
	uint64_t at[8];
	size_t n;
};

static int names_base(void *ctx, const struct elf_word *w)
{
	struct texts *t = ctx;

	for (size_t i = 0; i < t->n && !w->symbol; i++)
		if (w->target == t->at[i] && form_of(t->s, w->at - 8) != FORM_NONE)
			return add_node(&t->s->now, w->at - 8, NULL, 0);
	return 0;
}

/* Wherever the base's name ends a text: its own, or a symbol's that names its typeinfo. */
static void find_texts(struct texts *t, const char *base)
{
	const struct elf_file *f = t->s->file;

	for (size_t i = 0; i < f->n_seg; i++) {
		uint64_t at = f->seg[i].p_vaddr;
		size_t left = elf_bytes_left(f, at), len = strlen(base) + 1;
		const uint8_t *from = elf_bytes(f, at, left), *p = from;

		while (p && t->n < sizeof(t->at) / sizeof(t->at[0]) &&
		       (p = memmem(p, left - (size_t)(p - from), base, len)))
			t->at[t->n++] = at + (uint64_t)(p++ - from);
	}
}

static int find_base(struct search *s, struct texts *t, const char *symbol)
{
	struct elf_sym sym;
	int rc = add_node(&s->now, 0, symbol, 0);

	/* defined here, or copied here by the loader */
	if (!rc && !elf_dynsym(s->file, symbol, &sym) && sym.vaddr)
		rc = add_node(&s->now, sym.vaddr, NULL, 0);
	return rc ? rc : elf_words_each(&s->words, names_base, t);
}

int rtti_functions(const struct elf_file *f, const char *base, unsigned slot,
		   int (*fn)(void *ctx, const struct rtti_function *fun), void *ctx)
{
	struct search s = {.file = f, .slot = slot, .fn = fn, .ctx = ctx};
	struct texts t = {.s = &s};
	char symbol[256];
	int rc;

	find_texts(&t, base);
	if (!t.n) /* most modules */
		return 0;
	rc = elf_words_read(&s.words, f);
	if (rc)
		return rc;
	snprintf(symbol, sizeof(symbol), "_ZTI%s", base);
	rc = elf_extents_read(&s.extents, f);
	if (!rc)
		rc = find_base(&s, &t, symbol);
	for (unsigned depth = 0; depth < DEPTH_MAX && !rc && s.now.n; depth++) {
		qsort(s.now.v, s.now.n, sizeof(*s.now.v), by_typeinfo);
		rc = elf_words_each(&s.words, look_at, &s);
		free(s.now.v);
		s.now = s.next;
		s.next = (struct level){0};
	}
	free(s.now.v);
	free(s.next.v);
	free(s.told);
	elf_extents_deinit(&s.extents);
	elf_words_deinit(&s.words);
	return rc;
}
