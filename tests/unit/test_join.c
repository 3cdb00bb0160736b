// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Both ends of a connection, as two sessions stored it: what may be said of the request, and where nothing
 * may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "join/join.h"

#define MS  1000000ULL
#define SEC (1000 * MS)
#define T0  (1700000000 * SEC) /* the sessions begin */

/* One end: its session, its connection and what was outstanding on it. */
struct end {
	struct session s;
	struct session_key key[5];
	struct session_conn conn[2];
	struct session_wait wait[2];
	struct stall stall;
	uint64_t found_ns;
};
static struct end a, b;
static char start[] = "1700000000000000000", end_time[] = "1700000060000000000";
static char boot_x[] = "boot-x", boot_y[] = "boot-y", net[] = "4026531833", stalls_command[] = "stalls";
static char k_start[] = "start_real_ns", k_end[] = "end_real_ns", k_boot[] = "boot_id", k_net[] = "netns",
	    k_command[] = "command";

static void end_init(struct end *e, char *boot)
{
	memset(e, 0, sizeof(*e));
	e->key[0] = (struct session_key){k_command, stalls_command};
	e->key[1] = (struct session_key){k_start, start};
	e->key[2] = (struct session_key){k_end, end_time};
	e->key[3] = (struct session_key){k_boot, boot};
	e->key[4] = (struct session_key){k_net, net};
	e->s = (struct session){.key = e->key, .n_keys = 5, .conn = e->conn, .n_conns = 1, .wait = e->wait};
}

/*
 * A asked B, on another host, 10 s into the sessions; B's thread 42 read it a millisecond later; A's stall
 * was found at 12 s; both looked until 60 s. 304 bytes went there, 120 back.
 */
static int setup(void **state)
{
	(void)state;
	end_init(&a, boot_x);
	end_init(&b, boot_y);
	a.conn[0] = (struct session_conn){.id = 1,
					  .inode = 70,
					  .family = "inet",
					  .local = "10.0.0.1:4000",
					  .remote = "10.0.0.2:80",
					  .first_ns = T0,
					  .seen_ns = T0 + 60 * SEC,
					  .last_send_ns = T0 + 10 * SEC,
					  .last_recv_ns = T0 + 9 * SEC,
					  .bytes_acked = 305,
					  .bytes_received = 120};
	b.conn[0] = (struct session_conn){.id = 1,
					  .inode = 90,
					  .family = "inet",
					  .local = "10.0.0.2:80",
					  .remote = "10.0.0.1:4000",
					  .accepted = true,
					  .first_ns = T0,
					  .seen_ns = T0 + 60 * SEC,
					  .last_send_ns = T0 + 9 * SEC,
					  .last_recv_ns = T0 + 10 * SEC + MS,
					  .bytes_acked = 120,
					  .bytes_received = 304};
	a.wait[0] = (struct session_wait){
		.id = 1, .conn = 1, .ours = true, .since_ns = T0 + 10 * SEC, .seen_ns = T0 + 60 * SEC};
	b.wait[0] = (struct session_wait){
		.id = 1, .conn = 1, .since_ns = T0 + 10 * SEC + MS, .seen_ns = T0 + 60 * SEC};
	a.s.n_waits = b.s.n_waits = 1;
	a.stall = (struct stall){
		.verdict = VERDICT_PEER_SILENT, .tid = 7, .blocked_ns = 2 * SEC, .rpc_age_ms = -1};
	a.stall.sock = (struct sock_facts){.known = true,
					   .inode = 70,
					   .family = AF_INET,
					   .local = "10.0.0.1:4000",
					   .remote = "10.0.0.2:80",
					   .last_send_ms = 2000,
					   .last_recv_ms = 3000,
					   .bytes_acked = 305,
					   .bytes_received = 120};
	a.found_ns = T0 + 12 * SEC;
	return 0;
}

/* The one thing to say. */
static struct joined join(void)
{
	struct join_session v[] = {{.s = &a.s, .stall = &a.stall, .found_ns = &a.found_ns, .n_stalls = 1},
				   {.s = &b.s,
				    .stall = &b.stall,
				    .found_ns = &b.found_ns,
				    .n_stalls = b.stall.verdict != VERDICT_NONE}};
	struct joined *all, one;
	size_t n;

	assert_int_equal(join_sessions(v, 2, &all, &n), 0);
	assert_int_equal(n, 1);
	one = all[0];
	free(all);
	assert_int_equal(one.a, 0);
	return one;
}

