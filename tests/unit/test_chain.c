// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Chains of waits: over locks, and from process to process. The target's thread asks process 2; process n is
 * made up by host[n].
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stall_process.h"

#define HOSTS	24
#define T(host) (1000 * (host)) /* tid of its first thread */

static struct {
	struct chain_peer peer; /* at the other end of what this process asks */
	bool unknown, hidden;	/* peer: nothing is known; place: cannot be looked at */
	struct autopsy a;
	struct thread_facts thread[3];
	struct thread_raw raw[3];
	struct thread_wait wait[3];
	struct fd_facts fd[3];
	struct open_sock open[2]; /* the client's connection to it, its connection to the next */
	struct sock_row flow;
	struct stalls_tables t;
} host[HOSTS];

static bool fake_peer(void *ctx, pid_t of, const struct sock_facts *s, struct chain_peer *out)
{
	(void)ctx;
	(void)s;
	*out = host[of].peer;
	return !host[of].unknown;
}

static bool fake_place(void *ctx, pid_t pid, struct chain_place *out)
{
	(void)ctx;
	*out = (struct chain_place){.pid = pid,
				    .comm = "server",
				    .now_ns = START + SEC,
				    .autopsy = &host[pid].a,
				    .tables = &host[pid].t,
				    .target = &target};
	return !host[pid].hidden;
}

/* Process i: one thread that read a request and asks process i + 1. */
static void server(int i)
{
	struct thread_facts *t = host[i].thread;

	memset(&host[i], 0, sizeof(host[i]));
	for (int k = 0; k < 2; k++) {
		host[i].open[k] = (struct open_sock){.fd = 5 + k, .inode = (uint64_t)(10 * i + k)};
		host[i].open[k].facts = (struct sock_facts){.known = true,
							    .inode = (uint64_t)(10 * i + k),
							    .family = AF_INET,
							    .state = "ESTABLISHED",
							    .accepted = !k,
							    .bytes_sent = 100,
							    .bytes_acked = 101,
							    .bytes_received = 100,
							    .last_send_ms = k ? 4000 : 9000,
							    .last_recv_ms = k ? 9000 : 4100,
							    .last_ack_ms = 4000,
							    .peer_window = 1000};
		snprintf(host[i].open[k].facts.remote, 64, "127.0.0.1:%d", 100 + i);
		snprintf(host[i].open[k].facts.local, 64, "127.0.0.1:%d", 200 + i);
		host[i].fd[k] = (struct fd_facts){.fd = 5 + k,
						  .open = true,
						  .kind = PROC_FD_SOCKET,
						  .inode = (uint64_t)(10 * i + k),
						  .sock = host[i].open[k].facts};
	}
	for (int k = 0; k < 3; k++)
		t[k] = (struct thread_facts){.tid = T(i) + k,
					     .comm = "worker",
					     .state = 'S',
					     .in_call = true,
					     .syscall = "read",
					     .class = CALL_READ,
					     .wait = &host[i].wait[k],
					     .blocked_known = true,
					     .blocked_ns = 4 * SEC,
					     .raw = &host[i].raw[k]};
	t[0].n_wait = 1;
	host[i].wait[0].fd = 1;
	host[i].a = (struct autopsy){.pid = i, .thread = t, .n_threads = 1, .fd = host[i].fd, .n_fds = 2};
	host[i].t = (struct stalls_tables){.open = host[i].open, .n_open = 2, .sock = &host[i].flow};
	host[i].peer = (struct chain_peer){.state = PEER_HELD, .pid = i + 1, .fd = 5, .n_holders = 1};
	host[i].peer.sock.inode = (uint64_t)(10 * (i + 1));
}

static void sleeps(int i, int k)
{
	host[i].thread[k].class = CALL_SLEEP;
	host[i].thread[k].syscall = "nanosleep";
	host[i].thread[k].n_wait = 0;
}

