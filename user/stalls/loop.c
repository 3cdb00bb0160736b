// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Connections of event loops: their threads are woken by other events, so that no call of theirs lasts. What
 * is late is told by the connection: a request on the wire that is not answered, or a client whose request
 * came right before the one that the loop sent on and that has no answer.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "stalls/engine_priv.h"

#define MAX_PENDING 4096

struct subject subject_busy(const struct stall_engine *e, const struct look *l, struct thread_facts *t,
			    struct memo *memo, uint64_t owed_ns)
{
	struct subject s = {.l = l, .t = t, .memo = memo, .busy = true, .blocked_ns = owed_ns};

	*memo = (struct memo){.tid = t->tid, .stack_read = true};
	s.start_ns = l->now_ns > owed_ns ? l->now_ns - owed_ns : 0;
	s.before = s.start_ns < e->cfg.start_ns;
	s.at_least = s.before;
	return s;
}

/* A thread that waits now and was not judged as one that is stuck. */
static bool is_loop(const struct stall_engine *e, const struct look *l, const struct thread_facts *t)
{
	const struct stalls_call *c = tables_call(l->tables, t->tid);

	if (!t->in_call || !t->n_wait || t->state == 'T' || t->state == 't' ||
	    (t->class != CALL_EPOLL && t->class != CALL_POLL && t->class != CALL_SELECT))
		return false;
	if (t->moved)
		return true;
	return c ? c->entry_ns + e->cfg.threshold_ns > l->now_ns : t->blocked_ns < e->cfg.threshold_ns;
}

/* A client waits for what this loop asked of somebody else. */
static int proxied(struct stall_engine *e, const struct look *l, struct thread_facts *t)
{
	struct memo memo;
	struct subject s = subject_busy(e, l, t, &memo, 0);
	struct about *v;
	ssize_t n = engine_wait_fds(e, &s, &v);
	int rc = n < 0 ? (int)n : 0;

	for (ssize_t i = 0; !rc && i < n; i++) {
		struct about *a = &v[i];
		uint64_t owed_ns;

		a->client = engine_client_of(a, v, (size_t)n);
		if (!a->client || found_in_look(e, a->inode))
			continue;
		verdict_turn(&a->in.sock, a->in.flow, l->now_ns, &owed_ns);
		a->in.for_client = true;
		a->in.blocked_ns = owed_ns;
		if (!verdict_wait(&a->in, &a->out))
			continue;
		s = subject_busy(e, l, t, &memo, owed_ns);
		rc = found_report(e, &s, a);
	}
	free(v);
	return rc;
}

/* Of a method that was answered later than this before, waiting so long is nothing new. */
static bool is_late(const struct stall_engine *e, const struct wire_pending *p, uint64_t now_ns)
{
	uint64_t age = now_ns > p->start_ns ? now_ns - p->start_ns : 0;

	return age >= e->cfg.threshold_ns && (p->slowest_ns < e->cfg.threshold_ns || age > 2 * p->slowest_ns);
}

/* The verdict on a request that is outstanding on the wire. */
static bool judge(struct stall_engine *e, const struct look *l, const struct wire_pending *p,
		  const struct open_sock *o, struct about *a)
{
	*a = (struct about){.fd = o->fd, .inode = o->inode, .on_wire = true, .wire = *p};
	a->in = (struct verdict_in){.now_ns = l->now_ns,
				    .threshold_ns = e->cfg.threshold_ns,
				    .class = CALL_POLL,
				    .events = POLLIN,
				    .blocked_ns = l->now_ns - p->start_ns,
				    .kind = PROC_FD_SOCKET,
				    .sock = o->facts,
				    .flow = tables_sock(l->tables, o->inode),
				    .in_rpc = true};
	if (p->ours) {
		verdict_wait(&a->in, &a->out);
		a->out.partial = false; /* what came was the answer to another request */
	} else {
		a->out = (struct verdict_out){.verdict = VERDICT_SERVER_THREAD_BLOCKED, .turn = TURN_OURS};
	}
	a->out.owed_ns = a->in.blocked_ns;
	return a->out.verdict != VERDICT_NONE;
}

static int outstanding(struct stall_engine *e, const struct look *l, const struct wire_pending *p)
{
	const struct open_sock *o = open_by_inode(l->tables, p->inode);
	struct thread_facts *t = autopsy_thread(l->autopsy, p->tid);
	struct memo memo;
	struct subject s;
	struct about a;

	/* nothing that a stopped process does not do is a stall */
	if (!o || !t || t->state == 'T' || t->state == 't' || !is_late(e, p, l->now_ns) ||
	    found_in_look(e, p->inode) || !judge(e, l, p, o, &a))
		return 0;
	s = subject_busy(e, l, t, &memo, a.out.owed_ns);
	return found_report(e, &s, &a);
}

int engine_loops(struct stall_engine *e, const struct look *l)
{
	struct wire_pending *p;
	size_t n;
	int rc = 0;

	for (size_t i = 0; !rc && i < l->autopsy->n_threads; i++)
		if (is_loop(e, l, &l->autopsy->thread[i]))
			rc = proxied(e, l, &l->autopsy->thread[i]);
	if (rc || !e->ops.wire_all)
		return rc;
	p = calloc(MAX_PENDING, sizeof(*p));
	if (!p)
		return -ENOMEM;
	n = e->ops.wire_all(e->ops.ctx, p, MAX_PENDING);
	for (size_t i = 0; !rc && i < n; i++)
		rc = outstanding(e, l, &p[i]);
	free(p);
	return rc;
}
