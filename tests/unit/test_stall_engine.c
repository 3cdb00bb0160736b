// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Looks at a made-up process: what is found, once, with whom, until when; and what is left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stall_process.h"

static void once_until_the_end(void **state)
{
	struct thread_facts *t = thread(CALL_POLL, "poll", SYS_poll, 0);
	struct stalls_ended ended = {
		.h = {.kind = STALLS_ENDED, .size = sizeof(ended), .tid = 100, .ts_ns = START + 11 * SEC},
		.entry_ns = START + SEC,
		.nr = SYS_poll};
	struct stall_life life;

	(void)state;
	connection()->last_send_ms = 900;
	t->timeout_ms = 10000;
	waits_for(t, 0);
	in_flight(t, START + SEC, 0);
	look(START + SEC + 900 * MS);
	assert_int_equal(n_found, 0); /* not over the threshold yet */
	p.fd[0].sock.last_send_ms = p.open[0].facts.last_send_ms = 2000;
	look(START + 3 * SEC);
	assert_int_equal(n_found, 1);
	look(START + 4 * SEC);
	look(START + 9 * SEC);
	assert_int_equal(n_found, 1);
	assert_int_equal(found[0]->verdict, VERDICT_PEER_SILENT);
	assert_non_null(strstr(found[0]->next, "on 10.0.0.2: culprit stalls -p PID -o b.db"));
	assert_int_equal(found[0]->tid, 100);
	assert_int_equal(found[0]->fd, 20);
	assert_int_equal(found[0]->sock.inode, 70);
	assert_int_equal(found[0]->blocked_ns, 2 * SEC);
	assert_false(found[0]->blocked_at_least);
	assert_false(found[0]->blocked_before_session);
	assert_null(found[0]->rpc_method);
	assert_int_equal(found[0]->n_kernel, 1);
	life = stall_engine_life(e, 0, START + 9 * SEC);
	assert_false(life.over);
	assert_int_equal(life.lasted_ns, 8 * SEC);
	stall_engine_event(e, &ended.h);
	p.call[0].call.entry_ns = 0;
	t->in_call = false;
	look(START + 12 * SEC);
	life = stall_engine_life(e, 0, START + 20 * SEC);
	assert_true(life.over);
	assert_int_equal(life.lasted_ns, 10 * SEC);
	assert_string_equal(life.end, "timed out");
	/* the next call that gets stuck is another finding */
	t->in_call = true;
	p.call[0].call.entry_ns = START + 12 * SEC;
	look(START + 14 * SEC);
	assert_int_equal(n_found, 2);
}

static void before_the_session(void **state)
{
	struct thread_facts *t = thread(CALL_POLL, "poll", SYS_poll, 500 * SEC);

	(void)state;
	connection()->last_send_ms = 50000;
	waits_for(t, 0);
	in_flight(t, START - 50 * SEC, 0)->flags = STALLS_CALL_SEEDED;
	look(START + SEC);
	assert_int_equal(n_found, 1);
	assert_true(found[0]->blocked_before_session);
	assert_true(found[0]->blocked_at_least);
	assert_int_equal(found[0]->blocked_ns, 51 * SEC);
}

static void left_alone(void **state)
{
	struct thread_facts *t = thread(CALL_POLL, "poll", SYS_poll, 100 * SEC), *m, *f;
	uint64_t healthy, unclear;

	(void)state;
	connection();
	waits_for(t, 0); /* an idle pooled connection */
	connection()->last_send_ms = 5000;
	m = thread(CALL_POLL, "poll", SYS_poll, 100 * SEC);
	waits_for(m, 1);
	m->moved = true; /* facts of different moments */
	f = thread(CALL_FUTEX, "futex", SYS_futex, 100 * SEC);
	f->futex_addr = 0x5000;
	p.stack[2][0] = "pthread_cond_wait";
	thread(CALL_SLEEP, "nanosleep", SYS_nanosleep, 100 * SEC);
	look(START + SEC);
	assert_int_equal(n_found, 0);
	stall_engine_counts(e, &healthy, &unclear);
	assert_int_equal(healthy, 1);
	assert_int_equal(unclear, 1);
}

