// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Connections of threads that are never blocked for long: what is outstanding on the wire, and for clients.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stall_process.h"

static struct wire_pending pending[4];
static size_t n_pending;

static size_t wire_all(void *ctx, struct wire_pending *v, size_t max)
{
	(void)ctx;
	assert_true(n_pending <= max);
	memcpy(v, pending, n_pending * sizeof(*v));
	return n_pending;
}

static bool request_began(void *ctx, uint64_t after_ns, uint64_t until_ns)
{
	(void)ctx;
	for (size_t i = 0; i < n_pending; i++)
		if (pending[i].start_ns > after_ns && pending[i].start_ns <= until_ns)
			return true;
	return false;
}

/* A thread in epoll_wait that was woken a moment ago, with two connections; one request is outstanding on the
 * first. */
static int begin(void **state)
{
	static struct thread_wait member[2];
	struct stall_engine_cfg cfg = {.pid = 1, .threshold_ns = SEC, .start_ns = START, .names = &names};
	struct stall_engine_ops ops = {
		.target = &target, .wire_all = wire_all, .wire_began = request_began, .found = on_found};
	struct thread_facts *t;

	setup(state);
	stall_engine_destroy(e);
	t = thread(CALL_EPOLL, "epoll_wait", SYS_epoll_wait, 10 * MS);
	for (size_t i = 0; i < 2; i++) {
		connection();
		waits_for(t, i);
		member[i] = t->wait[i];
	}
	p.fd[2] = (struct fd_facts){.fd = 10,
				    .open = true,
				    .kind = PROC_FD_EPOLL,
				    .member = member,
				    .n_members = 2,
				    .members_read = true};
	p.a.n_fds = 3;
	t->wait[0] = (struct thread_wait){.fd = 2};
	t->n_wait = 1;
	p.open[0].facts.last_send_ms = p.open[0].facts.last_ack_ms = 3000;
	p.open[0].facts.last_recv_ms = 50; /* other answers come all the time */
	pending[0] = (struct wire_pending){.inode = 70,
					   .tid = t->tid,
					   .ours = true,
					   .id = 17,
					   .start_ns = START - 2 * SEC,
					   .method = "svc.Slow"};
	n_pending = 1;
	return stall_engine_create(&e, &cfg, &ops, NULL);
}

static void request_without_answer(void **state)
{
	(void)state;
	look(START + SEC);
	assert_int_equal(n_found, 1);
	assert_int_equal(found[0]->verdict, VERDICT_PEER_SILENT);
	assert_true(found[0]->busy);
	assert_string_equal(found[0]->rpc_method, "svc.Slow");
	assert_int_equal(found[0]->rpc_id, 17);
	assert_int_equal(found[0]->blocked_ns, 3 * SEC);
	look(START + 2 * SEC);
	assert_int_equal(n_found, 1); /* the same */
	assert_false(stall_engine_life(e, 0, START + 2 * SEC).over);
	n_pending = 0;
	look(START + 3 * SEC);
	assert_true(stall_engine_life(e, 0, START + 3 * SEC).over);
}

static void too_young(void **state)
{
	(void)state;
	pending[0].start_ns = START + SEC / 2;
	look(START + SEC);
	assert_int_equal(n_found, 0);
}

/* Of a method that takes its time: late is what takes twice as long as ever before. */
static void slow_method(void **state)
{
	(void)state;
	pending[0].slowest_ns = 4 * SEC;
	look(START + SEC);
	assert_int_equal(n_found, 0);
	look(START + 7 * SEC);
	assert_int_equal(n_found, 1);
}

static void stopped_or_gone(void **state)
{
	(void)state;
	p.thread[0].state = 'T';
	look(START + SEC);
	p.thread[0].state = 'S';
	pending[0].tid = 4711; /* has ended */
	look(START + 2 * SEC);
	pending[0].tid = 100;
	pending[0].inode = 4711; /* closed */
	look(START + 3 * SEC);
	assert_int_equal(n_found, 0);
}

static void request_of_a_client(void **state)
{
	(void)state;
	pending[0].ours = false;
	p.open[0].facts.accepted = true;
	look(START + SEC);
	assert_int_equal(n_found, 1);
	assert_int_equal(found[0]->verdict, VERDICT_SERVER_THREAD_BLOCKED);
	assert_true(found[0]->busy);
	assert_non_null(strstr(found[0]->explanation, "or for one that it handed the request to"));
}

/* Two requests on two connections are two findings, two on one are one. */
static void one_for_each_connection(void **state)
{
	(void)state;
	p.open[1].facts = p.open[0].facts;
	p.open[1].facts.inode = 71;
	pending[1] = pending[2] = pending[0];
	pending[1].inode = 71;
	n_pending = 3;
	look(START + SEC);
	assert_int_equal(n_found, 2);
	assert_int_equal(found[0]->sock.inode, 70);
	assert_int_equal(found[1]->sock.inode, 71);
}

