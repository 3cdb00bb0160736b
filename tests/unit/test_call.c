// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Timeouts and deadlines of system calls, from made-up arguments and memory. */
#include <errno.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "arch/syscalls.h"
#include <time.h>
#include <cmocka.h>

#include "memory.h"
#include "stalls/call.h"

static const struct report_clock now = {.mono_ns = 1000 * 1000000000ULL,
					.real_ns = 1700000000 * 1000000000ULL};

static const struct autopsy_ops ops = {.read_mem = read_mem};

static void decode(struct thread_facts *t, long nr, const uint64_t arg[6])
{
	struct call_set set;

	*t = (struct thread_facts){.nr = nr};
	memcpy(t->arg, arg, sizeof(t->arg));
	assert_int_equal(call_decode(t, &ops, &now, &set), 0);
	free(set.v);
}

static void check_timeout(long nr, const uint64_t arg[6], int64_t ms, bool left)
{
	struct thread_facts t;

	decode(&t, nr, arg);
	assert_int_equal(t.timeout_ms, ms);
	assert_int_equal(t.timeout_left, left);
}
#define ARGS(...) ((const uint64_t[6]){__VA_ARGS__})

static void test_timeouts(void **state)
{
	const struct timespec two_and_half = {2, 500000000}, mono_in_3s = {1003, 0},
			      real_in_4s = {1700000004, 1000000};
	const struct timeval one_and_quarter = {1, 250000};
	const uint64_t ts = 0x1200, mono = 0x1210, real = 0x1220, tv = 0x1230;

	(void)state;
	poke(ts, &two_and_half, sizeof(two_and_half));
	poke(mono, &mono_in_3s, sizeof(mono_in_3s));
	poke(real, &real_in_4s, sizeof(real_in_4s));
	poke(tv, &one_and_quarter, sizeof(one_and_quarter));
	check_timeout(SYS_poll, ARGS(0, 0, 0xffffffff), -1,
		      false); /* an int in the low half of the register */
	check_timeout(SYS_poll, ARGS(0, 0, 0), 0, false);
	check_timeout(SYS_ppoll, ARGS(0, 0, ts), 2500, false);
	check_timeout(SYS_ppoll, ARGS(0, 0, 0), -1, false);
	check_timeout(SYS_select, ARGS(0, 0, 0, 0, tv), 1250, false);
	check_timeout(SYS_pselect6, ARGS(0, 0, 0, 0, ts), 2500, false);
	check_timeout(SYS_epoll_wait, ARGS(3, 0, 1, 70), 70, false);
	check_timeout(SYS_epoll_pwait, ARGS(3, 0, 1, (uint64_t)-1), -1, false);
	check_timeout(SYS_epoll_pwait2, ARGS(3, 0, 1, ts), 2500, false);
	check_timeout(SYS_nanosleep, ARGS(ts), 2500, false);
	check_timeout(SYS_clock_nanosleep, ARGS(CLOCK_MONOTONIC, 0, ts), 2500, false);
	check_timeout(SYS_clock_nanosleep, ARGS(CLOCK_MONOTONIC, TIMER_ABSTIME, mono), 3000, true);
	check_timeout(SYS_clock_nanosleep, ARGS(CLOCK_REALTIME, TIMER_ABSTIME, real), 4001, true);
	check_timeout(SYS_clock_nanosleep, ARGS(CLOCK_MONOTONIC, TIMER_ABSTIME, ts), 0,
		      true); /* it is over */
	check_timeout(SYS_futex, ARGS(0x5000, FUTEX_WAIT_PRIVATE, 1, ts), 2500, false);
	check_timeout(SYS_futex, ARGS(0x5000, FUTEX_WAIT_BITSET_PRIVATE, 1, mono), 3000, true);
	check_timeout(SYS_futex, ARGS(0x5000, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 1, real),
		      4001, true);
	check_timeout(SYS_futex, ARGS(0x5000, FUTEX_LOCK_PI_PRIVATE, 1, real), 4001, true);
	check_timeout(SYS_futex, ARGS(0x5000, FUTEX_WAIT_PRIVATE, 1, 0), -1, false);
	check_timeout(SYS_futex, ARGS(0x5000, FUTEX_WAKE_PRIVATE, 1, 0x7fffffff), -2,
		      false); /* a count, no pointer */
	check_timeout(SYS_read, ARGS(3), -2, false);
	check_timeout(SYS_wait4, ARGS(3), -2, false);
}

static void test_unreadable_timespec(void **state)
{
	struct thread_facts t;

	(void)state;
	decode(&t, SYS_nanosleep, ARGS(0x99999999));
	assert_true(t.args_unread);
	assert_int_equal(t.timeout_ms, -2);
	decode(&t, SYS_futex, ARGS(0x5000, FUTEX_WAIT_PRIVATE, 1, 0x99999999));
	assert_true(t.args_unread);
	assert_int_equal(t.futex_addr, 0x5000);
}

/* Memory of the target holds anything (found by the fuzzer). */
static void test_impossible_times(void **state)
{
	const struct timespec many_ns = {1, 1000000000}, huge_ns = {1, INT64_MAX}, before = {-1, 0};
	const struct timeval over = {1, 2500000}, huge_us = {INT64_MAX / 1000000000 - 2, INT64_MAX};
	const uint64_t at = 0x1200;
	struct thread_facts t;

	(void)state;
	poke(at, &over, sizeof(over));
	check_timeout(SYS_select, ARGS(0, 0, 0, 0, at), 3500, false); /* as the kernel takes it */
	poke(at, &huge_us, sizeof(huge_us));
	decode(&t, SYS_select, ARGS(0, 0, 0, 0, at));
	assert_true(t.args_unread);
	for (size_t i = 0; i < 3; i++) {
		poke(at, i == 0 ? &many_ns : i == 1 ? &huge_ns : &before, sizeof(many_ns));
		decode(&t, SYS_nanosleep, ARGS(at));
		assert_true(t.args_unread);
		assert_int_equal(t.timeout_ms, -2);
	}
}

static void test_classes_and_names(void **state)
{
	(void)state;
	assert_int_equal(call_classify(SYS_accept4), CALL_ACCEPT);
	assert_int_equal(call_classify(SYS_sendmsg), CALL_WRITE);
	assert_int_equal(call_classify(SYS_getpid), CALL_OTHER);
	assert_string_equal(call_class_name(CALL_EPOLL), "epoll");
	assert_string_equal(call_name(SYS_epoll_pwait2), "epoll_pwait2");
	assert_string_equal(call_name(999), "syscall_999");
	assert_string_equal(call_name(-5), "syscall_?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_unreadable_timespec),
		cmocka_unit_test(test_impossible_times),
		cmocka_unit_test(test_classes_and_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
