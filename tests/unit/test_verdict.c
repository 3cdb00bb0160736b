// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Every verdict, and beside each the healthy case that looks most like it. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "stalls/verdict.h"

#define MS  1000000ULL
#define SEC (1000 * MS)
#define NOW (1000 * SEC)

/* A connection we made, used before and idle: the last exchange ended 60 s ago. */
static struct sock_facts conn(void)
{
	struct sock_facts s = {.known = true,
			       .inode = 77,
			       .family = AF_INET,
			       .local = "10.0.0.1:4000",
			       .remote = "10.0.0.2:10100",
			       .state = "ESTABLISHED",
			       .bytes_sent = 320,
			       .bytes_acked = 321,
			       .bytes_received = 800,
			       .last_send_ms = 60001,
			       .last_recv_ms = 60000,
			       .last_ack_ms = 60000,
			       .peer_window = 65536};

	return s;
}

static struct sock_facts asked(int64_t ms)
{
	struct sock_facts s = conn();

	s.last_send_ms = ms;
	return s;
}

/* The server's end: the last request was answered 60 s ago. */
static struct sock_facts served(void)
{
	struct sock_facts s = conn();

	s.accepted = true;
	s.last_send_ms = 60000;
	s.last_recv_ms = 60001;
	return s;
}

/* A thread that has been in poll(POLLIN) on nothing but this socket for 5 s; threshold 1 s. */
static struct verdict_in polling(struct sock_facts s)
{
	struct verdict_in in = {.now_ns = NOW,
				.threshold_ns = SEC,
				.class = CALL_POLL,
				.blocked_ns = 5 * SEC,
				.events = POLLIN,
				.alone = true,
				.kind = PROC_FD_SOCKET,
				.sock = s};

	return in;
}

static struct verdict_in writing(struct sock_facts s)
{
	struct verdict_in in = polling(s);

	in.class = CALL_WRITE;
	in.events = POLLOUT;
	return in;
}

static enum verdict waits(struct verdict_in in)
{
	struct verdict_out out;

	return verdict_wait(&in, &out);
}

#define IS(in, v)     assert_string_equal(verdict_name(waits(in)), verdict_name(v))
#define SILENT(in)    IS(in, VERDICT_NONE)
#define SERVER(in, v) assert_string_equal(verdict_name(verdict_server(&(in), &out)), verdict_name(v))
#define UNREAD(in, v) assert_string_equal(verdict_name(verdict_unread(&(in), &out)), verdict_name(v))

static void peer_silent(void **state)
{
	struct verdict_in in = polling(asked(5000));
	struct verdict_out out;

	(void)state;
	assert_int_equal(verdict_wait(&in, &out), VERDICT_PEER_SILENT);
	assert_int_equal(out.turn, TURN_PEER);
	assert_int_equal(out.owed_ns, 5 * SEC);
	assert_false(out.partial);
	/* a first request on a new connection: nothing ever came back, both ages the same (incident B) */
	in.sock.bytes_received = 0;
	in.sock.bytes_sent = 0; /* 4.18 does not count them */
	in.sock.bytes_acked = 33;
	in.sock.last_send_ms = in.sock.last_recv_ms = 7878;
	IS(in, VERDICT_PEER_SILENT);
	in.class = CALL_READ;
	IS(in, VERDICT_PEER_SILENT);
}

static void idle_is_silent(void **state)
{
	struct verdict_in in = polling(conn());

	(void)state;
	SILENT(in); /* pooled connection, request and reply within a millisecond */
	in.sock.last_send_ms = 60030;
	SILENT(in); /* reply came 30 ms after the request */
	in = polling(conn());
	in.sock.bytes_sent = in.sock.bytes_acked = in.sock.bytes_received = 0;
	SILENT(in); /* a long poll with nothing outstanding, never used */
	in.sock.bytes_acked = 1;
	SILENT(in); /* the SYN is no request */
	in = polling(asked(5000));
	in.blocked_ns = SEC - 1;
	SILENT(in); /* below the threshold */
	in = polling(asked(3));
	in.blocked_ns = 3600 * SEC;
	SILENT(in); /* a reader thread of an idle connection, whose next request has just gone out */
	in = polling(served());
	in.sock.last_recv_ms = 1;
	SILENT(in); /* a server that waits for the rest of a request */
	in = polling(served());
	SILENT(in);
	in.sock.last_send_ms = 5000;
	in.sock.last_recv_ms = 60000;
	SILENT(in); /* a server that answered and waits for the next request */
}

