// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Threads that are blocked in something else than a socket, while a socket of theirs waits for them: a
 * request that was taken and not answered, or an answer that nobody fetches. Starts from the sockets, which
 * in a healthy process leave nothing to do.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stalls/engine_priv.h"

/* A socket on which this process seems to owe somebody something. */
struct suspect {
	const struct open_sock *o;
	const struct stalls_sock *flow;
	bool accepted;
	bool claimed; /* a thread was found for it */
};

static bool old_enough(const struct stall_engine *e, uint64_t ns)
{
	return ns + VERDICT_AGE_MARGIN_MS * 1000000ULL >= e->cfg.threshold_ns;
}

static bool suspicious(const struct stall_engine *e, const struct look *l, const struct open_sock *o,
		       const struct stalls_sock *flow)
{
	uint64_t owed_ns;
	enum turn turn;

	if (!o->facts.known || !strcmp(o->facts.state, "LISTEN"))
		return false;
	/* of a connection that we made, the end of the stream is to be read, too */
	if (o->facts.accepted ? sock_unread(&o->facts) : o->facts.recv_queue)
		return o->facts.last_recv_ms < 0 ||
		       old_enough(e, (uint64_t)o->facts.last_recv_ms * 1000000ULL);
	if (!o->facts.accepted)
		return false;
	turn = verdict_turn(&o->facts, flow, l->now_ns, &owed_ns);
	return turn == TURN_OURS && old_enough(e, owed_ns);
}

/* dup'ed descriptors are one socket. */
static bool known_already(const struct suspect *v, size_t n, uint64_t inode)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].o->inode == inode)
			return true;
	return false;
}

static size_t suspects(const struct stall_engine *e, const struct look *l, struct suspect *v)
{
	size_t n = 0;

	for (size_t i = 0; i < l->tables->n_open; i++) {
		const struct open_sock *o = &l->tables->open[i];
		const struct stalls_sock *flow = tables_sock(l->tables, o->inode);

		if (suspicious(e, l, o, flow) && !known_already(v, n, o->inode))
			v[n++] = (struct suspect){.o = o, .flow = flow, .accepted = o->facts.accepted};
	}
	return n;
}

/*
 * Blocked for good, and not for want of what peers may send next. A thread inside an RPC that waits for some
 * other descriptor than this one counts too: it waits for the wrong one.
 */
static bool eligible(struct stall_engine *e, struct subject *s, const struct suspect *k)
{
	enum call_class c = s->t->class;

	if (s->reported)
		return false;
	if (c == CALL_OTHER || c == CALL_FUTEX || c == CALL_SLEEP || c == CALL_WRITE || c == CALL_CONNECT)
		return true;
	if (c == CALL_ACCEPT || subject_waits_for(s, k->o->inode))
		return false;
	if (k->accepted)
		return s->l->autopsy->n_threads == 1 ||
		       (k->flow && k->flow->recv_tid == (uint32_t)s->t->tid &&
			k->flow->send_tid == (uint32_t)s->t->tid);
	subject_stack(e, s);
	return subject_in_rpc(s);
}

static struct about about_of(struct stall_engine *e, const struct subject *s, const struct suspect *k)
{
	struct about a = {.fd = k->o->fd, .inode = k->o->inode};

	a.in = (struct verdict_in){.now_ns = s->l->now_ns,
				   .threshold_ns = e->cfg.threshold_ns,
				   .class = s->t->class,
				   .blocked_ns = s->blocked_ns,
				   .kind = PROC_FD_SOCKET,
				   .sock = k->o->facts,
				   .flow = k->flow,
				   .elsewhere = call_is_wait(s->t->class),
				   .in_rpc = subject_in_rpc(s),
				   .has_handler =
					   s->memo->stack_read && s->memo->rpc.side == RPC_SIDE_SERVER};
	if (k->flow) {
		a.in.reader = k->flow->recv_tid == (uint32_t)s->t->tid;
		a.in.writer = k->flow->send_tid == (uint32_t)s->t->tid;
	}
	return a;
}

static int judge_pair(struct stall_engine *e, struct subject *s, struct suspect *k)
{
	struct about a = about_of(e, s, k);
	enum verdict v = k->accepted ? verdict_server(&a.in, &a.out) : verdict_unread(&a.in, &a.out);
	int rc;

	if (!v)
		return 0;
	rc = found_report(e, s, &a);
	k->claimed = true;
	return rc;
}

