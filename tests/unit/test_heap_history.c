// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* --heap: which functions are an allocator's, which sizes share blocks, and who had the memory before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "heap/functions.h"
#include "heap/history.h"
#include "report/write.h"

#define BLOCK 0x10000ull

static struct heap_event ev(unsigned what, uint64_t ts, uint32_t size, uint32_t tid)
{
	return (struct heap_event){.what = (uint8_t)what, .ts_ns = ts, .size = size, .tid = tid};
}

/* A block with its events, oldest first. */
static struct heap_seen seen(uint64_t addr, size_t n, const struct heap_event *v)
{
	struct heap_seen s = {.addr = addr, .past.n = n};

	for (size_t i = 0; i < n; i++)
		s.past.ev[i % HEAP_EVENTS] = v[i];
	return s;
}

static void test_stale_pointer(void **state)
{
	const struct heap_event v[] = {ev(HEAP_HANDED_OUT, 10, 144, 1), ev(HEAP_FREED, 20, 144, 2),
				       ev(HEAP_HANDED_OUT, 30, 144, 3)};
	struct heap_seen b = seen(BLOCK, 3, v);
	struct heap_history h;

	(void)state;
	assert_true(heap_history_of(&b, 1, BLOCK + 72, 100, &h));
	assert_false(h.dangling);
	assert_int_equal(h.now.out->tid, 3);
	assert_int_equal(h.before.freed->tid, 2);
	assert_int_equal(h.before.out->tid, 1);
	assert_int_equal(h.before.block, BLOCK);
	assert_int_equal(h.before.size, 144);
	assert_false(heap_history_of(&b, 1, BLOCK + 144, 100, &h)); /* behind it */
	assert_false(heap_history_of(&b, 1, BLOCK - 1, 100, &h));
	assert_false(heap_history_of(&b, 1, BLOCK, 5, &h)); /* before all that */
}

/* What came after the damage was found is another story. */
static void test_time_of_the_finding(void **state)
{
	const struct heap_event v[] = {ev(HEAP_FREED, 20, 144, 2), ev(HEAP_HANDED_OUT, 30, 144, 3),
				       ev(HEAP_FREED, 40, 144, 4), ev(HEAP_HANDED_OUT, 50, 144, 5)};
	struct heap_seen b = seen(BLOCK, 4, v);
	struct heap_history h;

	(void)state;
	assert_true(heap_history_of(&b, 1, BLOCK, 35, &h));
	assert_int_equal(h.now.out->tid, 3);
	assert_int_equal(h.before.freed->tid, 2);
	assert_null(h.before.out); /* handed out before anyone looked */
	assert_true(heap_history_of(&b, 1, BLOCK, 100, &h));
	assert_int_equal(h.now.out->tid, 5);
	assert_int_equal(h.before.freed->tid, 4);
	assert_int_equal(h.before.out->tid, 3);
}

static void test_dangling(void **state)
{
	const struct heap_event v[] = {ev(HEAP_HANDED_OUT, 10, 144, 1), ev(HEAP_FREED, 20, 144, 2)};
	struct heap_seen b = seen(BLOCK, 2, v);
	struct heap_history h;

	(void)state;
	assert_true(heap_history_of(&b, 1, BLOCK, 100, &h));
	assert_true(h.dangling);
	assert_null(h.now.out);
	assert_int_equal(h.before.freed->tid, 2);
	assert_int_equal(h.before.out->tid, 1);
}

/* The memory was a part of a block that began elsewhere. */
static void test_another_block_before(void **state)
{
	const struct heap_event old[] = {ev(HEAP_HANDED_OUT, 10, 160, 1), ev(HEAP_FREED, 20, 160, 2)};
	const struct heap_event now[] = {ev(HEAP_HANDED_OUT, 30, 144, 3)};
	struct heap_seen b[] = {seen(BLOCK - 64, 2, old), seen(BLOCK, 1, now)};
	struct heap_history h;

	(void)state;
	assert_true(heap_history_of(b, 2, BLOCK + 72, 100, &h));
	assert_int_equal(h.before.block, BLOCK - 64);
	assert_int_equal(h.before.freed->tid, 2);
	assert_true(heap_history_of(b, 2, BLOCK + 120, 100, &h)); /* the old block did not reach there */
	assert_null(h.before.freed);
	assert_int_equal(h.now.out->tid, 3);
}

/* More events than are kept: the ring goes round. */
static void test_ring(void **state)
{
	struct heap_event v[7];
	struct heap_history h;
	struct heap_seen b;

	(void)state;
	for (unsigned i = 0; i < 7; i++)
		v[i] = ev(i % 2 ? HEAP_FREED : HEAP_HANDED_OUT, 10 + i, 144, i);
	b = seen(BLOCK, 7, v);
	assert_true(heap_history_of(&b, 1, BLOCK, 100, &h));
	assert_int_equal(h.now.out->tid, 6);
	assert_int_equal(h.before.freed->tid, 5);
	assert_int_equal(h.before.out->tid, 4);
}