/* A client's request came right before the loop asked on; the loop never sleeps for long. */
static void for_a_client(struct sock_facts *client, struct sock_facts *upstream)
{
	n_pending = 0;
	client->accepted = true;
	client->last_send_ms = 9000;
	client->last_recv_ms = client->last_ack_ms = 3010;
	upstream->last_send_ms = upstream->last_ack_ms = 3000;
	upstream->last_recv_ms = 9000;
	p.fd[0].sock = *client;
	p.fd[1].sock = *upstream;
}

static void proxied(void **state)
{
	(void)state;
	for_a_client(&p.open[0].facts, &p.open[1].facts);
	look(START + SEC);
	assert_int_equal(n_found, 1);
	assert_true(found[0]->busy);
	assert_int_equal(found[0]->sock.inode, 71);
	assert_int_equal(found[0]->blocked_ns, 3 * SEC);
	look(START + SEC + 50 * MS);
	assert_int_equal(n_found, 1);
}

/* A look that finds the loop on a CPU cannot see for whom it asked: that does not end what is still owed. */
static void proxied_by_a_loop_on_a_cpu(void **state)
{
	(void)state;
	for_a_client(&p.open[0].facts, &p.open[1].facts);
	look(START + SEC);
	assert_int_equal(n_found, 1);
	p.thread[0].in_call = false;
	p.thread[0].state = 'R';
	look(START + 2 * SEC);
	assert_false(stall_engine_life(e, 0, START + 2 * SEC).over);
	p.open[1].facts.last_recv_ms = 500;
	look(START + 3 * SEC);
	assert_true(stall_engine_life(e, 0, START + 3 * SEC).over);
	assert_int_equal(n_found, 1);
}

/* The neighbour: no client waits for what was asked. */
static void asked_for_nobody(void **state)
{
	(void)state;
	for_a_client(&p.open[0].facts, &p.open[1].facts);
	p.open[0].facts.last_send_ms = p.fd[0].sock.last_send_ms = 100;
	look(START + SEC);
	assert_int_equal(n_found, 0);
}

/* A thread that computes is no loop. */
static void not_in_a_wait(void **state)
{
	(void)state;
	for_a_client(&p.open[0].facts, &p.open[1].facts);
	p.thread[0].in_call = false;
	p.thread[0].state = 'R';
	look(START + SEC);
	assert_int_equal(n_found, 0);
}

/* When a look is due that no call in flight asks for. */
static void due_by_the_wire(void **state)
{
	(void)state;
	pending[0].start_ns = START + SEC;
	look(START + SEC + 300 * MS);
	assert_int_equal(n_found, 0);
	assert_false(stall_engine_wants_look(e, &p.t, START + 2 * SEC - MS));
	assert_true(stall_engine_wants_look(e, &p.t, START + 2 * SEC));
	look(START + 2 * SEC + 50 * MS);
	assert_int_equal(n_found, 1);
	assert_false(stall_engine_wants_look(e, &p.t, START + 2 * SEC + 100 * MS));
}

/* One that a client waits for, as of the last look, whatever its thread is blocked in. */
static void due_by_what_is_owed(void **state)
{
	(void)state;
	n_pending = 0;
	p.open[0].facts.accepted = true;
	flow(0, START + 100 * MS, 100, START + 200 * MS, 100);
	look(START + 300 * MS);
	assert_false(stall_engine_wants_look(e, &p.t, START + 1200 * MS - 1));
	assert_true(stall_engine_wants_look(e, &p.t, START + 1200 * MS));
	look(START + 1200 * MS);
	assert_false(stall_engine_wants_look(e, &p.t, START + 1300 * MS));
	/* answered: nothing is due */
	p.sock[0].sock.last_recv_ns = START + 1300 * MS;
	p.sock[0].sock.last_send_ns = START + 1301 * MS;
	look(START + 1400 * MS);
	assert_false(stall_engine_wants_look(e, &p.t, START + 2400 * MS));
}

int main(void)
{
#define L(f) cmocka_unit_test_setup_teardown(f, begin, teardown)
	const struct CMUnitTest tests[] = {
		L(request_without_answer),
		L(too_young),
		L(slow_method),
		L(stopped_or_gone),
		L(proxied),
		L(proxied_by_a_loop_on_a_cpu),
		L(request_of_a_client),
		L(one_for_each_connection),
		L(asked_for_nobody),
		L(not_in_a_wait),
		L(due_by_the_wire),
		L(due_by_what_is_owed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
