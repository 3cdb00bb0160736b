// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "find/find.h"
#include "symbol/names.h"

#define FIRST_ROOM 256

struct search {
	const struct pattern *p;
	uint64_t *hit; /* [room], the first n are filled */
	size_t n, room, limit;
	uint64_t total;
};

/* Makes room for more hits than there are. */
static bool grow(struct search *s, size_t want)
{
	size_t room = s->room ? s->room : FIRST_ROOM;
	uint64_t *v;

	while (room < want)
		room *= 2;
	if (room > s->limit)
		room = s->limit;
	if (room == s->room)
		return true;
	v = reallocarray(s->hit, room, sizeof(*v));
	if (!v)
		return false;
	s->hit = v;
	s->room = room;
	return true;
}

static int search_window(void *ctx, uint64_t addr, const uint8_t *bytes, size_t len)
{
	struct search *s = ctx;
	size_t left = s->room - s->n, n = pattern_search(s->p, bytes, len, addr, s->hit + s->n, left);

	if (n > left && s->room != s->limit) {
		if (!grow(s, s->n + n))
			return -ENOMEM;
		left = s->room - s->n;
		pattern_search(s->p, bytes, len, addr, s->hit + s->n, left);
	}
	s->n += n < left ? n : left;
	s->total += n;
	return 0;
}

const char *find_map_name(const struct proc_map *m)
{
	return m->path ? m->path : "anon";
}

bool find_map_chosen(const struct space *s, const struct proc_map *m, const char *choice)
{
	const char *name = find_map_name(m);

	if (!space_readable(m))
		return false;
	if (!choice)
		return true;
	if (!strcmp(choice, "code"))
		return (m->perms & PROC_X) != 0;
	if (!strcmp(choice, "stack"))
		return space_stack_at(s, m->start) != NULL || (m->path && !strncmp(m->path, "[stack", 6));
	if (!strcmp(choice, "anon"))
		return !m->path;
	return !fnmatch(choice, name, 0) || strstr(name, choice);
}

/* Mappings that adjoin are searched as one: what stands across their border is found too. */
static int search_chosen(struct space *s, struct search *w, const char *choice, struct find_result *r)
{
	const struct proc_maps *maps = space_maps(s);
	size_t i = 0;
	int rc = 0;

	while (!rc && i < maps->n) {
		size_t k = i;

		while (k < maps->n && find_map_chosen(s, &maps->v[k], choice) &&
		       (k == i || maps->v[k].start == maps->v[k - 1].end)) {
			r->mapped += maps->v[k].end - maps->v[k].start;
			k++;
		}
		if (k == i) {
			i++;
			continue;
		}
		rc = space_walk(s, maps->v[i].start, maps->v[k - 1].end, w->p->len - 1, search_window, w,
				&r->walked);
		i = k;
	}
	return rc;
}

/* Of a core: mappings whose end is neither in it nor in a file that was found. */
static int list_unsearched(const struct space *s, const char *choice, struct find_result *r)
{
	const struct proc_maps *maps = space_maps(s);
	const char *last = "";
	size_t len;
	FILE *f;

	if (!space_is_core(s) || !r->walked.unreadable)
		return 0;
	f = open_memstream(&r->unsearched, &len);
	if (!f)
		return -ENOMEM;
	for (size_t i = 0; i < maps->n; i++) {
		const struct proc_map *m = &maps->v[i];
		const char *name = find_map_name(m);
		char c;

		if (!find_map_chosen(s, m, choice) || space_read(s, m->end - 1, &c, 1) == 1 ||
		    !strcmp(name, last))
			continue;
		fprintf(f, "%s%s", *last ? ", " : "", name);
		last = name;
	}
	return fclose(f) ? -ENOMEM : 0;
}

static double seconds(const struct timespec *a, const struct timespec *b)
{
	return (double)(b->tv_sec - a->tv_sec) + (double)(b->tv_nsec - a->tv_nsec) / 1e9;
}