/* What this process's thread k did with the client's connection. */
static void used(int i, int k, uint64_t received_ns, uint64_t sent_ns)
{
	host[i].flow = (struct sock_row){.inode = (uint64_t)(10 * i),
					 .sock = {.last_recv_ns = received_ns,
						  .recv_tid = (uint32_t)(T(i) + k),
						  .last_send_ns = sent_ns}};
	host[i].t.n_socks = 1;
}

static int begin(void **state)
{
	struct stall_engine_cfg cfg = {.pid = 1, .threshold_ns = SEC, .start_ns = START, .names = &names};
	struct stall_engine_ops ops = {
		.target = &target, .peer = fake_peer, .place = fake_place, .found = on_found};
	struct thread_facts *t;
	struct sock_facts *s;

	setup(state);
	stall_engine_destroy(e);
	for (int i = 2; i < HOSTS; i++)
		server(i);
	host[1].unknown = false;
	host[1].peer = (struct chain_peer){.state = PEER_HELD, .pid = 2, .fd = 5, .n_holders = 1};
	host[1].peer.sock = host[2].open[0].facts;
	t = thread(CALL_READ, "read", SYS_read, 4 * SEC);
	s = connection();
	s->last_send_ms = s->last_ack_ms = 4000;
	waits_for(t, 0);
	return stall_engine_create(&e, &cfg, &ops, NULL);
}

static const struct stall *chain(void)
{
	look(START + SEC);
	assert_int_equal(n_found, 1);
	assert_int_equal(found[0]->verdict, VERDICT_PEER_SILENT);
	assert_int_equal(found[0]->chain[0].tid, 100);
	return found[0];
}

static void to_the_end(void **state)
{
	const struct stall *st;

	(void)state;
	sleeps(4, 0);
	st = chain();
	assert_int_equal(st->n_chain, 4);
	for (int i = 1; i < 4; i++) {
		assert_int_equal(st->chain[i].pid, i + 1);
		assert_int_equal(st->chain[i].tid, T(i + 1));
		assert_int_equal(st->chain[i - 1].next, T(i + 1));
		assert_string_equal(st->chain[i].how, "is the only thread");
	}
	assert_string_equal(st->chain[3].what, "sleeps in nanosleep");
	assert_int_equal(st->chain[3].next, 0);
	assert_false(st->cycle);
	assert_null(st->chain_end);
	assert_int_equal(st->other.pid, 2);
	assert_string_equal(st->next, "culprit stalls -p 2 follows process server, which has the other end");
}

static void in_a_circle(void **state)
{
	const struct stall *st;

	(void)state;
	host[5].peer.pid = 3;
	st = chain();
	assert_int_equal(st->n_chain, 5);
	assert_true(st->cycle);
	assert_int_equal(st->chain[4].next, T(3));
	assert_non_null(strstr(st->explanation, "a cycle"));
}

static void deep(void **state)
{
	const struct stall *st = chain();

	(void)state;
	assert_int_equal(st->n_chain, CHAIN_MAX_STEPS);
	assert_false(st->cycle);
	assert_string_equal(st->chain_end, "followed no further than 16 threads");
}

/* One hop, and why there is no second. */
static void ends(const char *what, const char *end)
{
	const struct stall *st = chain();

	assert_int_equal(st->n_chain, 1);
	assert_int_equal(st->chain[0].next, 0);
	assert_string_equal(st->chain[0].what, what);
	if (end)
		assert_string_equal(st->chain_end, end);
	else
		assert_null(st->chain_end);
}

static void other_host(void **state)
{
	(void)state;
	host[1].peer.state = PEER_ELSEWHERE;
	ends("waits for 10.0.0.2:80", NULL);
}

static void other_namespace(void **state)
{
	(void)state;
	host[1].peer.state = PEER_ELSEWHERE;
	strcpy(p.open[0].facts.remote, "10.0.0.1:80");
	strcpy(p.fd[0].sock.remote, "10.0.0.1:80");
	ends("waits for 10.0.0.1:80",
	     "the other end of 10.0.0.1:80 is not in this network namespace: who has it cannot be known");
}