static void dead_descriptor(void **state)
{
	struct thread_facts *t = thread(CALL_POLL, "poll", SYS_poll, 0);
	static struct stalls_closed c;

	(void)state;
	connection();
	waits_for(t, 0);
	in_flight(t, START + SEC, 0);
	look(START + 3 * SEC);
	assert_int_equal(n_found, 0); /* idle */
	/* another thread closes it, a third opens: the number is another socket now */
	c = (struct stalls_closed){.h = {.kind = STALLS_CLOSED,
					 .size = sizeof(c),
					 .tid = 555,
					 .ts_ns = START + 4 * SEC,
					 .comm = "reaper"},
				   .fd = 20,
				   .last = 20,
				   .file = 0xf00,
				   .inode = 70,
				   .nr = SYS_close};
	stall_engine_event(e, &c.h);
	p.file[20] = 0xabc;
	p.fd[0].inode = 99;
	look(START + 5 * SEC);
	assert_int_equal(n_found, 1);
	assert_int_equal(found[0]->verdict, VERDICT_POLLING_DEAD_FD);
	assert_int_equal(found[0]->sock.inode, 70); /* the one it waits for, not the one that is there now */
	assert_string_equal(found[0]->file, "socket:[70], descriptor 20 is socket:[now] now");
	assert_true(found[0]->has_other);
	assert_string_equal(found[0]->other.role, "closed by");
	assert_int_equal(found[0]->other.tid, 555);
	assert_string_equal(found[0]->other.comm, "reaper");
	assert_string_equal(found[0]->other.stack.v[0].symbol, "Reaper::Close");
	assert_int_equal(found[0]->other.ts_ns, START + 4 * SEC);
}

/* The look saw the descriptor closed before the event of its close was read; with that comes the end of
 * another call, which to this look's facts still lasts. */
static void closed_while_it_was_looked(void **state)
{
	struct thread_facts *dead = thread(CALL_POLL, "poll", SYS_poll, 0),
			    *silent = thread(CALL_POLL, "poll", SYS_poll, 0);
	static struct stalls_closed c;
	struct stalls_ended ended = {
		.h = {.kind = STALLS_ENDED, .size = sizeof(ended), .tid = 101, .ts_ns = START + 4 * SEC},
		.entry_ns = START + SEC,
		.nr = SYS_poll};
	struct stall_life life;

	(void)state;
	connection();
	connection()->last_send_ms = 2000;
	waits_for(dead, 0);
	waits_for(silent, 1);
	in_flight(dead, START + SEC, 0);
	in_flight(silent, START + SEC, 1);
	look(START + 3 * SEC);
	assert_int_equal(n_found, 1);
	assert_int_equal(found[0]->tid, 101);
	p.fd[1].sock.last_send_ms = p.open[1].facts.last_send_ms = 4000;
	c = (struct stalls_closed){
		.h = {.kind = STALLS_CLOSED, .size = sizeof(c), .tid = 555, .ts_ns = START + 4 * SEC},
		.fd = 20,
		.last = 20,
		.file = 0xf00,
		.inode = 70,
		.nr = SYS_close};
	arriving[0] = &c.h;
	arriving[1] = &ended.h;
	p.file[20] = 0xabc;
	p.fd[0].inode = 99;
	look(START + 5 * SEC);
	assert_int_equal(n_found, 2); /* and the silent peer not once more */
	assert_int_equal(found[1]->verdict, VERDICT_POLLING_DEAD_FD);
	assert_true(found[1]->has_other);
	assert_int_equal(found[1]->other.tid, 555);
	life = stall_engine_life(e, 0, START + 20 * SEC);
	assert_true(life.over);
	assert_int_equal(life.end_ns, START + 4 * SEC);
}

static void reply_on_another_descriptor(void **state)
{
	struct thread_facts *t = thread(CALL_POLL, "poll", SYS_poll, 5 * SEC);
	struct sock_facts *s;

	(void)state;
	connection(); /* what it polls: idle */
	s = connection();
	s->recv_queue = 80;
	s->last_send_ms = 5010;
	s->last_recv_ms = 5005;
	waits_for(t, 0);
	look(START + SEC);
	assert_int_equal(n_found, 0); /* nothing says that the two have to do with each other... */
	p.stack[0][0] = "poll";
	p.stack[0][1] = "Channel::CallMethod";
	t->switches++;
	look(START + 2 * SEC);
	assert_int_equal(n_found, 1); /* ...but a thread inside an RPC that was sent when it went to sleep */
	assert_int_equal(found[0]->verdict, VERDICT_REPLY_UNREAD);
	assert_int_equal(found[0]->fd, 21);
	assert_non_null(strstr(found[0]->explanation, "descriptor 20 instead of 21"));
}

