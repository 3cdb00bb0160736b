// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What surrounds a bad write: the bytes beside it as fields, and what an unseen store can have been. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "proc/direct.h"
#include "proc/mem.h"
#include "story/elsewhere.h"
#include "story/near.h"
#include "story/unseen.h"

static struct guard_field fields[] = {
	{.offset = 0, .width = 8, .kind = GUARD_VPTR, .path = "_vptr"},
	{.offset = 8, .width = 4, .kind = GUARD_UINT, .path = "id_"},
	{.offset = 12, .width = 4, .kind = GUARD_UINT, .path = "port_"},
	{.offset = 16, .width = 24, .kind = GUARD_REPEATED_PTR, .path = "chunks_"},
	{.offset = 88, .width = 8, .kind = GUARD_MSG_PTR, .path = "far_"},
};
static const struct guard_type type = {.name = "Chunk", .size = 96, .n_field = 5, .field = fields};

struct world {
	uint64_t start, end; /* readable */
};

/* Each byte is the low byte of its address. */
static ssize_t read_world(void *ctx, uint64_t addr, void *buf, size_t len)
{
	const struct world *w = ctx;
	size_t n = 0;

	for (; n < len && addr + n >= w->start && addr + n < w->end; n++)
		((uint8_t *)buf)[n] = (uint8_t)(addr + n);
	return n ? (ssize_t)n : -14;
}

static void test_near_fields(void **state)
{
	struct world w = {0x10000, 0x20000};
	struct write_story s = {0};

	(void)state;
	near_read(&s.near, 0x1100c, read_world, &w); /* port_ of an object at 0x11000 */
	assert_int_equal(s.near.start, 0x11008 - 64);
	assert_int_equal(s.near.len, STORY_BYTES);
	assert_int_equal(near_decode(&s.near, &type, 0x11000, 0x1100c, 4), 0);
	assert_int_equal(s.near.n, 4); /* far_ is too far */
	assert_string_equal(s.near.v[2].name, "port_");
	assert_true(s.near.v[2].damaged);
	assert_int_equal(s.near.v[2].value, 0x0f0e0d0c);
	assert_false(s.near.v[1].damaged);
	assert_int_equal(s.near.v[3].width, 24);
	story_deinit(&s);
}

static void test_near_is_cut(void **state)
{
	struct world w = {0x11000, 0x11020};
	struct write_story s = {0};

	(void)state;
	near_read(&s.near, 0x11008, read_world, &w); /* nothing before the page, and little behind */
	assert_int_equal(s.near.start, 0x11000);
	assert_int_equal(s.near.len, 0x20);
	assert_int_equal(near_decode(&s.near, &type, 0x11000, 0x11008, 4), 0);
	assert_int_equal(s.near.n, 4);
	assert_int_equal(s.near.v[3].width, 16); /* the part that was read */
	story_deinit(&s);
	near_read(&s.near, 0x30000, read_world, &w);
	assert_int_equal(s.near.len, 0);
}

static const char *causes(struct unseen *u, const struct unseen_facts *f)
{
	static char buf[256];

	assert_int_equal(unseen_explain(u, f), 0);
	buf[0] = '\0';
	for (size_t i = 0; i < u->n; i++) {
		strcat(buf, i ? " " : "");
		strcat(buf, u->v[i].cause);
	}
	return buf;
}

static void test_unseen(void **state)
{
	static const char *const files[] = {"fd 3 (/a)", "fd 4 (/b)", "fd 5 (/c)", "fd 6 (/d)"};
	struct unseen_facts f = {.map_known = true, .files_known = true};
	struct unseen u = {0};

	(void)state;
	assert_string_equal(causes(&u, &f), "not-watched");
	f.no_watch = "off under a hypervisor";
	assert_string_equal(causes(&u, &f), "not-watched");
	assert_non_null(strstr(u.v[0].text, "hypervisor"));
	f.no_watch = NULL;
	f.cover = COVER_PART;
	assert_string_equal(causes(&u, &f), "not-watched");
	f.cover = COVER_WHOLE; /* then it was nothing that a debug register sees */
	assert_string_equal(causes(&u, &f), "no-instruction");
	assert_non_null(strstr(u.v[0].text, "process_vm_writev"));
	f.hits_lost = true;
	assert_string_equal(causes(&u, &f), "no-instruction hit-lost");
	f.hits_lost = false;
	f.direct = files;
	f.n_direct = 4;
	assert_string_equal(causes(&u, &f), "no-instruction direct-io");
	assert_non_null(strstr(u.v[1].text, "fd 5 (/c) and 1 more"));
	assert_null(strstr(u.v[0].text, "process_vm_writev"));
	f.shared = true;
	f.map_name = "/dev/shm/x";
	f.n_device = 1;
	f.device = files;
	assert_string_equal(causes(&u, &f), "no-instruction direct-io device shared-memory");
	f = (struct unseen_facts){.before_session = true};
	assert_string_equal(causes(&u, &f),
			    "before-session direct-io shared-memory"); /* nothing is ruled out */
	unseen_clear(&u);
}

static void test_direct(void **state)
{
	char with[80], without[80];

	(void)state;
	snprintf(with, sizeof(with), "pos:\t0\nflags:\t0%o\nmnt_id:\t29\n", O_RDWR | O_APPEND | O_DIRECT);
	snprintf(without, sizeof(without), "pos:\t0\nflags:\t0%o\nmnt_id:\t29\n", ~O_DIRECT & 07777777);
	assert_true(proc_fdinfo_direct(with));
	assert_false(proc_fdinfo_direct(without));
	assert_false(proc_fdinfo_direct("pos:\t0\nflags:"));
	assert_false(proc_fdinfo_direct("xflags:\t0777777"));
	assert_false(proc_fdinfo_direct(""));
}

static volatile uint32_t marked[2] = {0,
				      0x7be1a3d4}; /* stands nowhere else but in the code of the test below */

static void test_elsewhere(void **state)
{
	struct timespec nap = {.tv_nsec = 5000000};
	struct elsewhere e = {0};
	struct searches *s;
	bool data = false;

	(void)state;
	if (proc_mem_read(getpid(), (uintptr_t)&s, &s, sizeof(s)) == -ENOSYS)
		skip(); /* qemu-user has no process_vm_readv */
	assert_int_equal(searches_create(&s, getpid(), NULL), 0);
	searches_want(s, marked[1], 8);
	searches_want(s, 7, 8);
	assert_true(searches_busy(s));
	assert_false(searches_get(s, marked[1], 8, 0, &e));
	while (searches_busy(s)) {
		searches_tick(s);
		nanosleep(&nap, NULL);
	}
	assert_true(searches_get(s, marked[1], 8, 0, &e));
	assert_true(e.known);
	assert_int_equal(e.width, 4); /* it fits */
	for (size_t i = 0; i < e.n; i++)
		data |= e.v[i].addr == (uint64_t)(uintptr_t)&marked[1] &&
			!strncmp(e.v[i].where, "marked+4", 8);
	assert_true(data);
	assert_true(searches_get(s, 7, 8, 0, &e));
	assert_false(e.known);
	assert_non_null(e.why_not);
	free(e.why_not);
	searches_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_near_fields), cmocka_unit_test(test_near_is_cut),
		cmocka_unit_test(test_unseen),	    cmocka_unit_test(test_direct),
		cmocka_unit_test(test_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
