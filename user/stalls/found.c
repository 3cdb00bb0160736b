// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Findings: made once per stalled call, followed until it ends. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "stalls/call.h"
#include "stalls/engine_priv.h"
#include "stalls/explain.h"
#include "stalls/lock.h"
#include "util/grow.h"

void found_free(struct found *f)
{
	if (!f)
		return;
	stall_deinit(&f->stall);
	free(f);
}

static char **copy_strings(char *const *v, size_t n)
{
	char **c = calloc(n + 1, sizeof(*c));

	for (size_t i = 0; c && i < n; i++)
		c[i] = strdup(v[i]);
	return c;
}

static char *copy_string(const char *s)
{
	return s ? strdup(s) : NULL;
}

static int copy_frames(struct frames *to, const struct frames *from)
{
	*to = (struct frames){.truncated = from->truncated};
	if (!from->n)
		return 0;
	to->v = calloc(from->n, sizeof(*to->v));
	if (!to->v)
		return -ENOMEM;
	for (size_t i = 0; i < from->n; i++) {
		to->v[i] = from->v[i];
		to->v[i].module = copy_string(from->v[i].module);
		to->v[i].build_id = copy_string(from->v[i].build_id);
		to->v[i].symbol = copy_string(from->v[i].symbol);
		to->v[i].file = copy_string(from->v[i].file);
	}
	to->n = from->n;
	return 0;
}

/*
 * A call is reported once, whatever becomes of it; but that its file lost its number, or that the peer it
 * waits for has vanished meanwhile, is news in any case.
 */
static bool is_news(enum verdict v)
{
	return v == VERDICT_POLLING_DEAD_FD || v == VERDICT_HALF_OPEN;
}

static struct found *same(struct stall_engine *e, const struct subject *s, enum verdict v, uint64_t key)
{
	uint64_t entry = s->call ? s->call->entry_ns : 0;

	for (struct found *f = e->live; f; f = f->live) {
		if (f->over || f->stall.tid != s->t->tid)
			continue;
		if (entry && f->entry_ns == entry && (!is_news(v) || f->stall.verdict == v))
			return f;
		if (f->stall.verdict == v && f->key == key && !(f->entry_ns && entry))
			return f;
	}
	return NULL;
}

static const struct stalls_closed *closer(const struct stall_engine *e, const struct about *a,
					  uint64_t start_ns)
{
	size_t kept = e->n_closed < ENGINE_CLOSED_KEPT ? e->n_closed : ENGINE_CLOSED_KEPT;

	for (size_t i = 1; i <= kept; i++) {
		const struct stalls_closed *c = &e->closed[(e->n_closed - i) % ENGINE_CLOSED_KEPT];

		if (c->h.ts_ns < start_ns || a->fd < c->fd || (uint32_t)a->fd > c->last)
			continue;
		if (c->nr == SYS_close_range || (a->pin ? c->file == a->pin->file : c->inode == a->inode))
			return c;
	}
	return NULL;
}

static void other_closer(struct stall_engine *e, struct stall *st, const struct about *a, uint64_t start_ns)
{
	const struct stalls_closed *c = closer(e, a, start_ns);

	if (!c && e->ops.events) {
		e->ops.events(e->ops.ctx);
		c = closer(e, a, start_ns);
	}
	if (!c)
		return;
	st->has_other = true;
	st->other.role = c->nr == SYS_close || c->nr == SYS_close_range ? "closed by" : "replaced by";
	st->other.tid = (pid_t)c->h.tid;
	memcpy(st->other.comm, c->h.comm, sizeof(st->other.comm));
	st->other.comm[sizeof(st->other.comm) - 1] = '\0';
	st->other.ts_ns = c->h.ts_ns;
	if (e->ops.unwind_copy)
		e->ops.unwind_copy(e->ops.ctx, &c->stack, &st->other.stack);
}

void found_other(struct stall *st, struct thread_facts *t, const struct chain_place *at, const char *role)
{
	autopsy_stacks(t, at->target);
	st->has_other = true;
	st->other.role = role;
	st->other.tid = t->tid;
	if (at->pid != st->pid) {
		st->other.pid = at->pid;
		memcpy(st->other.process, at->comm, sizeof(st->other.process));
	}
	memcpy(st->other.comm, t->comm, sizeof(st->other.comm));
	st->other.doing = explain_doing(t);
	copy_frames(&st->other.stack, &t->user_stack);
	st->other.kernel_stack = copy_strings(t->kernel_stack, t->n_kernel);
	st->other.n_kernel = st->other.kernel_stack ? t->n_kernel : 0;
}

