// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Described framings: keys, heads, and streams of which only a part is seen. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "framing/framing.h"
#include "framing_wire.h"
#include "spec/spec.h"

static struct framing brpc, plain;

static int set(struct framing *f, const char *key, const char *value, const char **why)
{
	const char *ignored;
	size_t bad;

	return framing_set(f, key, strlen(key), value, strlen(value), &bad, why ? why : &ignored);
}

static int setup(void **state)
{
	static const char *const keys[][2] = {
		{"magic", "0:0x5a425352"},
		{"header", "32"},
		{"length", "8:u32le"},
		{"request", "6:u16le=1"},
		{"response", "6:u16le=2"},
		{"error", "12:u32le"},
		{"id", "16:u64le"},
		{"method", "24:u64le"},
		{"method_name", "0x10 zbs.Meta.Ping"},
		{"longpoll", "zbs.Meta.Watch"},
	};

	(void)state;
	assert_int_equal(set(&brpc, "framing", "baidu_std", NULL), 0);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_int_equal(set(&plain, keys[i][0], keys[i][1], NULL), 0);
	assert_null(framing_check(&brpc));
	assert_null(framing_check(&plain));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	framing_deinit(&brpc);
	framing_deinit(&plain);
	return 0;
}

static void put_plain(struct bytes *b, unsigned kind, uint64_t id, uint64_t method, uint32_t payload)
{
	put(b, "ZBSR", 4);
	put_le(b, 1, 2);
	put_le(b, kind, 2);
	put_le(b, payload, 4);
	put_le(b, kind == 2 && id == 13 ? 5 : 0, 4);
	put_le(b, id, 8);
	put_le(b, method, 8);
	put_fill(b, payload, 'p');
}

/* What a stream told. */
struct told {
	struct framing_head head[256];
	size_t n;
};

static void tell(void *ctx, const struct framing_head *h)
{
	struct told *t = ctx;

	assert_true(t->n < 256);
	t->head[t->n++] = *h;
}

static void heads(void **state)
{
	static struct bytes b;
	static struct framer s;
	struct told t = {.n = 0};

	(void)state;
	b.n = 0;
	put_brpc_request(&b, "zbs.MetaService", "ListDb", 41, 10);
	put_brpc_response(&b, 41, 0, 0);
	put_brpc_response(&b, 42, 1008, 3);
	framer_feed(&s, &brpc, b.v, b.n, b.n, tell, &t);
	assert_int_equal(t.n, 3);
	assert_true(t.head[0].request && !t.head[0].response);
	assert_string_equal(t.head[0].method, "zbs.MetaService.ListDb");
	assert_int_equal(t.head[0].id, 41);
	assert_int_equal(t.head[0].timeout_ms, 500);
	assert_true(t.head[1].response && !t.head[1].error);
	assert_true(t.head[2].response && t.head[2].error && t.head[2].timed_out);
	assert_int_equal(t.head[2].id, 42);
	assert_int_equal(s.unread, 0);
}

static void numbers(void **state)
{
	static struct bytes b;
	static struct framer s;
	struct told t = {.n = 0};

	(void)state;
	b.n = 0;
	put_plain(&b, 1, 12, 0x10, 100);
	put_plain(&b, 1, 13, 0xabc, 0);
	put_plain(&b, 2, 12, 0, 4);
	put_plain(&b, 2, 13, 0, 0);
	framer_feed(&s, &plain, b.v, b.n, b.n, tell, &t);
	assert_int_equal(t.n, 4);
	assert_string_equal(t.head[0].method, "zbs.Meta.Ping");
	assert_string_equal(t.head[1].method, "method 0xabc");
	assert_false(t.head[2].error);
	assert_true(t.head[3].error && !t.head[3].timed_out);
	assert_true(framing_is_longpoll(&plain, "zbs.Meta.Watch"));
	assert_false(framing_is_longpoll(&plain, "zbs.Meta.Ping"));
}

