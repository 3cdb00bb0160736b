// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Threads that read a request and have been computing ever since: no call of theirs lasts, and they wait for
 * nothing. And what a reader of a request has used of a CPU since.
 */
#include <string.h>

#include "stalls/engine_priv.h"

bool reader_cpu(const struct thread_facts *t, const struct stalls_sock *flow, uint64_t *ns)
{
	const struct threads_rec *r = &t->raw->rec;

	if (flow->recv_tid != (uint32_t)t->tid || r->cpu_ns == THREADS_UNKNOWN ||
	    r->cpu_ns < flow->recv_cpu_ns || !flow->recv_cpu_ns)
		return false;
	*ns = r->cpu_ns - flow->recv_cpu_ns;
	return true;
}

/*
 * It has not slept by itself since it read, and was mostly in its own code: a loop that asks for events
 * without waiting for them is in the kernel for a good part of its time.
 */
static bool computes(const struct thread_facts *t, const struct stalls_sock *flow)
{
	const struct threads_rec *r = &t->raw->rec;
	uint64_t cpu_ns;

	return reader_cpu(t, flow, &cpu_ns) && r->nvcsw == flow->recv_nvcsw && r->sys_ns != THREADS_UNKNOWN &&
	       r->sys_ns >= flow->recv_sys_ns && (r->sys_ns - flow->recv_sys_ns) * 4 <= cpu_ns;
}

/* It has gone on to other connections. */
static bool used_another(const struct look *l, const struct open_sock *o, const struct stalls_sock *flow)
{
	const struct stalls_tables *t = l->tables;

	for (size_t i = 0; i < t->n_socks; i++) {
		const struct stalls_sock *s = &t->sock[i].sock;

		if (t->sock[i].inode == o->inode)
			continue;
		if ((s->recv_tid == flow->recv_tid && s->last_recv_ns > flow->last_recv_ns) ||
		    (s->send_tid == flow->recv_tid && s->last_send_ns > flow->last_recv_ns))
			return true;
	}
	return false;
}

static int judge(struct stall_engine *e, const struct look *l, struct thread_facts *t,
		 const struct open_sock *o, const struct stalls_sock *flow)
{
	struct about a = {.fd = o->fd, .inode = o->inode, .computes = true};
	struct memo memo;
	struct subject s;

	a.in = (struct verdict_in){.now_ns = l->now_ns,
				   .threshold_ns = e->cfg.threshold_ns,
				   .class = CALL_OTHER,
				   .kind = PROC_FD_SOCKET,
				   .sock = o->facts,
				   .flow = flow,
				   .reader = true,
				   .writer = flow->send_tid == flow->recv_tid};
	a.in.blocked_ns = l->now_ns > flow->last_recv_ns ? l->now_ns - flow->last_recv_ns : 0;
	if (!verdict_server(&a.in, &a.out) || a.out.partial)
		return 0;
	s = subject_busy(e, l, t, &memo, a.out.owed_ns);
	return found_report(e, &s, &a);
}

int engine_computing(struct stall_engine *e, const struct look *l)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < l->tables->n_open; i++) {
		const struct open_sock *o = &l->tables->open[i];
		const struct stalls_sock *flow = tables_sock(l->tables, o->inode);
		struct thread_facts *t;

		if (!o->facts.known || !o->facts.accepted || !flow || !flow->recv_tid || !flow->replies ||
		    flow->last_recv_ns + e->cfg.threshold_ns > l->now_ns || found_in_look(e, o->inode))
			continue;
		t = autopsy_thread(l->autopsy, (pid_t)flow->recv_tid);
		if (t && t->state != 'T' && t->state != 't' && computes(t, flow) && !used_another(l, o, flow))
			rc = judge(e, l, t, o, flow);
	}
	return rc;
}