static void read_there(void **state)
{
	struct joined j;

	(void)state;
	b.stall = (struct stall){.verdict = VERDICT_SERVER_THREAD_BLOCKED,
				 .sock = {.known = true, .inode = 90}};
	b.found_ns = T0 + 11 * SEC;
	j = join();
	assert_int_equal(j.state, JOIN_READ);
	assert_int_equal(j.b, 1);
	assert_ptr_equal(j.wb, &b.wait[0]);
	assert_ptr_equal(j.wa, &a.wait[0]);
	assert_true(j.sent_ns == T0 + 10 * SEC && j.read_ns == T0 + 10 * SEC + MS);
	assert_true(j.by_bytes && !j.same_clock && !j.by_id);
	assert_int_equal(j.peer_stall, 0);
	b.stall.sock.inode = 91; /* of another connection */
	assert_true(join().peer_stall == SIZE_MAX);
}

static void unread_there(void **state)
{
	struct joined j;

	(void)state;
	b.wait[0].unread = 32;
	j = join();
	assert_int_equal(j.state, JOIN_UNREAD);
	assert_true(!j.read_ns);
	/* too young for a wait of its own */
	b.s.n_waits = 0;
	b.conn[0].recv_queue = 32;
	assert_int_equal(join().state, JOIN_UNREAD);
}

static void answered_there(void **state)
{
	struct joined j;

	(void)state;
	b.wait[0].end = "answered";
	b.wait[0].until_ns = T0 + 13 * SEC;
	j = join();
	assert_int_equal(j.state, JOIN_ANSWERED);
	assert_true(j.answered_ns == T0 + 13 * SEC);
	/* at once, so that nobody waited there: by the last send */
	b.s.n_waits = 0;
	b.conn[0].last_send_ns = T0 + 13 * SEC;
	assert_int_equal(join().state, JOIN_ANSWERED);
	/* the last send may as well be of the request before, by what is known of the clocks */
	b.conn[0].last_send_ns = T0 + 11 * SEC;
	b.conn[0].last_recv_ns = T0 + 10 * SEC;
	assert_int_equal(join().state, JOIN_UNCLEAR);
	b.key[3].value = boot_x; /* on one host it is not */
	assert_int_equal(join().state, JOIN_ANSWERED);
}

static void closed_there(void **state)
{
	(void)state;
	b.wait[0].end = "closed";
	assert_int_equal(join().state, JOIN_CLOSED);
}

static void lost_on_the_way(void **state)
{
	struct joined j;

	(void)state;
	a.stall.verdict = VERDICT_REQUEST_UNACKED;
	a.conn[0].send_queue = 32;
	a.conn[0].unacked = 1;
	b.s.n_waits = 0;
	j = join();
	assert_int_equal(j.state, JOIN_NOT_ARRIVED);
	assert_true(j.written == 336 && j.arrived == 304);
}

/* What was outstanding there before is not this request. */
static void another_request(void **state)
{
	(void)state;
	b.wait[0].since_ns = T0 + 3 * SEC;
	b.wait[0].seen_ns = T0 + 4 * SEC;
	b.conn[0].bytes_received = 272; /* so is what arrived by then */
	b.conn[0].seen_ns = T0 + 11 * SEC;
	b.conn[0].last_recv_ns = T0 + 3 * SEC;
	assert_int_equal(join().state, JOIN_UNCLEAR);
	/* the RPC's number decides, where both know it */
	setup(NULL);
	a.stall.rpc_id_known = b.wait[0].rpc_id_known = true;
	a.stall.rpc_id = 5;
	b.wait[0].rpc_id = 6;
	assert_int_equal(join().state, JOIN_UNCLEAR);
	assert_non_null(strstr(join().why, "another request"));
	b.wait[1] = b.wait[0];
	b.wait[1].rpc_id = 5;
	b.wait[1].since_ns -= 100;
	b.s.n_waits = 2;
	assert_int_equal(join().state, JOIN_READ);
	assert_true(join().by_id);
	assert_ptr_equal(join().wb, &b.wait[1]);
}

