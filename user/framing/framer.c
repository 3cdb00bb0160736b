// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Finds the heads of frames in one direction of a stream of which only the first bytes of each call are seen.
 */
#include <string.h>

#include "framing/framing.h"

/* Bytes of one call while it is taken in. */
struct piece {
	const uint8_t *data;
	size_t len; /* seen */
	uint64_t total, at;
};

static void lose(struct framer *s, struct piece *p)
{
	s->synced = false;
	s->n_held = 0;
	s->skip = 0;
	s->unread += p->total - p->at;
	p->at = p->total;
}

/*
 * A head in the middle of a call's bytes may be a payload that looks like one. It counts if another head
 * follows the frame, or if the frame ends with the call.
 */
static bool convincing(const struct framing *f, const struct piece *p, size_t at)
{
	struct framing_head head;
	uint64_t size = framing_parse(f, p->data + at, p->len - at, &head), end = at + size;

	/* some read the header by itself: the rest comes with the next call */
	if (!size)
		return at == 0 && p->len == p->total && framing_need(f, p->data, p->len) > p->len;
	if (at == 0 || end == p->total)
		return true;
	return end < p->len && framing_need(f, p->data + end, p->len - end);
}

/* Moves to where a frame begins; false: nowhere in what was seen. */
static bool resync(struct framer *s, const struct framing *f, struct piece *p)
{
	for (size_t at = p->at; at < p->len && p->len - at >= f->header; at++) {
		if (!convincing(f, p, at))
			continue;
		s->unread += at - p->at;
		s->resyncs += s->frames > 0;
		s->synced = true;
		p->at = at;
		return true;
	}
	return false;
}

/* Takes bytes for the head that is being read until it is complete. 1 complete, 0 more is needed, -1 this is
 * no head. */
static int fill(struct framer *s, const struct framing *f, struct piece *p)
{
	size_t need;

	while ((need = framing_need(f, s->held, s->n_held)) > s->n_held) {
		size_t want = need - s->n_held, left = p->at < p->len ? p->len - (size_t)p->at : 0;
		size_t n = want < left ? want : left;

		memcpy(s->held + s->n_held, p->data + p->at, n);
		s->n_held += n;
		p->at += n;
		if (n == want)
			continue;
		if (p->at == p->total)
			return 0;
		/* the rest of the call was not copied: a header is enough to go on */
		return s->n_held >= f->header ? 1 : -1;
	}
	return need ? 1 : -1;
}

/* One frame, from its head on. */
static void step(struct framer *s, const struct framing *f, struct piece *p, framer_sink sink, void *ctx)
{
	size_t begin = (size_t)p->at;
	struct framing_head head;
	int got = fill(s, f, p);
	uint64_t size;

	if (!got)
		return;
	size = got > 0 ? framing_parse(f, s->held, s->n_held, &head) : 0;
	if (!size) {
		/* look again from where the head began, or as near as this call has it */
		s->synced = false;
		s->n_held = 0;
		p->at = begin;
		if (!resync(s, f, p))
			lose(s, p);
		return;
	}
	s->frames++;
	s->skip = size - (size < s->n_held ? size : s->n_held);
	s->n_held = 0;
	sink(ctx, &head);
}

void framer_feed(struct framer *s, const struct framing *f, const uint8_t *data, size_t len, uint64_t total,
		 framer_sink sink, void *ctx)
{
	struct piece p = {.data = data, .len = len < total ? len : (size_t)total, .total = total};

	while (p.at < p.total) {
		if (s->skip) {
			uint64_t n = s->skip < p.total - p.at ? s->skip : p.total - p.at;

			s->skip -= n;
			p.at += n;
		} else if (!s->synced) {
			if (!resync(s, f, &p))
				lose(s, &p);
		} else if (p.at >= p.len) {
			lose(s, &p);
		} else {
			step(s, f, &p, sink, ctx);
		}
	}
}
