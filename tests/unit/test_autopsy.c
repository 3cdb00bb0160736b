// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Thread facts from made-up records, memory, descriptors and sockets. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "arch/syscalls.h"
#include <time.h>
#include <cmocka.h>

#include "memory.h"
#include "report/threads.h"
#include "stalls/call.h"

static const struct report_clock now = {.mono_ns = 1000 * 1000000000ULL,
					.real_ns = 1700000000 * 1000000000ULL};

struct fake_fd {
	enum proc_fd_kind kind; /* PROC_FD_FILE with inode 0: closed */
	uint64_t inode, file;
	const char *target;
	struct proc_epoll_member member[4];
	size_t n_members;
};
static struct fake_fd fds[64];
static unsigned fd_reads;

static int fd_read(void *ctx, int fd, struct proc_fd *out)
{
	(void)ctx;
	fd_reads++;
	if (fd < 0 || fd >= 64 || !fds[fd].target)
		return -EBADF;
	*out = (struct proc_fd){
		.fd = fd, .kind = fds[fd].kind, .inode = fds[fd].inode, .target = strdup(fds[fd].target)};
	return 0;
}

static int epoll_read(void *ctx, int fd, struct proc_epoll *out)
{
	size_t size = fds[fd].n_members * sizeof(*out->v);

	(void)ctx;
	if (fds[fd].kind != PROC_FD_EPOLL)
		return -EINVAL;
	out->n = fds[fd].n_members;
	out->v = malloc(size ? size : 1);
	memcpy(out->v, fds[fd].member, size);
	return 0;
}

static uint64_t file_of(void *ctx, int fd)
{
	(void)ctx;
	return fd < 64 && fds[fd].target ? fds[fd].file : 0;
}

static bool sock_of(void *ctx, uint64_t inode, struct sock_facts *out)
{
	(void)ctx;
	if (inode < 100 || inode >= 200)
		return false;
	*out = (struct sock_facts){.known = true, .inode = inode, .family = AF_INET, .state = "ESTABLISHED"};
	snprintf(out->local, sizeof(out->local), "10.0.0.1:%u", (unsigned)inode);
	snprintf(out->remote, sizeof(out->remote), "10.0.0.2:80");
	out->peer_window = 1000;
	return true;
}

static const char *ksym(void *ctx, uint64_t addr)
{
	(void)ctx;
	return addr == 0xf00   ? "do_restart_poll"
	       : addr == 0xf10 ? "hrtimer_nanosleep_restart"
	       : addr == 0xf20 ? "do_sys_poll"
			       : NULL;
}

static int unwind(void *ctx, const struct image_regs *regs, struct frames *out)
{
	(void)ctx;
	out->v = calloc(3, sizeof(*out->v));
	out->n = 3;
	out->v[0] =
		(struct frame){.symbol = strdup("__poll"), .module = strdup("/lib64/libc.so.6"), .addr = 1};
	out->v[1] = (struct frame){.symbol = strdup("zbs::(anonymous namespace)::Wait(int, char*)"),
				   .module = strdup("/usr/sbin/d"),
				   .addr = regs->reg[ABI_REG_IP]};
	out->v[2] = (struct frame){
		.symbol = strdup("start_thread"), .module = strdup("/lib64/libc.so.6"), .addr = 3};
	return 0;
}

static const struct autopsy_ops ops = {.read_mem = read_mem,
				       .fd_read = fd_read,
				       .epoll_read = epoll_read,
				       .file = file_of,
				       .sock = sock_of,
				       .ksym = ksym,
				       .unwind = unwind};

static int reset(void **state)
{
	(void)state;
	memset(memory, 0, sizeof(memory));
	memset(fds, 0, sizeof(fds));
	fd_reads = 0;
	return 0;
}

static void open_socket(int fd, uint64_t inode)
{
	fds[fd] = (struct fake_fd){
		.kind = PROC_FD_SOCKET, .inode = inode, .file = 0xf000 + inode, .target = "socket:[x]"};
}

/* A sleeping thread in a system call. */
static struct thread_raw raw_of(pid_t tid, long nr, const uint64_t arg[6])
{
	struct thread_raw raw = {.rec = {.state = 1,
					 .nr = nr,
					 .flags = THREADS_REGS,
					 .nvcsw = 5,
					 .start_ns = 77,
					 .blocked_ns = 1000000000ULL * (uint64_t)tid}};

	raw.rec.h.tid = (uint32_t)tid;
	snprintf(raw.rec.h.comm, sizeof(raw.rec.h.comm), "t%d", (int)tid);
	raw.rec.reg[5] = arg[0];
	raw.rec.reg[4] = arg[1];
	raw.rec.reg[1] = arg[2];
	raw.rec.reg[10] = arg[3];
	raw.rec.reg[8] = arg[4];
	raw.rec.reg[9] = arg[5];
	raw.rec.reg[ABI_REG_SP] = 0x7000;
	raw.rec.reg[ABI_REG_IP] = 0x400000;
	thread_raw_from_rec(&raw);
	return raw;
}
#define ARGS(...) ((const uint64_t[6]){__VA_ARGS__})

