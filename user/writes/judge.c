// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "writes/judge.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char PROTOBUF[] = "google::protobuf";

const char *judge_verdict_name(enum judge_verdict v)
{
	switch (v) {
	case JUDGE_WRITER:
		return "writer";
	case JUDGE_ALLOCATOR:
		return "allocator";
	case JUDGE_NON_WRITER:
		return "non-writer";
	case JUDGE_UNKNOWN:
		break;
	}
	return "not judged";
}

static bool ident(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

bool judge_mentions(const char *symbol, const char *cls)
{
	size_t len = strlen(cls);

	for (const char *p = symbol; len && (p = strstr(p, cls)); p++) {
		if ((p == symbol || !ident(p[-1])) && !ident(p[len]))
			return true;
	}
	return false;
}

/*
 * Start of the function's qualified name: after the return type, which only templates have. The name ends at
 * its parameter list, the first parenthesis outside template arguments that is no "(anonymous namespace)".
 */
static const char *name_of(const char *symbol)
{
	const char *start = symbol;
	int depth = 0;

	for (const char *p = symbol; *p; p++) {
		if (!strncmp(p, "operator", 8) && (p == symbol || !ident(p[-1])))
			break;
		if (!strncmp(p, "(anonymous namespace)", 21)) {
			p += 20;
			continue;
		}
		if (*p == '<')
			depth++;
		else if (*p == '>')
			depth--;
		else if (*p == '(' && !depth)
			break;
		else if (*p == ' ' && !depth && p[1] != '[')
			start = p + 1;
	}
	return start;
}

bool judge_is_member(const char *symbol, const char *cls)
{
	size_t len = strlen(cls);
	const char *name = name_of(symbol);

	return len && !strncmp(name, cls, len) && name[len] == ':' && name[len + 1] == ':';
}

bool judge_is_allocator(const char *symbol)
{
	static const char *const name[] = {
		"malloc",
		"free",
		"cfree",
		"calloc",
		"realloc",
		"reallocarray",
		"memalign",
		"posix_memalign",
		"aligned_alloc",
		"valloc",
		"pvalloc",
		"int_malloc",
		"int_free",
		"int_realloc",
		"int_memalign",
		"malloc_consolidate",
		"unlink_chunk",
		"sysmalloc",
		"systrim",
		"tcache_init",
		"libc_malloc",
		"libc_free",
		"libc_calloc",
		"libc_realloc",
		"libc_memalign",
		"int_free_chunk",
		"int_free_merge_chunk",
		"int_free_create_chunk",
	};
	static const char *const prefix[] = {"je_",
					     "tc_",
					     "mi_",
					     "tcmalloc::",
					     "(anonymous namespace)::do_free",
					     "operator new",
					     "operator delete"};
	const char *s = symbol + strspn(symbol, "_");
	size_t len = 0;

	for (size_t i = 0; i < sizeof(prefix) / sizeof(prefix[0]); i++) {
		if (!strncmp(symbol, prefix[i], strlen(prefix[i])))
			return true;
	}
	while (ident(s[len]))
		len++;
	if (s[len] == ':')
		return false;
	for (size_t i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
		if (strlen(name[i]) == len && !strncmp(s, name[i], len))
			return true;
	}
	return false;
}

/* A library that stores only where its caller told it to. */
static bool obedient_module(const char *module)
{
	static const char *const base[] = {"libc.so",	 "libc-2",  "ld-linux", "ld-2",
					   "libpthread", "libm.so", "libm-2",	"libstdc++",
					   "libgcc_s",	 "librt",   "[vdso]",	"linux-vdso"};
	const char *name;

	if (!module)
		return false;
	name = strrchr(module, '/');
	name = name ? name + 1 : module;
	for (size_t i = 0; i < sizeof(base) / sizeof(base[0]); i++) {
		if (!strncmp(name, base[i], strlen(base[i])))
			return true;
	}
	return false;
}

/* The same for its functions when they are linked in or inlined. */
static bool obedient_function(const char *symbol)
{
	static const char *const fn[] = {"memcpy",  "memmove", "memset",  "mempcpy", "memccpy",
					 "bcopy",   "bzero",   "strcpy",  "strncpy", "stpcpy",
					 "stpncpy", "strcat",  "strncat", "strlcpy"};
	const char *name = name_of(symbol), *s;

	if (!strncmp(name, "std::", 5) || !strncmp(name, "__gnu_cxx::", 11))
		return true;
	s = symbol + strspn(symbol, "_");
	for (size_t i = 0; i < sizeof(fn) / sizeof(fn[0]); i++) {
		size_t len = strlen(fn[i]);

		/* __memmove_avx_unaligned_erms, __memcpy_chk */
		if (!strncmp(s, fn[i], len) && (!ident(s[len]) || s[len] == '_') && s[len] != ':')
			return true;
	}
	return false;
}

static bool passed_over(const struct frame *f)
{
	return obedient_module(f->module) || (f->symbol && obedient_function(f->symbol));
}

static bool related_member(const struct judge_ask *ask, const struct frame *f)
{
	if (!f->symbol)
		return false;
	if (judge_is_member(f->symbol, ask->type))
		return true;
	for (size_t i = 0; i < ask->n_related; i++) {
		if (judge_is_member(f->symbol, ask->related[i]))
			return true;
	}
	return false;
}

/* The type that f's name mentions and that knows the object; NULL if none. */
static const char *knows(const struct judge_ask *ask, const struct frame *f)
{
	bool repeated = ask->kind == GUARD_REPEATED || ask->kind == GUARD_REPEATED_PTR;

	if (!f->symbol)
		return NULL;
	if (judge_mentions(f->symbol, ask->type))
		return ask->type;
	for (size_t i = 0; i < ask->n_related; i++) {
		if (judge_mentions(f->symbol, ask->related[i]))
			return ask->related[i];
	}
	for (size_t i = 0; i < ask->n_knowing; i++) {
		if (judge_mentions(f->symbol, ask->knowing[i]))
			return ask->knowing[i];
	}
	/* a repeated field can be handed on without its message */
	if (repeated && strstr(f->symbol, "google::protobuf::Repeated"))
		return "google::protobuf::Repeated";
	return NULL;
}

static const char *name(const struct frame *f)
{
	return f->symbol ? f->symbol : "an unknown function";
}

__attribute__((format(printf, 4, 5))) static void decide(struct judge_result *ret, enum judge_verdict v,
							 size_t frame, const char *fmt, ...)
{
	va_list ap;

	ret->verdict = v;
	ret->by_ip = false;
	ret->frame = frame;
	va_start(ap, fmt);
	vsnprintf(ret->reason, sizeof(ret->reason), fmt, ap);
	va_end(ap);
}

/* May this kind of field be judged by who stores to it at all? NULL: yes; else why not. */
static const char *not_judged(const struct judge_ask *ask)
{
	switch (ask->kind) {
	case GUARD_VPTR:
		return "a vtable pointer is judged by its value";
	case GUARD_CACHED_SIZE:
		return "it changes in const functions";
	case GUARD_OPAQUE:
	case GUARD_METADATA:
		return "its writers are not known";
	default:
		return ask->proto ? NULL
				  : "it is no protobuf field: any code that has the object may write it";
	}
}

/* The store's function and what is inlined at the ip: frames first..last, last being the function itself. */
static bool is_writer(const struct judge_ask *ask, size_t first, size_t last, struct judge_result *ret)
{
	const struct frames *st = ask->stack;
	size_t at = last + 1;
	bool proto = false;

	for (size_t i = 0; i <= last; i++) {
		if (related_member(ask, &st->v[i])) {
			decide(ret, JUDGE_WRITER, i, "%s may write it", name(&st->v[i]));
			ret->by_ip = !first && !ask->in_kernel;
			return true;
		}
		if (i >= first && st->v[i].symbol && judge_is_member(st->v[i].symbol, PROTOBUF)) {
			at = proto ? at : i;
			proto = true;
		}
	}
	if (!proto)
		return false;
	for (size_t i = last + 1; i < st->n; i++) {
		if (related_member(ask, &st->v[i])) {
			decide(ret, JUDGE_WRITER, at, "%s, called by %s, may write it", name(&st->v[at]),
			       name(&st->v[i]));
			return true;
		}
	}
	decide(ret, JUDGE_UNKNOWN, at,
	       "%s is protobuf's own code, and nothing says for which object it was called",
	       name(&st->v[at]));
	return true;
}

/* Anything that leaves a doubt whether frames first..last are strangers to the type. */
static bool is_doubtful(const struct judge_ask *ask, size_t first, size_t last, struct judge_result *ret)
{
	const struct frames *st = ask->stack;
	const struct frame *f = &st->v[last];
	int uses;

	for (size_t i = first; i <= last; i++) {
		if (!st->v[i].symbol) {
			decide(ret, JUDGE_UNKNOWN, i, "the storing function in %s is not known",
			       st->v[i].module ? st->v[i].module : "no mapped file");
			return true;
		}
	}
	for (size_t i = 0; i < st->n; i++) {
		const char *type = knows(ask, &st->v[i]);

		if (type) {
			decide(ret, JUDGE_UNKNOWN, first,
			       "%s knows %s and may have got hold of the object regularly", name(&st->v[i]),
			       type);
			return true;
		}
	}
	if (st->truncated && st->n < last + 3) {
		decide(ret, JUDGE_UNKNOWN, first,
		       "the stack could not be unwound far enough to know who called %s", name(f));
		return true;
	}
	if (ask->in_kernel)
		return false; /* no regular code has a system call store into a message */
	if (!f->file) {
		decide(ret, JUDGE_UNKNOWN, first,
		       "without debuginfo of %s a setter inlined into %s cannot be excluded",
		       f->module ? f->module : "its module", name(f));
		return true;
	}
	uses = ask->uses ? ask->uses(ask->uses_ctx, f) : -1;
	if (uses) {
		decide(ret, JUDGE_UNKNOWN, first,
		       uses > 0 ? "%s holds inlined code of %s"
				: "whether %s holds inlined code of %s is not known",
		       name(f), ask->type);
		return true;
	}
	return false;
}

void judge_write(const struct judge_ask *ask, struct judge_result *ret)
{
	const struct frames *st = ask->stack;
	const char *why = not_judged(ask);
	size_t first = 0, last;

	while (first < st->n && passed_over(&st->v[first])) {
		if (!ask->in_kernel && st->v[first].symbol && judge_is_allocator(st->v[first].symbol)) {
			decide(ret, JUDGE_ALLOCATOR, first, "%s: the memory changes hands",
			       st->v[first].symbol);
			return;
		}
		first++;
	}
	if (first == st->n) {
		decide(ret, JUDGE_UNKNOWN, 0,
		       st->n ? "the caller of %s is not known" : "no stack of the store",
		       st->n ? name(&st->v[0]) : "");
		return;
	}
	for (last = first; last + 1 < st->n && st->v[last].inlined; last++)
		;
	if (st->v[first].symbol && judge_is_allocator(st->v[first].symbol)) {
		decide(ret, JUDGE_ALLOCATOR, first, "%s: the memory changes hands", st->v[first].symbol);
		return;
	}
	if (is_writer(ask, first, last, ret))
		return;
	if (why) {
		decide(ret, JUDGE_UNKNOWN, first, "%s", why);
		return;
	}
	if (is_doubtful(ask, first, last, ret))
		return;
	if (ask->in_kernel)
		decide(ret, JUDGE_NON_WRITER, first,
		       "%s, called by %s, stored into %s of a %s: no code of that type takes part",
		       ask->syscall ? ask->syscall : "a system call", name(&st->v[first]), ask->field,
		       ask->type);
	else
		decide(ret, JUDGE_NON_WRITER, first,
		       "%s is no function of %s, holds no inlined code of it, and no caller knows that type",
		       name(&st->v[first]), ask->type);
}
