// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "stalls/engine_priv.h"

int stall_engine_create(struct stall_engine **ret, const struct stall_engine_cfg *cfg,
			const struct stall_engine_ops *ops, struct err *err)
{
	struct stall_engine *e = calloc(1, sizeof(*e));

	if (!e)
		return err_set(err, -ENOMEM, "out of memory");
	e->cfg = *cfg;
	e->ops = *ops;
	*ret = e;
	return 0;
}

void stall_engine_destroy(struct stall_engine *e)
{
	struct memo *m, *next;

	if (!e)
		return;
	HASH_ITER (hh, e->memo, m, next) {
		HASH_DEL(e->memo, m);
		free(m);
	}
	for (size_t i = 0; i < e->n_found; i++)
		found_free(e->found[i]);
	free(e->found);
	free(e->closed);
	free(e);
}

static void keep_closed(struct stall_engine *e, const struct stalls_closed *ev)
{
	size_t head = sizeof(*ev) - ABI_STACK_BYTES, len = ev->h.size;
	struct stalls_closed *slot;

	if (len < head || len > sizeof(*ev) || ev->stack.len > len - head)
		return;
	if (!e->closed)
		e->closed = calloc(ENGINE_CLOSED_KEPT, sizeof(*e->closed));
	if (!e->closed)
		return;
	slot = &e->closed[e->n_closed++ % ENGINE_CLOSED_KEPT];
	memcpy(slot, ev, len);
}

void stall_engine_event(struct stall_engine *e, const struct abi_hdr *rec)
{
	if (rec->kind == STALLS_ENDED && rec->size >= sizeof(struct stalls_ended))
		found_ended(e, (const struct stalls_ended *)rec);
	else if (rec->kind == STALLS_CLOSED)
		keep_closed(e, (const struct stalls_closed *)rec);
}

static struct memo *memo_of(struct stall_engine *e, const struct thread_facts *t, uint64_t entry_ns)
{
	struct memo *m;

	HASH_FIND(hh, e->memo, &t->tid, sizeof(t->tid), m);
	if (!m) {
		m = calloc(1, sizeof(*m));
		if (!m)
			return NULL;
		m->tid = t->tid;
		HASH_ADD(hh, e->memo, tid, sizeof(m->tid), m);
	} else if (m->start_ns == t->start_ns && m->switches == t->switches && m->entry_ns == entry_ns) {
		m->look = e->look;
		return m;
	}
	m->start_ns = t->start_ns;
	m->switches = t->switches;
	m->entry_ns = entry_ns;
	m->stack_read = false;
	m->rpc_entry_ns = 0;
	m->look = e->look;
	return m;
}

/* The record is of the call that runs: made before this system call, its frame still holds the return address
 * it had. */
static bool rpc_runs(struct stall_engine *e, const struct subject *s, const struct stalls_rpc *r)
{
	const struct threads_rec *rec = &s->t->raw->rec;
	uint64_t word;

	if (!r || !(rec->flags & THREADS_REGS) || r->entry_ns > s->l->now_ns - s->blocked_ns + 1000000)
		return false;
	if (r->sp <= rec->reg[ABI_REG_SP] ||
	    e->ops.target->read_mem(e->ops.target->ctx, r->sp, &word, sizeof(word)))
		return false;
	return word == r->ret;
}

static void name_method(struct stall_engine *e, struct subject *s, bool fresh)
{
	struct memo *m = s->memo;
	uint64_t method;

	m->method[0] = '\0';
	if (m->rpc.side == RPC_SIDE_NONE)
		return;
	if (m->rpc.method[0])
		memcpy(m->method, m->rpc.method, sizeof(m->method));
	if (!fresh || !m->rpc.call_method || !e->ops.frame_param || !e->ops.method_name)
		return;
	if (!e->ops.frame_param(e->ops.ctx, m->rpc.frame, "method", &method) &&
	    e->ops.method_name(e->ops.ctx, method, m->method, sizeof(m->method)))
		memcpy(m->method, m->rpc.method, sizeof(m->method));
}

void subject_stack(struct stall_engine *e, struct subject *s)
{
	struct memo *m = s->memo;
	const struct stalls_rpc *r;
	bool fresh = !s->t->stacks_taken;

	if (m->stack_read)
		return;
	autopsy_stacks(s->t, e->ops.target);
	rpc_read_stack(e->cfg.names, &s->t->user_stack, &m->rpc);
	name_method(e, s, fresh);
	m->stack_read = true;
	/* the word alone could be left over from an ended call; a channel's frame on the stack settles it */
	r = tables_rpc(s->l->tables, s->t->tid);
	if (m->rpc.side != RPC_SIDE_CLIENT || !rpc_runs(e, s, r))
		return;
	m->rpc_entry_ns = r->entry_ns;
	if (e->ops.method_name && !m->method[0])
		e->ops.method_name(e->ops.ctx, r->method, m->method, sizeof(m->method));
}

bool subject_in_rpc(const struct subject *s)
{
	return s->memo->stack_read && s->memo->rpc.side == RPC_SIDE_CLIENT;
}

/* The table's call is the one the thread is in; restart_syscall goes on with one that a signal interrupted.
 */
static bool same_call(const struct stalls_call *c, const struct thread_facts *t)
{
	return c && (t->nr == (int64_t)c->nr ||
		     (t->nr == SYS_restart_syscall && (c->flags & STALLS_CALL_RESTART)) ||
		     (t->nr == SYS_restart_syscall && (c->flags & STALLS_CALL_SEEDED)));
}

