// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Reading and checking objects in a memory made here: both layouts of repeated fields, and pointers that lead
 * nowhere or in circles. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "nodes.h"
#include "report/object.h"

static struct object *read_node(unsigned depth)
{
	struct object *o;

	assert_int_equal(object_read(&o, &known, &mem, 0, NODE, depth), 0);
	return o;
}

static void expect(unsigned depth, const char *path, unsigned reason, uint64_t word)
{
	struct object *o = read_node(depth);
	struct object_break *b;
	size_t n;

	assert_int_equal(object_breaks(o, &b, &n), 0);
	assert_int_equal(n, path ? 1 : 0);
	if (path) {
		assert_string_equal(b[0].path, path);
		assert_int_equal(b[0].field->bad, reason);
		assert_int_equal(b[0].field->bad_word, word);
	}
	object_breaks_free(b, n);
	object_free(o);
}

static char *text_of(unsigned depth)
{
	struct object *o = read_node(depth);
	char *s;
	size_t len;
	FILE *f = open_memstream(&s, &len);

	text_object(f, o);
	fclose(f);
	object_free(o);
	return s;
}

static void test_good(void **state)
{
	const struct guard_repeated *reps[] = {&v2, &v3};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct object *o;
		char *s;

		reset(reps[i]);
		expect(4, NULL, 0, 0);
		o = read_node(1);
		assert_int_equal(o->field[6].value.i, -5);
		assert_int_equal(o->field[4].has, 1);
		assert_int_equal(o->field[2].has, 0);
		assert_int_equal(o->field[6].has, -1);
		assert_int_equal(o->field[5].current, 1);
		assert_int_equal(o->field[5].allocated, 1);
		assert_int_equal(o->field[5].child[0]->addr, OTHER);
		assert_null(o->field[5].child[0]->field[5].child);
		object_free(o);
		s = text_of(1);
		assert_non_null(strstr(s, "T 0x10100, 72 bytes\n"));
		assert_non_null(strstr(s, "\"a\\\"\\n\\xff!\""));
		assert_non_null(strstr(s, "0x4: name"));
		assert_non_null(strstr(s, "1 element, 1 allocated, room for 2"));
		assert_non_null(strstr(s, "list_[0] = T 0x10300, 72 bytes\n"));
		assert_null(strstr(s, "BROKEN"));
		free(s);
	}
}

static void test_each_rule(void **state)
{
	(void)state;
	reset(&v3);
	put64(NODE, VPTR2);
	expect(2, "_vptr", WR_BAD_VPTR, VPTR2);
	reset(&v3);
	put32(NODE + 8, 8);
	expect(2, "_has_bits_", WR_BAD_VALUE, 8);
	reset(&v3);
	memory[NODE + 12 - BASE] = 2;
	expect(2, "flag_", WR_BAD_VALUE, 2);
	reset(&v3);
	put64(NODE + 16, 0xfffc0000);
	expect(2, "next_", WR_BAD_POINTER, 0xfffc0000);
	reset(&v3);
	put64(NODE + 16, TEXT);
	expect(2, "next_", WR_BAD_POINTEE, TEXT);
	reset(&v3);
	put64(NODE + 24, 0);
	expect(2, "name_", WR_BAD_POINTER, 0);
	reset(&v3);
	put64(STRING, 0x7777777777);
	expect(0, "name_", WR_BAD_POINTEE, STRING | 2);
	reset(&v3);
	put32(NODE + 60, 4);
	expect(2, "mode_", WR_BAD_VALUE, 4);
	reset(&v3);
	put32(NODE + 60, 0);
	expect(2, "mode_", WR_BAD_VALUE, 0);
}

static void test_repeated(void **state)
{
	(void)state;
	reset(&v2);
	put32(NODE + 32 + 8, 3);
	expect(2, "list_", WR_BAD_REPEATED, 3);
	reset(&v2);
	put32(NODE + 32 + 12, 0);
	expect(2, "list_", WR_BAD_REPEATED, 0);
	reset(&v2);
	put32(NODE + 32 + 16, 0x7fffffff);
	expect(2, "list_", WR_BAD_REPEATED, 0x7fffffff);
	reset(&v3);
	put32(BLOCK, (uint32_t)-1);
	expect(2, "list_", WR_BAD_REPEATED, 1);
	reset(&v3);
	put64(NODE + 32 + 16, 0x10);
	expect(2, "list_", WR_BAD_POINTER, 0x10);
	reset(&v3);
	put64(BLOCK + 8, 0xfffc0000);
	expect(2, "list_[0]", WR_BAD_POINTER, 0xfffc0000);
	reset(&v3);
	put64(BLOCK + 8, 0);
	expect(2, "list_[0]", WR_BAD_POINTER, 0);
	/* the block ends with the memory, behind its first element */
	reset(&v2);
	put64(NODE + 32, BASE + ROOM - 8);
	put64(BASE + ROOM - 8, OTHER);
	put32(NODE + 32 + 8, 2);
	put32(NODE + 32 + 12, 2);
	expect(2, "list_[1]", WR_BAD_POINTER, BASE + ROOM - 8);
}

