// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "arch/syscalls.h"
#include "stalls/call.h"
#include "util/grow.h"

#define SET_MAX 65536 /* descriptors in one set; beyond it the set counts as unread */

/* Where a call keeps its timeout, and in which form. */
enum timeout_form { T_NONE, T_MS, T_TIMESPEC, T_TIMEVAL, T_DEADLINE, T_FUTEX, T_CLOCK_NANOSLEEP, T_SOCKET };

static const struct call {
	int nr;
	enum call_class class;
	enum timeout_form form;
	int timeout_arg; /* T_SOCKET: 0 what the socket has for receiving, 1 for sending */
} calls[] = {
	{SYS_poll, CALL_POLL, T_MS, 2},
	{SYS_ppoll, CALL_POLL, T_TIMESPEC, 2},
	{SYS_select, CALL_SELECT, T_TIMEVAL, 4},
	{SYS_pselect6, CALL_SELECT, T_TIMESPEC, 4},
	{SYS_epoll_wait, CALL_EPOLL, T_MS, 3},
	{SYS_epoll_pwait, CALL_EPOLL, T_MS, 3},
	{SYS_epoll_pwait2, CALL_EPOLL, T_TIMESPEC, 3},
	{SYS_read, CALL_READ, T_SOCKET, 0},
	{SYS_readv, CALL_READ, T_SOCKET, 0},
	{SYS_pread64, CALL_READ, T_NONE, 0},
	{SYS_preadv, CALL_READ, T_NONE, 0},
	{SYS_recvfrom, CALL_READ, T_SOCKET, 0},
	{SYS_recvmsg, CALL_READ, T_SOCKET, 0},
	{SYS_recvmmsg, CALL_READ, T_SOCKET, 0},
	{SYS_write, CALL_WRITE, T_SOCKET, 1},
	{SYS_writev, CALL_WRITE, T_SOCKET, 1},
	{SYS_pwrite64, CALL_WRITE, T_NONE, 0},
	{SYS_pwritev, CALL_WRITE, T_NONE, 0},
	{SYS_sendto, CALL_WRITE, T_SOCKET, 1},
	{SYS_sendmsg, CALL_WRITE, T_SOCKET, 1},
	{SYS_sendmmsg, CALL_WRITE, T_SOCKET, 1},
	{SYS_sendfile, CALL_WRITE, T_SOCKET, 1},
	{SYS_connect, CALL_CONNECT, T_SOCKET, 1},
	{SYS_accept, CALL_ACCEPT, T_SOCKET, 0},
	{SYS_accept4, CALL_ACCEPT, T_SOCKET, 0},
	{SYS_futex, CALL_FUTEX, T_FUTEX, 3},
	{SYS_nanosleep, CALL_SLEEP, T_TIMESPEC, 0},
	{SYS_clock_nanosleep, CALL_SLEEP, T_CLOCK_NANOSLEEP, 2},
};

static const struct call *call_find(int64_t nr)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (calls[i].nr == nr)
			return &calls[i];
	}
	return NULL;
}

enum call_class call_classify(int64_t nr)
{
	const struct call *c = call_find(nr);

	return c ? c->class : CALL_OTHER;
}

const char *call_class_name(enum call_class c)
{
	static const char *const names[] = {
		[CALL_OTHER] = "other",	    [CALL_POLL] = "poll",     [CALL_SELECT] = "select",
		[CALL_EPOLL] = "epoll",	    [CALL_READ] = "read",     [CALL_WRITE] = "write",
		[CALL_CONNECT] = "connect", [CALL_ACCEPT] = "accept", [CALL_FUTEX] = "futex",
		[CALL_SLEEP] = "sleep",
	};

	return names[c];
}

const char *call_name(int64_t nr)
{
	static char unnamed[1024][16];
	const char *name = proc_syscall_name((long)nr);

	if (name)
		return name;
	if (nr < 0 || nr >= (int64_t)(sizeof(unnamed) / sizeof(unnamed[0])))
		return "syscall_?";
	if (!unnamed[nr][0])
		snprintf(unnamed[nr], sizeof(unnamed[nr]), "syscall_%d", (int)nr);
	return unnamed[nr];
}

static int64_t left_of(int64_t deadline_ns, uint64_t now_ns)
{
	int64_t left = deadline_ns - (int64_t)now_ns;

	return left > 0 ? left / 1000000 : 0;
}

/* A kernel timespec or timeval at addr, in ns. */
static bool read_time(const struct autopsy_ops *ops, uint64_t addr, int64_t unit_ns, int64_t *ns)
{
	const int64_t most = INT64_MAX / 1000000000 - 1, per_s = 1000000000 / unit_ns;
	int64_t v[2];

	/* of a timespec the kernel refuses a whole second's nanoseconds, of a timeval it takes any number */
	if (ops->read_mem(ops->ctx, addr, v, sizeof(v)) || v[0] < 0 || v[0] > most || v[1] < 0 ||
	    v[1] / per_s > (unit_ns == 1 ? 0 : most - v[0]))
		return false;
	*ns = (v[0] + v[1] / per_s) * 1000000000 + v[1] % per_s * unit_ns;
	return true;
}

static void take_deadline(struct thread_facts *t, int64_t ns, bool realtime, const struct report_clock *now)
{
	t->timeout_left = true;
	t->timeout_ms = left_of(ns, realtime ? now->real_ns : now->mono_ns);
}