bool subject_of(struct stall_engine *e, const struct look *l, struct thread_facts *t, struct subject *s)
{
	const struct stalls_call *c = tables_call(l->tables, t->tid);

	*s = (struct subject){.l = l, .t = t};
	if (!t->in_call || t->moved)
		return false;
	if (same_call(c, t) && c->entry_ns <= l->now_ns) {
		s->call = c;
		s->blocked_ns = l->now_ns - c->entry_ns;
		s->at_least = c->flags & STALLS_CALL_SEEDED;
	} else if (t->blocked_known) {
		/* seen asleep by the scheduler's clock, which starts anew when the thread is woken inside its
		 * call */
		s->blocked_ns =
			t->blocked_ns +
			(l->now_ns > l->autopsy->taken.mono_ns ? l->now_ns - l->autopsy->taken.mono_ns : 0);
		s->at_least = true;
	}
	if (s->blocked_ns < e->cfg.threshold_ns)
		return false;
	s->start_ns = l->now_ns - s->blocked_ns;
	s->before = s->start_ns < e->cfg.start_ns;
	s->memo = memo_of(e, t, s->call ? s->call->entry_ns : 0);
	return s->memo;
}

static bool is_wait(enum call_class c)
{
	return c == CALL_POLL || c == CALL_SELECT || c == CALL_EPOLL || c == CALL_READ || c == CALL_WRITE ||
	       c == CALL_CONNECT;
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
	struct about a = {.fd = f->fd, .inode = f->inode, .pin = pinned(s->call, f->fd)};

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
static bool too_crowded(enum verdict v, size_t crowd, bool in_rpc)
{
	return crowd > 1 && !in_rpc &&
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

static const struct about *judge_fds(struct about *v, size_t n, size_t crowd, const struct subject *s,
				     bool in_rpc)
{
	const struct about *best = NULL;

	for (size_t i = 0; i < n; i++) {
		v[i].in.in_rpc = in_rpc && rpc_uses(s, &v[i]);
		verdict_wait(&v[i].in, &v[i].out);
		if (!v[i].out.verdict || too_crowded(v[i].out.verdict, crowd, v[i].in.in_rpc))
			continue;
		if (!best || v[i].in.dead ||
		    (v[i].out.turn == TURN_PEER && best->out.turn != TURN_PEER && !best->in.dead))
			best = &v[i];
	}
	return best;
}

#define WAIT_MAX 256

static int judge_wait(struct stall_engine *e, struct subject *s)
{
	struct about *v = calloc(WAIT_MAX, sizeof(*v));
	const struct about *best;
	size_t n, crowd = 0;
	int rc = 0;

	if (!v)
		return -ENOMEM;
	n = wait_fds(e, s, v, WAIT_MAX);
	for (size_t i = 0; i < n; i++)
		crowd += connected(&v[i].in);
	best = judge_fds(v, n, crowd, s, false);
	if (!best && crowd) {
		subject_stack(e, s);
		if (subject_in_rpc(s))
			best = judge_fds(v, n, crowd, s, true);
	}
	if (best) {
		rc = found_report(e, s, best);
		s->reported = true;
	} else {
		e->healthy++;
	}
	free(v);
	return rc;
}

static void forget_gone(struct stall_engine *e)
{
	struct memo *m, *next;

	HASH_ITER (hh, e->memo, m, next) {
		if (m->look == e->look)
			continue;
		HASH_DEL(e->memo, m);
		free(m);
	}
}

int stall_engine_look(struct stall_engine *e, const struct look *l, struct err *err)
{
	struct subject *v = calloc(l->autopsy->n_threads + 1, sizeof(*v));
	size_t n = 0;
	int rc = v ? 0 : -ENOMEM;

	e->look++;
	e->last_look_ns = l->now_ns;
	e->healthy = e->unclear = 0;
	for (size_t i = 0; !rc && i < l->autopsy->n_threads; i++) {
		struct thread_facts *t = &l->autopsy->thread[i];

		if (!subject_of(e, l, t, &v[n])) {
			e->unclear += t->moved && t->in_call && is_wait(t->class);
			continue;
		}
		if (is_wait(t->class))
			rc = judge_wait(e, &v[n]);
		n++;
	}
	if (!rc)
		rc = stall_engine_elsewhere(e, v, n, l);
	if (!rc)
		found_settle(e, l);
	forget_gone(e);
	free(v);
	return rc ? err_set(err, rc, "out of memory") : 0;
}

bool stall_engine_wants_look(const struct stall_engine *e, const struct stalls_tables *t, uint64_t now_ns)
{
	for (size_t i = 0; i < t->n_calls; i++) {
		uint64_t entry = t->call[i].call.entry_ns;

		if (!entry || now_ns < entry + e->cfg.threshold_ns)
			continue;
		if (entry + e->cfg.threshold_ns > e->last_look_ns)
			return true;
	}
	return false;
}

bool stall_engine_rpc_runs(const struct stall_engine *e, pid_t tid, const struct stalls_rpc *r)
{
	struct memo *m;

	if (!r->last_recv_ns && r->entry_ns + e->cfg.threshold_ns > e->last_look_ns)
		return true; /* too young to have been looked at */
	HASH_FIND(hh, e->memo, &tid, sizeof(tid), m);
	return m && m->rpc_entry_ns == r->entry_ns;
}

void stall_engine_counts(const struct stall_engine *e, uint64_t *healthy, uint64_t *unclear)
{
	*healthy = e->healthy;
	*unclear = e->unclear;
}