/* However a stream is cut into calls, the same frames come out of it. */
static void any_cut(void **state)
{
	static struct bytes b;

	(void)state;
	b.n = 0;
	for (unsigned i = 0; i < 20; i++) {
		put_brpc_request(&b, "a.S", "M", 100 + i, i * 7);
		put_brpc_response(&b, 100 + i, i & 1, i);
	}
	for (size_t step = 1; step < 200; step++) {
		static struct framer s;
		struct told t = {.n = 0};

		s = (struct framer){.synced = true};
		for (size_t at = 0; at < b.n; at += step) {
			size_t n = b.n - at < step ? b.n - at : step;

			framer_feed(&s, &brpc, b.v + at, n, n, tell, &t);
		}
		assert_int_equal(t.n, 40);
		for (size_t i = 0; i < 40; i++)
			assert_int_equal(t.head[i].id, 100 + i / 2);
		assert_int_equal(s.unread, 0);
	}
}

/* Of large messages only the first bytes are seen: the payload is passed over and the next head is where it
 * should be. */
static void first_bytes_only(void **state)
{
	static struct bytes b;
	static struct framer s;
	struct told t = {.n = 0};

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		b.n = 0;
		put_brpc_request(&b, "a.S", "M", i, 20000);
		framer_feed(&s, &brpc, b.v, 256, b.n, tell, &t);
	}
	assert_int_equal(t.n, 5);
	assert_int_equal(s.unread, 0);
	/* the payload of a frame comes with the next one's head: this is not seen, and the one after it is */
	b.n = 0;
	put_brpc_request(&b, "a.S", "M", 5, 400);
	put_brpc_request(&b, "a.S", "M", 6, 10);
	framer_feed(&s, &brpc, b.v, 256, b.n, tell, &t);
	assert_int_equal(t.n, 6);
	assert_true(s.unread > 0);
	b.n = 0;
	put_brpc_request(&b, "a.S", "M", 7, 10);
	framer_feed(&s, &brpc, b.v, b.n, b.n, tell, &t);
	assert_int_equal(t.n, 7);
	assert_int_equal(t.head[6].id, 7);
	assert_int_equal(s.resyncs, 1);
}

/* Begun in the middle of a payload that looks like heads here and there. */
static void mid_stream(void **state)
{
	static struct bytes b, whole;
	static struct framer s;
	struct told t = {.n = 0};

	(void)state;
	b.n = whole.n = 0;
	s = (struct framer){0};
	put_fill(&b, 100, 'x');
	put(&b, "PRPC\0\0\0\10\0\0\0\4", 12); /* a lie: nothing of the kind follows where it says */
	put_fill(&b, 100, 'x');
	framer_feed(&s, &brpc, b.v, b.n, b.n, tell, &t);
	assert_int_equal(t.n, 0);
	assert_int_equal(s.unread, b.n);
	put_fill(&whole, 50, 'y');
	put_brpc_request(&whole, "a.S", "M", 1, 10);
	put_brpc_request(&whole, "a.S", "N", 2, 10);
	framer_feed(&s, &brpc, whole.v, whole.n, whole.n, tell, &t);
	assert_int_equal(t.n, 2);
	assert_string_equal(t.head[0].method, "a.S.M");
	assert_string_equal(t.head[1].method, "a.S.N");
}

/* A name that is cut off is no name. */
static void cut_name(void **state)
{
	static struct bytes b;
	static struct framer s;
	struct told t = {.n = 0};

	(void)state;
	b.n = 0;
	s = (struct framer){0};
	put_brpc_request(&b, "zbs.MetaService", "ListDb", 9, 10);
	framer_feed(&s, &brpc, b.v, 12 + 2 + 2 + 15 + 2 + 3, b.n, tell, &t);
	assert_int_equal(t.n, 1);
	assert_string_equal(t.head[0].method, "");
	assert_false(t.head[0].has_id);
	assert_true(t.head[0].request);
}

