// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "inspect/census.h"
#include "util/search.h"

const char *object_state_name(enum object_state s)
{
	static const char *const names[] = {"block", "static", "inside", "freed", "unknown"};

	return (unsigned)s < sizeof(names) / sizeof(names[0]) ? names[s] : "?";
}

struct taking {
	const struct known *k;
	struct census *c;
	size_t room;
	uint64_t low, span; /* of the vtables: what is not among them is passed over by one comparison */
};

static int take(struct taking *t, uint64_t addr, uint64_t word)
{
	const struct known_vptr *v = known_class(t->k, word);

	if (!v)
		return 0;
	if (t->c->n == t->room) {
		size_t room = t->room ? 2 * t->room : 1024;
		struct census_object *o = reallocarray(t->c->v, room, sizeof(*o));

		if (!o)
			return -ENOMEM;
		t->c->v = o;
		t->room = room;
	}
	t->c->v[t->c->n++] = (struct census_object){.addr = addr, .cls = v};
	return 0;
}

static int take_window(void *ctx, uint64_t addr, const uint8_t *bytes, size_t len)
{
	struct taking *t = ctx;
	int rc = 0;

	for (size_t i = (size_t)(-addr & 7); !rc && i + 8 <= len; i += 8) {
		uint64_t word;

		memcpy(&word, bytes + i, 8);
		if (word - t->low <= t->span)
			rc = take(t, addr + i, word);
	}
	return rc;
}

static void classify(struct space *s, struct census_object *o, const struct heap_block *b)
{
	const struct proc_map *m = proc_maps_find(space_maps(s), o->addr);
	const struct space_thread *t;
	uint64_t off;

	o->block = b->state == HEAP_NONE ? 0 : b->addr;
	if (b->state != HEAP_NONE && o->addr < b->addr)
		o->state = OBJECT_FREED; /* where the block's size stands by now */
	else if (b->state == HEAP_USED)
		o->state = b->addr == o->addr && heap_fits(b, o->cls->size) ? OBJECT_BLOCK : OBJECT_INSIDE;
	else if (b->state == HEAP_FREE)
		o->state = OBJECT_FREED;
	else if (space_symbol_at(s, o->addr, &off) || (m && m->path && m->path[0] == '/'))
		o->state = OBJECT_STATIC;
	else if ((t = space_stack_at(s, o->addr)))
		o->state = o->addr < t->sp ? OBJECT_FREED : OBJECT_INSIDE;
	else
		o->state = OBJECT_UNKNOWN;
}

static int classify_all(struct space *s, struct census *c)
{
	struct heap_block *b = calloc(c->n + 1, sizeof(*b));
	uint64_t *addr = calloc(c->n + 1, sizeof(*addr));
	int rc = -ENOMEM;

	for (size_t i = 0; addr && i < c->n; i++)
		addr[i] = c->v[i].addr;
	if (b && addr)
		rc = heap_classify(s, addr, c->n, b);
	for (size_t i = 0; !rc && i < c->n; i++) {
		classify(s, &c->v[i], &b[i]);
		c->count[c->v[i].state]++;
	}
	free(addr);
	free(b);
	return rc;
}

static int walk_writable(struct space *s, struct taking *t)
{
	const struct proc_maps *maps = space_maps(s);
	int rc = 0;

	for (size_t i = 0; !rc && i < maps->n; i++)
		if (space_readable(&maps->v[i]) && (maps->v[i].perms & PROC_W))
			rc = space_walk(s, maps->v[i].start, maps->v[i].end, 0, take_window, t,
					&t->c->walked);
	return rc;
}

int census_take(struct census **ret, struct space *s, const struct known *k, struct err *err)
{
	struct census *c = calloc(1, sizeof(*c));
	struct taking t = {.k = k, .c = c};
	struct timespec a, b;
	int rc = c ? 0 : -ENOMEM;

	*ret = NULL;
	if (!rc && k->n_vptrs) {
		t.low = k->vptr[0].value;
		t.span = k->vptr[k->n_vptrs - 1].value - t.low;
		clock_gettime(CLOCK_MONOTONIC, &a);
		rc = walk_writable(s, &t);
		clock_gettime(CLOCK_MONOTONIC, &b);
		c->seconds = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
	}
	if (!rc)
		rc = classify_all(s, c);
	if (rc) {
		census_free(c);
		return err_set(err, rc, "looking for objects: %s",
			       rc == -ESRCH ? "the process has exited" : strerror(-rc));
	}
	*ret = c;
	return 0;
}

void census_free(struct census *c)
{
	if (!c)
		return;
	free(c->v);
	free(c);
}

static ssize_t mem_read(void *ctx, uint64_t addr, void *buf, size_t len)
{
	return space_read(((const struct census_mem *)ctx)->space, addr, buf, len);
}

static bool mem_vptr_ok(void *ctx, unsigned type, uint64_t vptr)
{
	return known_vptr_ok(((const struct census_mem *)ctx)->known, type, vptr);
}

struct rule_mem census_rule_mem(struct census_mem *m)
{
	return (struct rule_mem){.ctx = m, .read = mem_read, .vptr_ok = mem_vptr_ok};
}

const struct census_object *census_at(const struct census *c, const struct known *k, uint64_t addr)
{
	/* an object may contain another by value: the nearest start that reaches over addr */
	for (size_t i = FIRST_AFTER(c->v, c->n, addr, addr), back = 0; i-- > 0 && back < 16; back++) {
		const struct census_object *o = &c->v[i];
		uint64_t size = o->cls->size ? o->cls->size : k->type[o->cls->type].guard->size;

		if (o->state != OBJECT_FREED && addr - o->addr < size)
			return o;
	}
	return NULL;
}