static void other_thread(struct stall_engine *e, struct stall *st, const struct subject *s, pid_t tid,
			 const char *role)
{
	struct thread_facts *t = autopsy_thread(s->l->autopsy, tid);
	struct chain_place home = chain_home(e, s->l);

	if (t && t != s->t)
		found_other(st, t, &home, role);
}

/* The other end belongs to this very process, and was read from in this session. */
static void other_end(struct stall_engine *e, struct stall *st, const struct subject *s,
		      const struct about *a)
{
	const struct stalls_tables *t = s->l->tables;
	const struct open_sock *o =
		verdict_is_tcp(&a->in.sock) ? tables_ends(t, a->in.sock.remote, a->in.sock.local) : NULL;
	const struct stalls_sock *flow = o ? tables_sock(t, o->inode) : NULL;

	if (flow && flow->recv_tid)
		other_thread(e, st, s, (pid_t)flow->recv_tid, "other end read by");
}

static void fill_other(struct stall_engine *e, struct stall *st, const struct subject *s,
		       const struct about *a)
{
	pid_t owner = lock_waited_for(s->l->autopsy, s->t, &s->memo->rpc, e->ops.target).owner;

	if (a->in.dead)
		other_closer(e, st, a, s->before ? 0 : s->start_ns);
	else if (owner > 0)
		other_thread(e, st, s, owner, "lock held by");
	else if (st->verdict == VERDICT_PEER_SILENT)
		other_end(e, st, s, a);
	else if (st->verdict == VERDICT_SERVER_THREAD_BLOCKED && a->in.flow && a->in.flow->recv_tid &&
		 !a->n_rivals)
		other_thread(e, st, s, (pid_t)a->in.flow->recv_tid, "request read by");
}

static char *dead_text(const struct about *a)
{
	char *text = NULL;
	int rc;

	if (!a->now || !a->now->open)
		rc = asprintf(&text, "socket:[%llu], descriptor %d is closed now",
			      (unsigned long long)a->inode, a->fd);
	else
		rc = asprintf(&text, "socket:[%llu], descriptor %d is %s now", (unsigned long long)a->inode,
			      a->fd, a->now->target ? a->now->target : proc_fd_kind_name(a->now->kind));
	return rc < 0 ? NULL : text;
}

/* Others were asked or answered on the connection since the request went over it. */
static bool is_mixed(const struct about *a, bool ours)
{
	const struct stalls_sock *f = a->in.flow;
	uint64_t answer_ns = !f ? 0 : ours ? f->last_recv_ns : f->last_send_ns;

	return a->on_wire && (a->wire.others || (!a->out.partial && answer_ns > a->wire.start_ns));
}

/* The request by its frames on the wire; what the thread's stack says of its call comes first. */
static void wire_of(struct stall_engine *e, struct about *a)
{
	bool ours = a->out.verdict != VERDICT_SERVER_THREAD_BLOCKED;

	if (!a->on_wire && e->ops.wire && a->inode && !a->n_rivals)
		a->on_wire = e->ops.wire(e->ops.ctx, a->inode, ours, &a->wire);
	a->mixed = is_mixed(a, ours);
}

static void name_rpc(struct stall *st, const struct subject *s, const struct about *a)
{
	st->rpc_method = s->memo->method[0] ? strdup(s->memo->method) : NULL;
	st->rpc_age_ms =
		s->memo->rpc_entry_ns ? (int64_t)((s->l->now_ns - s->memo->rpc_entry_ns) / 1000000) : -1;
	if (!a->on_wire ||
	    (st->rpc_method && a->wire.method[0] && strcmp(st->rpc_method, a->wire.method) != 0))
		return;
	if (!st->rpc_method && a->wire.method[0])
		st->rpc_method = strdup(a->wire.method);
	if (st->rpc_age_ms < 0)
		st->rpc_age_ms = (int64_t)((s->l->now_ns - a->wire.start_ns) / 1000000);
	st->rpc_id_known = true;
	st->rpc_id = a->wire.id;
}

