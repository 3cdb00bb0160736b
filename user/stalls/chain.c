// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "stalls/engine_priv.h"
#include "stalls/explain.h"
#include "stalls/lock.h"
#include "util/grow.h"

/* Where a thread's wait leads. */
struct lead {
	struct thread_facts *t;	  /* NULL: to no thread that can be known */
	struct chain_place place; /* with t: its process */
	char how[STEP_LEN];	  /* how t is known */
	char what[STEP_LEN];
	char end[STEP_LEN]; /* why the chain ends; may be empty */
};

/* Where the walk is. */
struct walk {
	struct stall_engine *e;
	struct chain_place at;
	struct thread_facts *t;
	const struct sock_facts *sock; /* that t is known to wait for; NULL: look what it waits for */
	bool mixed;		       /* on sock there were other requests since */
	char how[STEP_LEN];
};

struct chain_place chain_home(const struct stall_engine *e, const struct look *l)
{
	struct chain_place p = {.pid = e->cfg.pid,
				.now_ns = l->now_ns,
				.autopsy = l->autopsy,
				.tables = l->tables,
				.target = e->ops.target};
	const struct thread_facts *main_thread = autopsy_thread(l->autopsy, e->cfg.pid);

	if (main_thread)
		memcpy(p.comm, main_thread->comm, sizeof(p.comm));
	return p;
}

/* Kernel functions in which a thread waits for a disk or a file system, as far as their names begin so. */
static bool waits_for_disk(const struct thread_facts *t)
{
	static const char *const begins[] = {
		"io_schedule",	      "blk_",	      "bio_",		"submit_bio_wait",  "wait_on_page",
		"folio_wait",	      "jbd2_",	      "xfs_log",	"xfs_buf_iowait",   "wait_on_buffer",
		"nfs_wait",	      "rpc_wait_bit", "sb_start_write", "__sb_start_write", "fuse_get_req",
		"request_wait_answer"};

	for (size_t i = 0; i < t->n_kernel; i++)
		for (size_t k = 0; k < sizeof(begins) / sizeof(begins[0]); k++)
			if (!strncmp(t->kernel_stack[i], begins[k], strlen(begins[k])))
				return true;
	return false;
}

/* The file it reads or writes, where that is what keeps it from being interrupted; NULL: none. */
static const char *slow_file(const struct chain_place *at, const struct thread_facts *t)
{
	const struct fd_facts *f = t->n_wait == 1 ? &at->autopsy->fd[t->wait[0].fd] : NULL;

	return t->state == 'D' && f && f->target && f->target[0] == '/' ? f->target : NULL;
}

/* A connection that this process made and has sent on last. */
static bool asked_there(const struct chain_place *at, const struct fd_facts *f)
{
	uint64_t owed_ns;

	return f->kind == PROC_FD_SOCKET && f->sock.known && !f->sock.accepted && !f->sock.recv_queue &&
	       f->sock.remote[0] && strcmp(f->sock.state, "LISTEN") != 0 &&
	       verdict_turn(&f->sock, tables_sock(at->tables, f->inode), at->now_ns, &owed_ns) == TURN_PEER;
}

/* Of several descriptors, the one connection on which an answer is owed. NULL: none, or several. */
static const struct sock_facts *asked_of_many(const struct chain_place *at, const struct thread_facts *t)
{
	const struct sock_facts *asked = NULL;
	const struct fd_facts *fd = at->autopsy->fd;

	for (size_t i = 0; fd && i < t->n_wait; i++) {
		const struct fd_facts *f = &fd[t->wait[i].fd];
		size_t n = f->kind == PROC_FD_EPOLL ? f->n_members : 1;

		for (size_t k = 0; k < n; k++) {
			const struct fd_facts *m = f->kind == PROC_FD_EPOLL ? &fd[f->member[k].fd] : f;

			if (!asked_there(at, m))
				continue;
			if (asked)
				return NULL;
			asked = &m->sock;
		}
	}
	return asked;
}

/* The connection that the thread waits for, if it is but one. */
static const struct sock_facts *connection_of(const struct chain_place *at, const struct thread_facts *t)
{
	const struct stalls_rpc *r = tables_rpc(at->tables, t->tid);
	const struct fd_facts *f = t->n_wait == 1 ? &at->autopsy->fd[t->wait[0].fd] : NULL;
	const struct open_sock *o = NULL;

	if (!call_is_wait(t->class) || t->class == CALL_ACCEPT)
		return NULL;
	if (f && f->kind == PROC_FD_SOCKET)
		o = open_by_inode(at->tables, f->inode);
	else if (r && r->inode && !r->last_recv_ns)
		o = open_by_inode(at->tables, r->inode);
	else
		return asked_of_many(at, t);
	return o && o->facts.known && o->facts.remote[0] ? &o->facts : NULL;
}

