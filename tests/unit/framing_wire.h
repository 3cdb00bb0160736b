/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bytes of frames, written here from their public descriptions and not by the code under test. */
#ifndef TEST_FRAMING_WIRE_H
#define TEST_FRAMING_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct bytes {
	uint8_t v[65536];
	size_t n;
};

static inline void put(struct bytes *b, const void *p, size_t n)
{
	if (n)
		memcpy(b->v + b->n, p, n);
	b->n += n;
}

static inline void put_u8(struct bytes *b, unsigned v)
{
	b->v[b->n++] = (uint8_t)v;
}

static inline void put_be32(struct bytes *b, uint32_t v)
{
	for (int i = 24; i >= 0; i -= 8)
		put_u8(b, v >> i & 0xff);
}

static inline void put_le(struct bytes *b, uint64_t v, int width)
{
	for (int i = 0; i < width; i++)
		put_u8(b, (unsigned)(v >> 8 * i) & 0xff);
}

static inline void put_fill(struct bytes *b, size_t n, unsigned with)
{
	memset(b->v + b->n, (int)with, n);
	b->n += n;
}

static inline void put_varint(struct bytes *b, uint64_t v)
{
	for (; v > 0x7f; v >>= 7)
		put_u8(b, 0x80 | (v & 0x7f));
	put_u8(b, (unsigned)v);
}

static inline void put_pb_text(struct bytes *b, unsigned field, const char *s)
{
	put_varint(b, field << 3 | 2);
	put_varint(b, strlen(s));
	put(b, s, strlen(s));
}

static inline void put_pb_number(struct bytes *b, unsigned field, uint64_t v)
{
	put_varint(b, field << 3);
	put_varint(b, v);
}

static inline void put_pb_message(struct bytes *b, unsigned field, const struct bytes *m)
{
	put_varint(b, field << 3 | 2);
	put_varint(b, m->n);
	put(b, m->v, m->n);
}

/* baidu_std: PRPC, bytes of body, bytes of meta, meta, data */
static inline void put_brpc(struct bytes *b, const struct bytes *meta, size_t data)
{
	put(b, "PRPC", 4);
	put_be32(b, (uint32_t)(meta->n + data));
	put_be32(b, (uint32_t)meta->n);
	put(b, meta->v, meta->n);
	put_fill(b, data, 'd');
}

static inline void put_brpc_request(struct bytes *b, const char *service, const char *method, uint64_t id,
				    size_t data)
{
	static struct bytes request, meta;

	request.n = meta.n = 0;
	put_pb_text(&request, 1, service);
	put_pb_text(&request, 2, method);
	put_pb_number(&request, 3, 77);
	put_pb_number(&request, 8, 500);
	put_pb_message(&meta, 1, &request);
	put_pb_number(&meta, 4, id);
	put_brpc(b, &meta, data);
}

static inline void put_brpc_response(struct bytes *b, uint64_t id, int error, size_t data)
{
	static struct bytes response, meta;

	response.n = meta.n = 0;
	put_pb_number(&response, 1, (uint64_t)error);
	put_pb_text(&response, 2, error ? "failed" : "");
	put_pb_message(&meta, 2, &response);
	put_pb_number(&meta, 4, id);
	put_brpc(b, &meta, data);
}

#endif
