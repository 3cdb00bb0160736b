// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Threads that wait for descriptors, and threads inside an RPC whose socket is known. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "stalls/engine_priv.h"

#define WAIT_MAX 65536 /* descriptors of one wait that are judged */
#define CHAIN_MS 250   /* from a client's request to ours on its behalf, connecting included */

bool call_is_wait(enum call_class c)
{
	return c == CALL_POLL || c == CALL_SELECT || c == CALL_EPOLL || c == CALL_READ || c == CALL_WRITE ||
	       c == CALL_CONNECT || c == CALL_ACCEPT;
}

static const struct stalls_fd *pinned(const struct stalls_call *c, int fd)
{
	for (uint32_t i = 0; c && i < c->n_fds && i < STALLS_FDS; i++)
		if (c->fd[i].fd == fd && c->fd[i].file)
			return &c->fd[i];
	return NULL;
}

/* The number means another file than when the call began, or none. */
static bool pin_lost(struct stall_engine *e, const struct stalls_fd *pin, const struct fd_facts *now)
{
	const struct autopsy_ops *o = e->ops.target;
	uint64_t file;

	if (!pin)
		return false;
	if (!now->open)
		return true;
	file = o->file ? o->file(o->ctx, now->fd) : 0;
	if (file)
		return file != pin->file;
	return now->kind == PROC_FD_SOCKET && now->inode && pin->inode && now->inode != pin->inode;
}

static uint32_t events_of(const struct thread_facts *t, uint32_t events)
{
	if (t->class == CALL_WRITE || t->class == CALL_CONNECT)
		return POLLOUT;
	return t->class == CALL_READ ? POLLIN : events; /* EPOLLIN and EPOLLOUT are POLLIN and POLLOUT */
}

static struct about about_fd(struct stall_engine *e, const struct subject *s, const struct fd_facts *f,
			     uint32_t events)
{
	struct about a = {.fd = f->fd, .inode = f->inode, .file = f, .pin = pinned(s->call, f->fd)};

	a.in = (struct verdict_in){.now_ns = s->l->now_ns,
				   .threshold_ns = e->cfg.threshold_ns,
				   .class = s->t->class,
				   .blocked_ns = s->blocked_ns,
				   .events = events_of(s->t, events),
				   .edge = s->t->class == CALL_EPOLL && (events & EPOLLET),
				   .kind = f->kind,
				   .sock = f->sock,
				   .flow = tables_sock(s->l->tables, f->inode),
				   .alone = s->t->class != CALL_EPOLL && s->t->n_wait == 1};
	if (a.in.flow) {
		a.in.reader = a.in.flow->recv_tid == (uint32_t)s->t->tid;
		a.in.writer = a.in.flow->send_tid == (uint32_t)s->t->tid;
	}
	return a;
}

/* The call waits for a file that has lost its number: then that is the finding, whatever the new file says.
 */
static void about_dead(struct stall_engine *e, const struct subject *s, const struct thread_wait *w,
		       const struct fd_facts *f, struct about *a)
{
	const struct autopsy_ops *o = e->ops.target;

	if (s->t->class == CALL_EPOLL && w->dead) {
		/* a set goes on with the file it was given: judge that one */
		a->inode = w->held_inode;
		a->in.flow = tables_sock(s->l->tables, a->inode);
		a->in.sock = w->held_sock;
	}
	if (s->t->class == CALL_EPOLL || (!w->dead && !pin_lost(e, a->pin, f)))
		return;
	a->in.dead = true;
	a->now = f;
	a->inode = a->pin && a->pin->inode ? a->pin->inode : w->held_inode;
	a->in.flow = tables_sock(s->l->tables, a->inode);
	a->in.sock = w->held_sock;
	if (!a->in.sock.known && a->inode && o->sock)
		o->sock(o->ctx, a->inode, &a->in.sock);
}

/* Of many sockets in one wait, silence of one says nothing: it may be idle while the thread is about
 * another's business. */
static bool too_crowded(enum verdict v, size_t crowd, bool sure)
{
	return crowd > 1 && !sure &&
	       (v == VERDICT_PEER_SILENT || v == VERDICT_HALF_OPEN || v == VERDICT_REQUEST_UNSENT);
}

