// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Looks at a made-up process: what is found, once, with whom, until when; and what is left alone. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "stalls/engine.h"

#define MS	1000000ULL
#define SEC	(1000 * MS)
#define START	(1000 * SEC) /* of the session */
#define THREADS 4
#define FDS	8

/* The process: threads, descriptors by index, and the tables. */
static struct {
	struct autopsy a;
	struct thread_facts thread[THREADS];
	struct thread_raw raw[THREADS];
	struct thread_wait wait[THREADS][4];
	struct fd_facts fd[FDS];
	struct call_row call[THREADS];
	struct sock_row sock[FDS];
	struct rpc_row rpc[THREADS];
	struct open_sock open[FDS];
	struct stalls_tables t;
	uint64_t file[64]; /* by descriptor */
	const char *stack[THREADS][6];
	uint64_t word_addr, word; /* the only readable memory */
} p;

static char link_now[] = "socket:[now]";
static struct rpc_names names;
static struct stall_engine *e;
static const struct stall *found[8];
static size_t n_found;

static int read_mem(void *ctx, uint64_t addr, void *buf, size_t len)
{
	(void)ctx;
	if (addr != p.word_addr || len > sizeof(p.word))
		return -EFAULT;
	memcpy(buf, &p.word, len);
	return 0;
}

static uint64_t file(void *ctx, int fd)
{
	(void)ctx;
	return p.file[fd];
}

static bool sock(void *ctx, uint64_t inode, struct sock_facts *out)
{
	(void)ctx;
	for (size_t i = 0; i < p.t.n_open; i++) {
		if (p.open[i].inode == inode) {
			*out = p.open[i].facts;
			return true;
		}
	}
	return false;
}

static const char *ksym(void *ctx, uint64_t addr)
{
	(void)ctx;
	(void)addr;
	return "schedule";
}

static int unwind(void *ctx, const struct image_regs *regs, struct frames *out)
{
	uint64_t i = regs->reg[ABI_REG_SP] / 0x1000 - 1;

	(void)ctx;
	out->v = calloc(6, sizeof(*out->v));
	for (size_t k = 0; k < 6 && p.stack[i][k]; k++)
		out->v[out->n++].symbol = strdup(p.stack[i][k]);
	return 0;
}

static int unwind_copy(void *ctx, const struct abi_stack *st, struct frames *out)
{
	(void)ctx;
	(void)st;
	out->v = calloc(1, sizeof(*out->v));
	out->v[0].symbol = strdup("Reaper::Close");
	out->n = 1;
	return 0;
}

static int method_name(void *ctx, uint64_t method, char *buf, size_t len)
{
	(void)ctx;
	snprintf(buf, len, "svc.m%d", (int)method);
	return 0;
}

static bool kin_has;

static bool shared(void *ctx, uint64_t inode)
{
	(void)ctx;
	(void)inode;
	return kin_has;
}

static void on_found(void *ctx, const struct stall *s)
{
	(void)ctx;
	assert_true(n_found < 8);
	found[n_found++] = s;
}

static const struct autopsy_ops target = {
	.read_mem = read_mem, .file = file, .sock = sock, .ksym = ksym, .unwind = unwind};

static int setup(void **state)
{
	struct stall_engine_cfg cfg = {.pid = 1, .threshold_ns = SEC, .start_ns = START, .names = &names};
	struct stall_engine_ops ops = {.target = &target,
				       .method_name = method_name,
				       .unwind_copy = unwind_copy,
				       .shared = shared,
				       .found = on_found};

	(void)state;
	memset(&p, 0, sizeof(p));
	n_found = 0;
	rpc_names_add(&names, false, "Channel::CallMethod", NULL);
	rpc_names_add(&names, true, "Impl::ListDb", "svc.ListDb");
	p.a.thread = p.thread;
	p.a.fd = p.fd;
	p.t = (struct stalls_tables){.call = p.call, .sock = p.sock, .rpc = p.rpc, .open = p.open};
	return stall_engine_create(&e, &cfg, &ops, NULL);
}

static void drop_stacks(void)
{
	for (size_t i = 0; i < THREADS; i++) {
		frames_deinit(&p.thread[i].user_stack);
		for (size_t k = 0; k < p.thread[i].n_kernel; k++)
			free(p.thread[i].kernel_stack[k]);
		free(p.thread[i].kernel_stack);
		p.thread[i].kernel_stack = NULL;
		p.thread[i].n_kernel = 0;
		p.thread[i].stacks_taken = false;
	}
}

