// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* gRPC over HTTP/2, its headers compressed by nghttp2's own encoder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

#include "framing/h2.h"
#include "framing_wire.h"

enum { DATA = 0, HEADERS = 1, RST = 3, SETTINGS = 4, CONTINUATION = 9 };
enum { END_STREAM = 1, END_HEADERS = 4, PADDED = 8, PRIORITY = 32 };

static nghttp2_hd_deflater *client, *server;

struct told {
	struct h2_event e[64];
	size_t n;
};

static void tell(void *ctx, const struct h2_event *e)
{
	struct told *t = ctx;

	assert_true(t->n < 64);
	t->e[t->n++] = *e;
}

static int setup(void **state)
{
	assert_int_equal(nghttp2_hd_deflate_new(&client, 4096), 0);
	assert_int_equal(nghttp2_hd_deflate_new(&server, 4096), 0);
	assert_int_equal(h2_create((struct h2 **)state), 0);
	return 0;
}

static int teardown(void **state)
{
	nghttp2_hd_deflate_del(client);
	nghttp2_hd_deflate_del(server);
	h2_destroy(*state);
	return 0;
}

static void put_frame(struct bytes *b, unsigned type, unsigned flags, uint32_t stream, const void *p,
		      size_t n)
{
	put_u8(b, (unsigned)(n >> 16));
	put_u8(b, (unsigned)(n >> 8) & 0xff);
	put_u8(b, (unsigned)n & 0xff);
	put_u8(b, type);
	put_u8(b, flags);
	put_be32(b, stream);
	put(b, p, n);
}

static size_t deflate(nghttp2_hd_deflater *d, uint8_t *buf, const char *const nv[][2], size_t n)
{
	nghttp2_nv v[8];
	ssize_t len;

	for (size_t i = 0; i < n; i++)
		v[i] = (nghttp2_nv){.name = (uint8_t *)nv[i][0],
				    .value = (uint8_t *)nv[i][1],
				    .namelen = strlen(nv[i][0]),
				    .valuelen = strlen(nv[i][1])};
	len = nghttp2_hd_deflate_hd(d, buf, 4096, v, n);
	assert_true(len > 0);
	return (size_t)len;
}

static void put_request(struct bytes *b, uint32_t stream, const char *path, const char *timeout)
{
	const char *const nv[][2] = {{":method", "POST"}, {":path", path}, {"grpc-timeout", timeout}};
	uint8_t block[4096];

	put_frame(b, HEADERS, END_HEADERS, stream, block, deflate(client, block, nv, timeout ? 3 : 2));
	put_frame(b, DATA, END_STREAM, stream, "\0\0\0\0\5hello", 10);
}

static void put_trailers(struct bytes *b, uint32_t stream, const char *status)
{
	const char *const nv[][2] = {{"grpc-status", status}};
	uint8_t block[4096];

	put_frame(b, HEADERS, END_HEADERS | END_STREAM, stream, block, deflate(server, block, nv, 1));
}

