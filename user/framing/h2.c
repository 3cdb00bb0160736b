// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

#include "framing/h2.h"

#define PREFACE	    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" /* RFC 9113, 3.4 */
#define PREFACE_LEN 24
#define HEAD	    9
#define BLOCK_MAX   16384 /* bytes of a header block that are kept */
#define FRAME_MAX   16384 /* SETTINGS_MAX_FRAME_SIZE unless the peer says otherwise */
#define TABLE_MAX   65536

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, CONTINUATION = 9, N_TYPES };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8, PRIORITY = 32 };

/* One direction. */
struct dir {
	bool started, synced;
	bool blind;	 /* part of a header block was not seen */
	bool gap;	 /* frames were not seen: a header block may have been among them */
	uint32_t newest; /* stream of the last request's headers */
	uint64_t unread;
	nghttp2_hd_inflater *table;
	uint8_t head[PREFACE_LEN];
	size_t n_head;
	/* the frame under way */
	uint8_t type, flags;
	uint32_t stream;
	uint64_t left;	/* payload bytes still to come */
	bool whole;	/* all of its payload so far was seen */
	uint8_t *block; /* header block, or the first bytes of another frame's payload */
	size_t n_block;
	uint8_t block_flags; /* of the HEADERS frame that began it */
};

struct h2 {
	struct dir dir[2]; /* [1]: what this process sends */
	int server;	   /* this process: 1 yes, 0 no, -1 not known */
	uint64_t frames;
	uint32_t max_frame;
};

/* What a call's bytes are handed on to. */
struct feed {
	struct h2 *h;
	struct dir *d;
	bool sent;
	const uint8_t *data;
	size_t len;
	uint64_t total, at;
	h2_sink sink;
	void *ctx;
};

int h2_create(struct h2 **ret)
{
	struct h2 *h = calloc(1, sizeof(*h));
	bool made = h != NULL;

	for (int i = 0; made && i < 2; i++)
		made = !nghttp2_hd_inflate_new(&h->dir[i].table);
	if (!made) {
		h2_destroy(h);
		return -ENOMEM;
	}
	h->server = -1;
	h->max_frame = FRAME_MAX;
	*ret = h;
	return 0;
}

void h2_destroy(struct h2 *h)
{
	for (int i = 0; h && i < 2; i++) {
		nghttp2_hd_inflate_del(h->dir[i].table);
		free(h->dir[i].block);
	}
	free(h);
}

uint64_t h2_frames(const struct h2 *h)
{
	return h->frames;
}

bool h2_blind(const struct h2 *h)
{
	return h->dir[0].blind || h->dir[1].blind;
}

uint64_t h2_unread(const struct h2 *h, bool sent)
{
	return h->dir[sent].unread;
}

static void emit(const struct feed *f, enum h2_what what, struct h2_event *e)
{
	e->what = what;
	e->sent = f->sent;
	e->stream = f->d->stream;
	f->sink(f->ctx, e);
}

static bool from_client(const struct feed *f)
{
	return f->h->server >= 0 && f->sent == !f->h->server;
}

static bool from_server(const struct feed *f)
{
	return f->h->server >= 0 && f->sent == (f->h->server == 1);
}

static bool name_is(const nghttp2_nv *nv, const char *name)
{
	return nv->namelen == strlen(name) && !memcmp(nv->name, name, nv->namelen);
}

/* "/pkg.Service/Method" -> "pkg.Service.Method" */
static void take_path(const nghttp2_nv *nv, char *buf)
{
	size_t n = nv->valuelen;

	if (n < 2 || n > FRAMING_METHOD_LEN || nv->value[0] != '/')
		return;
	for (size_t i = 1; i < n; i++) {
		uint8_t c = nv->value[i];

		if (c < 0x21 || c > 0x7e) {
			buf[0] = '\0';
			return;
		}
		buf[i - 1] = c == '/' ? '.' : (char)c;
	}
	buf[n - 1] = '\0';
}

static int64_t digits(const nghttp2_nv *nv, size_t n)
{
	int64_t v = 0;

	if (!n || n > 8)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (nv->value[i] < '0' || nv->value[i] > '9')
			return -1;
		v = v * 10 + nv->value[i] - '0';
	}
	return v;
}

/* At most 8 digits and a unit: PROTOCOL-HTTP2 of gRPC. */
static int64_t timeout_of(const nghttp2_nv *nv)
{
	int64_t v = nv->valuelen ? digits(nv, nv->valuelen - 1) : -1;

	if (v < 0)
		return -1;
	switch (nv->value[nv->valuelen - 1]) {
	case 'H':
		return v * 3600000;
	case 'M':
		return v * 60000;
	case 'S':
		return v * 1000;
	case 'm':
		return v;
	case 'u':
		return v / 1000;
	case 'n':
		return v / 1000000;
	}
	return -1;
}

/* The header block is complete: *e gets what matters of it. Must be called for every block, in order, as each
 * changes the table. */
