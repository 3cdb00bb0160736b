// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * One spelling for the template arguments of a C++ name. gcc's DWARF says `std::pair<const long unsigned int,
 * char const*>`, clang's `std::pair<const unsigned long, const char *>`, the demangler and gdb
 * `std::pair<unsigned long const, char const*>`; all of them are the same class.
 */
#include <ctype.h>
#include <string.h>

#include "dwarf/dbg_priv.h"

#define MAX_NEST 64

struct canon {
	const char *p, *end;
	char *out;
	size_t n, max;
	int depth;
};

/* What stands before the next `*`, `&`, `(`, `,` or `>`: a type without its declarators. */
struct base {
	size_t start; /* of its other words, in the output */
	bool is_const, is_volatile, is_unsigned, is_signed, is_short, is_char, is_int;
	unsigned n_long;
};

static void put(struct canon *c, const char *s, size_t n)
{
	if (c->n + n <= c->max)
		memcpy(c->out + c->n, s, n);
	c->n += n;
}

static void put_text(struct canon *c, const char *s)
{
	put(c, s, strlen(s));
}

static bool is(const char *s, size_t n, const char *word)
{
	return n == strlen(word) && !memcmp(s, word, n);
}

/* false: not a word that has to move. */
static bool take(struct base *b, const char *s, size_t n)
{
	if (is(s, n, "const"))
		b->is_const = true;
	else if (is(s, n, "volatile"))
		b->is_volatile = true;
	else if (is(s, n, "unsigned"))
		b->is_unsigned = true;
	else if (is(s, n, "signed"))
		b->is_signed = true;
	else if (is(s, n, "short"))
		b->is_short = true;
	else if (is(s, n, "char"))
		b->is_char = true;
	else if (is(s, n, "int"))
		b->is_int = true;
	else if (is(s, n, "long"))
		b->n_long++;
	else
		return false;
	return true;
}

/* Writes what take() took, and begins anew. */
static void flush(struct canon *c, struct base *b)
{
	if (b->is_unsigned)
		put_text(c, "unsigned ");
	if (b->is_signed && b->is_char)
		put_text(c, "signed ");
	if (b->is_short)
		put_text(c, "short ");
	for (unsigned i = 0; i < b->n_long; i++)
		put_text(c, "long ");
	if (b->is_char)
		put_text(c, "char ");
	else if (!b->is_short && !b->n_long &&
		 (b->is_int || b->is_signed || (b->is_unsigned && c->n == b->start)))
		put_text(c, "int ");
	if (b->is_const)
		put_text(c, "const ");
	if (b->is_volatile)
		put_text(c, "volatile ");
	*b = (struct base){.start = c->n};
}

static void word(struct canon *c, struct base *b)
{
	const char *s = c->p;
	size_t n;

	while (c->p < c->end && (isalnum((unsigned char)*c->p) || *c->p == '_' || *c->p == '$'))
		c->p++;
	n = (size_t)(c->p - s);
	if (take(b, s, n))
		return;
	/* a number's suffix is not always written */
	if (isdigit((unsigned char)*s)) {
		while (n > 1 && strchr("uUlL", s[n - 1]))
			n--;
	}
	put(c, s, n);
}

/* Up to the bracket that closes what was opened before, or to the end. */
static void list(struct canon *c)
{
	struct base b = {.start = c->n};

	if (++c->depth > MAX_NEST)
		c->n = c->max + 1; /* given up: the caller takes the name as it is */
	while (c->p < c->end && c->n <= c->max) {
		char ch = *c->p;

		if (isalnum((unsigned char)ch) || ch == '_' || ch == '$') {
			word(c, &b);
			continue;
		}
		c->p++;
		if (ch == ' ')
			continue;
		if (ch == '<' || ch == '(' || ch == '{') {
			if (ch != '<') /* what was before is complete; a template's name is not */
				flush(c, &b);
			put(c, &ch, 1);
			list(c);
			if (ch != '<')
				b.start = c->n;
			continue;
		}
		if (ch == '*' || ch == '&' || ch == ',' || ch == '>' || ch == ')' || ch == '}' || ch == '[')
			flush(c, &b);
		put(c, &ch, 1);
		b.start = ch == ':' ? b.start : c->n;
		if (ch == '>' || ch == ')' || ch == '}')
			break;
	}
	flush(c, &b);
	c->depth--;
}

size_t name_canonical(const char *s, size_t len, char *out, size_t max)
{
	struct canon c = {.p = s, .end = s + len, .out = out, .max = max};

	if (!memchr(s, '<', len) ||
	    (len > 8 && !memcmp(s, "operator", 8) && !isalnum((unsigned char)s[8]) && s[8] != '_'))
		return 0;
	list(&c);
	return c.n <= max && c.p == c.end ? c.n : 0;
}
