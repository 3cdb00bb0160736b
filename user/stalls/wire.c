// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Connections: which framing each carries, and the frames in it. What the frames mean for calls is in
 * wire_calls.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stalls/wire_priv.h"

#define TRIAL_CALLS 32	  /* of a connection on which nothing was understood, and */
#define TRIAL_BYTES 65536 /* as many bytes: it carries something else */
#define MAX_CONNS   PAYLOAD_STREAMS
#define FORGET_NS   5000000000ULL /* the list of what is open may be older than a connection */

int wire_create(struct wire **ret, const struct framing *const *framing, size_t n, const struct wire_ops *ops)
{
	struct wire *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->ops = *ops;
	w->n_framings = n < WIRE_FRAMINGS ? n : WIRE_FRAMINGS;
	for (size_t i = 0; i < w->n_framings; i++)
		w->framing[i] = framing[i];
	*ret = w;
	return 0;
}

/* Bytes of one direction that were passed over, by what the connection is known to carry. */
static uint64_t unread(const struct wire *w, const struct conn *c, bool sent)
{
	if (c->framing < 0)
		return 0;
	return w->framing[c->framing]->kind == FRAMING_GRPC ? h2_unread(c->h2, sent)
							    : c->framer[c->framing][sent].unread;
}

static void conn_free(struct wire *w, struct conn *c, uint64_t now_ns)
{
	wire_calls_drop(w, c, now_ns);
	w->gone.unread += unread(w, c, false) + unread(w, c, true);
	h2_destroy(c->h2);
	free(c->framer);
	free(c);
}

void wire_destroy(struct wire *w)
{
	struct conn *c, *next;

	if (!w)
		return;
	HASH_ITER (hh, w->conn, c, next) {
		HASH_DEL(w->conn, c);
		conn_free(w, c, 0);
	}
	wire_methods_free(w);
	free(w);
}

static struct conn *conn_of(struct wire *w, const struct payload_rec *r)
{
	struct conn *c;

	HASH_FIND(hh, w->conn, &r->inode, sizeof(r->inode), c);
	if (c)
		return c;
	c = HASH_COUNT(w->conn) < MAX_CONNS ? calloc(1, sizeof(*c)) : NULL;
	if (c)
		c->framer = calloc(w->n_framings, sizeof(*c->framer));
	if (!c || !c->framer) {
		free(c);
		w->gone.full++;
		return NULL;
	}
	c->inode = r->inode;
	c->framing = -1;
	memcpy(c->peer, r->peer, sizeof(c->peer));
	c->port = r->port;
	c->family = r->family;
	c->server = -1;
	HASH_ADD(hh, w->conn, inode, sizeof(c->inode), c);
	return c;
}

/* A frame, or an event of a stream, and where it came from. */
struct arrival {
	struct wire *w;
	struct conn *c;
	const struct payload_rec *r;
	int framing;
};

static void on_frame(void *ctx, const struct framing_head *f)
{
	struct arrival *a = ctx;

	a->c->framing = a->framing;
	wire_frame(a->w, a->c, a->r, f);
}

static void on_h2(void *ctx, const struct h2_event *e)
{
	struct arrival *a = ctx;

	wire_h2(a->w, a->c, a->r, e);
}

static void feed_h2(struct arrival *a)
{
	struct conn *c = a->c;
	const struct payload_rec *r = a->r;

	if (!c->h2 && (!h2_begins(r->data, r->len, r->total) || h2_create(&c->h2)))
		return;
	h2_feed(c->h2, r->sent, c->server, r->data, r->len, r->total, on_h2, a);
	if (h2_frames(c->h2) > 1)
		c->framing = a->framing;
}

static void feed(struct wire *w, struct conn *c, const struct payload_rec *r)
{
	struct arrival a = {.w = w, .c = c, .r = r};
	uint64_t before = unread(w, c, r->sent);

	/* now and then: the list of sockets may be older than this one */
	if (c->server < 0 && w->ops.accepted && !(c->calls & (c->calls - 1)))
		c->server = w->ops.accepted(w->ops.ctx, c->inode);
	for (size_t i = 0; i < w->n_framings; i++) {
		if (c->framing >= 0 && c->framing != (int)i)
			continue;
		a.framing = (int)i;
		if (w->framing[i]->kind == FRAMING_GRPC)
			feed_h2(&a);
		else
			framer_feed(&c->framer[i][r->sent], w->framing[i], r->data, r->len, r->total,
				    on_frame, &a);
	}
	c->calls++;
	c->bytes += r->total;
	c->last_ns = r->h.ts_ns;
	if (unread(w, c, r->sent) > before)
		wire_calls_doubt(w, c, !r->sent);
	if (c->framing < 0 && !c->foreign && c->calls >= TRIAL_CALLS && c->bytes >= TRIAL_BYTES) {
		c->foreign = true;
		w->gone.foreign++;
		if (w->ops.ignore)
			w->ops.ignore(w->ops.ctx, c->inode);
	}
}

void wire_event(struct wire *w, const struct abi_hdr *rec)
{
	const struct payload_rec *r = (const struct payload_rec *)rec;
	size_t head = sizeof(*r) - PAYLOAD_MAX;
	struct conn *c;

	if (rec->size < head || rec->size > sizeof(*r) || r->len > rec->size - head || r->len > r->total)
		return;
	if (rec->kind == PAYLOAD_CLOSED) {
		HASH_FIND(hh, w->conn, &r->inode, sizeof(r->inode), c);
		if (!c)
			return;
		HASH_DEL(w->conn, c);
		conn_free(w, c, r->h.ts_ns);
	} else if (rec->kind == PAYLOAD_BYTES && r->sent < 2) {
		c = conn_of(w, r);
		if (c && !c->foreign)
			feed(w, c, r);
	}
}

void wire_from(struct wire *w, uint64_t from_ns)
{
	w->from_ns = from_ns;
}

void wire_gap(struct wire *w)
{
	for (struct conn *c = w->conn; c; c = c->hh.next)
		for (int ours = 0; ours < 2; ours++)
			wire_calls_doubt(w, c, ours);
}

void wire_forget(struct wire *w, bool (*open)(void *ctx, uint64_t inode), void *ctx, uint64_t now_ns)
{
	struct conn *c, *next;

	HASH_ITER (hh, w->conn, c, next) {
		if (c->last_ns + FORGET_NS > now_ns || open(ctx, c->inode))
			continue;
		HASH_DEL(w->conn, c);
		conn_free(w, c, now_ns);
	}
}

size_t wire_connections(const struct wire *w)
{
	return HASH_COUNT(w->conn);
}

struct wire_losses wire_losses(const struct wire *w)
{
	struct wire_losses l = w->gone;

	for (const struct conn *c = w->conn; c; c = c->hh.next) {
		l.known += c->framing >= 0;
		l.unknown += c->framing < 0 && !c->foreign;
		l.blind += c->h2 && c->framing >= 0 && h2_blind(c->h2);
		l.unread += unread(w, c, false) + unread(w, c, true);
	}
	return l;
}
