// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which words of a field get watchpoints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "writes/places.h"

static struct slots_place out[PLACES_PER_FIELD];

static size_t places(enum guard_kind kind, uint32_t offset, uint32_t width, bool proto, bool asked)
{
	struct guard_field f = {.kind = kind, .offset = offset, .width = width, .proto = proto};

	f.rep.current = 8; /* protobuf 2.5 */
	f.rep.pointer = 0;
	return places_of_field(&f, 3, 7, asked, out);
}

static void is(size_t at, uint32_t offset, uint32_t width)
{
	assert_int_equal(out[at].offset, offset);
	assert_int_equal(out[at].width, width);
	assert_int_equal(out[at].type, 3);
	assert_int_equal(out[at].field, 7);
	assert_true(out[at].weight > 0);
}

static void test_kinds(void **state)
{
	(void)state;
	assert_int_equal(places(GUARD_MSG_PTR, 40, 8, true, false), 1);
	is(0, 40, 8);
	unsigned pointer = out[0].weight;

	assert_int_equal(places(GUARD_INT, 44, 4, true, false), 1);
	is(0, 44, 4);
	assert_true(pointer > out[0].weight);
	assert_int_equal(places(GUARD_BOOL, 47, 1, true, false), 1);
	is(0, 47, 1);
	assert_int_equal(places(GUARD_STRING, 48, 32, true, false), 1);
	is(0, 48, 8);
	assert_int_equal(places(GUARD_VPTR, 0, 8, false, false), 1);
	is(0, 0, 8);
}

static void test_repeated(void **state)
{
	struct guard_field f = {.kind = GUARD_REPEATED_PTR, .offset = 24, .width = 24, .proto = true};

	(void)state;
	/* 3.21: arena, current and total, rep */
	f.rep.current = 8;
	f.rep.pointer = 16;
	assert_int_equal(places_of_field(&f, 3, 7, false, out), 2);
	is(0, 32, 8);
	is(1, 40, 8);
	/* 3.21 RepeatedField: counts, then elements */
	f.kind = GUARD_REPEATED;
	f.width = 16;
	f.rep.current = 0;
	f.rep.pointer = 8;
	assert_int_equal(places_of_field(&f, 3, 7, false, out), 2);
	is(0, 24, 8);
	is(1, 32, 8);
}

static void test_never(void **state)
{
	(void)state;
	assert_int_equal(places(GUARD_CACHED_SIZE, 20, 4, true, true), 0);
	assert_int_equal(places(GUARD_METADATA, 8, 8, true, true), 0);
	assert_int_equal(places(GUARD_OPAQUE, 8, 8, true, true), 0);
	/* plain members only on request */
	assert_int_equal(places(GUARD_INT, 200, 4, false, false), 0);
	assert_int_equal(places(GUARD_INT, 200, 4, false, true), 1);
	/* no single register covers these */
	assert_int_equal(places(GUARD_INT, 42, 4, true, true), 0);
	assert_int_equal(places(GUARD_PTR, 0, 24, true, true), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_repeated),
		cmocka_unit_test(test_never),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