static void futex_timeout(struct thread_facts *t, int64_t ns, const struct report_clock *now)
{
	unsigned cmd = (unsigned)t->arg[1] & FUTEX_CMD_MASK;

	if (cmd == FUTEX_WAIT)
		t->timeout_ms = ns / 1000000;
	else
		take_deadline(t, ns, cmd == FUTEX_LOCK_PI || (t->arg[1] & FUTEX_CLOCK_REALTIME), now);
}

/* The operations of futex that wait; the others have no timeout, and the argument is another number there. */
static bool futex_waits(uint64_t op)
{
	switch ((unsigned)op & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
	case FUTEX_WAIT_REQUEUE_PI:
		return true;
	}
	return false;
}

static void take_timeout(struct thread_facts *t, const struct call *c, const struct autopsy_ops *ops,
			 const struct report_clock *now)
{
	uint64_t arg = t->arg[c->timeout_arg];
	int64_t ns, ms[2];

	if (c->form == T_SOCKET) {
		if (ops->timeouts && ops->timeouts(ops->ctx, (int)t->arg[0], ms))
			t->timeout_ms = ms[c->timeout_arg];
		return;
	}
	if (c->form == T_NONE || (c->form == T_FUTEX && !futex_waits(t->arg[1])))
		return;
	if (c->form == T_MS) {
		t->timeout_ms = (int32_t)arg < 0 ? -1 : (int32_t)arg;
		return;
	}
	if (!arg) {
		t->timeout_ms = c->class == CALL_SLEEP ? -2 : -1;
		return;
	}
	if (!read_time(ops, arg, c->form == T_TIMEVAL ? 1000 : 1, &ns)) {
		t->args_unread = true;
		return;
	}
	if (c->form == T_FUTEX)
		futex_timeout(t, ns, now);
	else if (c->form == T_CLOCK_NANOSLEEP && (t->arg[1] & TIMER_ABSTIME))
		take_deadline(t, ns, t->arg[0] == CLOCK_REALTIME, now);
	else
		t->timeout_ms = ns / 1000000;
}

static int set_add(struct call_set *s, int fd, uint32_t events)
{
	if (GROW(&s->v, s->n))
		return -ENOMEM;
	s->v[s->n++] = (struct call_fd){.fd = fd, .events = events};
	return 0;
}

static int poll_set(struct thread_facts *t, const struct autopsy_ops *ops, struct call_set *set)
{
	uint64_t n = t->arg[1];
	struct pollfd *p;
	int err = 0;

	if (!n)
		return 0;
	if (n > SET_MAX) {
		t->args_unread = true;
		return 0;
	}
	p = calloc(n, sizeof(*p));
	if (!p)
		return -ENOMEM;
	if (ops->read_mem(ops->ctx, t->arg[0], p, n * sizeof(*p)))
		t->args_unread = true;
	for (size_t i = 0; !err && !t->args_unread && i < n; i++) {
		if (p[i].fd >= 0) /* a negative one is skipped by the kernel too */
			err = set_add(set, p[i].fd, (uint16_t)p[i].events);
	}
	free(p);
	return err;
}

static int select_set(struct thread_facts *t, const struct autopsy_ops *ops, struct call_set *set)
{
	static const uint32_t meaning[3] = {POLLIN, POLLOUT, POLLPRI};
	uint64_t n = t->arg[0];
	size_t words = (size_t)(n + 63) / 64;
	uint64_t *bits;
	int err = 0;

	if (!n)
		return 0;
	if (n > SET_MAX) {
		t->args_unread = true;
		return 0;
	}
	bits = calloc(words * 3, sizeof(*bits));
	if (!bits)
		return -ENOMEM;
	for (int k = 0; k < 3; k++) {
		if (t->arg[1 + k] &&
		    ops->read_mem(ops->ctx, t->arg[1 + k], bits + (size_t)k * words, words * sizeof(*bits)))
			t->args_unread = true;
	}
	for (size_t fd = 0; !err && !t->args_unread && fd < n; fd++) {
		uint32_t events = 0;

		for (size_t k = 0; k < 3; k++) {
			if (bits[k * words + fd / 64] >> (fd % 64) & 1)
				events |= meaning[k];
		}
		if (events)
			err = set_add(set, (int)fd, events);
	}
	free(bits);
	return err;
}

int call_decode(struct thread_facts *t, const struct autopsy_ops *ops, const struct report_clock *now,
		struct call_set *set)
{
	const struct call *c = call_find(t->nr);
	int err = 0;

	*set = (struct call_set){0};
	t->timeout_ms = -2;
	t->fd = -1;
	t->class = c ? c->class : CALL_OTHER;
	if (!c)
		return 0;
	take_timeout(t, c, ops, now);
	switch (c->class) {
	case CALL_POLL:
		err = poll_set(t, ops, set);
		break;
	case CALL_SELECT:
		err = select_set(t, ops, set);
		break;
	case CALL_FUTEX:
		t->futex_addr = t->arg[0];
		break;
	case CALL_SLEEP:
	case CALL_OTHER:
		break;
	default:
		err = set_add(set, (int)t->arg[0], 0);
	}
	if (set->n)
		t->fd = set->v[0].fd;
	return err;
}