static struct autopsy *build(const struct thread_raw *v, size_t n)
{
	struct thread_raw *raw = calloc(n, sizeof(*raw));
	struct autopsy *a = NULL;
	struct err err;

	memcpy(raw, v, n * sizeof(*raw));
	assert_int_equal(autopsy_build(&a, 4242, raw, n, &now, &ops, &err), 0);
	return a;
}

static struct autopsy *build_one(long nr, const uint64_t arg[6])
{
	struct thread_raw raw = raw_of(10, nr, arg);

	return build(&raw, 1);
}

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
	a = build_one(SYS_poll, ARGS(0x1100, 4, 10000));
	t = &a->thread[0];
	assert_string_equal(t->syscall, "poll");
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
	struct autopsy *a = build_one(SYS_poll, ARGS(0x99999999, 4, (uint64_t)-1));

	(void)state;
	assert_true(a->thread[0].args_unread);
	assert_int_equal(a->thread[0].n_wait, 0);
	assert_int_equal(a->thread[0].timeout_ms, -1);
	autopsy_free(a);
	a = build_one(SYS_poll, ARGS(0x1000, 0xffffffff, 0)); /* more than any process has */
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
	a = build_one(SYS_select, ARGS(67, 0x1300, 0x1340));
	t = &a->thread[0];
	assert_int_equal(t->n_wait, 3);
	assert_int_equal(a->fd[t->wait[0].fd].fd, 5);
	assert_int_equal(t->wait[0].events, POLLIN | POLLOUT);
	assert_int_equal(a->fd[t->wait[1].fd].fd, 63);
	assert_int_equal(a->fd[t->wait[2].fd].fd, 66);
	assert_int_equal(t->wait[2].events, POLLIN);
	assert_int_equal(t->timeout_ms, -1);
	autopsy_free(a);
	a = build_one(SYS_select, ARGS(66, 0x1300, 0x1340)); /* 66 is not in a set of 66 */
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
		raw[i] = raw_of(10 + i, SYS_epoll_wait, ARGS(3, 0, 1, 50));
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

/* Poll of fds 7 and 8, whose files are 0xf000+inode; the call holds the two given. */
static struct autopsy *polled(uint64_t first, uint64_t second, uint32_t flags)
{
	const struct pollfd set[2] = {{7, POLLIN, 0}, {8, POLLIN, 0}};
	struct thread_raw raw = raw_of(10, SYS_poll, ARGS(0x1100, 2, (uint64_t)-1));