static void inflate(struct dir *d, const uint8_t *p, size_t n, struct h2_event *e)
{
	bool final = false;

	while (!final) {
		nghttp2_nv nv;
		int flags = 0;
		ssize_t took = nghttp2_hd_inflate_hd2(d->table, &nv, &flags, p, n, 1);

		if (took < 0 || (!took && !(flags & (NGHTTP2_HD_INFLATE_EMIT | NGHTTP2_HD_INFLATE_FINAL)))) {
			d->blind = true;
			return;
		}
		p += took;
		n -= (size_t)took;
		final = flags & NGHTTP2_HD_INFLATE_FINAL;
		if (!(flags & NGHTTP2_HD_INFLATE_EMIT))
			continue;
		if (name_is(&nv, ":path"))
			take_path(&nv, e->method);
		else if (name_is(&nv, "grpc-timeout"))
			e->timeout_ms = timeout_of(&nv);
		else if (name_is(&nv, "grpc-status"))
			e->status = (int)digits(&nv, nv.valuelen);
	}
	nghttp2_hd_inflate_end_headers(d->table);
}

/* HEADERS without its padding and priority (RFC 9113, 6.2). */
static bool strip(const struct dir *d, const uint8_t **p, size_t *n)
{
	size_t front = 0, back = 0;

	if (d->block_flags & PADDED) {
		if (!*n)
			return false;
		back = **p;
		front = 1;
	}
	front += d->block_flags & PRIORITY ? 5 : 0;
	if (front + back > *n)
		return false;
	*p += front;
	*n -= front + back;
	return true;
}

static void headers_done(struct feed *f)
{
	struct dir *d = f->d;
	struct h2_event e = {.timeout_ms = -1, .status = -1};
	const uint8_t *p = d->block ? d->block : (const uint8_t *)""; /* no byte has come */
	size_t n = d->n_block;
	bool end = d->block_flags & END_STREAM;

	/* a client's header blocks begin one stream each, two numbers on from the last (RFC 9113, 5.1.1) */
	d->blind = d->blind || (d->gap && (!from_client(f) || d->stream != (d->newest ? d->newest + 2 : 1)));
	d->gap = false;
	if (from_client(f) && d->stream > d->newest)
		d->newest = d->stream;
	if (d->whole && !d->blind && strip(d, &p, &n))
		inflate(d, p, n, &e);
	else
		d->blind = true;
	if (d->blind) {
		e.method[0] = '\0';
		e.timeout_ms = e.status = -1;
	}
	if (from_client(f)) {
		emit(f, H2_REQUEST, &e);
		if (end)
			emit(f, H2_ASKED, &e);
	} else if (from_server(f)) {
		emit(f, end ? H2_END : H2_ANSWER, &e);
	}
}

static uint32_t u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* What this side says about its own table holds for what the other side sends. */
static void settings_done(struct feed *f)
{
	struct dir *d = f->d, *other = &f->h->dir[!f->sent];

	for (size_t i = 0; !(d->flags & ACK) && i + 6 <= d->n_block; i += 6) {
		uint32_t value = u32(d->block + i + 2);
		unsigned id = (unsigned)(d->block[i] << 8 | d->block[i + 1]);

		if (id == NGHTTP2_SETTINGS_HEADER_TABLE_SIZE && !other->blind)
			nghttp2_hd_inflate_change_table_size(other->table,
							     value < TABLE_MAX ? value : TABLE_MAX);
		if (id == NGHTTP2_SETTINGS_MAX_FRAME_SIZE && value >= FRAME_MAX && value < 1 << 24)
			f->h->max_frame = value > f->h->max_frame ? value : f->h->max_frame;
	}
}

static void frame_done(struct feed *f)
{
	struct dir *d = f->d;
	struct h2_event e = {.timeout_ms = -1, .status = -1};

	f->h->frames++;
	switch (d->type) {
	case DATA:
		if (from_client(f) && (d->flags & END_STREAM))
			emit(f, H2_ASKED, &e);
		else if (from_server(f))
			emit(f, d->flags & END_STREAM ? H2_END : H2_ANSWER, &e);
		break;
	case HEADERS:
	case CONTINUATION:
		if (d->flags & END_HEADERS)
			headers_done(f);
		return; /* the block goes on in a CONTINUATION otherwise */
	case RST_STREAM:
		e.status = d->n_block >= 4 ? (int)(u32(d->block) & 0x7fffffff) : -1;
		emit(f, H2_RESET, &e);
		break;
	case SETTINGS:
		settings_done(f);
		break;
	default:
		break;
	}
	d->n_block = 0;
}

/* Some frames have a stream and some must not (RFC 9113, 6); types that are not defined are for extensions.
 */
static bool head_fits(uint32_t max_frame, const uint8_t *p)
{
	uint32_t n = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2], stream = u32(p + 5);

	if (n > max_frame || p[3] >= N_TYPES || stream >> 31)
		return false;
	switch (p[3]) {
	case DATA:
	case HEADERS:
	case CONTINUATION:
		return stream & 1; /* servers push nothing in gRPC */
	case 2:			   /* PRIORITY */
		return stream && n == 5;
	case RST_STREAM:
		return stream && n == 4;
	case SETTINGS:
		return !stream && n % 6 == 0;
	case 5: /* PUSH_PROMISE */
		return false;
	case 6: /* PING */
		return !stream && n == 8;
	case 7: /* GOAWAY */
		return !stream && n >= 8;
	default: /* WINDOW_UPDATE */
		return n == 4;
	}
}