static bool connected(const struct verdict_in *in)
{
	return in->kind == PROC_FD_SOCKET && in->sock.known && !in->sock.accepted &&
	       strcmp(in->sock.state, "LISTEN") != 0;
}

static size_t wait_one(struct stall_engine *e, const struct subject *s, const struct thread_wait *w,
		       struct about *v)
{
	const struct fd_facts *f = &s->l->autopsy->fd[w->fd];

	*v = about_fd(e, s, f, w->events);
	about_dead(e, s, w, f, v);
	return 1;
}

/* Descriptors of a wait, with the members of epoll sets in place of the set. */
static size_t wait_fds(struct stall_engine *e, const struct subject *s, struct about *v, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < s->t->n_wait && n < max; i++) {
		const struct fd_facts *f = &s->l->autopsy->fd[s->t->wait[i].fd];

		if (s->t->class != CALL_EPOLL)
			n += wait_one(e, s, &s->t->wait[i], &v[n]);
		for (size_t j = 0; s->t->class == CALL_EPOLL && j < f->n_members && n < max; j++)
			n += wait_one(e, s, &f->member[j], &v[n]);
	}
	return n;
}

/* The descriptor that the RPC under way uses, if the session saw it send; else any that it may be. */
static bool rpc_uses(const struct subject *s, const struct about *a)
{
	const struct stalls_rpc *r = s->memo->rpc_entry_ns ? tables_rpc(s->l->tables, s->t->tid) : NULL;

	return !r || !r->inode || r->inode == a->inode;
}

/* It is our turn on this connection that we accepted: since when. 0: it is not */
static uint64_t client_waits(const struct about *a)
{
	uint64_t owed_ns;

	if (!a->in.sock.known || !a->in.sock.accepted || sock_unread(&a->in.sock) || a->in.dead)
		return 0;
	return verdict_turn(&a->in.sock, a->in.flow, a->in.now_ns, &owed_ns) == TURN_OURS ? owed_ns : 0;
}

/*
 * Whose request the thread that asked here had read last before it asked, as the session saw it. A client
 * that was answered since, or that has sent more, is not found: then it is not known for whom it asked.
 */
static bool read_before(const struct about *c, const struct about *a, const struct about *v, size_t n)
{
	const struct stalls_sock *asked = a->in.flow, *mine = c->in.flow;

	if (!asked || !mine || !asked->asked_ns || !mine->last_recv_ns)
		return true; /* before the session: their ages have to do */
	if (mine->last_recv_ns > asked->asked_ns || mine->recv_tid != asked->send_tid)
		return false;
	for (size_t i = 0; i < n; i++) {
		const struct stalls_sock *f = v[i].in.flow;

		if (f && v[i].in.sock.accepted && f->recv_tid == asked->send_tid &&
		    f->last_recv_ns > mine->last_recv_ns && f->last_recv_ns <= asked->asked_ns)
			return false;
	}
	return true;
}

const struct about *engine_client_of(const struct about *a, const struct about *v, size_t n)
{
	const uint64_t margin = VERDICT_AGE_MARGIN_MS * 1000000ULL;
	uint64_t asked_ns, owed_ns;

	if (!connected(&a->in) || a->in.dead ||
	    verdict_turn(&a->in.sock, a->in.flow, a->in.now_ns, &asked_ns) != TURN_PEER ||
	    asked_ns + margin < a->in.threshold_ns)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		owed_ns = client_waits(&v[i]);
		if (owed_ns && owed_ns + margin >= asked_ns && owed_ns <= asked_ns + CHAIN_MS * 1000000ULL &&
		    read_before(&v[i], a, v, n))
			return &v[i];
	}
	return NULL;
}