static void not_sockets(void **state)
{
	struct verdict_in in = polling(conn());

	(void)state;
	in.sock = (struct sock_facts){0};
	in.kind = PROC_FD_EVENTFD;
	SILENT(in);
	in.kind = PROC_FD_TIMERFD;
	SILENT(in);
	in.kind = PROC_FD_PIPE;
	SILENT(in);
	in.class = CALL_READ;
	SILENT(in);
	in.class = CALL_WRITE;
	IS(in, VERDICT_LOCAL_WRITER_BLOCKED);
	in.class = CALL_POLL;
	in.events = POLLOUT;
	IS(in, VERDICT_LOCAL_WRITER_BLOCKED);
	in = polling(conn());
	strcpy(in.sock.state, "LISTEN");
	SILENT(in);
	in.class = CALL_ACCEPT;
	SILENT(in);
	in = polling((struct sock_facts){0}); /* a socket of a family that is not told */
	SILENT(in);
}

static void ambiguous_ages(void **state)
{
	struct verdict_in in = polling(conn());
	struct stalls_sock flow = {.last_recv_ns = NOW - 5 * SEC,
				   .last_send_ns = NOW - 5 * SEC + 1000,
				   .asked_ns = NOW - 5 * SEC + 1000,
				   .turns = 9};
	struct verdict_out out;

	(void)state;
	in.sock.last_send_ms = in.sock.last_recv_ms = 5000;
	in.sock.last_ack_ms = 4995;
	SILENT(in); /* which came first cannot be told... */
	in.sock.last_ack_ms = 4958;
	IS(in, VERDICT_PEER_SILENT); /* ...but by a bare acknowledgement: we said something after its last
					words... */
	in.alone = false;
	SILENT(in);
	in.alone = true;
	in.sock.last_ack_ms = 900;
	SILENT(in); /* ...unless it is the answer to a keepalive probe */
	in.sock.last_ack_ms = 4995;
	in.in_rpc = true;
	IS(in, VERDICT_PEER_SILENT); /* ...unless the thread is inside an RPC... */
	in.in_rpc = false;
	in.flow = &flow;
	IS(in, VERDICT_PEER_SILENT); /* ...or the session saw the next request go out right after the reply */
	flow.last_recv_ns = flow.last_send_ns + 1000;
	SILENT(in);
	in.in_rpc = true;
	assert_int_equal(verdict_wait(&in, &out), VERDICT_PEER_SILENT);
	assert_true(out.partial); /* part of a reply, then nothing */
}

static void many_descriptors(void **state)
{
	struct verdict_in in = polling(asked(5000));
	struct stalls_sock flow = {.last_send_ns = NOW - 5 * SEC, .asked_ns = NOW - 5 * SEC};

	(void)state;
	in.alone = false;
	IS(in, VERDICT_PEER_SILENT); /* it answered before */
	in.sock.bytes_received = 0;
	SILENT(in); /* one-way protocol, in a loop that also waits for other things */
	in.flow = &flow;
	SILENT(in);
	in.in_rpc = true;
	IS(in, VERDICT_PEER_SILENT);
	in.in_rpc = false;
	in.for_client = true;
	IS(in, VERDICT_PEER_SILENT); /* a proxy, whose client waits since it asked here */
}

static void send_path(void **state)
{
	struct verdict_in in = polling(asked(1500));

	(void)state;
	in.sock.unacked = 2;
	in.sock.send_queue = 64;
	in.sock.retransmits = 3;
	IS(in, VERDICT_REQUEST_UNACKED);
	in.sock.retransmits = 0;
	IS(in, VERDICT_REQUEST_UNACKED); /* no ack for longer than the threshold */
	in = writing(asked(1500));
	in.sock.notsent = 100000;
	in.sock.send_queue = 100000;
	in.sock.peer_window = 0;
	IS(in, VERDICT_PEER_WINDOW_CLOSED);
	in.sock.peer_window = 100;
	strcpy(in.sock.timer, "persist"); /* a window too small to send into */
	IS(in, VERDICT_PEER_WINDOW_CLOSED);
	in.sock.timer[0] = '\0';
	in.sock.peer_window = 65536;
	IS(in, VERDICT_REQUEST_UNSENT); /* the window is open, and yet nothing goes */
	in.sock.last_send_ms = 5;
	SILENT(in); /* a long write that makes progress */
	in = writing(conn());
	in.sock.unacked = 10;
	in.sock.last_send_ms = 2;
	SILENT(in);
	in = polling(asked(1500)); /* the same while it waits for the reply */
	in.sock.notsent = 10;
	in.sock.send_queue = 10;
	in.sock.peer_window = 0;
	IS(in, VERDICT_PEER_WINDOW_CLOSED);
	in = writing(served());
	in.sock.notsent = in.sock.send_queue = 50000;
	in.sock.peer_window = 0;
	in.sock.last_send_ms = 1500;
	IS(in, VERDICT_PEER_WINDOW_CLOSED); /* a server whose client does not read */
}

