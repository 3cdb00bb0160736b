// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A stall as text and as JSON: everything known is said, nothing unknown is made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "report/stall.h"

#define MS 1000000ULL

static const struct report_clock when = {.mono_ns = 5000 * MS, .real_ns = 1700000000000ULL * MS};
static char symbol[] = "zbs::rpc::Channel::ReadHeader", kernel[] = "do_sys_poll",
	    comm_file[] = "socket:[70], closed";
static char *kernel_stack[] = {kernel};
static struct frame frame = {.symbol = symbol, .offset = 0x10, .line = 7};

static struct stall full(void)
{
	struct stall s = {.verdict = VERDICT_PEER_SILENT,
			  .pid = 1,
			  .tid = 31576,
			  .comm = "meta-dump",
			  .blocked_ns = 7900 * MS,
			  .syscall = "poll",
			  .timeout_ms = 10000,
			  .fd = 29,
			  .rpc_age_ms = 7901,
			  .n_kernel = 1,
			  .kernel_stack = kernel_stack,
			  .user_stack = {.v = &frame, .n = 1}};

	s.sock = (struct sock_facts){.known = true,
				     .inode = 748905598,
				     .family = AF_INET,
				     .local = "10.0.130.71:42428",
				     .remote = "10.0.130.72:10100",
				     .state = "ESTABLISHED",
				     .last_send_ms = 7878,
				     .last_recv_ms = 7878,
				     .last_ack_ms = 675,
				     .peer_window = UINT32_MAX};
	s.rpc_method = (char *)"zbs.meta.MetaService.ListDb";
	s.request = (char *)"32 bytes sent 7.9 s ago";
	s.explanation = (char *)"the peer's program does not answer";
	s.next = (char *)"look there";
	return s;
}

static char *text_of(const struct stall *s)
{
	char *buf = NULL;
	size_t len;
	FILE *f = open_memstream(&buf, &len);

	text_stall(f, s, &when);
	fclose(f);
	return buf;
}

static void text(void **state)
{
	struct stall s = full();
	char *t = text_of(&s);

	(void)state;
	assert_int_equal(strncmp(t,
				 "STALL  peer-silent  thread 31576 (meta-dump) waits 7.9 s in poll(fd 29, "
				 "timeout 10000 ms) "
				 "for zbs.meta.MetaService.ListDb from 10.0.130.72:10100\n",
				 143),
			 0);
	assert_non_null(strstr(t, "  request   32 bytes sent 7.9 s ago\n"));
	assert_non_null(strstr(t, "inode 748905598"));
	assert_non_null(strstr(t, "#0  zbs::rpc::Channel::ReadHeader"));
	assert_non_null(strstr(t, "  kernel    do_sys_poll\n"));
	assert_non_null(strstr(t, "  why       the peer's program does not answer\n"));
	assert_null(strstr(t, "other"));
	assert_null(strstr(t, "since"));
	free(t);
	s.timeout_ms = -1;
	s.blocked_at_least = s.blocked_before_session = true;
	t = text_of(&s);
	assert_non_null(strstr(t, "waits at least 7.9 s in poll(fd 29, infinite)"));
	assert_non_null(strstr(t, "before this session"));
	free(t);
}

static void json(void **state)
{
	static const char *const keys[] = {"kind",
					   "verdict",
					   "pid",
					   "tid",
					   "comm",
					   "blocked_ms",
					   "syscall",
					   "timeout_ms",
					   "fd",
					   "socket",
					   "rpc",
					   "user_stack",
					   "file",
					   "other",
					   "request",
					   "next",
					   "time",
					   "kernel_stack",
					   "explanation",
					   "blocked_before_session",
					   "blocked_at_least"};
	struct stall s = full();
	json_t *v = json_stall(&s, &when), *o;

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_non_null(json_object_get(v, keys[i]));
	assert_string_equal(json_string_value(json_object_get(v, "kind")), "stall");
	assert_string_equal(json_string_value(json_object_get(v, "verdict")), "peer-silent");
	assert_int_equal(json_integer_value(json_object_get(v, "blocked_ms")), 7900);
	assert_int_equal(json_integer_value(json_object_get(v, "timeout_ms")), 10000);
	o = json_object_get(v, "socket");
	assert_int_equal(json_integer_value(json_object_get(o, "inode")), 748905598);
	assert_int_equal(json_integer_value(json_object_get(o, "last_send_ms")), 7878);
	o = json_object_get(v, "rpc");
	assert_string_equal(json_string_value(json_object_get(o, "method")), "zbs.meta.MetaService.ListDb");
	assert_int_equal(json_integer_value(json_object_get(o, "age_ms")), 7901);
	assert_true(json_is_null(json_object_get(v, "other")));
	json_decref(v);
}

static void json_unknown(void **state)
{
	struct stall s = full();
	json_t *v, *o;

	(void)state;
	s.sock.known = false;
	s.sock.inode = 70;
	s.rpc_method = NULL;
	s.fd = -1;
	s.timeout_ms = -2;
	s.file = comm_file;
	s.has_other = true;
	s.other.role = "closed by";
	s.other.tid = 5;
	s.other.ts_ns = 4000 * MS;
	v = json_stall(&s, &when);
	assert_true(json_is_null(json_object_get(v, "rpc")));
	assert_true(json_is_null(json_object_get(v, "fd")));
	assert_true(json_is_null(json_object_get(v, "timeout_ms")));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(v, "socket"), "inode")), 70);
	o = json_object_get(v, "other");
	assert_string_equal(json_string_value(json_object_get(o, "role")), "closed by");
	assert_string_equal(json_string_value(json_object_get(o, "time")), "2023-11-14T22:13:19.000000Z");
	assert_true(json_is_null(json_object_get(o, "doing")));
	json_decref(v);
	s.sock.inode = 0;
	v = json_stall(&s, &when);
	assert_true(json_is_null(json_object_get(v, "socket")));
	json_decref(v);
}

static void tables(void **state)
{
	struct stall s = full();
	struct stall_life life = {.stall = &s, .lasted_ns = 10000 * MS, .over = true, .end = "timed out"};
	struct rpc_line line = {.peer = "10.0.130.72:10100",
				.method = "zbs.meta.MetaService.ListDb",
				.calls = 1234,
				.in_flight = 1,
				.oldest_ns = 7900 * MS,
				.unanswered = 5};
	struct rpc_ledger ledger = {.v = &line, .n = 1};
	char *buf = NULL;
	size_t len;
	FILE *f = open_memstream(&buf, &len);
	json_t *v;

	(void)state;
	text_stall_table(f, &life, 1);
	text_rpc_ledger(f, &ledger);
	fclose(f);
	assert_non_null(strstr(buf, "10.0 s  timed out"));
	assert_non_null(strstr(buf, "1,234"));
	assert_non_null(strstr(buf, "7.9 s"));
	free(buf);
	v = json_stall_lives(&life, 1, &when);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(v, 0), "blocked_ms")), 10000);
	json_decref(v);
	v = json_rpc_ledger(&ledger);
	assert_true(json_is_null(json_object_get(json_array_get(v, 0), "p50_ms")));
	assert_int_equal(json_integer_value(json_object_get(json_array_get(v, 0), "unanswered")), 5);
	json_decref(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text),
		cmocka_unit_test(json),
		cmocka_unit_test(json_unknown),
		cmocka_unit_test(tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
