// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Thread facts from made-up records, memory, descriptors and sockets. */
#include "made_threads.h"
#include "stalls/call.h"

static void test_poll_set(void **state)
{
	const struct pollfd set[4] = {
		{7, POLLIN, 0}, {-1, POLLIN, 0}, {9, POLLOUT, 0}, {8, POLLIN | POLLPRI, 0}};
	struct thread_facts *t;
	struct autopsy *a;

	(void)state;
	open_socket(7, 107);
	open_socket(8, 250); /* of a protocol that sock_diag does not tell */
	poke(0x1100, set, sizeof(set));
	a = build_one(NR_POLL, ARGS(0x1100, 4, POLL_TIMEOUT(10000)));
	t = &a->thread[0];
	assert_string_equal(t->syscall, POLL_NAME);
	assert_int_equal(t->timeout_ms, 10000);
	assert_int_equal(t->fd, 7);
	assert_int_equal(t->n_wait, 3);
	assert_int_equal(a->fd[t->wait[0].fd].fd, 7);
	assert_true(a->fd[t->wait[0].fd].sock.known);
	assert_int_equal(a->fd[t->wait[1].fd].fd, 9);
	assert_false(a->fd[t->wait[1].fd].open);
	assert_int_equal(t->wait[1].events, POLLOUT);
	assert_true(a->fd[t->wait[2].fd].open);
	assert_false(a->fd[t->wait[2].fd].sock.known);
	assert_int_equal(t->wait[2].events, POLLIN | POLLPRI);
	assert_true(t->blocked_known);
	assert_false(t->moved || t->args_unread || t->wait[1].dead);
	autopsy_free(a);
}

static void test_unreadable_set_is_said(void **state)
{
	struct autopsy *a = build_one(NR_POLL, ARGS(0x99999999, 4, POLL_TIMEOUT(-1)));

	(void)state;
	assert_true(a->thread[0].args_unread);
	assert_int_equal(a->thread[0].n_wait, 0);
	assert_int_equal(a->thread[0].timeout_ms, -1);
	autopsy_free(a);
	a = build_one(NR_POLL, ARGS(0x1000, 0xffffffff, 0)); /* more than any process has */
	assert_true(a->thread[0].args_unread);
	autopsy_free(a);
}

static void test_select_sets(void **state)
{
	uint64_t in[2] = {1ULL << 5 | 1ULL << 63, 1ULL << 2}, out[2] = {1ULL << 5, 0};
	struct thread_facts *t;
	struct autopsy *a;

	(void)state;
	poke(0x1300, in, sizeof(in));
	poke(0x1340, out, sizeof(out));
	a = build_one(NR_SELECT, ARGS(67, 0x1300, 0x1340));
	t = &a->thread[0];
	assert_int_equal(t->n_wait, 3);
	assert_int_equal(a->fd[t->wait[0].fd].fd, 5);
	assert_int_equal(t->wait[0].events, POLLIN | POLLOUT);
	assert_int_equal(a->fd[t->wait[1].fd].fd, 63);
	assert_int_equal(a->fd[t->wait[2].fd].fd, 66);
	assert_int_equal(t->wait[2].events, POLLIN);
	assert_int_equal(t->timeout_ms, -1);
	autopsy_free(a);
	a = build_one(NR_SELECT, ARGS(66, 0x1300, 0x1340)); /* 66 is not in a set of 66 */
	assert_int_equal(a->thread[0].n_wait, 2);
	autopsy_free(a);
}