	poke(0x1100, set, sizeof(set));
	raw.rec.flags |= flags;
	raw.rec.n_polled = 2;
	raw.rec.polled[0] = (struct threads_polled){.file = 0xf000 + first, .inode = first};
	raw.rec.polled[1] = (struct threads_polled){.file = 0xf000 + second, .inode = second};
	return build(&raw, 1);
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
	assert_string_equal(a->thread[0].syscall, "poll");
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

static void take_stacks(struct autopsy *a)
{
	for (size_t i = 0; i < a->n_threads; i++)
		assert_int_equal(autopsy_stacks(&a->thread[i], &ops), 0);
}

static void test_rows_are_sorted_and_folded(void **state)
{
	struct thread_raw raw[5];
	struct thread_row *rows;
	struct autopsy *a;
	size_t n;

	(void)state;
	open_socket(3, 103);
	open_socket(4, 104);
	for (int i = 0; i < 5; i++)
		raw[i] = raw_of(10 + i, SYS_recvfrom, ARGS(i == 1 ? 4 : 3));
	raw[2].rec.blocked_ns = THREADS_UNKNOWN;
	raw[2].rec.reg[ABI_REG_IP] = 0x500000; /* another stack */
	raw[4].rec.state = 0;
	a = build(raw, 5);
	take_stacks(a);
	assert_int_equal(thread_rows(a, false, &rows, &n), 0);
	assert_int_equal(n, 5);
	assert_int_equal(rows[0].t->tid, 13); /* 13 s */
	assert_int_equal(rows[1].t->tid, 11);
	assert_int_equal(rows[2].t->tid, 10);
	assert_int_equal(rows[3].t->tid, 12); /* not known how long */
	assert_int_equal(rows[4].t->tid, 14); /* running */
	free(rows);
	assert_int_equal(thread_rows(a, true, &rows, &n), 0);
	assert_int_equal(n, 4);
	assert_int_equal(rows[0].t->tid, 13);
	assert_int_equal(rows[0].count, 2); /* 10 does the same on the same socket; 11 on another one */
	assert_int_equal(rows[1].count, 1);
	free(rows);
	autopsy_free(a);
}

static void test_table_text(void **state)
{
	struct thread_raw raw = raw_of(10, SYS_recvfrom, ARGS(3));
	struct thread_row *rows;
	struct autopsy *a;
	char *text;
	size_t n, size;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	open_socket(3, 103);
	raw.rec.n_kstack = 1;
	raw.rec.kstack[0] = 0xf20;
	strcpy(raw.rec.h.comm, "a\033[2Jb");
	a = build(&raw, 1);
	take_stacks(a);
	assert_int_equal(thread_rows(a, true, &rows, &n), 0);
	text_threads(f, a, rows, n, true, 0);
	fclose(f);
	assert_non_null(strstr(text,
			       "     10 a?[2Jb S    10.0 s  recvfrom     3  10.0.0.1:103 -> 10.0.0.2:80 "
			       "ESTABLISHED  zbs::(anonymous namespace)::Wait\n"));
	assert_non_null(strstr(text, "kernel: do_sys_poll\n"));
	assert_non_null(strstr(text, "#0  __poll"));
	assert_null(strchr(text, '\033'));
	free(text);
	f = open_memstream(&text, &size);
	text_threads(f, a, rows, n, false, 40);
	fclose(f);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		assert_true(strlen(line) <= 40);
	free(text);
	free(rows);
	autopsy_free(a);
}

/* Where this word stands in the line that holds `of`; -1 if it does not. */
static int column(const char *text, const char *of, const char *word)
{
	const char *at = strstr(text, of), *line = at, *end, *found;

	if (!at)
		return -1;
	while (line > text && line[-1] != '\n')
		line--;
	end = strchrnul(line, '\n');
	found = strstr(line, word);
	return found && found < end ? (int)(found - line) : -1;
}

static char *table(const struct autopsy *a, size_t width)
{
	struct thread_row *rows;
	size_t n, size;
	char *text;
	FILE *f = open_memstream(&text, &size);

	assert_int_equal(thread_rows(a, true, &rows, &n), 0);
	text_threads(f, a, rows, n, false, width);
	fclose(f);
	free(rows);
	return text;
}

/* A dead descriptor has two sockets to tell of: all of it is readable at any width, and the stacks stand in
 * one column. */
static void test_table_fits(void **state)
{
	static const char stack[] = "zbs::(anonymous";
	struct thread_raw raw[2] = {raw_of(10, SYS_recvfrom, ARGS(3)), raw_of(11, SYS_recvfrom, ARGS(4))};
	struct thread_wait *w;
	struct autopsy *a;

	(void)state;
	open_socket(3, 103);
	open_socket(4, 104);
	a = build(raw, 2);
	take_stacks(a);
	w = &a->thread[0].wait[0];
	w->dead = true;
	w->held_sock = a->fd[w->fd].sock;
	strcpy(w->held_sock.local, "10.0.0.1:77");
	for (size_t width = 80; width <= 240; width++) {
		char *text = table(a, width), *line;
		bool below = column(text, "TID", "SOCKET/FILE") < 0;

		assert_int_equal(below, width < 42 + 48 + 2 + 32);
		assert_true(column(text, "SOCKET/FILE", "STACK") > 0);
		assert_int_equal(column(text, "DEAD", stack), column(text, "SOCKET/FILE", "STACK"));
		assert_int_equal(column(text, "10.0.0.1:104 ->", stack), column(text, "DEAD", stack));
		for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
			assert_true(strlen(line) <= width);
		free(text);
		/* nothing of it is lost, on whatever lines it stands */
		text = table(a, width);
		assert_non_null(strstr(text, "DEAD 10.0.0.1:77"));
		assert_non_null(strstr(text, "10.0.0.1:103"));
		free(text);
	}
	autopsy_free(a);
}

static void test_json(void **state)
{
	const struct pollfd set[2] = {{7, POLLIN, 0}, {8, POLLIN, 0}};
	struct autopsy *a;
	json_t *o, *dead;

	(void)state;
	poke(0x1100, set, sizeof(set));
	open_socket(7, 107);
	open_socket(8, 108);
	a = polled(107, 150, THREADS_POLLED_TAKEN);
	o = json_thread(a, &a->thread[0]);
	assert_string_equal(json_string_value(json_object_get(o, "syscall")), "poll");
	assert_int_equal(json_integer_value(json_object_get(o, "blocked_ms")), 10000);
	assert_int_equal(json_integer_value(json_object_get(o, "timeout_ms")), -1);
	dead = json_array_get(json_object_get(o, "fds"), 1);
	assert_true(json_is_true(json_object_get(dead, "dead")));
	assert_int_equal(json_integer_value(json_object_get(dead, "held_inode")), 150);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(dead, "socket"), "inode")), 108);
	json_decref(o);
	autopsy_free(a);
	a = build_one(SYS_read, ARGS(3));
	o = json_thread(a, &a->thread[0]);
	assert_true(json_is_null(json_object_get(o, "timeout_ms")));
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(json_object_get(o, "fds"), 0), "kind")),
		"closed");
	json_decref(o);
	autopsy_free(a);
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
		cmocka_unit_test_setup(test_rows_are_sorted_and_folded, reset),
		cmocka_unit_test_setup(test_table_text, reset),
		cmocka_unit_test_setup(test_table_fits, reset),
		cmocka_unit_test_setup(test_json, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