static void shared_by_two(void **state)
{
	(void)state;
	host[1].peer.state = PEER_SHARED;
	host[1].peer.n_holders = 2;
	ends("waits for 10.0.0.2:80", "2 processes have the other end of 10.0.0.2:80 open: which of them "
				      "should answer cannot be known");
}

static void held_by_none(void **state)
{
	(void)state;
	host[1].peer.state = PEER_UNHELD;
	ends("waits for 10.0.0.2:80",
	     "no process that can be seen here has the other end of 10.0.0.2:80 open");
}

static void hidden_process(void **state)
{
	(void)state;
	host[2].hidden = true;
	ends("waits for an answer on 10.0.0.2:80 of process 2", "process 2 cannot be looked at");
}

static void not_accepted(void **state)
{
	(void)state;
	host[1].peer.state = PEER_QUEUED;
	host[2].a.n_threads = 2;
	ends("waits for an answer on 10.0.0.2:80 of process 2 (server)",
	     "process 2 (server) has not accepted the connection: it lies in the queue of descriptor 5");
}

static void not_accepted_by_the_only_thread(void **state)
{
	const struct stall *st;

	(void)state;
	host[1].peer.state = PEER_QUEUED;
	sleeps(2, 0);
	st = chain();
	assert_int_equal(st->chain[1].tid, T(2));
	assert_string_equal(st->chain[1].how, "is the only thread of the process that has not accepted it");
}

static void several_threads(void **state)
{
	(void)state;
	host[2].a.n_threads = 3;
	sleeps(2, 1);
	sleeps(2, 2);
	ends("waits for an answer on 10.0.0.2:80 of process 2 (server)",
	     "which of the 3 threads of process 2 (server) has the request cannot be known: it was read "
	     "before "
	     "that was followed");
}

static void only_thread_of_several_processes(void **state)
{
	(void)state;
	host[1].peer.n_holders = 0; /* how many there are is not known */
	ends("waits for an answer on 10.0.0.2:80 of process 2 (server)",
	     "which of the 1 threads of process 2 (server) has the request cannot be known: it was read "
	     "before "
	     "that was followed");
}

static void reader_seen(void **state)
{
	const struct stall *st;

	(void)state;
	host[2].a.n_threads = 3;
	sleeps(2, 1);
	sleeps(2, 2);
	used(2, 2, START - 3 * SEC, START - 9 * SEC);
	st = chain();
	assert_int_equal(st->n_chain, 2);
	assert_int_equal(st->chain[1].tid, T(2) + 2);
	assert_string_equal(st->chain[1].how, "read the request 4.0 s ago");
}

static void answered_meanwhile(void **state)
{
	(void)state;
	used(2, 0, START - 3 * SEC, START);
	ends("waits for an answer on 10.0.0.2:80 of process 2 (server)",
	     "process 2 (server) has answered meanwhile");
}

static void reader_ended(void **state)
{
	(void)state;
	used(2, 77, START - 3 * SEC, 0);
	ends("waits for an answer on 10.0.0.2:80 of process 2 (server)",
	     "thread 2077 read the request 4.0 s ago and has ended");
}

static void not_read(void **state)
{
	(void)state;
	host[2].a.n_threads = 3;
	host[1].peer.sock.recv_queue = 8;
	used(2, 1, START - 3 * SEC, 0); /* it never answered here: somebody else may be meant to read */
	ends("waits for an answer on 10.0.0.2:80 of process 2 (server)",
	     "8 bytes lie unread in process 2 (server); which of its 3 threads should read them cannot be "
	     "known");
}

static void not_read_by_its_reader(void **state)
{
	const struct stall *st;

	(void)state;
	host[2].a.n_threads = 3;
	host[1].peer.sock.recv_queue = 8;
	sleeps(2, 1);
	used(2, 1, START - 9 * SEC, START - 8 * SEC);
	host[2].flow.sock.replies = 1;
	st = chain();
	assert_int_equal(st->chain[1].tid, T(2) + 1);
	assert_string_equal(st->chain[1].how,
			    "reads and answers on this connection, and 8 bytes lie there unread");
}

