// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The search kernels against the definition: byte by byte, every position. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "find/pattern.h"

#define ROUNDS 3000
#define ROOM   700

static uint64_t seed = 88172645463325252ull;

static uint64_t next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

static size_t reference(const struct pattern *p, const uint8_t *buf, size_t len, uint64_t base, uint64_t *hit,
			size_t max)
{
	size_t n = 0;

	for (size_t at = 0; at + p->len <= len; at++) {
		size_t same = 0;

		while (same < p->len && (buf[at + same] & p->mask[same]) == p->value[same])
			same++;
		if (same < p->len || (base + at) % p->align)
			continue;
		if (n < max)
			hit[n] = base + at;
		n++;
	}
	return n;
}

/* Few different bytes, so that there are hits, overlapping ones too. */
static void random_pattern(struct pattern *p)
{
	static const uint64_t aligns[] = {1, 1, 2, 4, 8, 16, 32, 64, 3, 12};
	uint64_t align = aligns[next() % 10];
	unsigned width = 1 + next() % 8;
	uint64_t mask = next() % 3 ? UINT64_MAX : next(), v = 0;
	char hex[3 * 40 + 1] = "";

	if (next() % 3 == 0) {
		for (size_t i = 0, n = 1 + next() % 40; i < n; i++)
			strcat(hex, next() % 4 ? next() % 2 ? "00" : "01 " : i ? "??" : "01");
		assert_int_equal(pattern_hex(p, hex, align, NULL), 0);
		return;
	}
	for (unsigned i = 0; i < width; i++)
		v |= (next() % 2) << (8 * i);
	mask |= 1;
	assert_int_equal(pattern_value(p, v & mask, width, mask, align, NULL), 0);
}

static void test_same_as_reference(void **state)
{
	static uint8_t room[ROOM];
	uint64_t want[ROOM], got[ROOM];
	size_t found = 0;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		/* a buffer of its own, so that the sanitizer sees a read past its end */
		size_t len = next() % ROOM, max = next() % 4 ? ROOM : next() % 5, n;
		uint64_t base = 0x7f0000000000ull + next() % 128;
		uint8_t *buf = malloc(len + !len);
		struct pattern p;

		for (size_t i = 0; i < len; i++)
			room[i] = (uint8_t)(next() % 9 ? next() % 2 : next());
		memcpy(buf, room, len);
		random_pattern(&p);
		n = reference(&p, buf, len, base, want, max);
		found += n;
		assert_int_equal(pattern_search(&p, buf, len, base, got, max), n);
		assert_memory_equal(got, want, 8 * (n < max ? n : max));
		assert_int_equal(pattern_search_portable(&p, buf, len, base, got, max), n);
		assert_memory_equal(got, want, 8 * (n < max ? n : max));
		free(buf);
	}
	assert_true(found > 10000);
}

/* Windows that share len - 1 bytes find each match once, wherever the border is. */
static void test_borders(void **state)
{
	struct pattern p;
	uint8_t buf[256];
	uint64_t hit[4];

	(void)state;
	assert_int_equal(pattern_value(&p, 0xfffc0000, 4, UINT64_MAX, 1, NULL), 0);
	for (size_t at = 0; at + 4 <= sizeof(buf); at++) {
		for (size_t cut = 3; cut < sizeof(buf); cut++) {
			size_t n;

			memset(buf, 0xfc, sizeof(buf));
			memcpy(buf + at, "\x00\x00\xfc\xff", 4);
			n = pattern_search(&p, buf, cut, 0, hit, 4);
			n += pattern_search(&p, buf + cut - 3, sizeof(buf) - cut + 3, cut - 3, hit + n, 4);
			assert_int_equal(n, 1);
			assert_int_equal(hit[0], at);
		}
	}
}

static void test_mask_and_align(void **state)
{
	static const uint8_t text[] = {1, 2, 0xab, 0xcd, 9, 2, 0xab, 0xcd, 0, 0};
	struct pattern p;
	uint64_t hit[4];

	(void)state;
	assert_int_equal(pattern_value(&p, 0xcdab0200, 4, 0xffffff00, 1, NULL), 0);
	assert_int_equal(pattern_search(&p, text, sizeof(text), 0x1000, hit, 4), 2);
	assert_int_equal(hit[0], 0x1000);
	assert_int_equal(hit[1], 0x1004);
	assert_int_equal(pattern_value(&p, 0xcdab0200, 4, 0xffffff00, 8, NULL), 0);
	assert_int_equal(pattern_search(&p, text, sizeof(text), 0x1000, hit, 4), 1);
	assert_int_equal(pattern_search(&p, text, sizeof(text), 0x1004, hit, 4), 1);
	assert_int_equal(hit[0], 0x1008);
	assert_int_equal(pattern_hex(&p, "ab cd ?? 02", 1, NULL), 0);
	assert_int_equal(pattern_search(&p, text, sizeof(text), 0, hit, 4), 1);
	assert_int_equal(hit[0], 2);
}

static void test_refused(void **state)
{
	struct err err = {0};
	struct pattern p;

	(void)state;
	assert_int_equal(pattern_value(&p, 0x1ff, 1, UINT64_MAX, 1, &err), -EINVAL);
	assert_string_equal(err.msg, "0x1ff does not fit into 1 byte");
	assert_int_equal(pattern_value(&p, 0, 9, UINT64_MAX, 1, &err), -EINVAL);
	assert_int_equal(pattern_value(&p, 1, 4, 0xfe, 1, &err), -EINVAL);
	assert_int_equal(pattern_value(&p, 0, 4, 0, 1, &err), -EINVAL);
	assert_int_equal(pattern_value(&p, 0, 4, UINT64_MAX, 0, &err), -EINVAL);
	assert_int_equal(pattern_hex(&p, "", 1, &err), -EINVAL);
	assert_int_equal(pattern_hex(&p, "abc", 1, &err), -EINVAL);
	assert_int_equal(pattern_hex(&p, "zz", 1, &err), -EINVAL);
	assert_int_equal(pattern_hex(&p, "?? ??", 1, &err), -EINVAL);
	assert_int_equal(pattern_value(&p, UINT64_MAX, 8, UINT64_MAX, 1, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_as_reference),
		cmocka_unit_test(test_borders),
		cmocka_unit_test(test_mask_and_align),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
