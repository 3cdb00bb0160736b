// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Connections from look to look, as they come out of the session file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "stall_process.h"
#include "store/load.h"
#include "store/track.h"

#define WALL (1700000000 * SEC) /* - START: what the clocks differ by */

static char path[] = "/tmp/culprit-track-XXXXXX";
static struct store *st;
static struct track *tr;

static uint64_t wall(uint64_t mono_ns)
{
	return WALL + mono_ns - START;
}

static int track_setup(void **state)
{
	strcpy(path + sizeof(path) - 7, "XXXXXX");
	close(mkstemp(path));
	unlink(path);
	if (store_create(&st, path, NULL) || track_create(&tr, st, SEC))
		return -1;
	return setup(state);
}

static int track_teardown(void **state)
{
	unlink(path);
	return teardown(state);
}

static void track_at(uint64_t now_ns, bool last)
{
	struct report_clock clock = {.mono_ns = now_ns, .real_ns = wall(now_ns)};
	struct look l = {.now_ns = now_ns, .autopsy = &p.a, .tables = &p.t};

	look(now_ns);
	track_look(tr, e, &l, &clock, last);
}

static struct session *finish(void)
{
	struct session *s;

	track_finish(tr);
	track_destroy(tr);
	assert_int_equal(store_close(st), 0);
	assert_int_equal(session_load(&s, path, NULL), 0);
	return s;
}

static json_int_t tid_of(const struct session_wait *w)
{
	return json_integer_value(json_object_get(w->thread, "tid"));
}

/* A server's connection: asked, read by a thread that gets stuck, and answered late. */
static void asked(void **state)
{
	struct thread_facts *t = thread(CALL_FUTEX, "futex", SYS_futex, 5 * SEC);
	struct sock_facts *f = connection();
	struct stalls_sock *use;
	struct session *s;

	(void)state;
	thread(CALL_SLEEP, "nanosleep", SYS_nanosleep, MS);
	f->accepted = true;
	use = flow(0, START, t->tid, START + SEC, t->tid);
	use->replies = 3;
	p.stack[0][0] = "__lll_lock_wait";
	p.stack[0][1] = "Impl::ListDb";
	track_at(START + SEC + 100 * MS, false); /* young: no wait yet */
	track_at(START + 2 * SEC, false);
	track_at(START + 4 * SEC, false);
	use->last_send_ns = START + 5 * SEC;
	track_at(START + 6 * SEC, true);
	s = finish();
	assert_int_equal(s->n_conns, 1);
	assert_int_equal(s->conn[0].inode, 70);
	assert_int_equal(s->conn[0].recv_tid, t->tid);
	assert_true(s->conn[0].accepted && !s->conn[0].gone);
	assert_true(s->conn[0].first_ns == wall(START + SEC + 100 * MS) &&
		    s->conn[0].seen_ns == wall(START + 6 * SEC));
	assert_true(s->conn[0].last_recv_ns == wall(START + SEC) &&
		    s->conn[0].last_send_ns == wall(START + 5 * SEC));
	assert_int_equal(s->n_waits, 1);
	assert_false(s->wait[0].ours);
	assert_true(s->wait[0].since_ns == wall(START + SEC) && s->wait[0].seen_ns == wall(START + 4 * SEC));
	assert_true(s->wait[0].until_ns == wall(START + 5 * SEC));
	assert_string_equal(s->wait[0].end, "answered");
	assert_int_equal(tid_of(&s->wait[0]), t->tid);
	assert_string_equal(
		json_string_value(json_object_get(
			json_array_get(json_object_get(s->wait[0].thread, "user_stack"), 1), "symbol")),
		"Impl::ListDb");
	session_free(s);
}