static int teardown(void **state)
{
	(void)state;
	drop_stacks();
	stall_engine_destroy(e);
	rpc_names_deinit(&names);
	return 0;
}

/* One look at this time, with stacks not taken yet. */
static void look(uint64_t now_ns)
{
	struct look l = {.now_ns = now_ns, .autopsy = &p.a, .tables = &p.t};

	drop_stacks();
	p.a.taken.mono_ns = now_ns;
	stalls_tables_sort(&p.t);
	assert_int_equal(stall_engine_look(e, &l, NULL), 0);
}

/* Thread 100 + i, in this call for so long. */
static struct thread_facts *thread(enum call_class class, const char *name, int64_t nr, uint64_t blocked_ns)
{
	size_t i = p.a.n_threads++;
	struct thread_facts *t = &p.thread[i];

	p.raw[i].known = IMAGE_REGS_SP_IP;
	p.raw[i].rec.flags = THREADS_REGS;
	p.raw[i].rec.reg[ABI_REG_SP] = 0x1000 * (i + 1);
	p.raw[i].rec.n_kstack = 1;
	*t = (struct thread_facts){.tid = 100 + (pid_t)i,
				   .comm = "worker",
				   .state = 'S',
				   .in_call = true,
				   .nr = nr,
				   .syscall = name,
				   .class = class,
				   .timeout_ms = -1,
				   .fd = -1,
				   .wait = p.wait[i],
				   .blocked_known = true,
				   .blocked_ns = blocked_ns,
				   .switches = 7,
				   .raw = &p.raw[i]};
	return t;
}

/* A TCP connection we made, on descriptor 20 + i, inode 70 + i, last used 60 s ago. */
static struct sock_facts *connection(void)
{
	size_t i = p.t.n_open++;
	struct open_sock *o = &p.open[i];

	o->fd = 20 + (int)i;
	o->inode = 70 + i;
	o->facts = (struct sock_facts){.known = true,
				       .inode = o->inode,
				       .family = AF_INET,
				       .state = "ESTABLISHED",
				       .bytes_sent = 100,
				       .bytes_acked = 101,
				       .bytes_received = 100,
				       .last_send_ms = 60000,
				       .last_recv_ms = 60000,
				       .last_ack_ms = 60000,
				       .peer_window = 1000};
	snprintf(o->facts.local, sizeof(o->facts.local), "10.0.0.1:%zu", 4000 + i);
	snprintf(o->facts.remote, sizeof(o->facts.remote), "10.0.0.2:80");
	p.file[o->fd] = 0xf00 + i;
	return &o->facts;
}

/* The thread waits for connection i too. */
static void waits_for(struct thread_facts *t, size_t i)
{
	size_t k = p.a.n_fds++;

	p.fd[k] = (struct fd_facts){.fd = p.open[i].fd,
				    .open = true,
				    .kind = PROC_FD_SOCKET,
				    .inode = p.open[i].inode,
				    .target = link_now,
				    .sock = p.open[i].facts};
	if (!t->n_wait)
		t->fd = p.open[i].fd;
	t->wait[t->n_wait++] = (struct thread_wait){.fd = k, .events = POLLIN};
}

static struct stalls_call *in_flight(const struct thread_facts *t, uint64_t entry_ns, size_t i)
{
	struct call_row *r = &p.call[p.t.n_calls++];

	*r = (struct call_row){
		.tid = (uint32_t)t->tid,
		.call = {.entry_ns = entry_ns, .nr = (uint32_t)t->nr, .n_fds = 1, .timeout_ns = -1}};
	r->call.fd[0] = (struct stalls_fd){
		.fd = p.open[i].fd, .events = POLLIN, .file = p.file[p.open[i].fd], .inode = p.open[i].inode};
	return &r->call;
}

static struct stalls_sock *flow(size_t i, uint64_t sent_ns, pid_t sender, uint64_t received_ns,
				pid_t receiver)
{
	struct sock_row *r = &p.sock[p.t.n_socks++];

	*r = (struct sock_row){.inode = p.open[i].inode,
			       .sock = {.last_send_ns = sent_ns,
					.asked_ns = sent_ns,
					.burst = 32,
					.last_recv_ns = received_ns,
					.send_tid = (uint32_t)sender,
					.recv_tid = (uint32_t)receiver}};
	return &r->sock;
}

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
		T(server_by_use),
		T(server_by_stack),
		T(reply_on_another_descriptor),
		T(rpc_under_way),
		T(wants_look),
		T(vanished_meanwhile),
		T(full_pipe),
		T(proxy),
		T(proxy_without_need),
		T(server_waits_elsewhere),
		T(server_by_elimination),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