static void begin_frame(struct feed *f, const uint8_t *p)
{
	struct dir *d = f->d;

	d->left = (uint64_t)p[0] << 16 | (uint64_t)p[1] << 8 | p[2];
	d->type = p[3];
	d->flags = p[4];
	d->stream = u32(p + 5);
	if (d->type != CONTINUATION) {
		d->n_block = 0;
		d->whole = true;
		d->block_flags = d->flags;
	}
	d->n_head = 0;
	if (!d->left)
		frame_done(f);
}

/* Most blocks are small, and most connections idle. */
static bool keep(struct dir *d, const uint8_t *p, size_t n)
{
	uint8_t *more = d->n_block + n <= BLOCK_MAX ? realloc(d->block, d->n_block + n) : NULL;

	if (!more)
		return false;
	d->block = more;
	memcpy(d->block + d->n_block, p, n);
	d->n_block += n;
	return true;
}

/* Payload of the frame under way: what matters is kept as far as it was seen. */
static void payload(struct feed *f)
{
	struct dir *d = f->d;
	uint64_t rest = f->total - f->at, n = d->left < rest ? d->left : rest;
	size_t seen = f->at < f->len ? f->len - (size_t)f->at : 0;
	size_t take = n < seen ? (size_t)n : seen;

	if (d->type != DATA && take)
		d->whole = keep(d, f->data + f->at, take) && take == n && d->whole;
	else if (n)
		d->whole = false;
	f->at += n;
	d->left -= n;
	if (!d->left)
		frame_done(f);
}

static void lose(struct feed *f)
{
	struct dir *d = f->d;

	d->unread += f->total - f->at;
	f->at = f->total;
	d->synced = false;
	/* part of a block is as bad as none of it */
	d->blind = d->blind || ((d->type == HEADERS || d->type == CONTINUATION) && !(d->flags & END_HEADERS));
	d->gap = true;
	d->type = d->flags = 0;
	d->n_head = 0;
	d->n_block = 0;
	d->left = 0;
}

/* A call that begins with frames, one after the other as far as it was seen. */
static bool looks_like_frames(uint32_t max_frame, const uint8_t *data, size_t len, uint64_t total)
{
	uint64_t at = 0;

	while (at + HEAD <= len) {
		const uint8_t *p = data + at;

		if (!head_fits(max_frame, p))
			return false;
		at += HEAD + ((uint64_t)p[0] << 16 | (uint64_t)p[1] << 8 | p[2]);
	}
	return at > 0 && (at == total || at > len);
}

static bool is_preface(const uint8_t *data, size_t len)
{
	return len >= PREFACE_LEN && !memcmp(data, PREFACE, PREFACE_LEN);
}

bool h2_begins(const uint8_t *data, size_t len, uint64_t total)
{
	return is_preface(data, len) || looks_like_frames(FRAME_MAX, data, len, total);
}

/* Where the direction is not known yet, or was lost: only at the begin of a call. */
static void find(struct feed *f)
{
	struct dir *d = f->d;

	if (f->at == 0 && !d->started && is_preface(f->data, f->len)) {
		f->h->server = !f->sent;
		d->started = d->synced = true;
		f->at = PREFACE_LEN;
		f->h->frames++;
		return;
	}
	/* the server's first frame is its SETTINGS: then nothing came before */
	if (f->at == 0 && looks_like_frames(f->h->max_frame, f->data, f->len, f->total)) {
		d->gap = d->gap || d->started || f->data[3] != SETTINGS || (f->data[4] & ACK);
		d->started = d->synced = true;
		return;
	}
	d->started = true;
	lose(f);
}

static void head(struct feed *f)
{
	struct dir *d = f->d;
	size_t want = HEAD - d->n_head, seen = f->at < f->len ? f->len - (size_t)f->at : 0;
	size_t n = want < seen ? want : seen;

	memcpy(d->head + d->n_head, f->data + f->at, n);
	d->n_head += n;
	f->at += n;
	if (d->n_head == HEAD && head_fits(f->h->max_frame, d->head))
		begin_frame(f, d->head);
	else if (d->n_head == HEAD || f->at < f->total)
		lose(f);
}

void h2_feed(struct h2 *h, bool sent, int server, const uint8_t *data, size_t len, uint64_t total,
	     h2_sink sink, void *ctx)
{
	struct feed f = {.h = h,
			 .d = &h->dir[sent],
			 .sent = sent,
			 .data = data,
			 .len = len < total ? len : (size_t)total,
			 .total = total,
			 .sink = sink,
			 .ctx = ctx};

	if (h->server < 0)
		h->server = server;
	while (f.at < f.total) {
		if (f.d->left)
			payload(&f);
		else if (!f.d->synced)
			find(&f);
		else
			head(&f);
	}
}