static void waiter(void **state)
{
	const struct stall *st;

	(void)state;
	host[2].a.n_threads = 3;
	host[2].wait[0].fd = 0;
	sleeps(2, 1);
	st = chain();
	assert_int_equal(st->n_chain, 2);
	assert_int_equal(st->chain[1].tid, T(2));
	assert_string_equal(st->chain[1].how, "is the one that waits for more on this connection");
	assert_string_equal(st->chain[1].what, "waits in read for more from 127.0.0.1:102");
}

static void handler_by_its_stack(void **state)
{
	const struct stall *st;

	(void)state;
	host[2].a.n_threads = 3;
	for (int k = 0; k < 3; k++) {
		sleeps(2, k);
		host[2].raw[k].known = IMAGE_REGS_SP_IP;
		host[2].raw[k].rec.reg[ABI_REG_SP] = 0x2000 + 0x1000ULL * (k == 1);
	}
	p.stack[1][0] = "main_loop";
	p.stack[2][0] = "Impl::ListDb";
	st = chain();
	assert_int_equal(st->chain[1].tid, T(2) + 1);
	for (int k = 0; k < 3; k++)
		frames_deinit(&host[2].thread[k].user_stack);
}

static void two_handlers(void **state)
{
	(void)state;
	host[2].a.n_threads = 2;
	for (int k = 0; k < 2; k++) {
		sleeps(2, k);
		host[2].raw[k].known = IMAGE_REGS_SP_IP;
		host[2].raw[k].rec.reg[ABI_REG_SP] = 0x3000;
	}
	p.stack[2][0] = "Impl::ListDb";
	ends("waits for an answer on 10.0.0.2:80 of process 2 (server)",
	     "which of the 2 threads of process 2 (server) has the request cannot be known: it was read "
	     "before "
	     "that was followed");
	for (int k = 0; k < 2; k++)
		frames_deinit(&host[2].thread[k].user_stack);
}

/* An event loop: of its connections one owes it an answer, or two do. */
static void loop_asks(void **state, size_t owed)
{
	static struct thread_wait member[3];
	const struct stall *st;

	(void)state;
	sleeps(3, 0);
	host[2].thread[0].class = CALL_EPOLL;
	host[2].thread[0].syscall = "epoll_wait";
	host[2].wait[0].fd = 2;
	member[0].fd = 0;
	member[1].fd = member[2].fd = 1;
	host[2].fd[2] = (struct fd_facts){
		.fd = 9, .open = true, .kind = PROC_FD_EPOLL, .member = member, .n_members = 1 + owed};
	st = chain();
	assert_int_equal(st->n_chain, owed == 1 ? 3 : 2);
	assert_string_equal(st->chain[1].what,
			    owed == 1 ? "waits for an answer on 127.0.0.1:102 from" : "is in epoll_wait");
}

static void loop_asks_one(void **state)
{
	loop_asks(state, 1);
}

static void loop_asks_two(void **state)
{
	loop_asks(state, 2);
}

static void runs(void **state)
{
	const struct stall *st;

	(void)state;
	host[2].thread[0].in_call = false;
	host[2].thread[0].state = 'R';
	st = chain();
	assert_string_equal(st->chain[1].what, "is running");
}

int main(void)
{
#define C(f) cmocka_unit_test_setup_teardown(f, begin, teardown)
	const struct CMUnitTest tests[] = {
		C(to_the_end),
		C(in_a_circle),
		C(deep),
		C(other_host),
		C(other_namespace),
		C(shared_by_two),
		C(held_by_none),
		C(hidden_process),
		C(not_accepted),
		C(not_accepted_by_the_only_thread),
		C(several_threads),
		C(only_thread_of_several_processes),
		C(reader_seen),
		C(answered_meanwhile),
		C(reader_ended),
		C(not_read),
		C(not_read_by_its_reader),
		C(waiter),
		C(handler_by_its_stack),
		C(two_handlers),
		C(loop_asks_one),
		C(loop_asks_two),
		C(runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
