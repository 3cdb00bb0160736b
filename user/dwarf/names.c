// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* C++ names: comparison without regard to spaces, qualified names of nodes, and the nearest names for a hint.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dwarf/dbg_priv.h"
#include "util/grow.h"

#define MAX_CANONICAL 4096 /* longer names are compared as they are written */
#define MAX_NEAR      5
#define MAX_NAME_EDIT 128 /* longer names are compared by substring only */

/* FNV-1a, 64 bits. */
uint64_t bytes_hash(uint64_t seed, const void *bytes, size_t len)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i < len; i++)
		seed = (seed ^ b[i]) * 0x100000001b3ULL;
	return seed;
}

uint64_t name_hash(uint64_t seed, const char *s, size_t len)
{
	char text[MAX_CANONICAL];
	size_t n = name_canonical(s, len, text, sizeof(text));

	if (n) {
		s = text;
		len = n;
	}
	for (size_t i = 0; i < len; i++)
		if (s[i] != ' ')
			seed = (seed ^ (uint8_t)s[i]) * 0x100000001b3ULL;
	return seed;
}

struct hashed {
	const char *name;
	uint64_t hash;
};

static struct hashed *hashed_at(struct hashed *v, unsigned bits, const char *name)
{
	size_t mask = ((size_t)1 << bits) - 1,
	       i = (size_t)((uintptr_t)name * 0x9e3779b97f4a7c15ULL >> (64 - bits));

	while (v[i].name && v[i].name != name)
		i = (i + 1) & mask;
	return &v[i];
}

/* false: no memory for a larger table. */
static bool make_room(struct dbg *d)
{
	unsigned bits = d->hashed ? d->hashed_bits + 1 : 12;
	struct hashed *v;

	if (d->hashed && d->n_hashed < (size_t)1 << d->hashed_bits >> 1)
		return true;
	v = calloc((size_t)1 << bits, sizeof(*v));
	if (!v)
		return false;
	for (size_t i = 0; d->hashed && i < (size_t)1 << d->hashed_bits; i++)
		if (d->hashed[i].name)
			*hashed_at(v, bits, d->hashed[i].name) = d->hashed[i];
	free(d->hashed);
	d->hashed = v;
	d->hashed_bits = bits;
	return true;
}

uint64_t names_hash(struct dbg *d, const char *name)
{
	struct hashed *x;

	if (!make_room(d))
		return name_hash(NAME_SEED, name, strlen(name));
	x = hashed_at(d->hashed, d->hashed_bits, name);
	if (!x->name) {
		*x = (struct hashed){name, name_hash(NAME_SEED, name, strlen(name))};
		d->n_hashed++;
	}
	return x->hash;
}

bool name_eq(const char *a, size_t na, const char *b, size_t nb)
{
	char ta[MAX_CANONICAL], tb[MAX_CANONICAL];
	size_t i = 0, j = 0, ca = name_canonical(a, na, ta, sizeof(ta));
	size_t cb = ca ? name_canonical(b, nb, tb, sizeof(tb)) : 0;

	if (ca && cb) {
		a = ta;
		na = ca;
		b = tb;
		nb = cb;
	}

	for (;;) {
		while (i < na && a[i] == ' ')
			i++;
		while (j < nb && b[j] == ' ')
			j++;
		if (i == na || j == nb)
			return i == na && j == nb;
		if (a[i++] != b[j++])
			return false;
	}
}

size_t name_split(const char *name, struct part *parts, size_t max)
{
	size_t n = 0;
	int depth = 0;
	const char *start, *p;

	if (!strncmp(name, "::", 2))
		name += 2;
	start = name;
	for (p = name; *p; p++) {
		if (!strncmp(p, "operator", 8) && (p == name || p[-1] == ':')) {
			p += strlen(p) - 1; /* the rest is the operator, its brackets are no brackets */
			continue;
		}
		if (*p == '<' || *p == '(')
			depth++;
		else if (*p == '>' || *p == ')')
			depth--;
		else if (!depth && p[0] == ':' && p[1] == ':' && n + 1 < max) {
			parts[n++] = (struct part){start, (size_t)(p - start)};
			start = p + 2;
			p++;
		}
	}
	parts[n++] = (struct part){start, (size_t)(p - start)};
	return n;
}

/* Scopes that a user need not write. */
static bool may_skip(const struct dbg *d, uint32_t n)
{
	const char *name = node_name(d, n);

	return (d->node[n].flags & NODE_SCOPE) &&
	       (!*name || !strcmp(name, "__cxx11") || !strcmp(name, "__1"));
}

/* As the demangler and gdb write an unnamed namespace. */
static bool is_anonymous(const struct part *p)
{
	static const char text[] = "(anonymous namespace)";

	return p->n == sizeof(text) - 1 && !memcmp(p->p, text, p->n);
}

enum name_match node_matches(const struct dbg *d, uint32_t n, const struct part *parts, size_t n_parts)
{
	size_t left = n_parts;