static void name_hit(struct space *s, struct find_hit *h)
{
	const struct space_symbol *y;

	h->map = proc_maps_find(space_maps(s), h->addr);
	y = space_symbol_at(s, h->addr, &h->symbol_off);
	if (y) {
		h->linkage = y->name;
		h->symbol = symbol_name(y->name);
	}
	h->thread = y || (h->map->path && strncmp(h->map->path, "[stack", 6) != 0)
			    ? NULL
			    : space_stack_at(s, h->addr);
	if (h->map->perms & PROC_X)
		h->place = FIND_CODE;
	else if (y || (h->map->path && h->map->path[0] == '/') || space_module_at(s, h->addr))
		h->place = FIND_DATA;
	else if (h->thread)
		h->place = FIND_STACK;
	else if (h->block.state != HEAP_NONE || (h->map->path && !strcmp(h->map->path, "[heap]")))
		h->place = FIND_HEAP;
	else
		h->place = FIND_ANON;
}

static int name_hits(struct space *s, const struct search *w, struct find_result *r)
{
	struct heap_block *block = calloc(w->n + 1, sizeof(*block));
	int rc = -ENOMEM;

	r->hit = calloc(w->n + 1, sizeof(*r->hit));
	if (block && r->hit)
		rc = heap_classify(s, w->hit, w->n, block);
	for (size_t i = 0; !rc && i < w->n; i++) {
		struct find_hit *h = &r->hit[r->n_hits++];

		h->addr = w->hit[i];
		h->block = block[i];
		name_hit(s, h);
	}
	free(block);
	return rc;
}

int find_run(struct find_result **ret, struct space *s, const struct pattern *p, const char *choice,
	     size_t limit, struct err *err)
{
	struct search w = {.p = p, .limit = limit && limit < FIND_MAX_HITS ? limit : FIND_MAX_HITS};
	struct find_result *r = calloc(1, sizeof(*r));
	struct timespec start, end;
	int rc = -ENOMEM;

	*ret = NULL;
	if (!r || !grow(&w, 1))
		goto out;
	clock_gettime(CLOCK_MONOTONIC, &start);
	rc = search_chosen(s, &w, choice, r);
	clock_gettime(CLOCK_MONOTONIC, &end);
	r->seconds = seconds(&start, &end);
	r->total = w.total;
	if (!rc && !r->mapped) {
		rc = err_set(err, -ENOENT, "no readable mapping matches '%s'", choice ? choice : "");
		err_hint(err, "--map takes a part or glob of a path in /proc/PID/maps, or [heap], stack, "
			      "anon, code");
		goto out;
	}
	if (!rc)
		rc = name_hits(s, &w, r);
	if (!rc)
		rc = list_unsearched(s, choice, r);
	if (rc)
		goto out;
	*ret = r;
	r = NULL;
out:
	if (rc == -ENOMEM)
		err_set(err, rc, "out of memory");
	else if (rc == -ESRCH)
		err_set(err, rc, "process %d has exited", (int)space_pid(s));
	else if (rc == -EPERM || rc == -EACCES)
		err_set(err, rc, "process %d may not be read: %s", (int)space_pid(s), strerror(-rc));
	free(w.hit);
	find_free(r);
	return rc;
}

static int read_window(void *ctx, uint64_t addr, const uint8_t *bytes, size_t len)
{
	(void)ctx;
	(void)addr;
	(void)bytes;
	(void)len;
	return 0;
}

double find_read_alone(const struct space *s, const char *choice)
{
	const struct proc_maps *maps = space_maps(s);
	struct space_walked w = {0};
	struct timespec start, end;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (size_t i = 0; i < maps->n; i++)
		if (find_map_chosen(s, &maps->v[i], choice))
			space_walk(s, maps->v[i].start, maps->v[i].end, 0, read_window, NULL, &w);
	clock_gettime(CLOCK_MONOTONIC, &end);
	return (double)w.bytes / seconds(&start, &end);
}

const char *find_place_name(enum find_place p)
{
	static const char *const names[] = {"code", "data", "stack", "heap", "anon"};

	return (unsigned)p < sizeof(names) / sizeof(names[0]) ? names[p] : "?";
}

void find_free(struct find_result *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_hits; i++) {
		free(r->hit[i].symbol);
		free(r->hit[i].path);
	}
	free(r->hit);
	free(r->unsearched);
	free(r);
}
