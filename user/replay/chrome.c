// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Trace Event Format ("Trace Event Format", Google 2016; read by Perfetto and chrome://tracing): times in us,
 * slices "X", instants "i", flow arrows from "s" to "f". Each session is a process of its own there: on two
 * hosts a pid says nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replay/replay.h"

struct trace {
	FILE *f;
	bool some; /* an event was written */
	int rc;
};

/* Takes o over. */
static void event(struct trace *t, json_t *o)
{
	if (!o && !t->rc)
		t->rc = -ENOMEM;
	if (!t->rc && (fputs(t->some ? ",\n" : "\n", t->f) == EOF ||
		       json_dumpf(o, t->f, JSON_COMPACT | JSON_ENSURE_ASCII)))
		t->rc = errno ? -errno : -EIO;
	t->some = true;
	json_decref(o);
}

static json_int_t us(uint64_t real_ns)
{
	return (json_int_t)(real_ns / 1000);
}

static json_t *name_event(const char *what, size_t session, pid_t tid, json_t *name)
{
	return json_pack("{s:s, s:s, s:i, s:i, s:{s:o}}", "ph", "M", "name", what, "pid", (int)session + 1,
			 "tid", (int)tid, "args", "name", name);
}

static void thread(struct trace *t, size_t session, pid_t tid, const char *comm)
{
	event(t, name_event("thread_name", session, tid, json_str(comm)));
}

static void process(struct trace *t, const struct replay *r, size_t session)
{
	const char *host = session_value(r->s, "host"), *pid = session_value(r->s, "pid"),
		   *comm = session_value(r->s, "comm");

	event(t,
	      name_event("process_name", session, 0,
			 json_sprintf("%s: %s (%s)", host ? host : "?", pid ? pid : "?", comm ? comm : "?")));
}

static json_t *stack(const struct frames *st)
{
	json_t *a = json_array();

	for (size_t i = 0; i < st->n; i++)
		json_array_append_new(a,
				      st->v[i].symbol ? json_str(st->v[i].symbol) : json_hex(st->v[i].addr));
	return a;
}

static json_t *slice(const char *name, size_t session, pid_t tid, uint64_t from_ns, uint64_t to_ns)
{
	return json_pack("{s:s, s:o, s:s, s:i, s:i, s:I, s:I}", "ph", "X", "name", json_str(name), "cat",
			 "stall", "pid", (int)session + 1, "tid", (int)tid, "ts", us(from_ns), "dur",
			 us(to_ns > from_ns ? to_ns - from_ns : 0));
}

static void stall(struct trace *t, const struct replay *r, size_t session, const struct replay_finding *x)
{
	const struct stall *s = &r->stall[x->stall];
	const struct stall_life *l = &r->life[x->stall];
	uint64_t from = replay_wall(r, l->start_ns);
	json_t *o = slice(verdict_name(s->verdict), session, s->tid, from, from + l->lasted_ns);

	if (o)
		json_object_set_new(o, "args",
				    json_pack("{s:o, s:o, s:s, s:o, s:o}", "method", json_str(s->rpc_method),
					      "peer", json_str(s->sock.remote), "end", l->end, "why",
					      json_str(s->explanation), "stack", stack(&s->user_stack)));
	thread(t, session, s->tid, s->comm);
	event(t, o);
}

static void instant(struct trace *t, size_t session, pid_t tid, uint64_t real_ns, json_t *name, json_t *args)
{
	event(t,
	      json_pack("{s:s, s:s, s:o, s:s, s:i, s:i, s:I, s:o}", "ph", "i", "s", "t", "name", name, "cat",
			"write", "pid", (int)session + 1, "tid", (int)tid, "ts", us(real_ns), "args", args));
}

static void bad_write(struct trace *t, const struct replay *r, size_t session, const struct replay_finding *x)
{
	const struct bad_write *w = x->write;
	bool act = w->has_writer && w->writer.ts_ns;
	pid_t tid = act ? w->writer.tid : w->found.tid;
	uint64_t at = act ? w->writer.ts_ns : w->found.ts_ns;

	thread(t, session, tid, act ? w->writer.comm : w->found.comm);
	instant(t, session, tid, replay_wall(r, at ? at : x->found_ns),
		json_sprintf("bad write: %s", w->path ? w->path : "?"),
		json_pack("{s:s, s:s, s:o, s:o, s:o}", "reason", write_reason_name(w->reason), "confidence",
			  confidence_name(w->confidence), "object", json_str(w->object_type), "why",
			  json_str(w->explanation), "stack", stack(&w->writer.stack)));
}

static void crash(struct trace *t, const struct replay *r, size_t session, const struct replay_finding *x)
{
	const struct crash *c = x->crash;

	thread(t, session, c->tid, c->comm);
	instant(t, session, c->tid, replay_wall(r, c->ts_ns), json_sprintf("crash: %s", c->signal_name),
		json_pack("{s:o, s:o}", "why", json_str(c->explanation), "stack", stack(&c->stack)));
}

static json_t *flow(const char *phase, size_t id, size_t session, pid_t tid, uint64_t real_ns)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:I}", "ph", phase, "name", "request", "cat",
			 "joined", "bp", "e", "id", (int)id, "pid", (int)session + 1, "tid", (int)tid, "ts",
			 us(real_ns));
}

/* What the peer did with the request, and an arrow there. */
static void joined(struct trace *t, struct replay *const *v, const struct joined *j, size_t id)
{
	const struct session_wait *w = j->wb;
	json_int_t tid = w ? json_integer_value(json_object_get(w->thread, "tid")) : 0;
	const char *comm = w ? json_string_value(json_object_get(w->thread, "comm")) : NULL;
	const struct replay *a = v[j->a];
	uint64_t left = replay_wall(a, a->life[j->stall].start_ns);

	if (!w || tid <= 0 || tid > INT32_MAX)
		return;
	thread(t, j->b, (pid_t)tid, comm ? comm : "?");
	event(t, slice(w->unread ? "request not read" : "has the request", j->b, (pid_t)tid, w->since_ns,
		       w->until_ns ? w->until_ns : w->seen_ns));
	/* an arrow starts inside its slice */
	event(t, flow("s", id, j->a, a->stall[j->stall].tid, j->sent_ns > left ? j->sent_ns : left));
	event(t, flow("f", id, j->b, (pid_t)tid, w->since_ns));
}

static void session(struct trace *t, const struct replay *r, size_t i)
{
	process(t, r, i);
	for (size_t k = 0; k < r->n; k++) {
		if (r->v[k].kind == REPLAY_STALL)
			stall(t, r, i, &r->v[k]);
		else if (r->v[k].kind == REPLAY_WRITE)
			bad_write(t, r, i, &r->v[k]);
		else
			crash(t, r, i, &r->v[k]);
	}
}

int replay_chrome(FILE *f, struct replay *const *v, size_t n, const struct replay_joined *j)
{
	struct trace t = {.f = f};

	fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[", f);
	for (size_t i = 0; i < n; i++)
		session(&t, v[i], i);
	for (size_t i = 0; i < j->n; i++)
		joined(&t, v, &j->v[i], i + 1);
	fputs("\n]}\n", f);
	return t.rc;
}