/* Clocks that are an hour apart: the bytes of both kernels say that it is the same connection. */
static void clocks_apart(void **state)
{
	struct joined j;

	(void)state;
	b.key[1].value = (char *)"1699996400000000000";
	b.key[2].value = (char *)"1699996460000000000";
	b.conn[0].first_ns -= 3600 * SEC;
	b.conn[0].seen_ns -= 3600 * SEC;
	b.wait[0].since_ns -= 3600 * SEC;
	b.wait[0].seen_ns -= 3600 * SEC;
	j = join();
	assert_int_equal(j.state, JOIN_READ);
	assert_true(j.by_bytes);
	/* without them, nothing does */
	b.conn[0].bytes_received = 500;
	j = join();
	assert_int_equal(j.state, JOIN_NO_OVERLAP);
	b.key[2].value = end_time; /* that session lasted */
	assert_int_equal(join().state, JOIN_REUSED);
	/* one host has one clock, whatever the bytes say */
	b.conn[0].bytes_received = 304;
	b.key[3].value = boot_x;
	assert_int_equal(join().state, JOIN_REUSED);
}

/* On one host more bytes there than were written here mean another connection of the same addresses. */
static void reused(void **state)
{
	(void)state;
	b.key[3].value = boot_x;
	b.conn[0].bytes_received = 1000;
	assert_int_equal(join().state, JOIN_REUSED);
	/* the right one among two */
	b.conn[1] = b.conn[0];
	b.conn[1].id = 2;
	b.conn[1].bytes_received = 304;
	b.wait[0].conn = 2;
	b.s.n_conns = 2;
	assert_int_equal(join().state, JOIN_READ);
	assert_ptr_equal(join().cb, &b.conn[1]);
	/* each with a wait of its own */
	b.wait[1] = b.wait[0];
	b.wait[0].conn = 1;
	b.s.n_waits = 2;
	assert_ptr_equal(join().wb, &b.wait[1]);
}

/* On one host a wait may begin there 100 ms before the request by what ages are counted in, between hosts 2
 * s. */
static void which_wait(void **state)
{
	(void)state;
	b.conn[0].bytes_received = 290; /* tells nothing */
	b.wait[0].since_ns = T0 + 8 * SEC + 500 * MS;
	assert_ptr_equal(join().wb, &b.wait[0]);
	b.wait[0].since_ns = T0 + 7 * SEC + 500 * MS; /* though it lasts until after the request */
	assert_null(join().wb);
	b.key[3].value = boot_x;
	b.wait[0].since_ns = T0 + 10 * SEC - 50 * MS;
	assert_ptr_equal(join().wb, &b.wait[0]);
	b.wait[0].since_ns = T0 + 10 * SEC - 200 * MS;
	assert_null(join().wb);
	/* what B asked A on the same connection */
	setup(NULL);
	b.wait[0].ours = true;
	assert_null(join().wb);
}

/* A number that one end alone knows decides nothing. */
static void number_at_one_end(void **state)
{
	(void)state;
	a.stall.rpc_id_known = true;
	a.stall.rpc_id = 5;
	assert_int_equal(join().state, JOIN_READ);
	assert_false(join().by_id);
	b.wait[0].rpc_id_known = true;
	b.wait[0].rpc_id = 5;
	b.wait[1] = b.wait[0];
	b.wait[1].rpc_id_known = false;
	b.s.n_waits = 2;
	assert_ptr_equal(join().wb, &b.wait[0]); /* where one is the same, it is that one */
}

/* A's own account: the wait that the finding is about, within 100 ms of ticks. */
static void own_wait(void **state)
{
	(void)state;
	a.wait[1] = a.wait[0];
	a.wait[0].since_ns = T0 + 3 * SEC;
	a.wait[0].until_ns = T0 + 4 * SEC;
	a.s.n_waits = 2;
	assert_ptr_equal(join().wa, &a.wait[1]);
	a.s.n_waits = 1;
	assert_null(join().wa);
	a.wait[0].until_ns = a.found_ns - a.stall.blocked_ns - 50 * MS;
	assert_non_null(join().wa);
	a.wait[0].until_ns -= 100 * MS;
	assert_null(join().wa);
	a.wait[0].since_ns = a.found_ns + 50 * MS;
	a.wait[0].until_ns = 0;
	assert_non_null(join().wa);
	a.wait[0].since_ns += 100 * MS;
	assert_null(join().wa);
}