static bool has(const __u64 *sizes, uint64_t size)
{
	uint64_t unit = (size + HEAP_UNIT - 1) / HEAP_UNIT;

	return sizes[unit / 64] >> (unit % 64) & 1;
}

static void test_sizes(void **state)
{
	__u64 glibc[HEAP_SIZE_WORDS] = {0}, any[HEAP_SIZE_WORDS] = {0}, big[HEAP_SIZE_WORDS] = {0};

	(void)state;
	heap_sizes_add(glibc, 144, true); /* a chunk of 160 holds 137 to 152 bytes */
	assert_false(has(glibc, 136));
	assert_true(has(glibc, 137) && has(glibc, 144) && has(glibc, 152));
	assert_false(has(glibc, 153));
	heap_sizes_add(any, 144, false); /* jemalloc's class is 160, of 129 to 160 */
	assert_true(has(any, 129) && has(any, 160));
	assert_false(has(any, 64) || has(any, 256));
	heap_sizes_add(big, 1 << 20, false); /* too big to be told: no bit, and no overrun */
	for (size_t i = 0; i < HEAP_SIZE_WORDS; i++)
		assert_int_equal(big[i], 0);
}

static void test_functions(void **state)
{
	bool throws;

	(void)state;
	assert_int_equal(heap_function_kind("malloc", &throws), HEAP_ALLOC);
	assert_false(throws);
	assert_int_equal(heap_function_kind("_Znwm", &throws), HEAP_ALLOC);
	assert_true(throws);
	assert_int_equal(heap_function_kind("_ZdlPvm", &throws), HEAP_RELEASE_N);
	assert_int_equal(heap_function_kind("mallocx", &throws), HEAP_NONE_KIND);
	assert_true(heap_function_shown("operator new(unsigned long)"));
	assert_true(heap_function_shown("operator delete[]"));
	assert_true(heap_function_shown("__libc_malloc"));
	assert_true(heap_function_shown("tc_new"));
	assert_false(heap_function_shown("mallocator::Get"));
	assert_false(heap_function_shown("free_list::Pop"));
}

static void test_of_a_file(void **state)
{
	struct elf_file *f;
	struct heap_func *v;
	bool malloc_there = false, free_there = false;
	size_t n;

	(void)state;
	if (elf_file_open(&f, "/lib/x86_64-linux-gnu/libc.so.6", NULL))
		skip();
	assert_int_equal(heap_functions(f, f, &v, &n), 0);
	for (size_t i = 0; i < n; i++) {
		malloc_there |= !strcmp(v[i].name, "malloc") && v[i].kind == HEAP_ALLOC && !v[i].pushed;
		free_there |= v[i].kind == HEAP_RELEASE;
		for (size_t k = 0; k < i; k++) /* aliases have one probe */
			assert_true(v[k].vaddr != v[i].vaddr);
	}
	assert_true(malloc_there && free_there);
	assert_string_equal(heap_allocator_name(f, "/lib/libc.so.6"), "glibc");
	free(v);
	elf_file_close(f);
	/* its operator new calls malloc of another module */
	if (elf_file_open(&f, "/lib/x86_64-linux-gnu/libstdc++.so.6", NULL))
		skip();
	assert_int_equal(heap_functions(f, f, &v, &n), 0);
	assert_int_equal(n, 0);
	free(v);
	elf_file_close(f);
}

static void test_rendering(void **state)
{
	struct report_clock clock = {.real_ns = 1700000000ull * 1000000000};
	struct bad_write w = {.found = {.ts_ns = 5000000000}};
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	json_t *j;

	(void)state;
	assert_true(json_is_null(json_owner(&w.heap, &clock)));
	w.heap.before = (struct block_owner){.known = true, .block = BLOCK, .size = 144};
	w.heap.before.freed.at = (struct touch){
		.ts_ns = 2000000000, .tid = 7, .comm = "io", .function = strdup("ZoneCtx::~ZoneCtx")};
	text_owner(f, &w);
	fclose(f);
	assert_non_null(strstr(
		text, "block 0x10000 of 144 bytes freed 3.0 s earlier by ZoneCtx::~ZoneCtx, thread 7 (io)"));
	free(text);
	j = json_owner(&w.heap, &clock);
	assert_string_equal(json_string_value(json_object_get(json_object_get(j, "freed"), "function")),
			    "ZoneCtx::~ZoneCtx");
	assert_true(json_is_null(json_object_get(j, "allocated")));
	json_decref(j);
	bad_write_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stale_pointer), cmocka_unit_test(test_time_of_the_finding),
		cmocka_unit_test(test_dangling),      cmocka_unit_test(test_another_block_before),
		cmocka_unit_test(test_ring),	      cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_functions),     cmocka_unit_test(test_of_a_file),
		cmocka_unit_test(test_rendering),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
