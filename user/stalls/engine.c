// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "arch/arch.h"
#include "stalls/engine_priv.h"
#include "util/grow.h"

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

/* Frees the memos that the current look has not seen, or all. */
static void forget(struct stall_engine *e, bool all)
{
	struct memo *m, *next, *gone = NULL;

	HASH_ITER (hh, e->memo, m, next) {
		if (!all && m->look == e->look)
			continue;
		HASH_DEL(e->memo, m);
		m->next = gone;
		gone = m;
	}
	for (; gone; gone = next) {
		next = gone->next;
		free(gone);
	}
}

void stall_engine_destroy(struct stall_engine *e)
{
	if (!e)
		return;
	forget(e, true);
	for (size_t i = 0; i < e->n_found; i++)
		found_free(e->found[i]);
	free(e->found);
	free(e->closed);
	free(e->late);
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
	const struct stalls_ended *ended = (const struct stalls_ended *)rec;

	if (rec->kind == STALLS_CLOSED)
		keep_closed(e, (const struct stalls_closed *)rec);
	else if (rec->kind != STALLS_ENDED || rec->size < sizeof(*ended))
		return;
	else if (e->looking && !GROW(&e->late, e->n_late))
		e->late[e->n_late++] = *ended;
	else
		found_ended(e, ended);
}

/* To the facts of this look those calls had not ended. */
static void look_over(struct stall_engine *e)
{
	e->looking = false;
	for (size_t i = 0; i < e->n_late; i++)
		found_ended(e, &e->late[i]);
	free(e->late);
	e->late = NULL;
	e->n_late = 0;
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
	return arch_code_address(word) == arch_code_address(r->ret);
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

#define RIGHT_BEFORE_MS 250 /* from the end of a read or send to the call that blocks */

bool engine_right_before(int64_t age_ms, uint64_t blocked_ns, uint64_t at_most_ns)
{
	int64_t blocked = (int64_t)(blocked_ns / 1000000), at_most = (int64_t)(at_most_ns / 1000000);

	return age_ms >= 0 && age_ms + VERDICT_AGE_MARGIN_MS >= blocked &&
	       age_ms <= (at_most > blocked ? at_most : blocked) + RIGHT_BEFORE_MS;
}

bool engine_same_call(const struct stalls_call *c, const struct thread_facts *t)
{
	if (!c || !t->in_call)
		return false;
	if (t->nr == SYS_restart_syscall)
		return c->flags & (STALLS_CALL_RESTART | STALLS_CALL_SEEDED);
	return t->nr == (int64_t)c->nr && t->arg[0] == c->arg[0] && t->arg[1] == c->arg[1];
}

static bool subject_of(struct stall_engine *e, const struct look *l, struct thread_facts *t,
		       struct subject *s)
{
	const struct stalls_call *c = tables_call(l->tables, t->tid);

	*s = (struct subject){.l = l, .t = t};
	/* nothing that a stopped thread does not do is a stall */
	if (!t->in_call || t->moved || t->state == 'T' || t->state == 't')
		return false;
	if (engine_same_call(c, t) && c->entry_ns <= l->now_ns) {
		s->call = c;
		s->blocked_ns = l->now_ns - c->entry_ns;
		s->at_least = c->flags & STALLS_CALL_SEEDED;
		if (t->timeout_ms == -2 && c->timeout_ns != -2)
			t->timeout_ms = c->timeout_ns < 0 ? -1 : c->timeout_ns / 1000000;
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

/*
 * What is certain comes first: waits that need no look at the stack, and what a thread blocked elsewhere
 * owes. Only then waits that are stalls because the thread is inside an RPC: it may wait for the wrong thing.
 */
static int judge_all(struct stall_engine *e, struct subject *v, size_t n, const struct look *l)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < n; i++)
		rc = engine_wait(e, &v[i], false);
	if (!rc)
		rc = engine_elsewhere(e, v, n, l);
	for (size_t i = 0; !rc && i < n; i++)
		rc = engine_rpc(e, &v[i]);
	for (size_t i = 0; !rc && i < n; i++)
		rc = engine_wait(e, &v[i], true);
	if (!rc)
		rc = engine_computing(e, l);
	if (!rc)
		rc = engine_loops(e, l);
	for (size_t i = 0; !rc && i < n; i++)
		e->healthy += !v[i].reported && call_is_wait(v[i].t->class);
	return rc;
}

/* A request that we have read and not answered, or sent and not got an answer to: when it began. */
static uint64_t owed_since(const struct stalls_sock *s, bool accepted)
{
	if (accepted)
		return s->last_recv_ns > s->last_send_ns ? s->last_recv_ns : 0;
	return s->last_send_ns > s->last_recv_ns ? s->asked_ns : 0;
}

/* The next moment at which one of these passes the threshold. Their threads may be in calls that are not
 * followed. */
static uint64_t next_due(const struct stall_engine *e, const struct look *l)
{
	uint64_t due = 0;

	for (size_t i = 0; i < l->tables->n_open; i++) {
		const struct open_sock *o = &l->tables->open[i];
		const struct stalls_sock *s = tables_sock(l->tables, o->inode);
		uint64_t since = s && o->facts.known ? owed_since(s, o->facts.accepted) : 0, at;

		at = since + e->cfg.threshold_ns;
		if (since && at > l->now_ns && (!due || at < due))
			due = at;
	}
	return due;
}

int stall_engine_look(struct stall_engine *e, const struct look *l, struct err *err)
{
	struct subject *v = calloc(l->autopsy->n_threads + 1, sizeof(*v));
	size_t n = 0;
	int rc;

	if (!v)
		return err_set(err, -ENOMEM, "out of memory");
	e->look++;
	e->last_look_ns = l->now_ns;
	e->due_ns = next_due(e, l);
	e->healthy = e->unclear = 0;
	for (size_t i = 0; i < l->autopsy->n_threads; i++) {
		struct thread_facts *t = &l->autopsy->thread[i];

		if (subject_of(e, l, t, &v[n]))
			n++;
		else
			e->unclear += t->in_call && call_is_wait(t->class) &&
				      (t->moved || t->state == 'T' || t->state == 't');
	}
	e->looking = true;
	rc = judge_all(e, v, n, l);
	if (!rc)
		found_settle(e, l);
	look_over(e);
	forget(e, false);
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
	if (e->due_ns && now_ns >= e->due_ns)
		return true;
	return e->ops.wire_began && now_ns > e->cfg.threshold_ns && e->last_look_ns > e->cfg.threshold_ns &&
	       e->ops.wire_began(e->ops.ctx, e->last_look_ns - e->cfg.threshold_ns,
				 now_ns - e->cfg.threshold_ns);
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