/* Without one: by the last send, if it is not of another request. */
static void when_sent(void **state)
{
	(void)state;
	a.s.n_waits = 0;
	a.stall.rpc_age_ms = 1500;
	a.stall.sock.last_send_ms = 100;
	assert_true(join().sent_ns == a.found_ns - 100 * MS);
	a.stall.rpc_id_known = true;
	assert_true(join().sent_ns == a.found_ns - 1500 * MS);
	a.stall.rpc_age_ms = -1;
	assert_true(join().sent_ns == a.found_ns - 100 * MS);
	a.stall.sock.last_send_ms = -1;
	assert_true(join().sent_ns == a.found_ns - 2 * SEC); /* as long as it is blocked */
	a.stall.rpc_id_known = false;
	a.stall.rpc_age_ms = 1500;
	assert_true(join().sent_ns == a.found_ns - 1500 * MS);
}

/* B's finding is about this wait: not from before it, nor from after. */
static void which_finding(void **state)
{
	(void)state;
	b.stall = (struct stall){.verdict = VERDICT_SERVER_THREAD_BLOCKED,
				 .sock = {.known = true, .inode = 90}};
	b.wait[0].until_ns = T0 + 20 * SEC;
	b.found_ns = T0 + 20 * SEC + 50 * MS;
	assert_int_equal(join().peer_stall, 0);
	b.found_ns += 100 * MS;
	assert_true(join().peer_stall == SIZE_MAX);
	b.found_ns = T0 + 10 * SEC;
	assert_true(join().peer_stall == SIZE_MAX);
}

/* What the connection alone tells, where nobody waited long enough. */
static void by_the_connection(void **state)
{
	(void)state;
	b.s.n_waits = 0;
	b.key[3].value = boot_x;
	assert_int_equal(join().state, JOIN_READ);
	b.conn[0].last_recv_ns = T0 + 9 * SEC; /* that was the request before */
	b.conn[0].last_send_ns = T0 + 8 * SEC;
	assert_int_equal(join().state, JOIN_UNCLEAR);
	b.conn[0].gone = true;
	assert_int_equal(join().state, JOIN_CLOSED);
	/* sent, and not even a segment of it left */
	a.conn[0].send_queue = 32;
	assert_int_equal(join().state, JOIN_NOT_ARRIVED);
	assert_true(join().written == 336);
	a.conn[0].accepted = true; /* then no SYN is among the acknowledged */
	assert_true(join().written == 337);
}

/* A FIN counts as a byte, more do not. */
static void a_byte_more(void **state)
{
	static const struct {
		uint64_t there, here;
		bool same;
	} counts[] = {{305, 120, true}, {306, 120, false}, {303, 120, true}, {302, 120, false},
		      {304, 121, true}, {304, 122, false}, {304, 119, true}, {304, 118, false}};

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		b.conn[0].bytes_received = counts[i].there;
		a.conn[0].bytes_received = counts[i].here;
		assert_int_equal(join().by_bytes, counts[i].same);
	}
	b.key[3].value = boot_x;
	b.conn[0].bytes_received = 305;
	a.conn[0].bytes_received = 121;
	assert_int_equal(join().state, JOIN_READ);
	b.conn[0].bytes_received = 306;
	assert_int_equal(join().state, JOIN_REUSED);
	b.conn[0].bytes_received = 305;
	a.conn[0].bytes_received = 122;
	assert_int_equal(join().state, JOIN_REUSED);
}

/* First seen just after the stall was: the look was later. Long after: another one. */
static void first_seen(void **state)
{
	(void)state;
	a.s.n_waits = b.s.n_waits = 0;
	b.key[3].value = boot_x;
	b.conn[0].first_ns = a.found_ns + 50 * MS;
	assert_non_null(join().cb);
	b.conn[0].first_ns += 100 * MS;
	assert_int_equal(join().state, JOIN_REUSED);
}

static void no_connection(void **state)
{
	struct joined j;

	(void)state;
	strcpy(b.conn[0].remote, "192.168.0.1:4000"); /* NAT */
	j = join();
	assert_int_equal(j.state, JOIN_NO_CONNECTION);
	assert_non_null(strstr(j.why, "NAT"));
	assert_null(j.cb);
	assert_int_equal(j.b, 1); /* the only other session */
	b.key[1].value = (char *)"1700000400000000000";
	b.key[2].value = (char *)"1700000500000000000";
	assert_int_equal(join().state, JOIN_NO_OVERLAP);
}

