// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "heap/history.h"

#include <string.h>

/* The largest size that was ever asked for at this address: glibc's free has the whole block's. */
static uint64_t size_of(const struct heap_seen *b)
{
	uint64_t size = 0;

	for (unsigned i = 0; i < HEAP_EVENTS && i < b->past.n; i++)
		if (b->past.ev[i].what && b->past.ev[i].size > size)
			size = b->past.ev[i].size;
	return size;
}

bool heap_holds(const struct heap_seen *b, uint64_t addr)
{
	return addr >= b->addr && addr - b->addr < size_of(b);
}

struct step {
	const struct heap_seen *b;
	const struct heap_event *e;
};

/* The newest event of those blocks before ts, of one block if `in` is given. */
static struct step newest(const struct heap_seen *v, size_t n, uint64_t addr, uint64_t ts_ns,
			  const struct heap_seen *in, unsigned what)
{
	struct step best = {0};

	for (size_t i = 0; i < n; i++) {
		const struct heap_seen *b = &v[i];

		if ((in && b != in) || !heap_holds(b, addr))
			continue;
		for (unsigned k = 0; k < HEAP_EVENTS && k < b->past.n; k++) {
			const struct heap_event *e = &b->past.ev[k];

			/* the ring of a block that is used right now may be half written */
			if (!e->what || (what && e->what != what) || e->ts_ns >= ts_ns ||
			    addr - b->addr >= (e->size ? e->size : size_of(b)))
				continue;
			if (!best.e || e->ts_ns > best.e->ts_ns)
				best = (struct step){b, e};
		}
	}
	return best;
}

static struct heap_owner owner(const struct heap_seen *v, size_t n, uint64_t addr, struct step freed)
{
	struct step out = newest(v, n, addr, freed.e->ts_ns, freed.b, 0);
	struct heap_owner o = {.block = freed.b->addr, .size = freed.e->size, .freed = freed.e};

	if (out.e && out.e->what == HEAP_HANDED_OUT) {
		o.out = out.e;
		o.size = out.e->size;
	}
	return o;
}

bool heap_history_of(const struct heap_seen *v, size_t n, uint64_t addr, uint64_t ts_ns,
		     struct heap_history *out)
{
	struct step last = newest(v, n, addr, ts_ns, NULL, 0), freed;

	memset(out, 0, sizeof(*out));
	if (!last.e)
		return false;
	if (last.e->what == HEAP_FREED) {
		out->dangling = true;
		out->before = owner(v, n, addr, last);
		return true;
	}
	out->now = (struct heap_owner){.block = last.b->addr, .size = last.e->size, .out = last.e};
	freed = newest(v, n, addr, last.e->ts_ns, NULL, HEAP_FREED);
	if (freed.e)
		out->before = owner(v, n, addr, freed);
	return true;
}
