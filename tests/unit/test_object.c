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

#include "inspect/object.h"
#include "report/object.h"

#define BASE  0x10000ull
#define ROOM  0x2000u
#define VPTR  0x400100ull
#define VPTR2 0x400200ull

enum {
	NODE = BASE + 0x100,
	OTHER = BASE + 0x300,
	BLOCK = BASE + 0x500,
	STRING = BASE + 0x600,
	TEXT = BASE + 0x700
};

static uint8_t memory[ROOM];

static struct guard_field node_fields[] = {
	{.offset = 0, .width = 8, .kind = GUARD_VPTR, .path = "_vptr", .owner = "T", .elem = GUARD_NONE},
	{.offset = 8,
	 .width = 4,
	 .kind = GUARD_HAS_BITS,
	 .path = "_has_bits_",
	 .owner = "T",
	 .elem = GUARD_NONE,
	 .has_mask = 7},
	{.offset = 12,
	 .width = 1,
	 .kind = GUARD_BOOL,
	 .path = "flag_",
	 .owner = "T",
	 .elem = GUARD_NONE,
	 .proto = true},
	{.offset = 16,
	 .width = 8,
	 .kind = GUARD_MSG_PTR,
	 .path = "next_",
	 .owner = "T",
	 .elem = 0,
	 .proto = true},
	{.offset = 24,
	 .width = 8,
	 .kind = GUARD_ARENA_STRING,
	 .path = "name_",
	 .owner = "T",
	 .elem = GUARD_NONE,
	 .proto = true,
	 .tag_mask = 3},
	{.offset = 32,
	 .width = 24,
	 .kind = GUARD_REPEATED_PTR,
	 .path = "list_",
	 .owner = "T",
	 .elem = 0,
	 .proto = true},
	{.offset = 56,
	 .width = 4,
	 .kind = GUARD_INT,
	 .path = "small_",
	 .owner = "T",
	 .elem = GUARD_NONE,
	 .proto = true},
	{.offset = 60,
	 .width = 4,
	 .kind = GUARD_ENUM,
	 .path = "mode_",
	 .owner = "T",
	 .elem = GUARD_NONE,
	 .proto = true,
	 .enum_exact = true,
	 .enum_set = 0x0e,
	 .enum_min = 1,
	 .enum_max = 3},
	{.offset = 64, .width = 8, .kind = GUARD_PTR, .path = "raw_", .owner = "T", .elem = GUARD_NONE},
};
static struct guard_type guard = {.name = "T",
				  .size = 72,
				  .message = true,
				  .vptrs_known = true,
				  .n_vptr = 1,
				  .vptr = {{.vaddr = VPTR, .cls = "T"}},
				  .n_field = sizeof(node_fields) / sizeof(node_fields[0]),
				  .field = node_fields};
static const struct guard_repeated v2 = {.pointer = 0,
					 .current = 8,
					 .allocated = 12,
					 .total = 16,
					 .rep_allocated = GUARD_NONE,
					 .elem_size = 8};
static const struct guard_repeated v3 = {.pointer = 16,
					 .current = 8,
					 .total = 12,
					 .allocated = GUARD_NONE,
					 .header = 8,
					 .rep_allocated = 0,
					 .elem_size = 8};

static struct known_field known_fields[sizeof(node_fields) / sizeof(node_fields[0])];
static const char *bits[] = {"flag_", "next_", "name_"};
static struct known_type types[] = {{.guard = &guard, .field = known_fields, .bit_name = bits, .n_bits = 3}};
static struct known_vptr vptrs[] = {{.value = VPTR, .cls = "T", .size = 72},
				    {.value = VPTR2, .cls = "U", .size = 8}};
static struct known known = {.string_size = 32, .type = types, .n_types = 1, .vptr = vptrs, .n_vptrs = 2};

static ssize_t mem_read(void *ctx, uint64_t addr, void *buf, size_t len)
{
	(void)ctx;
	if (addr < BASE || addr >= BASE + ROOM)
		return -EFAULT;
	if (len > BASE + ROOM - addr)
		len = (size_t)(BASE + ROOM - addr);
	memcpy(buf, memory + (addr - BASE), len);
	return (ssize_t)len;
}

static bool mem_vptr_ok(void *ctx, unsigned type, uint64_t v)
{
	(void)ctx;
	return known_vptr_ok(&known, type, v);
}

static const struct rule_mem mem = {.read = mem_read, .vptr_ok = mem_vptr_ok};

static void put64(uint64_t addr, uint64_t v)
{
	memcpy(memory + (addr - BASE), &v, 8);
}

static void put32(uint64_t addr, uint32_t v)
{
	memcpy(memory + (addr - BASE), &v, 4);
}

/* Two good objects: NODE's next_ is NULL, its list_ holds OTHER; OTHER's list is empty. */
static void reset(const struct guard_repeated *rep)
{
	memset(memory, 0, sizeof(memory));
	node_fields[5].rep = *rep;
	for (size_t i = 0; i < guard.n_field; i++) {
		known_fields[i].has_rule = plan_field_rule(&node_fields[i], 0, &known_fields[i].rule);
		known_fields[i].type = "x";
		known_fields[i].bit = -1;
	}
	known_fields[2].bit = 0;
	known_fields[3].bit = 1;
	known_fields[4].bit = 2;
	for (int i = 0; i < 2; i++) {
		uint64_t at = i ? OTHER : NODE;

		put64(at, VPTR);
		put32(at + 8, 4);
		put64(at + 24, STRING | 2);
		put32(at + 56, (uint32_t)-5);
		put32(at + 60, 2);
		put64(at + 64, 0x1234);
	}
	put64(STRING, TEXT);
	put64(STRING + 8, 5);
	memcpy(memory + (TEXT - BASE), "a\"\n\xff!", 5);
	put64(NODE + 32 + (uint32_t)rep->pointer, BLOCK);
	put32(NODE + 32 + (uint32_t)rep->current, 1);
	put32(NODE + 32 + (uint32_t)rep->total, 2);
	if (rep->allocated != GUARD_NONE)
		put32(NODE + 32 + (uint32_t)rep->allocated, 1);
	else
		put32(BLOCK, 1);
	put64(BLOCK + rep->header, OTHER);
}

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
