// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Locks of glibc in made-up memory: whose they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "stalls/lock.h"

#define LOCK  0x7000
#define OWNER 41

static uint32_t mem[14]; /* at LOCK: as large as a pthread_rwlock_t */

static int read_mem(void *ctx, uint64_t addr, void *buf, size_t len)
{
	(void)ctx;
	if (addr < LOCK || addr + len > LOCK + sizeof(mem))
		return -EFAULT;
	memcpy(buf, (char *)mem + (addr - LOCK), len);
	return 0;
}

static struct lock_wait waited(enum rpc_lock kind, uint64_t futex)
{
	static const struct autopsy_ops ops = {.read_mem = read_mem};
	struct thread_facts threads[2] = {{.tid = 40, .class = CALL_FUTEX, .futex_addr = futex},
					  {.tid = OWNER}};
	struct autopsy a = {.thread = threads, .n_threads = 2};
	const struct rpc_stack st = {.lock = kind};

	return lock_waited_for(&a, &threads[0], &st, &ops);
}

static void mutex(void **state)
{
	(void)state;
	memset(mem, 0, sizeof(mem));
	mem[0] = 2;
	mem[2] = OWNER;
	assert_int_equal(waited(RPC_LOCK_MUTEX, LOCK).owner, OWNER);
	mem[2] = 99; /* no thread of this process: something else stands there */
	assert_int_equal(waited(RPC_LOCK_MUTEX, LOCK).owner, 0);
	assert_int_equal(waited(RPC_LOCK_MUTEX, LOCK).kind, RPC_LOCK_MUTEX);
	assert_int_equal(waited(RPC_LOCK_MUTEX, 0x9000).owner, 0);
	mem[2] = OWNER;
	assert_int_equal(waited(RPC_LOCK_NONE, LOCK).owner, 0);
	assert_int_equal(waited(RPC_LOCK_COND, LOCK).owner, 0);
}

/* Since 2.25: readers wait for the fourth word or the third, writers for the fourth. */
static void rwlock(void **state)
{
	(void)state;
	memset(mem, 0, sizeof(mem));
	mem[0] = 3 | 4; /* a writer has it, readers wait */
	mem[2] = 3;
	mem[6] = OWNER;
	assert_int_equal(waited(RPC_LOCK_RW, LOCK + 8).owner, OWNER);
	assert_int_equal(waited(RPC_LOCK_RW, LOCK + 12).owner, OWNER);
	mem[6] = 99;
	assert_int_equal(waited(RPC_LOCK_RW, LOCK + 8).owner, 0);
	/* two readers have it, a writer waits; the word of the writer before is left over */
	mem[0] = 2 << 3 | 2;
	mem[1] = 1;
	mem[6] = OWNER;
	assert_int_equal(waited(RPC_LOCK_RW, LOCK + 8).owner, 0);
	mem[0] = 3;
	assert_int_equal(waited(RPC_LOCK_RW, LOCK + 9).owner, 0);
	assert_int_equal(waited(RPC_LOCK_RW, LOCK + 40).owner, 0);
}

/* Up to 2.24, as on EL7. */
static void old_rwlock(void **state)
{
	(void)state;
	memset(mem, 0, sizeof(mem));
	mem[4] = 1; /* a reader waits */
	mem[6] = OWNER;
	assert_int_equal(waited(RPC_LOCK_RW, LOCK + 8).owner, OWNER);
	mem[1] = 1; /* a reader has it */
	assert_int_equal(waited(RPC_LOCK_RW, LOCK + 12).owner, 0);
}

static void reasons(void **state)
{
	(void)state;
	assert_null(lock_no_owner(RPC_LOCK_NONE));
	for (enum rpc_lock k = RPC_LOCK_MUTEX; k <= RPC_LOCK_COND; k++)
		assert_non_null(lock_no_owner(k));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mutex),
		cmocka_unit_test(rwlock),
		cmocka_unit_test(old_rwlock),
		cmocka_unit_test(reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