static bool other_end_here(const struct chain_place *at, const struct sock_facts *s, struct chain_peer *out)
{
	const struct open_sock *o = verdict_is_tcp(s) ? tables_ends(at->tables, s->remote, s->local) : NULL;

	if (o)
		*out = (struct chain_peer){.state = PEER_HELD, .pid = at->pid, .fd = o->fd, .sock = o->facts};
	return o;
}

static bool same_host(const struct sock_facts *s)
{
	const char *l = strrchr(s->local, ':'), *r = strrchr(s->remote, ':');

	return s->family == AF_UNIX || (l && r && l - s->local == r - s->remote &&
					!strncmp(s->local, s->remote, (size_t)(l - s->local)));
}

/* The other end is in no place where one could go on. */
static void lead_ends(const struct sock_facts *s, const struct chain_peer *p, struct lead *d)
{
	snprintf(d->what, sizeof(d->what), "waits for %s", s->remote);
	if (p->state == PEER_SHARED)
		snprintf(d->end, sizeof(d->end),
			 "%zu processes have the other end of %s open: which of them should answer cannot be "
			 "known",
			 p->n_holders, s->remote);
	else if (p->state == PEER_UNHELD)
		snprintf(d->end, sizeof(d->end),
			 "no process that can be seen here has the other end of %s open", s->remote);
	else if (same_host(s))
		snprintf(d->end, sizeof(d->end),
			 "the other end of %s is not in this network namespace: who has it cannot be known",
			 s->remote);
}

static bool place_of(const struct walk *w, const struct look *l, pid_t pid, struct chain_place *out)
{
	if (pid == w->at.pid)
		*out = w->at;
	else if (pid == w->e->cfg.pid)
		*out = chain_home(w->e, l);
	else
		return w->e->ops.place && w->e->ops.place(w->e->ops.ctx, pid, out);
	return true;
}

static const char *verb_of(const struct thread_facts *t)
{
	return t->class == CALL_WRITE ? "waits for room to send on" : "waits for an answer on";
}

static void lead_by_sock(struct walk *w, const struct look *l, const struct sock_facts *s, struct lead *d)
{
	struct chain_peer p = {.state = PEER_ELSEWHERE};
	struct reader r;
	/* in the same process, and who uses it is known: no need to look at the whole machine */
	bool known = other_end_here(&w->at, s, &p) && tables_sock(w->at.tables, p.sock.inode);

	if (!known && w->e->ops.peer)
		known = w->e->ops.peer(w->e->ops.ctx, w->at.pid, s, &p);

	if (!known || (p.state != PEER_HELD && p.state != PEER_QUEUED)) {
		lead_ends(s, &p, d);
		if (!known)
			d->end[0] = '\0';
		return;
	}
	if (!place_of(w, l, p.pid, &d->place)) {
		snprintf(d->what, sizeof(d->what), "%s %s of process %d", verb_of(w->t), s->remote,
			 (int)p.pid);
		snprintf(d->end, sizeof(d->end), "process %d cannot be looked at", (int)p.pid);
		return;
	}
	if (p.state == PEER_QUEUED) {
		r = (struct reader){.t = d->place.autopsy->n_threads == 1 ? &d->place.autopsy->thread[0]
									  : NULL};
		snprintf(r.how, sizeof(r.how), "is the only thread of the process that has not accepted it");
		snprintf(r.unknown, sizeof(r.unknown),
			 "process %d (%s) has not accepted the connection: it lies in the queue of "
			 "descriptor %d",
			 (int)p.pid, d->place.comm, p.fd);
	} else {
		r = w->mixed ? reader_of_one(&d->place, p.n_holders == 1)
			     : reader_of(w->e, &d->place, &p.sock, p.n_holders == 1);
	}
	d->t = r.t;
	if (r.t)
		snprintf(d->what, sizeof(d->what), "%s %s from", verb_of(w->t), s->remote);
	else
		snprintf(d->what, sizeof(d->what), "%s %s of process %d (%s)", verb_of(w->t), s->remote,
			 (int)p.pid, d->place.comm);
	memcpy(d->how, r.how, sizeof(d->how));
	memcpy(d->end, r.t ? "" : r.unknown, r.t ? 1 : sizeof(d->end));
}

static void lead_by_lock(const struct walk *w, struct lock_wait lock, struct lead *d)
{
	static const char *const names[] = {[RPC_LOCK_MUTEX] = "a lock",
					    [RPC_LOCK_RW] = "a read/write lock",
					    [RPC_LOCK_COND] = "a condition variable"};

	d->t = lock.owner ? autopsy_thread(w->at.autopsy, lock.owner) : NULL;
	d->place = w->at;
	snprintf(d->what, sizeof(d->what), "waits for %s%s", names[lock.kind], d->t ? " held by" : "");
	if (!d->t)
		snprintf(d->end, sizeof(d->end), "%s", lock_no_owner(lock.kind));
}