static void unsent(void **state)
{
	struct verdict_in in = polling(conn());

	(void)state;
	in.sock.bytes_sent = in.sock.bytes_received = 0;
	in.sock.bytes_acked = 1;
	in.in_rpc = true;
	IS(in, VERDICT_REQUEST_UNSENT); /* inside an RPC, on a connection that never carried a byte */
	/* no route, or a link that is down: what was written stays here, while the kernel probes; the
	 * kernel's times are of the exchange before */
	in = polling(conn());
	in.sock.notsent = in.sock.send_queue = 30;
	strcpy(in.sock.timer, "persist");
	in.sock.mss = 1448;
	IS(in, VERDICT_REQUEST_UNSENT);
	in.sock.notsent = in.sock.send_queue = 300000;
	IS(in, VERDICT_REQUEST_UNSENT);
	in.sock.peer_window = 1000;
	IS(in, VERDICT_PEER_WINDOW_CLOSED); /* less than a segment */
	in.sock.peer_window = UINT32_MAX;
	IS(in, VERDICT_PEER_WINDOW_CLOSED); /* before 5.4 the kernel does not say */
	in.sock.peer_window = 65536;
	in.sock.last_send_ms = 5;
	SILENT(in); /* on its way */
}

static void half_open(void **state)
{
	struct verdict_in in = polling(asked(5000));

	(void)state;
	in.sock.probes = 2;
	strcpy(in.sock.timer, "keepalive");
	IS(in, VERDICT_HALF_OPEN);
	in.sock.probes = 1;
	IS(in, VERDICT_PEER_SILENT); /* its answer may be on the way */
	in = polling(conn());
	in.sock.probes = 2;
	SILENT(in); /* nobody waits for an answer on it */
}

static void connecting(void **state)
{
	struct verdict_in in = writing(conn());

	(void)state;
	in.class = CALL_CONNECT;
	strcpy(in.sock.state, "SYN-SENT");
	in.sock.bytes_sent = in.sock.bytes_acked = in.sock.bytes_received = 0;
	IS(in, VERDICT_CONNECT_PENDING);
	in.class = CALL_POLL; /* non-blocking connect */
	IS(in, VERDICT_CONNECT_PENDING);
	in.blocked_ns = 100 * MS;
	SILENT(in);
}

static void dead_fd(void **state)
{
	struct verdict_in in = polling(conn());

	(void)state;
	in.dead = true;
	IS(in, VERDICT_POLLING_DEAD_FD); /* even on an idle connection: nothing can wake it */
	in.kind = PROC_FD_FILE;
	IS(in, VERDICT_POLLING_DEAD_FD); /* whatever the number means now */
	in.blocked_ns = 10 * MS;
	SILENT(in);
}

static void wrong_events(void **state)
{
	struct verdict_in in = polling(asked(5000));

	(void)state;
	in.sock.recv_queue = 80;
	in.sock.last_recv_ms = 4000;
	in.events = POLLPRI;
	in.in_rpc = true;
	IS(in, VERDICT_REPLY_UNREAD);
	in.events = POLLIN;
	SILENT(in); /* it is being woken at this moment */
	in.edge = true;
	IS(in, VERDICT_REPLY_UNREAD);
}

