// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "space/heap.h"
#include "space/space_priv.h"

#define HEAD	    16ull /* bytes before the block: previous size, size and flags */
#define UNIT	    16ull
#define MIN_CHUNK   32ull
#define F_PREV_USED 1ull
#define F_MMAPPED   2ull
#define FLAGS	    7ull
#define ARENA_ALIGN                                                                                          \
	(64ull << 20) /* HEAP_MAX_SIZE: heaps of arenas other than the main one start at multiples of it */
#define ARENA_HEAD_MAX 4096 /* struct heap_info and struct malloc_state, whose sizes vary by version */
#define WINDOW	       (1u << 20)
#define TRIES	       3 /* a live heap may change under the walk */

struct reader {
	const struct space *s;
	uint8_t *buf;
	uint64_t at;
	size_t len;
};

static bool read_word(struct reader *r, uint64_t addr, uint64_t end, uint64_t *v)
{
	if (addr < r->at || addr + 8 > r->at + r->len) {
		size_t want = end - addr < WINDOW ? (size_t)(end - addr) : WINDOW;
		ssize_t n = want >= 8 ? space_read(r->s, addr, r->buf, want) : 0;

		r->len = n > 0 ? (size_t)n : 0;
		r->at = addr;
		if (r->len < 8)
			return false;
	}
	memcpy(v, r->buf + (addr - r->at), 8);
	return true;
}

/* What one walk is asked. */
struct query {
	const uint64_t *addr;
	size_t n;
	struct heap_block *out;
};

/* Gives the addresses inside of chunk [p, p + size) their block. *i: the next address. */
static void settle(const struct query *q, size_t *i, uint64_t p, uint64_t size, bool used)
{
	for (; *i < q->n && q->addr[*i] < p + size; ++*i)
		if (q->addr[*i] >= p)
			q->out[*i] = (struct heap_block){
				.state = used ? HEAP_USED : HEAP_FREE, .addr = p + HEAD, .size = size - 8};
}

/* A heap that is no longer the arena's newest ends with two tiny chunks. */
static bool is_fence(uint64_t p, uint64_t end, uint64_t size)
{
	return size < MIN_CHUNK && end - p <= 2 * MIN_CHUNK;
}

/* Walks [start, end), which starts with a chunk. false: it is no heap, or it changed meanwhile; out[] is
 * worthless then. */
static bool walk(struct reader *r, uint64_t start, uint64_t end, const struct query *q)
{
	uint64_t p = start, head, prev = 0, prev_size = 0;
	size_t i = 0;

	for (; p + HEAD <= end; p += head & ~FLAGS) {
		uint64_t size;

		if (!read_word(r, p + 8, end, &head))
			return false;
		size = head & ~FLAGS;
		if (prev)
			settle(q, &i, prev, prev_size, head & F_PREV_USED);
		prev = p;
		prev_size = size;
		if (is_fence(p, end, size))
			return p != start;
		if (size < MIN_CHUNK || size % UNIT || size > end - p || (head & F_MMAPPED))
			return false;
	}
	if (prev && p == end)
		settle(q, &i, prev, prev_size, false); /* the top: not handed out yet */
	return prev && p == end;
}

/* Blocks that have mappings of their own, which the kernel may have made one. */
static bool walk_mmapped(struct reader *r, uint64_t start, uint64_t end, const struct query *q)
{
	uint64_t p = start, head;
	size_t i = 0;

	for (; p < end; p += head & ~FLAGS) {
		uint64_t size;

		if (!read_word(r, p + 8, end, &head))
			return false;
		size = head & ~FLAGS;
		if ((head & FLAGS) != F_MMAPPED || !size || size % SPACE_PAGE || size > end - p)
			return false;
		settle(q, &i, p, size, true);
	}
	return p == end;
}

static void forget(const struct query *q)
{
	memset(q->out, 0, q->n * sizeof(*q->out));
}

/* struct heap_info: arena, previous heap, size, bytes made accessible. Its arena stands behind it or in an
 * older heap. */
static bool walk_arena(struct reader *r, uint64_t start, uint64_t map_end, const struct query *q)
{
	uint64_t arena, size;

	r->len = 0;
	if (!read_word(r, start, map_end, &arena) || !read_word(r, start + 16, map_end, &size) ||
	    arena % ARENA_ALIGN > 256 || arena % 8 || !size || size % SPACE_PAGE || size > map_end - start ||
	    size > ARENA_ALIGN)
		return false;
	for (uint64_t off = 0x20; off < ARENA_HEAD_MAX; off += UNIT) {
		if (walk(r, start + off, start + size, q))
			return true;
		forget(q);
	}
	return false;
}

static void classify_part(struct reader *r, uint64_t start, uint64_t end, bool arena, const struct query *q)
{
	for (int i = 0; i < TRIES; i++) {
		r->len = 0;
		if (arena ? walk_arena(r, start, end, q) : walk(r, start, end, q))
			return;
		forget(q);
		r->len = 0;
		if (walk_mmapped(r, start, end, q))
			return;
		forget(q);
	}
}

/* One writable anonymous mapping: the main heap, heaps of arenas (at their alignment), or blocks of their
 * own. */
static void classify_map(struct reader *r, const struct proc_map *m, const struct query *all)
{
	bool arenas = m->start % ARENA_ALIGN == 0;
	size_t i = 0;

	while (i < all->n) {
		struct query q = {.addr = all->addr + i, .out = all->out + i};
		uint64_t start = arenas ? all->addr[i] & ~(ARENA_ALIGN - 1) : m->start, end = m->end;

		if (arenas && end - start > ARENA_ALIGN)
			end = start + ARENA_ALIGN;
		for (; i < all->n && all->addr[i] < end; i++)
			q.n++;
		classify_part(r, start, end, arenas, &q);
	}
}

int heap_classify(const struct space *s, const uint64_t *addr, size_t n, struct heap_block *out)
{
	struct reader r = {.s = s, .buf = malloc(WINDOW)};
	size_t i = 0;

	memset(out, 0, n * sizeof(*out));
	if (!r.buf)
		return -ENOMEM;
	while (i < n) {
		const struct proc_map *m = proc_maps_find(&s->maps, addr[i]);
		struct query q = {.addr = addr + i, .out = out + i};

		if (!m || (m->path && strcmp(m->path, "[heap]") != 0) ||
		    (m->perms & (PROC_R | PROC_W)) != (PROC_R | PROC_W)) {
			i++;
			continue;
		}
		while (i < n && addr[i] < m->end) {
			i++;
			q.n++;
		}
		classify_map(&r, m, &q);
	}
	free(r.buf);
	return 0;
}

bool heap_fits(const struct heap_block *b, uint64_t size)
{
	uint64_t chunk = (size + 8 + UNIT - 1) & ~(UNIT - 1);

	if (chunk < MIN_CHUNK)
		chunk = MIN_CHUNK;
	/* what would be left over as less than a block of its own is given along */
	return b->size + 8 == chunk || b->size + 8 == chunk + UNIT;
}