static void fill_reader(struct stall *st, const struct subject *s, const struct about *a)
{
	const struct stalls_sock *flow = a->in.flow;
	const struct thread_facts *t;

	if (st->verdict != VERDICT_SERVER_THREAD_BLOCKED || a->out.partial || a->n_rivals || a->mixed ||
	    !flow || !flow->recv_tid)
		return;
	t = autopsy_thread(s->l->autopsy, (pid_t)flow->recv_tid);
	st->reader.tid = (pid_t)flow->recv_tid;
	st->reader.ago_ns = s->l->now_ns > flow->last_recv_ns ? s->l->now_ns - flow->last_recv_ns : 0;
	st->reader.cpu_known = t && reader_cpu(t, flow, &st->reader.cpu_ns);
}

static int fill(struct stall_engine *e, struct stall *st, struct subject *s, struct about *a)
{
	const struct thread_facts *t = s->t;

	/* registers of a thread that goes on are of another moment than its stack */
	if (!s->t->moved) {
		subject_stack(e, s);
		autopsy_stacks(s->t, e->ops.target);
	}
	st->verdict = a->out.verdict;
	st->pid = e->cfg.pid;
	st->tid = t->tid;
	memcpy(st->comm, t->comm, sizeof(st->comm));
	st->blocked_ns = s->blocked_ns;
	st->blocked_at_least = s->at_least;
	st->blocked_before_session = s->before;
	st->busy = s->busy;
	st->syscall = t->moved ? NULL : t->syscall;
	st->timeout_ms = t->timeout_ms;
	st->fd = a->n_rivals ? -1 : a->fd;
	if (!a->n_rivals)
		st->sock = a->in.sock;
	if (!a->n_rivals && !st->sock.known && (a->in.dead || a->in.kind == PROC_FD_SOCKET))
		st->sock.inode = a->inode;
	if (a->in.dead)
		st->file = dead_text(a);
	else if (a->file && a->in.kind != PROC_FD_SOCKET)
		st->file = copy_string(a->file->target);
	name_rpc(st, s, a);
	st->kernel_stack = copy_strings(t->kernel_stack, t->n_kernel);
	if (!st->kernel_stack || copy_frames(&st->user_stack, &t->user_stack))
		return -ENOMEM;
	st->n_kernel = t->n_kernel;
	fill_reader(st, s, a);
	fill_other(e, st, s, a);
	if ((!s->busy || st->verdict == VERDICT_PEER_SILENT) && st->verdict != VERDICT_POLLING_DEAD_FD &&
	    chain_follow(e, st, s, a))
		return -ENOMEM;
	return explain(st, s, a);
}

bool found_in_look(const struct stall_engine *e, uint64_t inode)
{
	for (const struct found *f = e->live; f; f = f->live)
		if (!f->over && f->look == e->look && f->key == inode)
			return true;
	return false;
}

int found_report(struct stall_engine *e, struct subject *s, const struct about *given)
{
	struct about about = *given, *a = &about;
	uint64_t key = a->n_rivals ? 0 : a->inode ? a->inode : (uint64_t)a->fd;
	struct found *f = same(e, s, a->out.verdict, key);
	int rc;

	s->reported = true;
	if (f) {
		f->look = e->look;
		if (s->start_ns < f->start_ns)
			f->start_ns = s->start_ns;
		return 0;
	}
	if (GROW(&e->found, e->n_found))
		return -ENOMEM;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	*f = (struct found){.start_ns = s->start_ns,
			    .entry_ns = s->call ? s->call->entry_ns : 0,
			    .key = key,
			    .look = e->look};
	wire_of(e, a);
	f->by_conn = s->busy || (s->t->class == CALL_EPOLL && (a->in.for_client || a->on_wire));
	if (f->by_conn)
		f->entry_ns = 0;
	rc = fill(e, &f->stall, s, a);
	if (rc) {
		found_free(f);
		return rc;
	}
	f->live = e->live;
	e->live = f;
	e->found[e->n_found++] = f;
	e->ops.found(e->ops.ctx, &f->stall);
	return 0;
}

/* A connection that was waited for has got something: when, and what to call that. */
static const char *answered(struct found *f, const struct stalls_tables *t)
{
	const struct stalls_sock *flow = f->by_conn ? tables_sock(t, f->key) : NULL;

	if (!flow || f->stall.verdict != VERDICT_PEER_SILENT || flow->last_recv_ns < f->start_ns)
		return NULL;
	f->end_ns = flow->last_recv_ns;
	return "answered late";
}

