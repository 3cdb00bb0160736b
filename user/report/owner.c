// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Who had the memory of a damaged word. */
#include <inttypes.h>

#include "report/write.h"

#define FRAMES_SHOWN 8

static json_t *event(const struct block_event *e, const struct report_clock *c)
{
	json_t *v = json_touch(c, &e->at);

	if (e->at.ts_ns && v)
		json_set_frames(v, "stack", &e->stack);
	return v;
}

json_t *json_owner(const struct block_history *h, const struct report_clock *c)
{
	json_t *now, *v;

	if (!h->before.known)
		return json_null();
	now = h->now.known ? json_pack("{s:o, s:o}", "block", json_hex(h->now.block), "allocated",
				       event(&h->now.out, c))
			   : json_null();
	v = json_pack("{s:o, s:o, s:b, s:o, s:o, s:o}", "block", json_hex(h->before.block), "size",
		      h->before.size ? json_integer((json_int_t)h->before.size) : json_null(), "dangling",
		      h->dangling, "allocated", event(&h->before.out, c), "freed", event(&h->before.freed, c),
		      "current", now);
	return v;
}

static void did(FILE *f, const struct block_event *e, uint64_t when_ns)
{
	char buf[16];

	fprintf(f, "%s earlier by %s, thread %d (%s)",
		text_duration(when_ns > e->at.ts_ns ? when_ns - e->at.ts_ns : 0, buf),
		e->at.function ? e->at.function : "?", (int)e->at.tid, e->at.comm);
}

void text_owner(FILE *f, const struct bad_write *w)
{
	const struct block_history *h = &w->heap;
	uint64_t when = w->found.ts_ns;

	if (!h->before.known && !h->now.known)
		return;
	if (h->dangling)
		fprintf(f,
			"  block     0x%" PRIx64
			" HAS BEEN FREED and not been handed out since: the object is dead, and "
			"who uses it holds a stale pointer\n",
			h->before.block);
	else if (h->now.known) {
		fprintf(f, "  block     0x%" PRIx64 " handed out ", h->now.block);
		did(f, &h->now.out, when);
		fputc('\n', f);
	}
	if (!h->before.known)
		return;
	fprintf(f, "  before    block 0x%" PRIx64 " of %" PRIu64 " bytes freed ", h->before.block,
		h->before.size);
	did(f, &h->before.freed, when);
	fputc('\n', f);
	text_frames(f, &h->before.freed.stack, 14, FRAMES_SHOWN);
	if (h->before.out.at.ts_ns) {
		fprintf(f, "            and handed out ");
		did(f, &h->before.out, when);
		fputc('\n', f);
		text_frames(f, &h->before.out.stack, 14, FRAMES_SHOWN);
	}
}