static void rpc_under_way(void **state)
{
	struct thread_facts *t = thread(CALL_FUTEX, "futex", SYS_futex, 5 * SEC);

	(void)state;
	connection();
	flow(0, START + SEC, t->tid, 0, 0);
	p.rpc[0] = (struct rpc_row){.tid = 100,
				    .rpc = {.entry_ns = START + SEC,
					    .first_send_ns = START + SEC + MS,
					    .sp = 0x1800,
					    .ret = 0x4242,
					    .method = 8,
					    .inode = 70}};
	p.t.n_rpcs = 1;
	p.word_addr = 0x1800;
	p.word = 0x4242;
	p.stack[0][0] = "pthread_cond_wait";
	look(START + 6 * SEC + 2 * MS);
	assert_int_equal(n_found, 0); /* no channel on the stack: the record is of a call that is over */
	p.stack[0][1] = "Channel::CallMethod";
	t->switches++;
	p.word = 0x4243;
	look(START + 6 * SEC + 3 * MS);
	assert_int_equal(n_found, 0); /* the frame of that call is gone */
	p.word = 0x4242;
	t->switches++;
	look(START + 6 * SEC + 4 * MS);
	assert_int_equal(n_found, 1); /* it sleeps on a condition until another thread brings the reply */
	assert_int_equal(found[0]->verdict, VERDICT_PEER_SILENT);
	assert_string_equal(found[0]->rpc_method, "svc.m8");
	assert_int_equal(found[0]->rpc_age_ms, 5004);
	assert_true(stall_engine_rpc_runs(e, 100, &p.rpc[0].rpc));
}

static void vanished_meanwhile(void **state)
{
	struct thread_facts *t = thread(CALL_POLL, "poll", SYS_poll, 0);

	(void)state;
	connection()->last_send_ms = 2000;
	waits_for(t, 0);
	in_flight(t, START + SEC, 0);
	look(START + 3 * SEC);
	assert_int_equal(n_found, 1);
	assert_int_equal(found[0]->verdict, VERDICT_PEER_SILENT);
	p.fd[0].sock.probes = 3;
	strcpy(p.fd[0].sock.timer, "keepalive");
	look(START + 9 * SEC);
	look(START + 10 * SEC);
	assert_int_equal(n_found, 2); /* that, too, is said once */
	assert_int_equal(found[1]->verdict, VERDICT_HALF_OPEN);
	assert_int_equal(found[1]->blocked_ns, 8 * SEC);
}

static void full_pipe(void **state)
{
	static char target_name[] = "pipe:[5]";
	struct thread_facts *t = thread(CALL_WRITE, "write", SYS_write, 5 * SEC);

	(void)state;
	p.fd[0] = (struct fd_facts){
		.fd = 9, .open = true, .kind = PROC_FD_PIPE, .inode = 5, .target = target_name};
	p.a.n_fds = 1;
	t->wait[t->n_wait++] = (struct thread_wait){.fd = 0};
	look(START + SEC);
	assert_int_equal(n_found, 1);
	assert_int_equal(found[0]->verdict, VERDICT_LOCAL_WRITER_BLOCKED);
	assert_string_equal(found[0]->file, target_name);
	assert_int_equal(found[0]->sock.inode, 0); /* no socket */
}

static void wants_look(void **state)
{
	struct thread_facts *t = thread(CALL_POLL, "poll", SYS_poll, 0);

	(void)state;
	connection();
	waits_for(t, 0);
	in_flight(t, START + 5 * SEC, 0);
	look(START + 5 * SEC);
	assert_false(stall_engine_wants_look(e, &p.t, START + 5 * SEC + 900 * MS));
	assert_true(stall_engine_wants_look(e, &p.t, START + 6 * SEC));
	look(START + 6 * SEC);
	assert_false(stall_engine_wants_look(e, &p.t, START + 7 * SEC)); /* judged */
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(once_until_the_end),
		T(before_the_session),
		T(left_alone),
		T(dead_descriptor),
		T(closed_while_it_was_looked),
		T(reply_on_another_descriptor),
		T(rpc_under_way),
		T(wants_look),
		T(vanished_meanwhile),
		T(full_pipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
