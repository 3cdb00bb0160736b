// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <string.h>

#include "stalls/connections.h"
#include "stalls/engine_priv.h"

static bool is_connection(const struct sock_facts *s)
{
	return s->known && strcmp(s->state, "LISTEN") != 0 && strcmp(s->state, "CLOSE") != 0;
}

static void by_wire(const struct stall_engine *e, struct conn_view *v)
{
	/* what we are asked first: that is what others wait for */
	for (int ours = 0; ours < 2 && !v->on_wire; ours++)
		v->on_wire = e->ops.wire(e->ops.ctx, v->o->inode, ours, &v->wire);
	if (!v->on_wire)
		return;
	v->turn = v->wire.ours ? CONN_ASKED : CONN_OWES;
	v->since_ns = v->wire.start_ns;
}

static void by_turn(const struct look *l, struct conn_view *v)
{
	const struct sock_facts *s = &v->o->facts;
	uint64_t owed_ns;
	enum turn turn = verdict_turn(s, v->flow, l->now_ns, &owed_ns);

	if (s->accepted && sock_unread(s)) { /* not even read */
		v->turn = CONN_OWES;
		owed_ns = s->last_recv_ms < 0 ? 0 : (uint64_t)s->last_recv_ms * 1000000;
		v->since_ns = s->last_recv_ms < 0 || l->now_ns <= owed_ns ? 0 : l->now_ns - owed_ns;
		return;
	}
	if (turn != (s->accepted ? TURN_OURS : TURN_PEER))
		return;
	v->turn = s->accepted ? CONN_OWES : CONN_ASKED;
	v->since_ns = l->now_ns > owed_ns ? l->now_ns - owed_ns : 1;
}

void stall_engine_connections(struct stall_engine *e, const struct look *l,
			      void (*fn)(void *ctx, const struct conn_view *v), void *ctx)
{
	for (size_t i = 0; i < l->tables->n_open; i++) {
		const struct open_sock *o = &l->tables->open[i];
		struct conn_view v = {.o = o};

		if (!is_connection(&o->facts))
			continue;
		v.flow = tables_sock(l->tables, o->inode);
		if (e->ops.wire)
			by_wire(e, &v);
		if (!v.on_wire)
			by_turn(l, &v);
		fn(ctx, &v);
	}
}

static void by_tid(const struct look *l, pid_t tid, const char *did, struct conn_thread *out)
{
	out->t = autopsy_thread(l->autopsy, tid);
	if (out->t)
		snprintf(out->how, sizeof(out->how), "%s", did);
	else
		snprintf(out->how, sizeof(out->how), "thread %d %s and has ended", (int)tid, did);
}

void stall_engine_conn_thread(struct stall_engine *e, const struct look *l, const struct conn_view *v,
			      struct conn_thread *out)
{
	struct chain_place home = chain_home(e, l);
	struct reader r;

	*out = (struct conn_thread){0};
	if (v->on_wire) {
		by_tid(l, v->wire.tid, v->wire.ours ? "sent the request" : "read the request", out);
	} else if (v->turn == CONN_ASKED && v->flow && v->flow->send_tid) {
		by_tid(l, (pid_t)v->flow->send_tid, "sent the request", out);
	} else if (v->turn == CONN_ASKED) {
		snprintf(out->how, sizeof(out->how), "the request was sent before that was followed");
	} else if (v->turn == CONN_OWES) {
		r = reader_of(e, &home, &v->o->facts,
			      e->ops.shared && !e->ops.shared(e->ops.ctx, v->o->inode));
		out->t = r.t;
		memcpy(out->how, r.t ? r.how : r.unknown, sizeof(out->how));
	}
	if (out->t)
		autopsy_stacks(out->t, e->ops.target);
}