static void unix_sockets(void **state)
{
	struct sock_facts s = {.known = true,
			       .family = AF_UNIX,
			       .state = "ESTABLISHED",
			       .last_send_ms = -1,
			       .last_recv_ms = -1};
	struct stalls_sock flow = {.last_recv_ns = NOW - 9 * SEC,
				   .last_send_ns = NOW - 8 * SEC,
				   .asked_ns = NOW - 8 * SEC,
				   .turns = 4};
	struct verdict_in in = polling(s);

	(void)state;
	SILENT(in); /* the kernel keeps no times of them */
	in.flow = &flow;
	in.reader = true;
	IS(in, VERDICT_PEER_SILENT);
	in.alone = false;
	SILENT(in);
	in.for_client = true;
	IS(in, VERDICT_PEER_SILENT);
	flow.last_recv_ns = NOW - 7 * SEC;
	SILENT(in); /* it has answered */
	flow.last_recv_ns = NOW - 9 * SEC;
	in.for_client = false;
	in.alone = true;
	flow.turns = 0;
	SILENT(in); /* a one-way log socket */
	in = writing(s);
	IS(in, VERDICT_LOCAL_WRITER_BLOCKED);
	in.class = CALL_POLL;
	IS(in, VERDICT_LOCAL_WRITER_BLOCKED); /* waits for room, and there is none */
	in.events = POLLIN | POLLOUT;
	SILENT(in);
	in.events = POLLOUT;
	in.edge = true;
	SILENT(in); /* asked for changes only */
	in = writing(s);
	in.class = CALL_CONNECT;
	IS(in, VERDICT_CONNECT_PENDING);
}

/* A thread in futex for 5 s, and a request on an accepted socket that was read 5 s ago. */
static struct verdict_in serving(struct stalls_sock *flow)
{
	struct verdict_in in = polling(served());

	*flow = (struct stalls_sock){
		.last_send_ns = NOW - 9 * SEC, .last_recv_ns = NOW - 5 * SEC, .replies = 3};
	in.class = CALL_FUTEX;
	in.events = 0;
	in.sock.last_recv_ms = 5000;
	in.sock.last_send_ms = 9000;
	in.flow = flow;
	in.reader = in.writer = true;
	return in;
}

static void server_blocked(void **state)
{
	struct stalls_sock flow;
	struct verdict_in in = serving(&flow);
	struct verdict_out out;

	(void)state;
	SERVER(in, VERDICT_SERVER_THREAD_BLOCKED);
	assert_int_equal(out.owed_ns, 5 * SEC);
	in.class = CALL_OTHER; /* fsync and the like */
	SERVER(in, VERDICT_SERVER_THREAD_BLOCKED);
	in.flow = NULL; /* begun before the session: by the stack */
	in.reader = in.writer = false;
	SERVER(in, VERDICT_NONE);
	in.has_handler = true;
	SERVER(in, VERDICT_SERVER_THREAD_BLOCKED);
	in = serving(&flow);
	in.sock.recv_queue = 32; /* the next request lies there, its reader sleeps */
	SERVER(in, VERDICT_SERVER_THREAD_BLOCKED);
	assert_true(out.partial);
	in.class = CALL_EPOLL;
	in.elsewhere = true;
	SERVER(in, VERDICT_NONE); /* it will come to it */
	in.sock.recv_queue = 0;
	SERVER(in, VERDICT_SERVER_THREAD_BLOCKED); /* taken, and now it waits for anything but this client */
	in.flow = NULL;
	in.reader = in.writer = false;
	SERVER(in, VERDICT_NONE);
	in.sole = true;
	SERVER(in, VERDICT_SERVER_THREAD_BLOCKED);
	in.sock.bytes_sent = 0;
	SERVER(in, VERDICT_NONE); /* never answered anything: one-way messages */
}

/* The client gave up: its FIN counts as a byte of the receive queue, but is no request that nobody reads. */
static void client_gone(void **state)
{
	struct stalls_sock flow;
	struct verdict_in in = serving(&flow);
	struct verdict_out out;

	(void)state;
	strcpy(in.sock.state, "CLOSE-WAIT");
	in.sock.recv_queue = 1;
	SERVER(in, VERDICT_SERVER_THREAD_BLOCKED);
	assert_false(out.partial);
	in.flow = NULL;
	in.reader = in.writer = false;
	in.has_handler = true; /* of a pool, begun before the session */
	SERVER(in, VERDICT_SERVER_THREAD_BLOCKED);
	assert_false(out.partial);
	in = serving(&flow);
	flow.last_send_ns = NOW - 4 * SEC;
	SERVER(in, VERDICT_NONE); /* answered, then closed */
}

