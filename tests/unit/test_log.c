// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* glog's lines, files that grow and turn, and messages matched to findings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "log/follow.h"
#include "stalls/timeline.h"

#define SEC 1000000000ULL

/* 2023-11-17 12:00:00 UTC */
#define NOW (1700222400ULL * SEC)

static bool parse(const char *line, struct log_rec *r)
{
	return glog_parse(line, strlen(line), NOW, r);
}

static int utc(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	return 0;
}

static void lines(void **state)
{
	struct log_rec r;

	(void)state;
	assert_true(parse(
		"W1117 05:25:27.038408 31576 dump_meta.cc:104] Fail to dump meta from 10.0.130.72:10100 st:",
		&r));
	assert_int_equal(r.severity, 'W');
	assert_int_equal(r.tid, 31576);
	assert_string_equal(r.where, "dump_meta.cc:104");
	assert_string_equal(r.text, "Fail to dump meta from 10.0.130.72:10100 st:");
	assert_int_equal(r.real_ns, (1700222400ULL - 6 * 3600 - 34 * 60 - 33) * SEC + 38408000);
	glog_continue(&r, "Traceback:", 10);
	assert_string_equal(r.text, "Fail to dump meta from 10.0.130.72:10100 st: | Traceback:");
	assert_true(parse("I20231117 05:25:27.000001  7 a.cc:1] x", &r));
	assert_int_equal(r.tid, 7);
	assert_int_equal(r.real_ns, (1700222400ULL - 6 * 3600 - 34 * 60 - 33) * SEC + 1000);
	/* of last year: it is November */
	assert_true(parse("E1231 23:59:59.999999 7 a.cc:1] \033[31mx", &r));
	assert_true(r.real_ns < NOW);
	assert_string_equal(r.text, ".[31mx");
	for (size_t i = 0; i < 8; i++) {
		static const char *const bad[] = {"",
						  "Traceback:",
						  "I1317 05:25:27.038408 1 a.cc:1] x",
						  "I1117 25:25:27.038408 1 a.cc:1] x",
						  "I1117 05:25:27.03 1 a.cc:1] x",
						  "I1117 05:25:27.038408 a.cc:1] x",
						  "I1117 05:25:27.038408 1 nothing",
						  "D1117 05:25:27.038408 1 a.cc:1] x"};

		assert_false(parse(bad[i], &r));
	}
}

static void timeouts(void **state)
{
	struct log_rec r = {.text = "[ETimedOut]: failed to read response header when calling: "
				    "zbs.meta.MetaService.ListDb."};
	char method[128];

	(void)state;
	assert_true(glog_is_timeout(&r, method, sizeof(method)));
	assert_string_equal(method, "zbs.meta.MetaService.ListDb");
	strcpy(r.text, "ETimedOut");
	assert_true(glog_is_timeout(&r, method, sizeof(method)));
	assert_string_equal(method, "");
	strcpy(r.text, "when calling: a.B");
	assert_false(glog_is_timeout(&r, method, sizeof(method)));
}

static struct log_rec got[16];
static size_t n_got;

static void sink(void *ctx, const struct log_rec *r)
{
	(void)ctx;
	assert_true(n_got < 16);
	got[n_got++] = *r;
}

