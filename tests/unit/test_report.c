// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "report/report.h"
#include "util/err.h"

static void test_duration(void **state)
{
	char b[16];

	(void)state;
	assert_string_equal(text_duration(0, b), "0 us");
	assert_string_equal(text_duration(999999, b), "999 us");
	assert_string_equal(text_duration(48000000, b), "48 ms");
	assert_string_equal(text_duration(7878000000ULL, b), "7.9 s");
	assert_string_equal(text_duration(250000000000ULL, b), "250 s");
	assert_string_equal(text_duration(7200ULL * 1000000000, b), "2.0 h");
}

static void test_count(void **state)
{
	char b[32];

	(void)state;
	assert_string_equal(text_count(0, b), "0");
	assert_string_equal(text_count(999, b), "999");
	assert_string_equal(text_count(1000, b), "1,000");
	assert_string_equal(text_count(UINT64_MAX, b), "18,446,744,073,709,551,615");
}

/* Thread names are bytes: a cut multi-byte character or a stray 0xff must not cost the finding. */
static void test_json_bytes(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"chunk-io", "chunk-io"}, {"\xe4\xbd\xa0", "\xe4\xbd\xa0"},
		{"a\xe4\xbd", "a??"},	  {"\xff\x01x", "?\x01x"},
		{"\xc0\xaf", "??"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *v = json_str(cases[i].in);

		assert_string_equal(json_string_value(v), cases[i].out);
		json_decref(v);
	}
	assert_true(json_is_null(json_str(NULL)));
}

static void test_json_time(void **state)
{
	struct report_clock c = {.mono_ns = 1000000000, .real_ns = 1700000000ULL * 1000000000};
	json_t *v = json_time(&c, 1500000000);

	(void)state;
	assert_string_equal(json_string_value(v), "2023-11-14T22:13:20.500000Z");
	json_decref(v);
	v = json_time(&c, 500000000); /* before the clocks were read together */
	assert_string_equal(json_string_value(v), "2023-11-14T22:13:19.500000Z");
	json_decref(v);
}

static void test_json_summary(void **state)
{
	struct summary s = {.command = "writes",
			    .complete = true,
			    .probes_planned = 3,
			    .probes_attached = 2,
			    .bpf_cpu_pct = -1};
	json_t *v;

	(void)state;
	summary_count(&s, "checks", 412008);
	summary_note(&s, true, "%d probe failed", 1);
	v = json_summary(&s);
	assert_non_null(v);
	assert_string_equal(json_string_value(json_object_get(v, "kind")), "summary");
	assert_true(json_is_false(json_object_get(v, "complete")));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(v, "probes"), "attached")), 2);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(v, "counters"), "checks")),
			 412008);
	assert_true(json_is_null(json_object_get(json_object_get(v, "overhead"), "bpf_cpu_pct")));
	assert_string_equal(json_string_value(json_array_get(json_object_get(v, "notes"), 0)),
			    "1 probe failed");
	json_decref(v);
	summary_deinit(&s);
}

static void test_frames(void **state)
{
	struct frame v[] = {
		{.module = (char *)"/usr/sbin/zbs-chunkd",
		 .offset = 0x1234,
		 .symbol = (char *)"zbs::f",
		 .file = (char *)"/src/a/f.cc",
		 .line = 7,
		 .inlined = true},
		{.module = (char *)"/usr/lib/libx.so", .offset = 0x99, .symbol = (char *)"g"},
		{.module = (char *)"/usr/lib/libx.so", .offset = 0x100},
		{.addr = 0xdead},
	};
	struct frames st = {.v = v, .n = 4};
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	text_frames(f, &st, 2, 0);
	text_frames(f, &st, 0, 1);
	fclose(f);
	assert_string_equal(
		text,
		"  #0  zbs::f (inlined)  f.cc:7\n  #1  g  (libx.so)\n  #2  libx.so+0x100\n  #3  0xdead\n"
		"#0  zbs::f (inlined)  f.cc:7\n... 3 more\n");
	free(text);
}

/* What every std::thread has above its function is left out; the numbers show that something is. */
static void test_frames_std(void **state)
{
	struct frame v[] = {
		{.symbol = (char *)"std::mutex::lock", .inlined = true},
		{.symbol = (char *)"zbs::f"},
		{.symbol = (char *)"std::__invoke_impl<void>"},
		{.symbol = (char *)"start_thread"},
	};
	struct frames st = {.v = v, .n = 4};
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	text_frames(f, &st, 0, 0);
	fclose(f);
	assert_string_equal(text, "#0  std::mutex::lock (inlined)\n#1  zbs::f\n#3  start_thread\n");
	free(text);
}

static void test_err(void **state)
{
	struct err e = {0};

	(void)state;
	assert_int_equal(err_set(&e, -2, "no %s", "file"), -2);
	err_hint(&e, "make one");
	assert_int_equal(err_prefix(&e, "open %d", 1), -2);
	assert_string_equal(e.msg, "open 1: no file");
	assert_string_equal(e.hint, "make one");
	assert_int_equal(err_set(NULL, -3, "x"), -3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duration),     cmocka_unit_test(test_count),
		cmocka_unit_test(test_json_bytes),   cmocka_unit_test(test_json_time),
		cmocka_unit_test(test_json_summary), cmocka_unit_test(test_frames),
		cmocka_unit_test(test_frames_std),   cmocka_unit_test(test_err),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