/* First the threads that were seen to use the socket. */
static int by_use(struct stall_engine *e, struct subject *v, size_t n, struct suspect *k)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < n && k->flow && !k->claimed; i++) {
		uint32_t tid = (uint32_t)v[i].t->tid,
			 user = k->accepted ? k->flow->recv_tid : k->flow->send_tid;

		if (tid != user || !eligible(e, &v[i], k))
			continue;
		subject_stack(e, &v[i]);
		rc = judge_pair(e, &v[i], k);
	}
	return rc;
}

/* The request was read, or sent, right before the thread's call began. */
static bool fits(const struct subject *s, const struct suspect *k)
{
	int64_t age = k->accepted ? k->o->facts.last_recv_ms : k->o->facts.last_send_ms;
	uint64_t socks_ns = s->l->autopsy->socks_ns;

	if (age >= 0 && socks_ns && s->l->now_ns > socks_ns) /* it is older by now, as the call is */
		age += (int64_t)((s->l->now_ns - socks_ns) / 1000000);
	return engine_right_before(age, s->blocked_ns, s->at_least ? s->t->blocked_max_ns : 0);
}

/* Which of the sockets left is the thread's: the one whose time fits, or the only one. NULL: several are
 * possible, or none. */
static struct suspect *choose(struct stall_engine *e, struct subject *s, struct suspect *k, size_t n,
			      bool accepted, size_t *rivals, struct suspect **any)
{
	struct suspect *fit = NULL;
	size_t n_fit = 0, left = 0;

	for (size_t i = 0; i < n; i++) {
		if (k[i].claimed || k[i].accepted != accepted || !eligible(e, s, &k[i]))
			continue;
		*any = &k[i];
		left++;
		if (fits(s, &k[i])) {
			fit = &k[i];
			n_fit++;
		}
	}
	*rivals = left ? left - 1 : 0;
	if (n_fit == 1)
		return fit;
	return left == 1 && !call_is_wait(s->t->class) ? *any : NULL;
}

/*
 * Then the threads whose stack says that they work on a request, or are inside a call. If several sockets are
 * possible the finding names none.
 */
static int by_stack(struct stall_engine *e, struct subject *s, struct suspect *k, size_t n, bool accepted)
{
	struct suspect *mine, *any = NULL;
	size_t rivals = 0;
	struct about a;

	mine = choose(e, s, k, n, accepted, &rivals, &any);
	if (!any || (!mine && call_is_wait(s->t->class)))
		return 0;
	subject_stack(e, s);
	if (s->memo->rpc.side != (accepted ? RPC_SIDE_SERVER : RPC_SIDE_CLIENT))
		return 0;
	if (mine)
		return judge_pair(e, s, mine);
	a = about_of(e, s, any);
	a.n_rivals = rivals;
	if (!(accepted ? verdict_server(&a.in, &a.out) : verdict_unread(&a.in, &a.out)))
		return 0;
	return found_report(e, s, &a);
}

/* The process is this one thread: what a connection is owed that nobody else has, it owes. */
static int by_elimination(struct stall_engine *e, struct subject *s, struct suspect *k, size_t n)
{
	struct suspect *mine, *any = NULL;
	size_t rivals = 0;
	struct about a;

	if (s->l->autopsy->n_threads != 1 || s->reported || !e->ops.shared)
		return 0;
	mine = choose(e, s, k, n, true, &rivals, &any);
	if (!any)
		return 0;
	a = about_of(e, s, mine ? mine : any);
	a.in.sole = true;
	a.n_rivals = mine ? 0 : rivals;
	if (!verdict_server(&a.in, &a.out) || e->ops.shared(e->ops.ctx, a.inode))
		return 0;
	return found_report(e, s, &a);
}

int engine_elsewhere(struct stall_engine *e, struct subject *v, size_t n, const struct look *l)
{
	struct suspect *k = calloc(l->tables->n_open + 1, sizeof(*k));
	size_t n_suspects;
	int rc = 0;

	if (!k)
		return -ENOMEM;
	n_suspects = suspects(e, l, k);
	for (size_t i = 0; !rc && i < n_suspects; i++)
		rc = by_use(e, v, n, &k[i]);
	for (size_t i = 0; !rc && n_suspects && i < n; i++)
		rc = by_stack(e, &v[i], k, n_suspects, true);
	for (size_t i = 0; !rc && n_suspects && i < n; i++)
		rc = by_elimination(e, &v[i], k, n_suspects);
	for (size_t i = 0; !rc && n_suspects && i < n; i++)
		rc = by_stack(e, &v[i], k, n_suspects, false);
	free(k);
	return rc;
}
