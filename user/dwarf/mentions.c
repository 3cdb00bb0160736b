// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dwarf/dbg_priv.h"
#include "dwarf/mentions.h"
#include "util/grow.h"
#include "util/pages.h"
#include "util/search.h"

#define MAX_THREADS 8
#define FILTER_BITS 16

struct place {
	uint32_t off; /* in .debug_str */
	uint32_t name;
};

struct search {
	struct mentions *m;
	struct place *place; /* by off */
	size_t n;
	uint8_t filter[(1 << FILTER_BITS) / 8]; /* of the low bits of off */
	void (*fn)(void *ctx, size_t name, size_t unit);
	void *ctx;
};

static int by_off(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->off != y->off)
		return x->off < y->off ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name;
}

static void forget(const struct mentions *m, const uint8_t *from, const uint8_t *to)
{
	if (m->mapped)
		pages_forget(from, to);
}

static int add_place(struct search *s, size_t off, size_t name)
{
	if (off > UINT32_MAX)
		return 0;
	if (GROW(&s->place, s->n))
		return -ENOMEM;
	s->place[s->n++] = (struct place){.off = (uint32_t)off, .name = (uint32_t)name};
	return 0;
}

static uint32_t last_bytes(const uint8_t *end)
{
	uint32_t v;

	memcpy(&v, end - sizeof(v), sizeof(v));
	return (v * 2654435761U) >> (32 - FILTER_BITS);
}

/* The part that is searched for: of a name with template arguments, what stands before them. */
static size_t head_len(const char *name)
{
	return strcspn(name, "<");
}

/* Does a string of .debug_str that begins like the name have the same template arguments, however they are
 * written? */
static bool same_arguments(const struct mentions *m, const uint8_t *at, const char *name)
{
	const uint8_t *nul = memchr(at, 0, (size_t)(m->str.p + m->str.size - at));
	size_t len = strlen(name);

	return name[len - 1] == '<' ||
	       (nul && nul[-1] == '>' && name_eq((const char *)at, (size_t)(nul - at), name, len));
}

/*
 * Where a name stands in .debug_str: a whole one with the string's NUL, as all of it or the end of a longer
 * one; one with template arguments up to '<', and then they are compared. stop is that byte.
 */
static int find_in_strings(struct search *s, const char *const *name, size_t n, uint8_t stop)
{
	const uint8_t *begin = s->m->str.p, *end = begin + s->m->str.size, *p = begin;
	uint8_t *filter = calloc(1, (1 << FILTER_BITS) / 8);
	bool any = false;
	int rc = 0;

	if (!filter)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		size_t len = head_len(name[i]);
		uint32_t b;

		if ((uint8_t)name[i][len] != stop)
			continue;
		b = last_bytes((const uint8_t *)name[i] + len);
		filter[b / 8] |= (uint8_t)(1 << (b % 8));
		any = true;
	}
	for (; any && !rc && p < end && (p = memchr(p, stop, (size_t)(end - p))); p++) {
		uint32_t b = p - begin < MENTION_MIN ? 0 : last_bytes(p);

		if (p - begin < MENTION_MIN || !(filter[b / 8] >> (b % 8) & 1))
			continue;
		for (size_t i = 0; i < n && !rc; i++) {
			size_t len = head_len(name[i]);

			if ((uint8_t)name[i][len] == stop && len <= (size_t)(p - begin) &&
			    !memcmp(p - len, name[i], len) &&
			    (!stop || same_arguments(s->m, p - len, name[i])))
				rc = add_place(s, (size_t)(p - begin) - len, i);
		}
	}
	free(filter);
	return rc;
}

static bool in_filter(const struct search *s, uint32_t v)
{
	uint32_t b = v & ((1 << FILTER_BITS) - 1);

	return s->filter[b / 8] >> (b % 8) & 1;
}

static void check(const struct search *s, uint32_t v, size_t unit)
{
	for (size_t i = FIRST_FROM(s->place, s->n, off, v); i < s->n && s->place[i].off == v; i++)
		s->fn(s->ctx, s->place[i].name, unit);
}