/* What is broken below is found with its way, if it is looked at that far. */
static void test_depth(void **state)
{
	(void)state;
	reset(&v3);
	put64(NODE + 16, OTHER);
	put64(OTHER + 16, 0xfffc0000);
	expect(0, NULL, 0, 0);
	put32(NODE + 32 + 8, 0);
	expect(1, "next_.next_", WR_BAD_POINTER, 0xfffc0000);
	reset(&v3);
	put64(OTHER + 16, 0xfffc0000);
	expect(1, "list_[0].next_", WR_BAD_POINTER, 0xfffc0000);
}

static void test_circle(void **state)
{
	(void)state;
	reset(&v3);
	put64(NODE + 16, NODE);
	put64(BLOCK + 8, NODE);
	expect(16, NULL, 0, 0); /* 2^16 visits, but for the limit */
}

static void test_cut_off(void **state)
{
	struct object *o;

	(void)state;
	reset(&v3);
	memcpy(memory + ROOM - 32, memory + (NODE - BASE), 32);
	assert_int_equal(object_read(&o, &known, &mem, 0, BASE + ROOM - 32, 2), 0);
	assert_true(o->unreadable);
	assert_int_equal(o->n_fields, 5);
	object_free(o);
	assert_int_equal(object_read(&o, &known, &mem, 0, 0x10, 2), -EFAULT);
}

static void test_confirm(void **state)
{
	struct object *first, *again;
	struct object_break *b, *left;
	size_t n, n_left;

	(void)state;
	reset(&v3);
	put64(NODE + 16, 0xfffc0000);
	memory[NODE + 12 - BASE] = 9;
	put32(NODE + 60, 4);
	first = read_node(2);
	assert_int_equal(object_breaks(first, &b, &n), 0);
	assert_int_equal(n, 3);
	/* one is as it was, one has another wrong value, one is good, and one is new */
	memory[NODE + 12 - BASE] = 8;
	put32(NODE + 60, 1);
	put64(NODE + 24, 0);
	again = read_node(2);
	object_confirm(again, b, n);
	assert_int_equal(object_breaks(again, &left, &n_left), 0);
	assert_int_equal(n_left, 1);
	assert_string_equal(left[0].path, "next_");
	object_breaks_free(left, n_left);
	object_breaks_free(b, n);
	object_free(first);
	object_free(again);
}

static void test_json(void **state)
{
	struct object *o;
	json_t *j, *f;

	(void)state;
	reset(&v3);
	put64(NODE + 16, 0xfffc0000);
	o = read_node(1);
	j = json_object_of(o);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "class")), "T");
	f = json_array_get(json_object_get(j, "fields"), 3);
	assert_string_equal(json_string_value(json_object_get(f, "value")), "0xfffc0000");
	assert_true(json_is_false(json_object_get(f, "has")));
	f = json_object_get(f, "broken");
	assert_string_equal(json_string_value(json_object_get(f, "reason")), "wild-pointer");
	assert_string_equal(json_string_value(json_object_get(f, "explanation")),
			    "0xfffc0000 is not a mapped address");
	f = json_array_get(json_object_get(j, "fields"), 4);
	assert_string_equal(json_string_value(json_object_get(f, "value")), "a\"\n?!"); /* \xff is no UTF-8 */
	assert_int_equal(json_integer_value(json_object_get(f, "length")), 5);
	f = json_array_get(json_object_get(j, "fields"), 5);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(json_object_get(f, "elements"), 0), "addr")),
		"0x10300");
	json_decref(j);
	object_free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),	 cmocka_unit_test(test_each_rule),
		cmocka_unit_test(test_repeated), cmocka_unit_test(test_depth),
		cmocka_unit_test(test_circle),	 cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_confirm),	 cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