static void test_epoll_members_once(void **state)
{
	struct thread_raw raw[3];
	struct fd_facts *ep;
	struct autopsy *a;

	(void)state;
	open_socket(7, 107);
	open_socket(8, 108);
	fds[3] = (struct fake_fd){
		.kind = PROC_FD_EPOLL,
		.target = "anon_inode:[eventpoll]",
		.n_members = 3,
		.member = {{.fd = 7, .inode = 107}, {.fd = 8, .inode = 120}, {.fd = 9, .inode = 130}}};
	for (int i = 0; i < 3; i++)
		raw[i] = raw_of(10 + i, NR_EPOLL, ARGS(3, 0, 1, 50));
	a = build(raw, 3);
	assert_int_equal(a->n_fds, 4);
	ep = &a->fd[a->thread[2].wait[0].fd];
	assert_int_equal(ep->n_members, 3);
	assert_false(ep->member[0].dead);
	assert_true(ep->member[1].dead); /* 8 is socket 108 now, the set holds 120 */
	assert_int_equal(ep->member[1].held_inode, 120);
	assert_true(ep->member[1].held_sock.known);
	assert_true(ep->member[2].dead); /* 9 is closed, a copy keeps 130 in the set */
	assert_int_equal(fd_reads, 4 + 2);
	autopsy_free(a);
}

static void test_dead_descriptor(void **state)
{
	struct autopsy *a;

	(void)state;
	open_socket(7, 107);
	open_socket(8, 108);
	a = polled(107, 108, THREADS_POLLED_TAKEN);
	assert_false(a->thread[0].wait[0].dead || a->thread[0].wait[1].dead);
	autopsy_free(a);

	a = polled(107, 150, THREADS_POLLED_TAKEN); /* reused */
	assert_false(a->thread[0].wait[0].dead);
	assert_true(a->thread[0].wait[1].dead);
	assert_int_equal(a->thread[0].wait[1].held_inode, 150);
	assert_string_equal(a->thread[0].wait[1].held_sock.local, "10.0.0.1:150");
	autopsy_free(a);

	fds[8].target = NULL; /* closed */
	a = polled(107, 150, THREADS_POLLED_TAKEN);
	assert_true(a->thread[0].wait[1].dead);
	autopsy_free(a);
}

static void test_no_dead_descriptor_without_proof(void **state)
{
	struct thread_raw again;
	struct autopsy *a;

	(void)state;
	open_socket(7, 107);
	open_socket(8, 108);
	a = polled(107, 150, 0); /* the poll table was not found */
	assert_false(a->thread[0].wait[1].dead);
	autopsy_free(a);
	a = polled(107, 150, THREADS_POLLED_TAKEN | THREADS_POLLED_MORE); /* nor all of it */
	assert_false(a->thread[0].wait[1].dead);
	autopsy_free(a);
	a = polled(107, 107, THREADS_POLLED_TAKEN); /* no file is left over: 8 is pollable in another way */
	assert_false(a->thread[0].wait[1].dead);
	autopsy_free(a);
	fds[8].file = 0; /* open says /proc, the kernel's table did not: it was opened in between */
	a = polled(107, 150, THREADS_POLLED_TAKEN);
	assert_false(a->thread[0].wait[1].dead);
	autopsy_free(a);
	open_socket(8, 108);
	a = polled(107, 150, THREADS_POLLED_TAKEN);
	again = *a->thread[0].raw;
	again.rec.nvcsw++; /* it ran meanwhile: may be another call */
	autopsy_confirm(a, &again, 1);
	assert_true(a->thread[0].moved);
	assert_false(a->thread[0].wait[1].dead);
	assert_false(a->thread[0].wait[1].held_sock.known);
	autopsy_free(a);
}

static void test_confirm(void **state)
{
	struct thread_raw raw[4], again[4];
	struct autopsy *a;

	(void)state;
	for (int i = 0; i < 4; i++)
		raw[i] = raw_of(20 + i, SYS_read, ARGS(3));
	memcpy(again, raw, sizeof(raw));
	again[0].rec.h.tid = 23; /* another order, */
	again[3].rec.h.tid = 20;
	again[3].rec.nivcsw = 1;    /* 20 ran, */
	again[1].rec.h.tid = 99;    /* 21 is gone, */
	again[2].rec.start_ns = 78; /* 22 is another thread with that number */
	a = build(raw, 4);
	autopsy_confirm(a, again, 4);
	assert_int_equal(a->n_threads, 2);
	assert_int_equal(a->n_skipped, 2);
	assert_int_equal(a->n_moved, 1);
	assert_true(autopsy_thread(a, 20)->moved);
	assert_false(autopsy_thread(a, 23)->moved);
	assert_null(autopsy_thread(a, 21));
	autopsy_free(a);
}