static void look_in_units(const struct search *s, enum unit_names_kind kind)
{
	for (size_t u = 0; u < s->m->n_units; u++) {
		const struct unit_names *names = &s->m->names[kind][u];

		for (size_t i = 0; i < names->n; i++)
			if (in_filter(s, names->off[i]))
				check(s, names->off[i], u);
	}
}

/* Reading the names of all units: each thread takes the next one. */
struct reading {
	const struct mentions *m;
	enum unit_names_kind kind;
	struct unit_names *names;
	size_t next;
	int rc;
};

static void *read_some(void *arg)
{
	struct reading *r = arg;
	const struct mentions *m = r->m;
	size_t u;
	int rc;

	while ((u = __atomic_fetch_add(&r->next, 1, __ATOMIC_RELAXED)) < m->n_units) {
		rc = unit_names_read(&r->names[u], &m->info, &m->abbrev, m->unit[u].start, m->unit[u].end,
				     r->kind);
		if (rc)
			__atomic_store_n(&r->rc, rc, __ATOMIC_RELAXED);
		forget(m, m->info.p + m->unit[u].start, m->info.p + m->unit[u].end);
	}
	return NULL;
}

static void free_names(struct unit_names *names, size_t n)
{
	for (size_t i = 0; names && i < n; i++)
		free(names[i].off);
	free(names);
}

static int read_names(struct mentions *m, enum unit_names_kind kind)
{
	struct reading r = {.m = m, .kind = kind};
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t n = cpus < 1 ? 1 : cpus > MAX_THREADS ? MAX_THREADS : (size_t)cpus, started = 0;
	pthread_t thread[MAX_THREADS];

	if (m->names[kind])
		return 0;
	r.names = calloc(m->n_units + 1, sizeof(*r.names));
	if (!r.names)
		return -ENOMEM;
	while (started + 1 < n && !pthread_create(&thread[started], NULL, read_some, &r))
		started++;
	read_some(&r);
	for (size_t i = 0; i < started; i++)
		pthread_join(thread[i], NULL);
	if (r.rc) {
		free_names(r.names, m->n_units);
		return r.rc;
	}
	m->names[kind] = r.names;
	return 0;
}

static bool is_linkage(const char *name)
{
	return name[0] == '_' && name[1] == 'Z';
}

/* Names of one kind; the others are passed over. */
static int find_kind(struct search *s, const char *const *name, size_t n, enum unit_names_kind kind)
{
	struct mentions *m = s->m;
	bool wanted = false;
	int rc;

	for (size_t i = 0; i < n; i++)
		wanted |= is_linkage(name[i]) == (kind == UNIT_LINKAGE);
	rc = wanted ? read_names(m, kind) : 0;
	if (rc || !wanted)
		return rc;
	look_in_units(s, kind);
	for (size_t u = 0; u < m->n_units; u++)
		for (size_t i = 0; m->names[kind][u].any && i < n; i++)
			s->fn(s->ctx, i, u);
	return 0;
}

int mentions_find(struct mentions *m, const char *const *name, size_t n,
		  void (*fn)(void *ctx, size_t name, size_t unit), void *ctx)
{
	struct search *s = calloc(1, sizeof(*s));
	int rc = s ? 0 : -ENOMEM;

	if (rc)
		return rc;
	s->m = m;
	s->fn = fn;
	s->ctx = ctx;
	rc = find_in_strings(s, name, n, 0);
	rc = rc ? rc : find_in_strings(s, name, n, '<');
	forget(m, m->str.p, m->str.p + m->str.size);
	for (size_t i = 0; i < s->n; i++) {
		uint32_t b = s->place[i].off & ((1 << FILTER_BITS) - 1);

		s->filter[b / 8] |= (uint8_t)(1 << (b % 8));
	}
	if (s->n)
		qsort(s->place, s->n, sizeof(*s->place), by_off);
	rc = rc ? rc : find_kind(s, name, n, UNIT_NAMES);
	rc = rc ? rc : find_kind(s, name, n, UNIT_LINKAGE);
	free(s->place);
	free(s);
	return rc;
}

void mentions_deinit(struct mentions *m)
{
	for (size_t k = 0; k < sizeof(m->names) / sizeof(m->names[0]); k++)
		free_names(m->names[k], m->n_units);
	free(m->unit);
	*m = (struct mentions){0};
}
