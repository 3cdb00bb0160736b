// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Looks at a made-up process that serves: which of its threads a request waits for, and which is none of its.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stall_process.h"

static void server_by_use(void **state)
{
	struct thread_facts *t = thread(CALL_FUTEX, "futex", SYS_futex, 5 * SEC), *holder;
	struct sock_facts *s = connection();
	int32_t owner = 101;

	(void)state;
	holder = thread(CALL_SLEEP, "nanosleep", SYS_nanosleep, 10 * MS);
	s->accepted = true;
	s->last_recv_ms = 5000;
	s->last_send_ms = 9000;
	flow(0, START, t->tid, START + SEC, t->tid)->replies = 3;
	p.stack[0][0] = "__lll_lock_wait";
	p.stack[0][1] = "__pthread_mutex_lock";
	p.stack[0][2] = "Impl::ListDb";
	t->futex_addr = 0x5000;
	p.word_addr = 0x5008;
	memcpy(&p.word, &owner, sizeof(owner));
	look(START + 6 * SEC);
	assert_int_equal(n_found, 1);
	assert_int_equal(found[0]->verdict, VERDICT_SERVER_THREAD_BLOCKED);
	assert_int_equal(found[0]->tid, t->tid);
	assert_int_equal(found[0]->fd, 20);
	assert_string_equal(found[0]->rpc_method, "svc.ListDb");
	assert_string_equal(found[0]->other.role, "lock held by");
	assert_int_equal(found[0]->other.tid, holder->tid);
	/* answered: the finding is over, and the thread that now waits for work is none */
	p.sock[0].sock.last_send_ns = START + 6 * SEC + MS;
	look(START + 8 * SEC);
	assert_int_equal(n_found, 1);
	assert_true(stall_engine_life(e, 0, START + 8 * SEC).over);
}

static void server_by_stack(void **state)
{
	struct thread_facts *t = thread(CALL_FUTEX, "futex", SYS_futex, 5 * SEC);
	struct sock_facts *s[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		s[i] = connection();
		s[i]->accepted = true;
		s[i]->last_send_ms = 90000;
		s[i]->last_recv_ms = 40000; /* long before the thread got stuck */
	}
	p.stack[0][0] = "Impl::ListDb";
	look(START + SEC);
	assert_int_equal(n_found, 1);
	assert_int_equal(found[0]->fd, -1); /* which of the two is not known, and not said */
	assert_false(found[0]->sock.known);
	assert_string_equal(found[0]->rpc_method, "svc.ListDb");
	t->switches++; /* another stall of that thread, whose request came right before it */
	p.stack[0][0] = "pthread_cond_wait";
	look(START + 2 * SEC);
	p.stack[0][0] = "Impl::ListDb";
	t->switches++;
	s[1]->last_recv_ms = 5100;
	look(START + 3 * SEC);
	assert_int_equal(n_found, 2);
	assert_int_equal(found[1]->sock.inode, 71);
	t->switches++; /* and one of which the scheduler's clocks say no more than that it began 5 to 9 s ago
			*/
	p.stack[0][0] = "pthread_cond_wait";
	look(START + 4 * SEC);
	p.stack[0][0] = "Impl::ListDb";
	t->switches++;
	s[1]->last_recv_ms = 40000;
	s[0]->last_recv_ms = 8600;
	t->blocked_max_ns = 9 * SEC;
	look(START + 5 * SEC);
	assert_int_equal(n_found, 3);
	assert_int_equal(found[2]->sock.inode, 70);
}

/* The thread's epoll set, descriptor 10: the first n connections. */
static struct thread_facts *event_loop(size_t n, struct thread_wait *member)
{
	struct thread_facts *t = thread(CALL_EPOLL, "epoll_wait", SYS_epoll_wait, 5 * SEC);