static void append(const char *path, const char *text)
{
	FILE *f = fopen(path, "a");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* Grows, is replaced by a new file behind the same name, and is cut off. */
static void follows(void **state)
{
	char path[] = "/tmp/culprit-log-XXXXXX", moved[64];
	int fd = mkstemp(path);
	struct log_file *f;

	(void)state;
	n_got = 0;
	assert_true(fd >= 0);
	close(fd);
	snprintf(moved, sizeof(moved), "%s.1", path);
	append(path, "I1117 05:00:00.000000 1 a.cc:1] one\nmore\nI1117 05:00:01.000000 1 a.cc:1] tw");
	assert_int_equal(log_open(&f, path, NULL), 0);
	log_read(f, NOW, false, sink, NULL);
	assert_int_equal(n_got, 0); /* either may go on */
	append(path, "o\nI1117 05:00:02.000000 1 a.cc:1] three\n");
	log_read(f, NOW, false, sink, NULL);
	assert_int_equal(n_got, 2);
	assert_string_equal(got[0].text, "one | more");
	assert_string_equal(got[1].text, "two");
	append(path, "I1117 05:00:03.000000 1 a.cc:1] four\n");
	assert_int_equal(rename(path, moved), 0);
	append(path, "I1117 05:00:04.000000 1 a.cc:1] five\n");
	log_read(f, NOW, false, sink, NULL);
	assert_int_equal(n_got, 4);
	assert_string_equal(got[3].text, "four");
	assert_int_equal(truncate(path, 0), 0);
	append(path, "I1117 05:00:05.000000 1 a.cc:1] six\n");
	log_read(f, NOW, true, sink, NULL);
	assert_string_equal(got[n_got - 1].text, "six");
	append(path, "I1117 05:00:06.000000 1 a.cc:1] seven\n");
	log_read(f, NOW, true, sink, NULL);
	assert_string_equal(got[n_got - 1].text, "seven");
	assert_int_equal(truncate(path, 0), 0);
	log_read(f, NOW, true, sink, NULL);
	append(path, "I1117 05:00:07.000000 1 a.cc:1] eight\n");
	log_read(f, NOW, true, sink, NULL);
	assert_string_equal(got[n_got - 1].text, "eight");
	assert_int_equal(log_turns(f), 3);
	log_close(f);
	unlink(path);
	unlink(moved);
	assert_true(log_open(&f, path, NULL) < 0);
}

static char method[] = "a.B.C";

static void matches(void **state)
{
	static const char timed_out[] = "[ETimedOut]: failed when calling: a.B.C";
	struct stall stall[2] = {{.tid = 7, .rpc_method = method, .verdict = VERDICT_PEER_SILENT},
				 {.tid = 7, .rpc_method = method, .verdict = VERDICT_PEER_SILENT}};
	/* two calls in a row, of 10 s each; the clocks differ by 1000 s */
	struct stall_life lives[2] = {{.stall = &stall[0],
				       .start_ns = 100 * SEC,
				       .end_ns = 110 * SEC,
				       .over = true,
				       .end = "timed out"},
				      {.stall = &stall[1],
				       .start_ns = 110 * SEC + 1000,
				       .end_ns = 115 * SEC,
				       .end = "still blocked"}};
	struct report_clock c = {.mono_ns = 200 * SEC, .real_ns = 1200 * SEC};
	struct rpc_line line = {.method = "a.B.C", .peer = "10.0.0.1:80"};
	struct rpc_ledger ledger = {.v = &line, .n = 1};
	struct timeline t = {0};
	struct log_rec r = {.severity = 'I', .tid = 7, .real_ns = 1099 * SEC + SEC / 2, .text = "Dump"};
	struct timeline_row *rows;
	size_t n;

	(void)state;
	assert_int_equal(timeline_add(&t, &r), 0);
	r.real_ns =
		1110 * SEC + 500; /* right after the first call's end, and right before the second's begin */
	r.severity = 'W';
	strcpy(r.text, timed_out);
	assert_int_equal(timeline_add(&t, &r), 0);
	r.tid = 8; /* nobody's */
	assert_int_equal(timeline_add(&t, &r), 0);
	strcpy(r.text, "of another thread");
	assert_int_equal(timeline_add(&t, &r), 0);
	assert_int_equal(timeline_build(&t, lives, 2, &c, &rows, &n), 0);
	assert_int_equal(n, 6);
	assert_int_equal(rows[0].kind, TIMELINE_LOG);
	assert_int_equal(rows[0].stall, 0);
	assert_int_equal(rows[1].kind, TIMELINE_BEGIN);
	assert_int_equal(rows[2].kind, TIMELINE_END);
	assert_true(rows[3].timed_out && rows[3].stall == 0 && rows[3].tid == 7);
	assert_true(rows[4].timed_out && rows[4].stall == SIZE_MAX);
	assert_int_equal(rows[5].kind, TIMELINE_BEGIN);
	timeline_count(&t, rows, n, lives, 1000 * SEC, &ledger);
	assert_int_equal(line.timed_out, 2);
	line.timed_out = 0;
	timeline_count(&t, rows, n, lives, 1200 * SEC, &ledger);
	assert_int_equal(line.timed_out, 0); /* before the session */
	free(rows);
	timeline_deinit(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(timeouts),
		cmocka_unit_test(follows),
		cmocka_unit_test(matches),
	};

	return cmocka_run_group_tests(tests, utc, NULL);
}