static void put_start(struct bytes *b)
{
	put(b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	put_frame(b, SETTINGS, 0, 0, "\0\4\0\1\0\0", 6);
}

static void calls(void **state)
{
	static struct bytes b;
	struct told t = {.n = 0};

	b.n = 0;
	put_start(&b);
	put_request(&b, 1, "/zbs.meta.MetaService/ListDb", "1500m");
	put_request(&b, 3, "/zbs.meta.MetaService/ListDb", NULL); /* out of the table */
	h2_feed(*state, true, -1, b.v, b.n, b.n, tell, &t);
	assert_int_equal(t.n, 4);
	assert_int_equal(t.e[0].what, H2_REQUEST);
	assert_true(t.e[0].sent);
	assert_string_equal(t.e[0].method, "zbs.meta.MetaService.ListDb");
	assert_int_equal(t.e[0].timeout_ms, 1500);
	assert_int_equal(t.e[1].what, H2_ASKED);
	assert_int_equal(t.e[2].stream, 3);
	assert_string_equal(t.e[2].method, "zbs.meta.MetaService.ListDb");
	assert_int_equal(t.e[2].timeout_ms, -1);
	t.n = b.n = 0;
	put_frame(&b, SETTINGS, 0, 0, NULL, 0);
	put_frame(&b, DATA, 0, 1, "\0\0\0\0\1x", 6);
	put_trailers(&b, 1, "0");
	put_trailers(&b, 3, "4");
	put_frame(&b, RST, 0, 5, "\0\0\0\10", 4);
	h2_feed(*state, false, -1, b.v, b.n, b.n, tell, &t);
	assert_int_equal(t.n, 4);
	assert_int_equal(t.e[0].what, H2_ANSWER);
	assert_int_equal(t.e[1].what, H2_END);
	assert_int_equal(t.e[1].status, 0);
	assert_int_equal(t.e[2].status, 4);
	assert_int_equal(t.e[3].what, H2_RESET);
	assert_int_equal(t.e[3].status, 8);
	assert_false(t.e[3].sent);
	assert_false(h2_blind(*state));
	assert_int_equal(h2_unread(*state, true) + h2_unread(*state, false), 0);
}

/* As a server: what comes is the requests. Cut anywhere. */
static void any_cut(void **state)
{
	static struct bytes b;

	b.n = 0;
	put_start(&b);
	for (uint32_t i = 0; i < 6; i++)
		put_request(&b, 1 + 2 * i, i & 1 ? "/a.B/Odd" : "/a.B/Even", NULL);
	for (size_t step = 24; step < 120; step++) { /* the preface comes as a whole */
		struct told t = {.n = 0};
		struct h2 *h;

		assert_int_equal(h2_create(&h), 0);
		for (size_t at = 0; at < b.n; at += step) {
			size_t n = b.n - at < step ? b.n - at : step;

			h2_feed(h, false, -1, b.v + at, n, n, tell, &t);
		}
		assert_int_equal(t.n, 12);
		for (size_t i = 0; i < 12; i += 2) {
			assert_int_equal(t.e[i].stream, i + 1);
			assert_string_equal(t.e[i].method, i / 2 & 1 ? "a.B.Odd" : "a.B.Even");
			assert_false(t.e[i].sent);
		}
		h2_destroy(h);
	}
	(void)state;
}

/* A block that goes on in a CONTINUATION, padding and priority. */
static void odd_headers(void **state)
{
	const char *const nv[][2] = {{":path", "/a.B/Split"}};
	static struct bytes b;
	struct told t = {.n = 0};
	uint8_t block[4096], padded[4096] = {3, 0, 0, 0, 0, 16};
	size_t n;

	b.n = 0;
	put_start(&b);
	n = deflate(client, block, nv, 1);
	put_frame(&b, HEADERS, 0, 1, block, n / 2);
	put_frame(&b, CONTINUATION, END_HEADERS, 1, block + n / 2, n - n / 2);
	n = deflate(client, padded + 6, nv, 1);
	put_frame(&b, HEADERS, END_HEADERS | END_STREAM | PADDED | PRIORITY, 3, padded, 6 + n + 3);
	h2_feed(*state, true, -1, b.v, b.n, b.n, tell, &t);
	assert_int_equal(t.n, 3);
	assert_string_equal(t.e[0].method, "a.B.Split");
	assert_string_equal(t.e[1].method, "a.B.Split");
	assert_int_equal(t.e[2].what, H2_ASKED);
}

/* Large data is not seen as a whole; headers behind it are lost, and then no method is guessed. */
static void what_was_not_seen(void **state)
{
	static struct bytes b;
	static char big[3000];
	struct told t = {.n = 0};

	b.n = 0;
	put_start(&b);
	put_request(&b, 1, "/a.B/One", NULL);
	put_frame(&b, DATA, 0, 3, big, sizeof(big));
	h2_feed(*state, true, -1, b.v, 256, b.n, tell, &t);
	assert_int_equal(t.n, 2);
	t.n = b.n = 0;
	put_request(&b, 5, "/a.B/One", NULL);
	h2_feed(*state, true, -1, b.v, b.n, b.n, tell, &t);
	assert_int_equal(t.n, 2);
	assert_string_equal(t.e[0].method, "a.B.One");
	t.n = b.n = 0;
	put_frame(&b, DATA, 0, 7, big, sizeof(big));
	put_request(&b, 9, "/a.B/Two", NULL);
	h2_feed(*state, true, -1, b.v, 256, b.n, tell, &t);
	assert_int_equal(t.n, 0);
	b.n = 0;
	put_request(&b, 11, "/a.B/Two", NULL);
	h2_feed(*state, true, -1, b.v, b.n, b.n, tell, &t);
	assert_true(h2_blind(*state));
	assert_int_equal(t.n, 2);
	assert_int_equal(t.e[0].stream, 11);
	assert_string_equal(t.e[0].method, "");
}

/* No stream was missed, so no header block was: the table still holds. */
static void only_data_missed(void **state)
{
	static struct bytes b;
	static char big[3000];
	struct told t = {.n = 0};

	b.n = 0;
	put_start(&b);
	put_request(&b, 1, "/a.B/One", NULL);
	put_frame(&b, DATA, 0, 1, big, sizeof(big));
	put_frame(&b, DATA, 0, 1, big, sizeof(big));
	h2_feed(*state, true, -1, b.v, 256, b.n, tell, &t);
	assert_true(h2_unread(*state, true) > 0);
	t.n = b.n = 0;
	put_request(&b, 3, "/a.B/One", NULL);
	h2_feed(*state, true, -1, b.v, b.n, b.n, tell, &t);
	assert_false(h2_blind(*state));
	assert_string_equal(t.e[0].method, "a.B.One");
}

/* Met in its middle: streams are followed, methods are not named. */
static void mid_stream(void **state)
{
	static struct bytes b;
	struct told t = {.n = 0};

	b.n = 0;
	put_request(&b, 1, "/a.B/One", NULL); /* before the session */
	b.n = 0;
	put_request(&b, 3, "/a.B/One", NULL);
	assert_true(h2_begins(b.v, b.n, b.n));
	h2_feed(*state, true, 0, b.v, b.n, b.n, tell, &t);
	assert_int_equal(t.n, 2);
	assert_string_equal(t.e[0].method, "");
	assert_false(h2_begins((const uint8_t *)"GET / HTTP/1.1\r\n\r\n", 18, 18));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(calls, setup, teardown),
		cmocka_unit_test_setup_teardown(any_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(odd_headers, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_not_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(only_data_missed, setup, teardown),
		cmocka_unit_test_setup_teardown(mid_stream, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