	for (size_t i = 0; i < n; i++)
		waits_for(t, i);
	memcpy(member, t->wait, n * sizeof(*member));
	p.fd[p.a.n_fds] = (struct fd_facts){.fd = 10,
					    .open = true,
					    .kind = PROC_FD_EPOLL,
					    .member = member,
					    .n_members = n,
					    .members_read = true};
	t->wait[0] = (struct thread_wait){.fd = p.a.n_fds++};
	t->n_wait = 1;
	t->fd = 10;
	return t;
}

static void refresh(void)
{
	for (size_t i = 0; i < p.t.n_open; i++)
		p.fd[i].sock = p.open[i].facts;
}

/* A proxy: a client's connection, its upstream, which never answered yet, an idle one, and a log server. */
static void proxy(void **state)
{
	static struct thread_wait member[4];
	struct sock_facts *client = connection(), *upstream = connection(), *log;

	(void)state;
	connection();
	log = connection();
	client->accepted = true;
	client->last_recv_ms = client->last_send_ms = 3010;
	client->bytes_sent = client->bytes_acked = 0;
	strcpy(client->remote, "10.9.9.9:99");
	upstream->bytes_received = 0;
	upstream->last_send_ms = upstream->last_recv_ms = 3000;
	log->bytes_received = 0;
	log->last_send_ms = log->last_recv_ms = 20000;
	event_loop(4, member);
	look(START + SEC);
	assert_int_equal(n_found, 1);
	assert_int_equal(found[0]->verdict, VERDICT_PEER_SILENT);
	assert_int_equal(found[0]->fd, 21);
	assert_non_null(strstr(found[0]->request, "10.9.9.9:99 waits for it, whose request came 3.0 s ago"));
}

static void proxy_without_need(void **state)
{
	static struct thread_wait member[2];
	struct sock_facts *client = connection(), *upstream = connection();

	(void)state;
	client->accepted = true;
	client->last_recv_ms = 60000;
	client->last_send_ms = 59000; /* answered */
	upstream->bytes_received = 0;
	upstream->last_send_ms = upstream->last_recv_ms = 59990;
	event_loop(2, member);
	look(START + SEC);
	assert_int_equal(n_found, 0); /* one-way */
	client->last_recv_ms = 5000;
	client->last_send_ms = 9000;
	refresh();
	look(START + 2 * SEC);
	assert_int_equal(n_found, 0); /* the client waits, but it asked long after that was sent */
	client->last_recv_ms = 500;
	upstream->last_send_ms = upstream->last_recv_ms = 490;
	refresh();
	look(START + 3 * SEC);
	assert_int_equal(n_found, 0); /* below the threshold */
}

/* A client's request was taken, and the thread that took it waits for something else. */
static void server_waits_elsewhere(void **state)
{
	static struct thread_wait member[1];
	struct sock_facts *other = connection(), *client = connection();
	struct thread_facts *t = event_loop(1, member);

	(void)state;
	strcpy(other->state, "LISTEN");
	p.fd[0].sock = *other;
	client->accepted = true;
	client->last_recv_ms = 5500;
	client->last_send_ms = 9000;
	thread(CALL_SLEEP, "nanosleep", SYS_nanosleep, 10 * MS);
	look(START + SEC);
	assert_int_equal(n_found, 0); /* who has it is not known: another thread may */
	flow(1, START - SEC, t->tid, START - SEC / 2, t->tid)->replies = 1;
	look(START + 2 * SEC);
	assert_int_equal(n_found, 1);
	assert_int_equal(found[0]->verdict, VERDICT_SERVER_THREAD_BLOCKED);
	assert_int_equal(found[0]->fd, 21);
	assert_non_null(strstr(found[0]->explanation, "epoll_wait on other descriptors"));
}

static void server_by_elimination(void **state)
{
	static struct thread_wait member[2];
	struct sock_facts *other = connection(), *client = connection();

	(void)state;
	strcpy(other->state, "LISTEN");
	client->accepted = true;
	client->last_recv_ms = 5500;
	client->last_send_ms = 9000;
	event_loop(2, member);
	look(START + SEC);
	assert_int_equal(n_found, 0); /* it waits for that client, too */
	p.fd[2].n_members = 1;
	kin_has = true;
	look(START + 2 * SEC);
	assert_int_equal(n_found, 0); /* its parent, or a child, has the connection, too */
	kin_has = false;
	look(START + 3 * SEC);
	assert_int_equal(n_found, 1);
	assert_int_equal(found[0]->verdict, VERDICT_SERVER_THREAD_BLOCKED);
	assert_true(found[0]->blocked_before_session);
}

