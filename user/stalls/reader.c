// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The thread at the other end of a connection: the one that read the request, or that should read it. Only
 * what was seen, or leaves no other choice, counts; otherwise it is said why the thread cannot be known.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "report/report.h"
#include "stalls/engine_priv.h"

static struct thread_facts *only_thread(const struct chain_place *at, bool alone)
{
	return alone && at->autopsy->n_threads == 1 ? &at->autopsy->thread[0] : NULL;
}

/* Whether the thread waits for this socket, by itself or in an epoll set. */
static bool waits_for(const struct chain_place *at, const struct thread_facts *t, uint64_t inode)
{
	for (size_t i = 0; i < t->n_wait; i++) {
		const struct fd_facts *f = &at->autopsy->fd[t->wait[i].fd];

		if (f->inode == inode)
			return true;
		for (size_t k = 0; k < f->n_members; k++)
			if (at->autopsy->fd[f->member[k].fd].inode == inode)
				return true;
	}
	return false;
}

static struct thread_facts *only_waiter(const struct chain_place *at, uint64_t inode)
{
	struct thread_facts *t = NULL;

	for (size_t i = 0; i < at->autopsy->n_threads; i++) {
		if (!waits_for(at, &at->autopsy->thread[i], inode))
			continue;
		if (t)
			return NULL;
		t = &at->autopsy->thread[i];
	}
	return t;
}

/* It has been blocked since right after the request came. */
static bool fits(const struct thread_facts *t, const struct sock_facts *end)
{
	return t->in_call && !t->moved && t->blocked_known && !call_is_wait(t->class) &&
	       engine_right_before(end->last_recv_ms, t->blocked_ns, t->blocked_max_ns);
}

static struct thread_facts *only_handler(const struct stall_engine *e, const struct chain_place *at,
					 const struct sock_facts *end)
{
	struct thread_facts *found = NULL;

	for (size_t i = 0; at->autopsy->thread && i < at->autopsy->n_threads; i++) {
		struct thread_facts *t = &at->autopsy->thread[i];
		struct rpc_stack st;

		if (!fits(t, end))
			continue;
		autopsy_stacks(t, at->target);
		rpc_read_stack(e->cfg.names, &t->user_stack, &st);
		if (st.side != RPC_SIDE_SERVER)
			continue;
		if (found)
			return NULL;
		found = t;
	}
	return found;
}

/* What came is not read yet. */
static struct reader who_should_read(const struct chain_place *at, const struct sock_facts *end,
				     const struct stalls_sock *flow, bool alone)
{
	struct reader r = {.t = only_thread(at, alone)};

	if (flow && flow->recv_tid && flow->replies)
		r.t = autopsy_thread(at->autopsy, (pid_t)flow->recv_tid);
	if (r.t)
		snprintf(r.how, sizeof(r.how), "%s, and %u bytes lie there unread",
			 flow && flow->recv_tid && flow->replies ? "reads and answers on this connection"
								 : "is the only thread",
			 sock_unread(end));
	else
		snprintf(r.unknown, sizeof(r.unknown),
			 "%u bytes lie unread in process %d (%s); which of its %zu threads should read them "
			 "cannot "
			 "be known",
			 sock_unread(end), (int)at->pid, at->comm, at->autopsy->n_threads);
	return r;
}

static struct reader by_use(const struct chain_place *at, const struct stalls_sock *flow)
{
	struct reader r = {0};
	uint64_t last = flow->last_recv_ns, cpu_ns;
	char d[16], c[16];

	if (flow->last_send_ns > last) {
		snprintf(r.unknown, sizeof(r.unknown), "process %d (%s) has answered meanwhile", (int)at->pid,
			 at->comm);
		return r;
	}
	text_duration(at->now_ns > last ? at->now_ns - last : 0, d);
	r.t = autopsy_thread(at->autopsy, (pid_t)flow->recv_tid);
	if (r.t && reader_cpu(r.t, flow, &cpu_ns))
		snprintf(r.how, sizeof(r.how), "read the request %s ago, on CPU %s since", d,
			 text_duration(cpu_ns, c));
	else if (r.t)
		snprintf(r.how, sizeof(r.how), "read the request %s ago", d);
	else
		snprintf(r.unknown, sizeof(r.unknown), "thread %u read the request %s ago and has ended",
			 flow->recv_tid, d);
	return r;
}

static struct reader by_being_alone(const struct chain_place *at, bool alone)
{
	struct reader r = {.t = only_thread(at, alone)};

	if (r.t)
		snprintf(r.how, sizeof(r.how), "is the only thread");
	return r;
}

struct reader reader_of_one(const struct chain_place *at, bool alone)
{
	struct reader r = by_being_alone(at, alone);

	if (!r.t)
		snprintf(
			r.unknown, sizeof(r.unknown),
			"which of the %zu threads of process %d (%s) has it is not known: it is not alone on "
			"this connection",
			at->autopsy->n_threads, (int)at->pid, at->comm);
	return r;
}

struct reader reader_of(struct stall_engine *e, const struct chain_place *at, const struct sock_facts *end,
			bool alone)
{
	const struct stalls_sock *flow = tables_sock(at->tables, end->inode);
	struct reader r;

	if (sock_unread(end))
		return who_should_read(at, end, flow, alone);
	if (flow && flow->recv_tid)
		return by_use(at, flow);
	r = by_being_alone(at, alone);
	if (r.t)
		return r;
	r.t = only_handler(e, at, end);
	if (r.t) {
		snprintf(r.how, sizeof(r.how),
			 "works on a request, and is blocked since right after this one came");
		return r;
	}
	r.t = only_waiter(at, end->inode);
	if (r.t)
		snprintf(r.how, sizeof(r.how), "is the one that waits for more on this connection");
	else
		snprintf(r.unknown, sizeof(r.unknown),
			 "which of the %zu threads of process %d (%s) has the request cannot be known: it "
			 "was read "
			 "before that was followed",
			 at->autopsy->n_threads, (int)at->pid, at->comm);
	return r;
}