	n = node_origin(d, n);
	while (n && left) {
		const char *name = node_name(d, n);

		if (name_eq(name, strlen(name), parts[left - 1].p, parts[left - 1].n) ||
		    (!*name && d->node[n].flags & NODE_SCOPE && is_anonymous(&parts[left - 1])))
			left--;
		else if (left == n_parts || !may_skip(d, n))
			return MATCH_NO;
		n = node_origin(d, d->node[n].parent);
	}
	while (n && may_skip(d, n))
		n = node_origin(d, d->node[n].parent);
	if (left)
		return MATCH_NO;
	return n ? MATCH_SUFFIX : MATCH_FULL;
}

const char *dbg_keep(struct dbg *d, char *s)
{
	if (!s)
		return NULL;
	if (GROW(&d->strings, d->n_strings)) {
		free(s);
		return NULL;
	}
	d->strings[d->n_strings++] = s;
	return s;
}

const char *node_qualified(struct dbg *d, uint32_t n)
{
	uint32_t chain[MAX_DEPTH];
	size_t depth = 0;
	char *out = NULL;
	size_t len = 0;
	const char *kept;
	FILE *f = open_memstream(&out, &len);

	if (!f)
		return "";
	for (n = node_origin(d, n); n && depth < MAX_DEPTH; n = node_origin(d, d->node[n].parent))
		chain[depth++] = n;
	while (depth--) {
		const char *name = node_name(d, chain[depth]);

		fprintf(f, "%s%s", *name ? name : "(anonymous)", depth ? "::" : "");
	}
	if (fclose(f)) {
		free(out);
		return "";
	}
	kept = dbg_keep(d, out);
	return kept ? kept : "";
}

/* Levenshtein's distance without regard to case, at most limit + 1. */
static unsigned distance(const char *a, size_t na, const char *b, size_t nb, unsigned limit)
{
	unsigned row[MAX_NAME_EDIT + 1];

	if (na > MAX_NAME_EDIT || nb > MAX_NAME_EDIT || (na > nb ? na - nb : nb - na) > limit)
		return limit + 1;
	for (size_t j = 0; j <= nb; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned diag = row[0], best = limit + 1;

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			bool same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
			unsigned v = diag + (same ? 0 : 1);

			diag = row[j];
			if (row[j] + 1 < v)
				v = row[j] + 1;
			if (row[j - 1] + 1 < v)
				v = row[j - 1] + 1;
			row[j] = v;
			if (v < best)
				best = v;
		}
		if (best > limit)
			return limit + 1;
	}
	return row[nb];
}

struct near {
	uint64_t key; /* of the pair, so that a name is listed once */
	const char *name;
	unsigned rank;
};

static void near_add(struct near *list, size_t *n, struct near c)
{
	size_t at = *n;

	for (size_t i = 0; i < *n; i++)
		if (!strcmp(list[i].name, c.name))
			return;
	while (at && list[at - 1].rank > c.rank)
		at--;
	if (at == MAX_NEAR)
		return;
	if (*n < MAX_NEAR)
		++*n;
	memmove(&list[at + 1], &list[at], (*n - at - 1) * sizeof(*list));
	list[at] = c;
}

void names_nearest(struct dbg *d, const struct pairs *p, const char *name, const char *what, struct err *err)
{
	struct part parts[MAX_DEPTH];
	size_t n_parts = name_split(name, parts, MAX_DEPTH), n = 0, used = 0;
	struct part last = parts[n_parts - 1];
	struct near list[MAX_NEAR];
	unsigned limit = last.n < 4 ? 1 : last.n < 9 ? 2 : (unsigned)last.n / 3;
	char text[ERR_MSG_LEN];
	uint64_t seen = 0;

	for (size_t i = 0; i < p->n; i++) {
		const char *cand = node_name(d, p->v[i].node);
		size_t len = strlen(cand);
		unsigned dist;

		if ((i && p->v[i].key == seen) || !len)
			continue;
		seen = p->v[i].key;
		dist = distance(last.p, last.n, cand, len, limit);
		if (dist > limit && last.n >= 4 && len > last.n && memmem(cand, len, last.p, last.n))
			dist = limit;
		if (dist > limit)
			continue;
		/* the same last part stands under several scopes: show them all */
		for (size_t j = i; j < p->n && p->v[j].key == seen && j < i + 64; j++) {
			const char *q = node_qualified(d, p->v[j].node);
			size_t ql = strlen(q), nl = strlen(name);
			unsigned scope = distance(name, nl, q, ql, MAX_NAME_EDIT);

			near_add(list, &n, (struct near){.key = seen, .name = q, .rank = dist * 256 + scope});
		}
	}
	text[0] = '\0';
	for (size_t i = 0; i < n && used < sizeof(text); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i ? ", " : "",
					 list[i].name);
	if (n)
		err_hint(err, "nearest %s: %s", what, text);
}