static void test_running_thread_has_no_call(void **state)
{
	struct thread_raw raw = raw_of(10, SYS_read, ARGS(3));
	struct autopsy *a;
	char text[64];

	(void)state;
	raw.rec.state = 0;
	a = build(&raw, 1);
	assert_false(a->thread[0].in_call || a->thread[0].blocked_known);
	assert_int_equal(a->thread[0].state, 'R');
	assert_string_equal(text_call(&a->thread[0], text, sizeof(text)), "running");
	autopsy_free(a);
}

static void test_counts_beyond_the_record(void **state)
{
	struct thread_raw raw = raw_of(10, SYS_read, ARGS(3));

	(void)state;
	raw.rec.n_polled = raw.rec.n_kstack = UINT32_MAX;
	thread_raw_from_rec(&raw);
	assert_int_equal(raw.rec.n_polled, THREADS_POLLED);
	assert_int_equal(raw.rec.n_kstack, THREADS_KSTACK);
	assert_true(raw.rec.flags &
		    THREADS_POLLED_MORE); /* so that nothing is concluded from what is missing */
}

static void test_restarted_call(void **state)
{
	const struct pollfd set = {7, POLLIN, 0};
	struct thread_raw raw = raw_of(10, SYS_restart_syscall, ARGS(1, 2, 3));
	struct autopsy *a;

	(void)state;
	poke(0x1100, &set, sizeof(set));
	raw.rec.restart_fn = 0xf00;
	raw.rec.restart_ufds = 0x1100;
	raw.rec.restart_nfds = 1;
	a = build(&raw, 1);
#ifdef __NR_poll /* of others no call is restarted so */
	assert_string_equal(a->thread[0].syscall, "poll");
#endif
	assert_int_equal(a->thread[0].timeout_ms, -1);
	assert_int_equal(a->thread[0].fd, 7);
	autopsy_free(a);
	raw.rec.restart_has_timeout = 1;
	raw.rec.restart_until_ns = now.mono_ns + 1500 * 1000000ULL;
	a = build(&raw, 1);
	assert_int_equal(a->thread[0].timeout_ms, 1500);
	assert_true(a->thread[0].timeout_left);
	autopsy_free(a);
	raw.rec.restart_fn = 0xf10;
	a = build(&raw, 1);
	assert_string_equal(a->thread[0].syscall, "nanosleep");
	assert_int_equal(a->thread[0].timeout_ms, -2);
	autopsy_free(a);
	raw.rec.restart_fn = 0;
	a = build(&raw, 1);
	assert_string_equal(a->thread[0].syscall, "restart_syscall");
	autopsy_free(a);
}

static void test_states(void **state)
{
	static const struct {
		uint32_t bits;
		char letter;
	} cases[] = {{1, 'S'},	   {2, 'D'}, {0x102, 'D'}, {0x402, 'I'}, {4, 'T'},
		     {0x104, 'T'}, {8, 't'}, {0x20, 'Z'},  {0x2001, 'S'}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct thread_raw raw = raw_of(10, SYS_read, ARGS(3));
		struct autopsy *a;

		raw.rec.state = cases[i].bits;
		a = build(&raw, 1);
		assert_int_equal(a->thread[0].state, cases[i].letter);
		autopsy_free(a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_poll_set, reset),
		cmocka_unit_test_setup(test_unreadable_set_is_said, reset),
		cmocka_unit_test_setup(test_select_sets, reset),
		cmocka_unit_test_setup(test_epoll_members_once, reset),
		cmocka_unit_test_setup(test_dead_descriptor, reset),
		cmocka_unit_test_setup(test_no_dead_descriptor_without_proof, reset),
		cmocka_unit_test_setup(test_confirm, reset),
		cmocka_unit_test_setup(test_running_thread_has_no_call, reset),
		cmocka_unit_test_setup(test_counts_beyond_the_record, reset),
		cmocka_unit_test_setup(test_restarted_call, reset),
		cmocka_unit_test_setup(test_states, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