/* A reader that takes the header by itself, from a stream that was met in its middle. */
static void header_apart(void **state)
{
	static struct bytes b;
	static struct framer s;
	struct told t = {.n = 0};

	(void)state;
	b.n = 0;
	s = (struct framer){0};
	put_brpc_request(&b, "a.S", "M", 3, 10);
	framer_feed(&s, &brpc, b.v, 12, 12, tell, &t);
	assert_int_equal(t.n, 0);
	framer_feed(&s, &brpc, b.v + 12, b.n - 12, b.n - 12, tell, &t);
	assert_int_equal(t.n, 1);
	assert_string_equal(t.head[0].method, "a.S.M");
	assert_int_equal(s.unread, 0);
}

static void refused(void **state)
{
	static const char *const bad[][2] = {
		{"framing", "thrift"},
		{"magic", "0:"},
		{"magic", "x"},
		{"magic", "0:\"abc"},
		{"magic", "0:0xabc"},
		{"magic", "255:\"ab\""},
		{"header", "0"},
		{"header", "257"},
		{"length", "8:u24le"},
		{"length", "pb:1"},
		{"length", "8:u32le+1000"},
		{"id", "pb:"},
		{"id", "pb:1.2.3.4.5"},
		{"id", "300:u8"},
		{"id", "4"},
		{"request", "6:u16le"},
		{"request", "6:u16le=x"},
		{"method", "0:text200"},
		{"method_name", "17"},
		{"method_name", "x y"},
		{"capture", "5000"},
		{"timed_out", "-1"},
		{"meta", "8:u32be tail"},
	};
	struct framing f = {0};
	const char *why;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(set(&f, bad[i][0], bad[i][1], &why), -EINVAL);
		assert_non_null(why);
		framing_deinit(&f);
	}
	assert_int_equal(set(&f, "colour", "1", &why), -ENOENT);
	assert_int_equal(set(&f, "header", "12", &why), 0);
	assert_int_equal(set(&f, "header", "12", &why), -EEXIST);
	assert_non_null(framing_check(&f));
	assert_int_equal(set(&f, "magic", "10:\"abc\"", &why), 0);
	assert_int_equal(set(&f, "length", "0:u32be", &why), 0);
	assert_int_equal(set(&f, "id", "4:u32be", &why), 0);
	assert_int_equal(set(&f, "method", "8:u16be", &why), 0);
	assert_string_equal(framing_check(&f), "a field ends after the header");
	framing_deinit(&f);
}

static void in_a_spec(void **state)
{
	static const char good[] =
		"[rpc one]\nframing = baidu_std\nlongpoll = a.S.Watch\n[rpc two]\nmagic = 0:\"AB\"\n"
		"header=8\nlength = 2:u16be-8\nid=4:u8\nmethod=5:text3\ncapture=64\n";
	static const char bad[] = "[rpc one]\nserver = f\nmagic = 0:12\n";
	static const char lacks[] = "[rpc one]\nmagic = 0:\"AB\"\n";
	struct err e = {0};
	struct spec *s;

	(void)state;
	assert_int_equal(spec_parse(&s, good, strlen(good), "x.spec", &e), 0);
	assert_int_equal(s->rpc[0].framing.kind, FRAMING_DESCRIBED);
	assert_int_equal(s->rpc[0].framing.n_longpoll, 1);
	assert_int_equal(s->rpc[1].framing.length_add, -8);
	assert_int_equal(s->rpc[1].framing.capture, 64);
	spec_free(s);
	assert_int_equal(spec_parse(&s, bad, strlen(bad), "x.spec", &e), -EINVAL);
	assert_memory_equal(e.msg, "x.spec:3:11: magic is OFFSET", 28);
	assert_int_equal(spec_parse(&s, lacks, strlen(lacks), "x.spec", &e), -EINVAL);
	assert_string_equal(e.msg, "x.spec:1:1: [rpc one]: a framing needs magic, header and length");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads),	cmocka_unit_test(numbers),
		cmocka_unit_test(any_cut),	cmocka_unit_test(first_bytes_only),
		cmocka_unit_test(mid_stream),	cmocka_unit_test(cut_name),
		cmocka_unit_test(header_apart), cmocka_unit_test(refused),
		cmocka_unit_test(in_a_spec),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
