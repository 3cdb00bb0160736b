// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Copies of kernel functions in a made-up /proc/kallsyms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "symbol/copies.h"

static const char kallsyms[] = "ffffffff81400000 T do_sys_pollute.isra.0\n"
			       "ffffffff81400010 t do_sys_poll.isra.0\n"
			       "ffffffff81400100 t do_sys_poll.constprop.12\n"
			       "ffffffff81400200 t do_sys_poll\n"
			       "ffffffff81400300 t do_select.isra.0.constprop.3\n"
			       "ffffffff81400400 t do_epoll_wait.part.0\n"
			       "ffffffff81400500 t do_epoll_wait.isra.0.cold\n"
			       "ffffffff81400600 d do_epoll_wait.isra.1\n"
			       "ffffffff81400700 t do_epoll_wait.constprop.\n"
			       "ffffffff81400710 t do_epoll_wait.constprop.x\n"
			       "0000000000000000 t unix_accept.constprop.0\t[unix]\n"
			       "ffffffff81400800 t .isra.0\n"
			       "nonsense\n";

static struct kernel_copies parsed(void)
{
	FILE *f = fmemopen((void *)kallsyms, sizeof(kallsyms) - 1, "r");
	struct kernel_copies k;

	assert_int_equal(kernel_copies_parse(&k, f), 0);
	fclose(f);
	return k;
}

static void copies(void **state)
{
	struct kernel_copies k = parsed();

	(void)state;
	assert_int_equal(k.n, 5);
	assert_string_equal(kernel_copies_of(&k, "do_sys_poll", 0), "do_sys_poll.isra.0");
	assert_string_equal(kernel_copies_of(&k, "do_sys_poll", 1), "do_sys_poll.constprop.12");
	assert_null(kernel_copies_of(&k, "do_sys_poll", 2));
	assert_string_equal(kernel_copies_of(&k, "do_select", 0), "do_select.isra.0.constprop.3");
	assert_null(kernel_copies_of(&k, "do_select", 1));
	assert_string_equal(kernel_copies_of(&k, "unix_accept", 0), "unix_accept.constprop.0");
	kernel_copies_deinit(&k);
}

/* Pieces, data, other suffixes, and names that only begin alike. */
static void no_copies(void **state)
{
	struct kernel_copies k = parsed();

	(void)state;
	assert_null(kernel_copies_of(&k, "do_epoll_wait", 0));
	assert_null(kernel_copies_of(&k, "do_sys", 0));
	assert_null(kernel_copies_of(&k, "tcp_recvmsg", 0));
	kernel_copies_deinit(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(copies), cmocka_unit_test(no_copies)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
