// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "report/sock.h"
#include "report/stall.h"

static json_t *ms_or_null(uint64_t ns)
{
	return ns ? json_real((double)ns / 1e6) : json_null();
}

static json_t *json_other(const struct stall *s, const struct report_clock *c)
{
	json_t *v;

	if (!s->has_other)
		return json_null();
	v = json_pack("{s:s, s:i, s:o, s:i, s:o, s:o, s:o, s:o}", "role", s->other.role, "pid",
		      (int)(s->other.pid ? s->other.pid : s->pid), "process",
		      s->other.pid ? json_str(s->other.process) : json_null(), "tid", (int)s->other.tid,
		      "comm", json_str(s->other.comm), "time", json_time(c, s->other.ts_ns), "doing",
		      json_str(s->other.doing), "kernel_stack",
		      json_strs(s->other.kernel_stack, s->other.n_kernel));
	if (v)
		json_set_frames(v, "user_stack", &s->other.stack);
	return v;
}

static json_t *json_reader(const struct stall *s)
{
	if (!s->reader.tid)
		return json_null();
	return json_pack("{s:i, s:I, s:o}", "tid", (int)s->reader.tid, "ago_ms",
			 (json_int_t)(s->reader.ago_ns / 1000000), "cpu_ms",
			 s->reader.cpu_known ? json_real((double)s->reader.cpu_ns / 1e6) : json_null());
}

static json_t *json_rpc(const struct stall *s)
{
	if (!s->rpc_method && !s->rpc_id_known)
		return json_null();
	return json_pack("{s:o, s:o, s:o}", "method", json_str(s->rpc_method), "age_ms",
			 s->rpc_age_ms < 0 ? json_null() : json_integer((json_int_t)s->rpc_age_ms), "id",
			 s->rpc_id_known ? json_integer((json_int_t)s->rpc_id) : json_null());
}

/* Of a socket that sock_diag does not know, the inode is all there is. */
static json_t *json_socket(const struct sock_facts *s)
{
	if (!s->known && s->inode)
		return json_pack("{s:I}", "inode", (json_int_t)s->inode);
	return json_sock(s);
}

static json_t *json_chain(const struct stall *s)
{
	json_t *a = json_array();

	for (size_t i = 0; i < s->n_chain; i++) {
		const struct stall_step *k = &s->chain[i];

		json_array_append_new(
			a,
			json_pack("{s:i, s:o, s:i, s:o, s:o, s:o, s:o, s:o}", "pid", (int)k->pid, "process",
				  k->process[0] ? json_str(k->process) : json_null(), "tid", (int)k->tid,
				  "comm", json_str(k->comm), "doing", json_str(k->doing), "by",
				  k->how[0] ? json_str(k->how) : json_null(), "waits", json_str(k->what),
				  "for_tid", k->next ? json_integer(k->next) : json_null()));
	}
	return a;
}

/* timeout_ms is -1 for an infinite wait and null for a call that has none. */
json_t *json_stall(const struct stall *s, const struct report_clock *c)
{
	json_t *v = json_pack("{s:s, s:s, s:i, s:i, s:o, s:I, s:b, s:b, s:b}", "kind", "stall", "verdict",
			      verdict_name(s->verdict), "pid", (int)s->pid, "tid", (int)s->tid, "comm",
			      json_str(s->comm), "blocked_ms", (json_int_t)(s->blocked_ns / 1000000),
			      "blocked_at_least", s->blocked_at_least, "blocked_before_session",
			      s->blocked_before_session, "busy", s->busy);

	if (!v)
		return NULL;
	json_object_set_new(v, "time", json_time(c, c->mono_ns));
	json_object_set_new(v, "syscall", json_str(s->syscall));
	json_object_set_new(v, "timeout_ms",
			    s->timeout_ms == -2 ? json_null() : json_integer((json_int_t)s->timeout_ms));
	json_object_set_new(v, "fd", s->fd < 0 ? json_null() : json_integer(s->fd));
	json_object_set_new(v, "file", json_str(s->file));
	json_object_set_new(v, "socket", json_socket(&s->sock));
	json_object_set_new(v, "rpc", json_rpc(s));
	json_set_frames(v, "user_stack", &s->user_stack);
	json_object_set_new(v, "kernel_stack", json_strs(s->kernel_stack, s->n_kernel));
	json_object_set_new(v, "request_read", json_reader(s));
	json_object_set_new(v, "other", json_other(s, c));
	json_object_set_new(v, "chain", json_chain(s));
	json_object_set_new(v, "chain_end", json_str(s->chain_end));
	json_object_set_new(v, "cycle", json_boolean(s->cycle));
	json_object_set_new(v, "request", json_str(s->request));
	json_object_set_new(v, "explanation", json_str(s->explanation));
	json_object_set_new(v, "next", json_str(s->next));
	return v;
}

json_t *json_stall_lives(const struct stall_life *v, size_t n, const struct report_clock *c)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(
			a, json_pack("{s:s, s:i, s:I, s:b, s:s, s:o, s:o}", "verdict",
				     verdict_name(v[i].stall->verdict), "tid", (int)v[i].stall->tid,
				     "blocked_ms", (json_int_t)(v[i].lasted_ns / 1000000), "over", v[i].over,
				     "end", v[i].end, "began", json_time(c, v[i].start_ns), "ended",
				     v[i].over ? json_time(c, v[i].end_ns) : json_null()));
	return a;
}

json_t *json_rpc_ledger(const struct rpc_ledger *l)
{
	json_t *a = json_array();

	for (size_t i = 0; i < l->n; i++) {
		const struct rpc_line *r = &l->v[i];

		json_array_append_new(
			a,
			json_pack("{s:o, s:o, s:s, s:I, s:I, s:I, s:o, s:I, s:I, s:o, s:o, s:o, s:o}", "peer",
				  json_str(r->peer), "method", json_str(r->method), "by", rpc_by_name(r->by),
				  "calls", (json_int_t)r->calls, "in_flight", (json_int_t)r->in_flight,
				  "unanswered", (json_int_t)r->unanswered, "errors",
				  r->by == RPC_BY_CALL ? json_null() : json_integer((json_int_t)r->errors),
				  "unclear", (json_int_t)r->unclear, "timed_out", (json_int_t)r->timed_out,
				  "oldest_ms", ms_or_null(r->oldest_ns), "p50_ms", ms_or_null(r->p50_ns),
				  "p99_ms", ms_or_null(r->p99_ns), "max_ms", ms_or_null(r->max_ns)));
	}
	return a;
}
