// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dwarf/mentions.h"
#include "util/grow.h"

#define MAX_THREADS 8
#define CHUNK	    (4 << 20)
#define FILTER_BITS 16

struct place {
	uint32_t off; /* in .debug_str */
	uint32_t name;
};

struct search {
	const struct mentions *m;
	struct place *place; /* by off */
	size_t n;
	uint8_t filter[(1 << FILTER_BITS) / 8]; /* of the low bits of off */
	void (*fn)(void *ctx, size_t name, uint64_t at);
	void *ctx;
};

struct share {
	struct search *s;
	size_t from, to;
	pthread_t thread;
	bool started;
};

static int by_off(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->off != y->off)
		return x->off < y->off ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name;
}

/* Pages that were read once are given back: the sections are large, and a file's pages count as ours. */
static void forget(const struct mentions *m, const uint8_t *from, const uint8_t *to)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), a = ((uintptr_t)from + page - 1) & -page,
		  b = (uintptr_t)to & -page;

	if (m->mapped && a < b)
		madvise((void *)a, b - a, MADV_DONTNEED);
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

/*
 * Where a name ends in .debug_str: a whole one with the string's NUL, as all of it or the end of a longer
 * one; one that ends in '<' with that. stop is that last byte.
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
		size_t whole = strlen(name[i]);
		uint32_t b;

		if ((name[i][whole - 1] == '<') != (stop == '<'))
			continue;
		b = last_bytes((const uint8_t *)name[i] + whole - (stop == '<'));
		filter[b / 8] |= (uint8_t)(1 << (b % 8));
		any = true;
	}
	for (; any && !rc && p < end && (p = memchr(p, stop, (size_t)(end - p))); p++) {
		uint32_t b = p - begin < MENTION_MIN ? 0 : last_bytes(p);

		if (p - begin < MENTION_MIN || !(filter[b / 8] >> (b % 8) & 1))
			continue;
		for (size_t i = 0; i < n && !rc; i++) {
			size_t whole = strlen(name[i]), len = whole - (stop == '<');

			if ((name[i][whole - 1] == '<') == (stop == '<') && len <= (size_t)(p - begin) &&
			    !memcmp(p - len, name[i], len))
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

static void check(const struct search *s, uint32_t v, uint64_t at)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (s->place[mid].off < v)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < s->n && s->place[lo].off == v; lo++)
		s->fn(s->ctx, s->place[lo].name, at);
}

static void scan(const struct search *s, size_t from, size_t to)
{
	const uint8_t *p = s->m->info.p;
	uint32_t v;

	for (size_t i = from; i < to; i++) {
		memcpy(&v, p + i, sizeof(v));
		if (in_filter(s, v))
			check(s, v, i);
	}
}

static void *scan_share(void *arg)
{
	struct share *h = arg;

	for (size_t at = h->from; at < h->to; at += CHUNK) {
		size_t to = h->to - at < CHUNK ? h->to : at + CHUNK;

		scan(h->s, at, to);
		forget(h->s->m, h->s->m->info.p + at, h->s->m->info.p + to);
	}
	return NULL;
}

static void scan_all(struct search *s)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t n = cpus < 1 ? 1 : cpus > MAX_THREADS ? MAX_THREADS : (size_t)cpus;
	size_t size = s->m->info.size < 4 ? 0 : s->m->info.size - 3, part = size / n + 1;
	struct share h[MAX_THREADS];

	for (size_t i = 0; i < n; i++) {
		h[i] = (struct share){.s = s, .from = i * part < size ? i * part : size};
		h[i].to = h[i].from + part < size ? h[i].from + part : size;
		h[i].started = i && !pthread_create(&h[i].thread, NULL, scan_share, &h[i]);
		if (i && !h[i].started)
			scan_share(&h[i]);
	}
	scan_share(&h[0]);
	for (size_t i = 1; i < n; i++)
		if (h[i].started)
			pthread_join(h[i].thread, NULL);
}

int mentions_find(const struct mentions *m, const char *const *name, size_t n,
		  void (*fn)(void *ctx, size_t name, uint64_t at), void *ctx)
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
	if (s->n && !rc) {
		qsort(s->place, s->n, sizeof(*s->place), by_off);
		scan_all(s);
	}
	free(s->place);
	free(s);
	return rc;
}