/* Nothing has come on the connection since: that this look found its loop on a CPU does not end it. */
static bool still_owed(const struct found *f, const struct look *l)
{
	const struct open_sock *o = open_by_inode(l->tables, f->key);
	const struct stalls_sock *flow = tables_sock(l->tables, f->key);

	if (!o || !o->facts.known || f->stall.verdict != VERDICT_PEER_SILENT || o->facts.recv_queue)
		return false;
	if (flow && flow->last_recv_ns)
		return flow->last_recv_ns < f->start_ns;
	return o->facts.last_recv_ms < 0 ||
	       (uint64_t)o->facts.last_recv_ms * 1000000 + f->start_ns > l->now_ns;
}

static void drop_old(struct stall_engine *e)
{
	struct found **at = &e->live;

	while (*at) {
		if ((*at)->over && (*at)->over_look + ENGINE_LIVE_ON <= e->look)
			*at = (*at)->live;
		else
			at = &(*at)->live;
	}
}

void found_settle(struct stall_engine *e, const struct look *l)
{
	drop_old(e);
	for (struct found *f = e->live; f; f = f->live) {
		const struct stalls_call *c;
		const struct thread_facts *t;

		if (f->over || f->look == e->look)
			continue;
		c = tables_call(l->tables, f->stall.tid);
		t = autopsy_thread(l->autopsy, f->stall.tid);
		if (c && c->entry_ns && c->entry_ns == f->entry_ns && (!t || engine_same_call(c, t)))
			continue; /* still that call, though the reason has changed */
		if (t && t->moved && !f->by_conn)
			continue; /* this look could not tell */
		if (t && f->by_conn && !t->in_call && still_owed(f, l))
			continue;
		f->over = true;
		f->over_look = e->look;
		f->end_ns = l->now_ns;
		f->outcome = t ? answered(f, l->tables) : "thread exited";
	}
}

/* poll and its like return nothing when their time is up; calls on a socket fail then. */
static bool out_of_time(const struct stalls_ended *ev, const struct stall *st)
{
	enum call_class c = call_classify(ev->nr);

	if (st->timeout_ms < 0)
		return false;
	if (c == CALL_POLL || c == CALL_SELECT || c == CALL_EPOLL)
		return ev->ret == 0;
	return ev->ret == -EAGAIN || (c == CALL_CONNECT && ev->ret == -EINPROGRESS);
}

static const char *outcome(const struct stalls_ended *ev, const struct stall *st)
{
	if (out_of_time(ev, st))
		return "timed out";
	if (ev->ret < 0)
		return "failed";
	if (ev->ret == 0 && call_classify(ev->nr) == CALL_READ)
		return "closed by the peer";
	return st->verdict == VERDICT_PEER_SILENT && st->timeout_ms != -2 ? "answered late" : NULL;
}

void found_ended(struct stall_engine *e, const struct stalls_ended *ev)
{
	for (struct found *f = e->live; f; f = f->live) {
		/* a look may have noticed it first, with a coarser time */
		if (f->stall.tid != (pid_t)ev->h.tid || f->entry_ns != ev->entry_ns || f->by_conn)
			continue;
		f->over = true;
		f->over_look = e->look;
		f->end_ns = ev->h.ts_ns;
		f->outcome = outcome(ev, &f->stall);
	}
}

size_t stall_engine_count(const struct stall_engine *e)
{
	return e->n_found;
}

struct stall_life stall_engine_life(const struct stall_engine *e, size_t i, uint64_t now_ns)
{
	const struct found *f = e->found[i];
	struct stall_life life;
	uint64_t end;

	end = f->over ? f->end_ns : now_ns;
	life = (struct stall_life){
		.stall = &f->stall, .over = f->over, .start_ns = f->start_ns, .end_ns = end};
	life.end = !f->over ? "still blocked" : f->outcome ? f->outcome : "ended";

	life.lasted_ns = end > f->start_ns ? end - f->start_ns : 0;
	if (life.lasted_ns < f->stall.blocked_ns && !f->over)
		life.lasted_ns = f->stall.blocked_ns;
	return life;
}