static struct lead lead_of(struct walk *w, const struct look *l)
{
	struct thread_facts *t = w->t;
	struct lead d = {.t = NULL};
	const struct sock_facts *s = w->sock;
	struct rpc_stack st = {0};
	struct lock_wait lock;

	if (s) {
		lead_by_sock(w, l, s, &d);
		return d;
	}
	if (!t->in_call || t->moved) {
		snprintf(d.what, sizeof(d.what), "%s",
			 t->state == 'R' || !t->in_call ? "is running" : "goes on");
		return d;
	}
	autopsy_stacks(t, w->at.target);
	rpc_read_stack(w->e->cfg.names, &t->user_stack, &st);
	lock = lock_waited_for(w->at.autopsy, t, &st, w->at.target);
	s = connection_of(&w->at, t);
	if (lock.kind)
		lead_by_lock(w, lock, &d);
	else if (s && !s->accepted)
		lead_by_sock(w, l, s, &d);
	else if (s)
		snprintf(d.what, sizeof(d.what), "waits in %s for more from %s", t->syscall, s->remote);
	else if (slow_file(&w->at, t))
		snprintf(d.what, sizeof(d.what), "waits for a disk or file system in %s of %.100s",
			 t->syscall, slow_file(&w->at, t));
	else if (waits_for_disk(t))
		snprintf(d.what, sizeof(d.what), "waits for a disk or file system in %s", t->syscall);
	else if (t->class == CALL_SLEEP)
		snprintf(d.what, sizeof(d.what), "sleeps in %s", t->syscall);
	else
		snprintf(d.what, sizeof(d.what), "is in %s", t->syscall);
	return d;
}

static bool seen_before(const struct stall *st, pid_t tid)
{
	for (size_t i = 0; i < st->n_chain; i++)
		if (st->chain[i].tid == tid)
			return true;
	return false;
}

static int add_step(struct stall *st, const struct walk *w, const struct lead *d)
{
	struct stall_step *step;

	if (GROW(&st->chain, st->n_chain))
		return -ENOMEM;
	step = &st->chain[st->n_chain++];
	*step = (struct stall_step){.tid = w->t->tid,
				    .pid = w->at.pid,
				    .doing = explain_doing(w->t),
				    .next = d->t ? d->t->tid : 0};
	memcpy(step->comm, w->t->comm, sizeof(step->comm));
	if (w->at.pid != w->e->cfg.pid)
		memcpy(step->process, w->at.comm, sizeof(step->process));
	memcpy(step->how, w->how, sizeof(step->how));
	memcpy(step->what, d->what, sizeof(step->what));
	return 0;
}

/* The connection that the finding is about is what its thread waits for. */
static const struct sock_facts *waits_for_reply(const struct stall *st)
{
	bool peer = st->verdict == VERDICT_PEER_SILENT || st->verdict == VERDICT_PEER_WINDOW_CLOSED ||
		    (st->verdict == VERDICT_LOCAL_WRITER_BLOCKED && st->sock.peer_inode);

	return peer && st->sock.known && st->sock.remote[0] ? &st->sock : NULL;
}

int chain_follow(struct stall_engine *e, struct stall *st, const struct subject *s, struct about *a)
{
	struct walk w = {
		.e = e, .at = chain_home(e, s->l), .t = s->t, .sock = waits_for_reply(st), .mixed = a->mixed};
	char end[STEP_LEN] = "";

	while (w.t) {
		struct lead d = lead_of(&w, s->l);

		if (add_step(st, &w, &d))
			return -ENOMEM;
		memcpy(end, d.end, sizeof(end));
		if (w.sock)
			a->peer_pid = d.place.pid;
		st->cycle = d.t && seen_before(st, d.t->tid);
		if (!d.t || st->cycle)
			break;
		if (st->n_chain == CHAIN_MAX_STEPS) {
			snprintf(end, sizeof(end), "followed no further than %d threads", CHAIN_MAX_STEPS);
			break;
		}
		w.at = d.place;
		w.t = d.t;
		if (w.at.pid != e->cfg.pid && !st->has_other)
			found_other(st, w.t, &w.at, "request read by");
		w.sock = NULL;
		w.mixed = false;
		memcpy(w.how, d.how, sizeof(w.how));
	}
	if (end[0]) {
		st->chain_end = strdup(end);
		return st->chain_end ? 0 : -ENOMEM;
	}
	return 0;
}
