// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "story/elsewhere.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "find/find.h"

#define KEPT	   4096	  /* hits named; all are counted */
#define COMMON_MAX 0xffff /* smaller numbers stand everywhere and tell nothing */
#define NICE	   19

enum state { IDLE, WAITING, RUNNING, DONE };

struct search_of {
	uint64_t value;
	unsigned width;
	enum state state;
	atomic_bool over; /* the thread has left its result */
	pthread_t thread;
	pid_t pid;
	const char *debuginfo;
	/* result */
	struct space *space;
	struct find_result *found;
	struct err err;
	bool complete;
};

struct searches {
	pid_t pid;
	const char *debuginfo;
	struct search_of v[ELSEWHERE_VALUES];
	size_t n;
	bool full; /* more values were wanted */
};

int searches_create(struct searches **ret, pid_t pid, const char *debuginfo)
{
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	(*ret)->pid = pid;
	(*ret)->debuginfo = debuginfo;
	return 0;
}

static void finish(struct search_of *q)
{
	if (q->state == RUNNING && atomic_load(&q->over)) {
		pthread_join(q->thread, NULL);
		q->state = DONE;
	}
}

void searches_destroy(struct searches *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i].state == RUNNING && !atomic_load(&s->v[i].over))
			return; /* it cannot be stopped; the program is about to end, and all this with it */
	}
	for (size_t i = 0; i < s->n; i++) {
		finish(&s->v[i]);
		find_free(s->v[i].found);
		space_close(s->v[i].space);
	}
	free(s);
}

static bool too_common(uint64_t value, unsigned width)
{
	uint64_t ones = width >= 8 ? UINT64_MAX : (1ull << width * 8) - 1;

	return value <= COMMON_MAX || value == ones;
}

static struct search_of *search_find(const struct searches *s, uint64_t value, unsigned width)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].value == value && s->v[i].width == width)
			return (struct search_of *)&s->v[i];
	return NULL;
}

/* As gdb's and our own find: what fits into 4 bytes is looked for as such, so that it is found in code. */
static unsigned width_of(uint64_t value, unsigned width)
{
	return width >= 4 && !(value >> 32) ? 4 : width;
}

void searches_want(struct searches *s, uint64_t value, unsigned width)
{
	width = width_of(value, width);
	if (too_common(value, width) || search_find(s, value, width))
		return;
	if (s->n == ELSEWHERE_VALUES) {
		s->full = true;
		return;
	}
	s->v[s->n++] = (struct search_of){
		.value = value, .width = width, .state = WAITING, .pid = s->pid, .debuginfo = s->debuginfo};
}

static void *search_run(void *arg)
{
	struct search_of *q = arg;
	struct pattern p;

	setpriority(PRIO_PROCESS, (id_t)gettid(), NICE); /* of this thread only (Linux) */
	if (!space_open_pid(&q->space, q->pid, q->debuginfo, &q->err) &&
	    !pattern_value(&p, q->value, q->width, UINT64_MAX, 1, &q->err) &&
	    !find_run(&q->found, q->space, &p, NULL, KEPT, &q->err))
		q->complete = !q->found->walked.unreadable;
	atomic_store(&q->over, true);
	return NULL;
}

void searches_tick(struct searches *s)
{
	struct search_of *next = NULL;

	for (size_t i = 0; i < s->n; i++) {
		finish(&s->v[i]);
		if (s->v[i].state == RUNNING)
			return;
		if (s->v[i].state == WAITING && !next)
			next = &s->v[i];
	}
	if (!next)
		return;
	if (pthread_create(&next->thread, NULL, search_run, next)) {
		err_set(&next->err, -EAGAIN, "no thread for the search could be started");
		next->state = DONE;
	} else {
		next->state = RUNNING;
	}
}

bool searches_busy(const struct searches *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].state == WAITING || (s->v[i].state == RUNNING && !atomic_load(&s->v[i].over)))
			return true;
	return false;
}

static char *where(const struct find_hit *h)
{
	char *s = NULL;
	int n;

	if (h->symbol)
		n = asprintf(&s, "%s+%" PRIu64, h->symbol, h->symbol_off);
	else if (h->place == FIND_STACK && h->thread)
		n = asprintf(&s, "stack of thread %d (%s)%s", (int)h->thread->tid, h->thread->comm,
			     h->addr < h->thread->sp ? ", left behind by calls that have returned" : "");
	else if (h->block.state != HEAP_NONE && h->addr >= h->block.addr)
		n = asprintf(&s, "%s block 0x%" PRIx64 " of %" PRIu64 " bytes, +%" PRIu64,
			     h->block.state == HEAP_USED ? "used" : "free", h->block.addr, h->block.size,
			     h->addr - h->block.addr);
	else
		n = asprintf(&s, "%s", find_map_name(h->map));
	return n < 0 ? NULL : s;
}

/* Code tells most, stacks least. */
static const enum find_place ORDER[] = {FIND_CODE, FIND_DATA, FIND_HEAP, FIND_ANON, FIND_STACK};

/* A constant in code stands anywhere; a value in memory where such a value is stored. */
static bool counts(const struct find_hit *h, uint64_t addr, unsigned width)
{
	return h->addr != addr && (h->place == FIND_CODE || h->addr % width == 0);
}

static void take(struct elsewhere *out, const struct find_result *r, uint64_t addr)
{
	for (size_t i = 0; i < r->n_hits; i++)
		out->total += counts(&r->hit[i], addr, out->width);
	for (size_t o = 0; o < sizeof(ORDER) / sizeof(ORDER[0]); o++) {
		for (size_t i = 0; i < r->n_hits && out->n < STORY_SHOWN; i++) {
			const struct find_hit *h = &r->hit[i];
			struct place *p = &out->v[out->n];

			if (h->place != ORDER[o] || !counts(h, addr, out->width) || !(p->where = where(h)))
				continue;
			p->addr = h->addr;
			p->kind = find_place_name(h->place);
			out->n++;
		}
	}
}

static void clear(struct elsewhere *e)
{
	for (size_t i = 0; i < e->n; i++)
		free(e->v[i].where);
	free(e->why_not);
	*e = (struct elsewhere){0};
}

bool searches_get(const struct searches *s, uint64_t value, unsigned width, uint64_t addr,
		  struct elsewhere *out)
{
	const struct search_of *q;

	width = width_of(value, width);
	q = search_find(s, value, width);
	if (q && q->state != DONE && !(q->state == RUNNING && atomic_load(&q->over)))
		return false;
	clear(out);
	out->value = value;
	out->width = width;
	if (too_common(value, width))
		out->why_not = strdup("the value is too common to tell anything");
	else if (!q)
		out->why_not = s->full ? strdup("more values than are looked for in one session") : NULL;
	else if (!q->found)
		out->why_not = strdup(q->err.msg);
	if (!q || !q->found)
		return true;
	out->known = true;
	out->complete = q->complete && q->found->n_hits == q->found->total;
	take(out, q->found, addr);
	return true;
}