static const struct about *judge_fds(struct about *v, size_t n, size_t crowd, const struct subject *s,
				     bool in_rpc)
{
	const struct about *best = NULL;

	for (size_t i = 0; i < n; i++) {
		v[i].in.in_rpc = in_rpc && rpc_uses(s, &v[i]);
		v[i].client = n > 1 ? engine_client_of(&v[i], v, n) : NULL;
		v[i].in.for_client = v[i].client;
		verdict_wait(&v[i].in, &v[i].out);
		if (!v[i].out.verdict ||
		    too_crowded(v[i].out.verdict, crowd, v[i].in.in_rpc || v[i].in.for_client))
			continue;
		if (!best || v[i].in.dead ||
		    (v[i].out.turn == TURN_PEER && best->out.turn != TURN_PEER && !best->in.dead))
			best = &v[i];
	}
	return best;
}

static size_t wait_count(const struct subject *s)
{
	size_t n = s->t->n_wait;

	for (size_t i = 0; s->t->class == CALL_EPOLL && i < s->t->n_wait; i++)
		n += s->l->autopsy->fd[s->t->wait[i].fd].n_members;
	return n < WAIT_MAX ? n : WAIT_MAX;
}

ssize_t engine_wait_fds(struct stall_engine *e, const struct subject *s, struct about **v)
{
	size_t max = wait_count(s);

	*v = calloc(max + 1, sizeof(**v));
	return *v ? (ssize_t)wait_fds(e, s, *v, max) : -ENOMEM;
}

int engine_wait(struct stall_engine *e, struct subject *s, bool in_rpc)
{
	struct about *v;
	const struct about *best = NULL;
	size_t n, crowd = 0;
	ssize_t got;
	int rc = 0;

	if (s->reported || !call_is_wait(s->t->class) || !s->t->n_wait)
		return 0;
	got = engine_wait_fds(e, s, &v);
	if (got < 0)
		return (int)got;
	n = (size_t)got;
	for (size_t i = 0; i < n; i++)
		crowd += connected(&v[i].in);
	if (in_rpc && crowd)
		subject_stack(e, s);
	if (!in_rpc || (crowd && subject_in_rpc(s)))
		best = judge_fds(v, n, crowd, s, in_rpc);
	if (best)
		rc = found_report(e, s, best);
	free(v);
	return rc;
}

bool subject_waits_for(const struct subject *s, uint64_t inode)
{
	const struct fd_facts *fd = s->l->autopsy->fd;

	for (size_t i = 0; i < s->t->n_wait; i++) {
		const struct fd_facts *f = &fd[s->t->wait[i].fd];

		if (f->inode == inode)
			return true;
		for (size_t j = 0; j < f->n_members; j++)
			if (fd[f->member[j].fd].inode == inode)
				return true;
	}
	return false;
}

const struct open_sock *open_by_inode(const struct stalls_tables *t, uint64_t inode)
{
	for (size_t i = 0; i < t->n_open; i++)
		if (t->open[i].inode == inode)
			return &t->open[i];
	return NULL;
}

/*
 * The thread sent a request in an RPC that still runs, and nothing has come back on that socket since:
 * whatever the thread itself waits for (a condition, another descriptor), its call waits for the peer.
 */
int engine_rpc(struct stall_engine *e, struct subject *s)
{
	const struct stalls_rpc *r = tables_rpc(s->l->tables, s->t->tid);
	const struct stalls_sock *flow;
	const struct open_sock *o;
	struct about a;

	if (s->reported || !r || !r->first_send_ns || r->first_send_ns + e->cfg.threshold_ns > s->l->now_ns)
		return 0;
	flow = tables_sock(s->l->tables, r->inode);
	o = open_by_inode(s->l->tables, r->inode);
	if (!flow || !o || flow->last_recv_ns > r->first_send_ns || subject_waits_for(s, r->inode))
		return 0;
	subject_stack(e, s);
	if (s->memo->rpc_entry_ns != r->entry_ns)
		return 0; /* that call is over */
	a = (struct about){.fd = o->fd, .inode = o->inode};
	a.in = (struct verdict_in){.now_ns = s->l->now_ns,
				   .threshold_ns = e->cfg.threshold_ns,
				   .class = CALL_POLL,
				   .events = POLLIN,
				   .blocked_ns = s->blocked_ns,
				   .kind = PROC_FD_SOCKET,
				   .sock = o->facts,
				   .flow = flow,
				   .in_rpc = true};
	return verdict_wait(&a.in, &a.out) ? found_report(e, s, &a) : 0;
}