/* A client's: two questions one after the other are two waits; the second lasts. Idle: none. */
static void asks(void **state)
{
	struct thread_facts *t = thread(CALL_READ, "read", SYS_read, SEC);
	struct stalls_sock *use, *idle;
	struct session *s;

	(void)state;
	connection();
	connection();
	use = flow(0, START + SEC, t->tid, START, t->tid);
	idle = flow(1, START, t->tid, START + MS, t->tid);
	(void)idle;
	track_at(START + 2 * SEC, false);
	use->last_recv_ns = START + 2 * SEC + 500 * MS;
	use->last_send_ns = use->asked_ns = START + 3 * SEC;
	track_at(START + 4 * SEC, true);
	s = finish();
	assert_int_equal(s->n_conns, 2);
	assert_int_equal(s->n_waits, 2);
	assert_true(s->wait[0].ours && s->wait[1].ours);
	assert_true(s->wait[0].since_ns == wall(START + SEC));
	assert_string_equal(s->wait[0].end, "answered");
	assert_true(s->wait[0].until_ns == wall(START + 2 * SEC + 500 * MS));
	assert_true(s->wait[1].since_ns == wall(START + 3 * SEC) && !s->wait[1].end);
	assert_int_equal(s->wait[1].conn, s->wait[0].conn);
	assert_string_equal(json_string_value(json_object_get(s->wait[1].thread, "how")), "sent the request");
	session_free(s);
}

/* Bytes that nobody reads: who should is said only if it is known. */
static void unread(void **state)
{
	struct sock_facts *f = connection();
	struct session *s;

	(void)state;
	thread(CALL_FUTEX, "futex", SYS_futex, 5 * SEC);
	thread(CALL_FUTEX, "futex", SYS_futex, 5 * SEC);
	f->accepted = true;
	f->recv_queue = 32;
	f->last_recv_ms = 3000;
	track_at(START + 4 * SEC, true);
	s = finish();
	assert_int_equal(s->n_waits, 1);
	assert_int_equal(s->wait[0].unread, 32);
	assert_true(s->wait[0].since_ns == wall(START + SEC));
	assert_true(json_is_null(json_object_get(s->wait[0].thread, "tid")));
	assert_non_null(
		strstr(json_string_value(json_object_get(s->wait[0].thread, "how")), "cannot be known"));
	session_free(s);
}

/* The kernel does not tell when bytes came to a unix socket: from the first look that saw them. */
static void unread_unix(void **state)
{
	struct sock_facts *f = connection();
	struct stalls_sock *use;
	struct session *s;

	(void)state;
	thread(CALL_FUTEX, "futex", SYS_futex, 5 * SEC);
	f->family = AF_UNIX;
	f->accepted = true;
	f->recv_queue = 8;
	f->last_recv_ms = f->last_send_ms = -1;
	use = flow(0, START, 100, START - SEC, 100);
	track_at(START + SEC, false);
	use->last_recv_ns = START + SEC + MS; /* those were read, and there are others */
	use->last_send_ns = START + SEC + 2 * MS;
	track_at(START + 2 * SEC, false);
	track_at(START + 3 * SEC, true);
	s = finish();
	assert_int_equal(s->n_waits, 1);
	assert_true(s->wait[0].since_ns == wall(START + 2 * SEC));
	session_free(s);
}

/* Closed while it waits; and the number is used again by another connection. */
static void closed(void **state)
{
	struct stalls_sock *use;
	struct session *s;

	(void)state;
	thread(CALL_READ, "read", SYS_read, SEC);
	connection();
	use = flow(0, START + SEC, 100, START, 100);
	track_at(START + 2 * SEC, false);
	strcpy(p.open[0].facts.local, "10.0.0.1:9999");
	use->last_send_ns = use->last_recv_ns = 0;
	p.open[0].facts.last_send_ms = p.open[0].facts.last_recv_ms = -1;
	track_at(START + 3 * SEC, false);
	p.t.n_open = 0;
	track_at(START + 4 * SEC, true);
	s = finish();
	assert_int_equal(s->n_conns, 2);
	assert_true(s->conn[0].gone && s->conn[1].gone);
	assert_true(s->conn[0].seen_ns == wall(START + 2 * SEC) &&
		    s->conn[1].seen_ns == wall(START + 3 * SEC));
	assert_int_equal(s->n_waits, 1);
	assert_string_equal(s->wait[0].end, "closed");
	session_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(asked, track_setup, track_teardown),
		cmocka_unit_test_setup_teardown(asks, track_setup, track_teardown),
		cmocka_unit_test_setup_teardown(unread, track_setup, track_teardown),
		cmocka_unit_test_setup_teardown(unread_unix, track_setup, track_teardown),
		cmocka_unit_test_setup_teardown(closed, track_setup, track_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