/* Loopback addresses are the same only within one network namespace of one host. */
static void loopback(void **state)
{
	(void)state;
	strcpy(a.stall.sock.local, "127.0.0.1:4000");
	strcpy(a.stall.sock.remote, "127.0.0.1:80");
	strcpy(b.conn[0].local, "[::ffff:127.0.0.1]:80"); /* as a dual-stack server has it */
	strcpy(b.conn[0].remote, "[::ffff:127.0.0.1]:4000");
	assert_int_equal(join().state, JOIN_NO_CONNECTION);
	b.key[3].value = boot_x;
	assert_int_equal(join().state, JOIN_READ);
	b.key[4].value = (char *)"1";
	assert_int_equal(join().state, JOIN_NO_CONNECTION);
}

static void unix_sockets(void **state)
{
	struct joined j;

	(void)state;
	a.stall.sock = (struct sock_facts){.known = true,
					   .inode = 70,
					   .family = AF_UNIX,
					   .remote = "/run/x",
					   .peer_inode = 90,
					   .last_send_ms = -1,
					   .last_recv_ms = -1};
	strcpy(b.conn[0].family, "unix");
	strcpy(b.conn[0].local, "/run/x");
	b.conn[0].remote[0] = '\0';
	b.conn[0].peer_inode = 70;
	assert_int_equal(join().state, JOIN_NO_CONNECTION); /* an inode of another host */
	b.key[3].value = boot_x;
	j = join();
	assert_int_equal(j.state, JOIN_READ);
	assert_true(j.same_clock && !j.written);
	b.conn[0].peer_inode = 71;
	assert_int_equal(join().state, JOIN_NO_CONNECTION);
}

/* Servers' findings, and those that have no connection yet, are not joined; nor is one session with itself.
 */
static void not_joined(void **state)
{
	static const enum verdict none[] = {VERDICT_SERVER_THREAD_BLOCKED, VERDICT_CONNECT_PENDING,
					    VERDICT_POLLING_DEAD_FD, VERDICT_LOCAL_WRITER_BLOCKED};
	struct join_session v[] = {{.s = &a.s, .stall = &a.stall, .found_ns = &a.found_ns, .n_stalls = 1},
				   {.s = &b.s}};
	struct joined *all;
	size_t n;

	(void)state;
	assert_int_equal(join_sessions(v, 1, &all, &n), 0);
	assert_int_equal(n, 0);
	free(all);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		a.stall.verdict = none[i];
		assert_int_equal(join_sessions(v, 2, &all, &n), 0);
		assert_int_equal(n, 0);
		free(all);
	}
	/* an unread reply is a client's only where it connected; and without its socket nothing is known */
	a.stall.verdict = VERDICT_REPLY_UNREAD;
	a.stall.sock.accepted = true;
	assert_int_equal(join_sessions(v, 2, &all, &n), 0);
	assert_int_equal(n, 0);
	free(all);
	a.stall.sock.accepted = a.stall.sock.known = false;
	assert_int_equal(join_sessions(v, 2, &all, &n), 0);
	assert_int_equal(n, 0);
	free(all);
	a.stall.sock.known = true;
	assert_int_equal(join().state, JOIN_READ);
	b.key[0].value = (char *)"writes";
	a.stall.verdict = VERDICT_PEER_SILENT;
	assert_int_equal(join_sessions(v, 2, &all, &n), 0);
	assert_int_equal(n, 0);
	free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(read_there, setup),
		cmocka_unit_test_setup(unread_there, setup),
		cmocka_unit_test_setup(answered_there, setup),
		cmocka_unit_test_setup(closed_there, setup),
		cmocka_unit_test_setup(lost_on_the_way, setup),
		cmocka_unit_test_setup(another_request, setup),
		cmocka_unit_test_setup(clocks_apart, setup),
		cmocka_unit_test_setup(reused, setup),
		cmocka_unit_test_setup(which_wait, setup),
		cmocka_unit_test_setup(number_at_one_end, setup),
		cmocka_unit_test_setup(own_wait, setup),
		cmocka_unit_test_setup(when_sent, setup),
		cmocka_unit_test_setup(which_finding, setup),
		cmocka_unit_test_setup(by_the_connection, setup),
		cmocka_unit_test_setup(a_byte_more, setup),
		cmocka_unit_test_setup(first_seen, setup),
		cmocka_unit_test_setup(no_connection, setup),
		cmocka_unit_test_setup(loopback, setup),
		cmocka_unit_test_setup(unix_sockets, setup),
		cmocka_unit_test_setup(not_joined, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