/* A thread that runs, and has read a request on the first connection. */
static struct thread_facts *computing(struct stalls_sock **f)
{
	struct thread_facts *t = thread(CALL_OTHER, NULL, -1, 0);
	struct sock_facts *s = connection();
	struct threads_rec *r = &p.raw[0].rec;

	t->in_call = false;
	t->state = 'R';
	t->moved = true;
	s->accepted = true;
	s->last_recv_ms = 3000;
	s->last_send_ms = 9000;
	*f = flow(0, START - 8 * SEC, t->tid, START - 2 * SEC, t->tid);
	(*f)->replies = 3;
	(*f)->recv_cpu_ns = 10 * SEC;
	(*f)->recv_sys_ns = SEC;
	(*f)->recv_nvcsw = 7;
	r->cpu_ns = 12 * SEC;
	r->sys_ns = SEC + 100 * MS;
	r->nvcsw = 7;
	return t;
}

static void server_computes(void **state)
{
	struct stalls_sock *f;
	struct thread_facts *t = computing(&f);

	(void)state;
	look(START + SEC);
	assert_int_equal(n_found, 1);
	assert_int_equal(found[0]->verdict, VERDICT_SERVER_THREAD_BLOCKED);
	assert_true(found[0]->busy);
	assert_int_equal(found[0]->reader.tid, t->tid);
	assert_int_equal(found[0]->reader.ago_ns, 3 * SEC);
	assert_true(found[0]->reader.cpu_known);
	assert_int_equal(found[0]->reader.cpu_ns, 2 * SEC);
	assert_non_null(strstr(found[0]->request, "on CPU 2.0 s since"));
	look(START + 2 * SEC);
	assert_int_equal(n_found, 1);
	f->last_send_ns = START + 2 * SEC; /* answered */
	look(START + 4 * SEC);
	assert_int_equal(n_found, 1);
	assert_true(stall_engine_life(e, 0, START + 4 * SEC).over);
}

/* What may look alike: it has slept since, is mostly in the kernel, went on to another connection, never
 * answers there, or has only just read. */
static void server_does_not_compute(void **state)
{
	struct stalls_sock *f, *other;
	struct thread_facts *t = computing(&f);

	(void)state;
	p.raw[0].rec.nvcsw++;
	look(START + SEC);
	p.raw[0].rec.nvcsw--;
	p.raw[0].rec.sys_ns = 2 * SEC;
	look(START + SEC);
	p.raw[0].rec.sys_ns = THREADS_UNKNOWN;
	look(START + SEC);
	p.raw[0].rec.sys_ns = SEC;
	f->recv_cpu_ns = 0;
	look(START + SEC);
	f->recv_cpu_ns = 10 * SEC;
	f->replies = 0;
	look(START + SEC);
	f->replies = 3;
	f->send_tid = 99;
	look(START + SEC);
	f->send_tid = (uint32_t)t->tid;
	t->state = 'T';
	look(START + SEC);
	t->state = 'R';
	connection();
	other = flow(1, 0, 0, START - SEC, t->tid);
	look(START + SEC);
	assert_int_equal(n_found, 0);
	other->recv_tid = 99;
	f->last_recv_ns = START + SEC / 2;
	look(START + SEC);
	assert_int_equal(n_found, 0);
	f->last_recv_ns = START - 2 * SEC;
	look(START + SEC);
	assert_int_equal(n_found, 1); /* nothing of all that */
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(server_by_use),      T(server_by_stack),	   T(proxy),
		T(proxy_without_need), T(server_waits_elsewhere),  T(server_by_elimination),
		T(server_computes),    T(server_does_not_compute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