static void server_idle(void **state)
{
	struct stalls_sock flow;
	struct verdict_in in = serving(&flow);
	struct verdict_out out;

	(void)state;
	in.class = CALL_EPOLL;
	SERVER(in, VERDICT_NONE); /* it waits for the next request; who handles this one is another thread */
	in.class = CALL_READ;
	SERVER(in, VERDICT_NONE);
	in.class = CALL_ACCEPT;
	SERVER(in, VERDICT_NONE);
	in = serving(&flow);
	flow.last_send_ns = NOW - 4 * SEC;
	SERVER(in, VERDICT_NONE); /* answered: an idle pool thread in a condition wait */
	in = serving(&flow);
	in.writer = false;
	SERVER(in, VERDICT_NONE); /* it reads and hands over; its own wait is for work */
	in = serving(&flow);
	flow.replies = 0;
	SERVER(in, VERDICT_NONE); /* one-way messages never get an answer */
	in = serving(&flow);
	flow.last_recv_ns = NOW - 100 * MS;
	SERVER(in, VERDICT_NONE); /* read just now */
	in = serving(&flow);
	in.sock.accepted = false;
	SERVER(in, VERDICT_NONE);
	in = serving(&flow);
	in.blocked_ns = 200 * MS;
	SERVER(in, VERDICT_NONE);
}

/* A thread in futex inside an RPC, whose reply has been lying in the queue for 4 s. */
static struct verdict_in unread(struct stalls_sock *flow)
{
	struct verdict_in in = polling(asked(5000));

	*flow = (struct stalls_sock){.last_recv_ns = NOW - 60 * SEC,
				     .last_send_ns = NOW - 5 * SEC,
				     .asked_ns = NOW - 5 * SEC,
				     .turns = 5};
	in.class = CALL_FUTEX;
	in.sock.recv_queue = 80;
	in.sock.last_recv_ms = 4000;
	in.flow = flow;
	in.reader = in.writer = true;
	return in;
}

static void reply_unread(void **state)
{
	struct stalls_sock flow;
	struct verdict_in in = unread(&flow);
	struct verdict_out out;

	(void)state;
	UNREAD(in, VERDICT_REPLY_UNREAD);
	in.reader = false;
	UNREAD(in, VERDICT_NONE); /* another thread reads the answers */
	in.in_rpc = true;
	UNREAD(in, VERDICT_REPLY_UNREAD);
	in.flow = NULL; /* before the session */
	in.writer = false;
	UNREAD(in, VERDICT_REPLY_UNREAD);
	in.in_rpc = false;
	UNREAD(in, VERDICT_NONE);
}

static void unread_is_no_reply(void **state)
{
	struct stalls_sock flow;
	struct verdict_in in = unread(&flow);
	struct verdict_out out;

	(void)state;
	flow.last_recv_ns = NOW - 4500 * MS;
	UNREAD(in,
	       VERDICT_NONE); /* answered; what lies there is a ping or a goodbye on a pooled connection */
	in = unread(&flow);
	flow.last_recv_ns = NOW - 100 * MS;
	UNREAD(in, VERDICT_NONE); /* it is being read */
	in = unread(&flow);
	in.sock.last_recv_ms = 10;
	UNREAD(in, VERDICT_NONE); /* it has just come */
	in = unread(&flow);
	in.sock.recv_queue = 0;
	UNREAD(in, VERDICT_NONE);
	in = unread(&flow);
	in.writer = false;
	UNREAD(in, VERDICT_NONE); /* another thread asked */
	in = unread(&flow);
	in.flow = NULL;
	in.in_rpc = true;
	in.sock.last_send_ms = 1000;
	UNREAD(in, VERDICT_NONE); /* what lies there came before the request */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(peer_silent),
		cmocka_unit_test(idle_is_silent),
		cmocka_unit_test(not_sockets),
		cmocka_unit_test(ambiguous_ages),
		cmocka_unit_test(many_descriptors),
		cmocka_unit_test(send_path),
		cmocka_unit_test(unsent),
		cmocka_unit_test(half_open),
		cmocka_unit_test(connecting),
		cmocka_unit_test(dead_fd),
		cmocka_unit_test(wrong_events),
		cmocka_unit_test(unix_sockets),
		cmocka_unit_test(server_blocked),
		cmocka_unit_test(server_idle),
		cmocka_unit_test(client_gone),
		cmocka_unit_test(reply_unread),
		cmocka_unit_test(unread_is_no_reply),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
