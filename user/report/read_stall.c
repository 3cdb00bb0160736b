// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "report/read_priv.h"

static const char *verdict(unsigned i)
{
	return verdict_name((enum verdict)i);
}

static const char *by(unsigned i)
{
	return i > RPC_BY_WIRE_SERVER ? "?" : rpc_by_name((enum rpc_by)i);
}

static void read_sock(struct reader *r, struct sock_facts *s)
{
	struct reader of = read_part(r, read_object(r, "socket"));
	const char *family = read_ref(&of, "family");
	uint32_t probes = 0;

	s->last_send_ms = s->last_recv_ms = s->last_ack_ms = -1;
	s->peer_window = UINT32_MAX;
	read_u64(&of, "inode", &s->inode);
	s->known = family != NULL; /* without it the inode is all there is */
	s->family = !family		      ? AF_UNSPEC
		    : !strcmp(family, "inet") ? AF_INET
		    : !strcmp(family, "unix") ? AF_UNIX
					      : AF_INET6;
	read_into(&of, "local", s->local, sizeof(s->local));
	read_into(&of, "remote", s->remote, sizeof(s->remote));
	read_into(&of, "state", s->state, sizeof(s->state));
	read_bool(&of, "accepted", &s->accepted);
	read_u32(&of, "recv_queue", &s->recv_queue);
	read_u32(&of, "send_queue", &s->send_queue);
	read_u32(&of, "unacked", &s->unacked);
	read_u32(&of, "notsent", &s->notsent);
	read_u32(&of, "retransmits", &s->retransmits);
	read_u32(&of, "total_retrans", &s->total_retrans);
	read_u32(&of, "rtt_us", &s->rtt_us);
	read_u64(&of, "bytes_acked", &s->bytes_acked);
	read_u64(&of, "bytes_received", &s->bytes_received);
	read_u64(&of, "bytes_sent", &s->bytes_sent);
	read_i64(&of, "last_send_ms", 0, INT64_MAX / 1000000, &s->last_send_ms);
	read_i64(&of, "last_recv_ms", 0, INT64_MAX / 1000000, &s->last_recv_ms);
	read_i64(&of, "last_ack_ms", 0, INT64_MAX / 1000000, &s->last_ack_ms);
	read_u32(&of, "peer_window", &s->peer_window);
	read_u32(&of, "probes", &probes);
	s->probes = probes > UINT8_MAX ? UINT8_MAX : (uint8_t)probes;
	read_into(&of, "timer", s->timer, sizeof(s->timer));
	read_u64(&of, "peer_inode", &s->peer_inode);
	reader_join(r, &of);
}

static void read_rpc(struct reader *r, struct stall *s)
{
	const json_t *v = read_object(r, "rpc");
	struct reader of = read_part(r, v);

	s->rpc_age_ms = -1;
	if (!v)
		return;
	read_str(&of, "method", &s->rpc_method);
	read_i64(&of, "age_ms", 0, INT64_MAX / 1000000, &s->rpc_age_ms);
	s->rpc_id_known = json_is_integer(json_object_get(v, "id"));
	read_u64(&of, "id", &s->rpc_id);
	reader_join(r, &of);
}

static void read_reader(struct reader *r, struct stall *s)
{
	const json_t *v = read_object(r, "request_read");
	struct reader of = read_part(r, v);

	if (!v)
		return;
	read_int(&of, "tid", 1, INT32_MAX, &s->reader.tid);
	read_ms(&of, "ago_ms", &s->reader.ago_ns);
	s->reader.cpu_known = json_is_number(json_object_get(v, "cpu_ms"));
	read_ms(&of, "cpu_ms", &s->reader.cpu_ns);
	reader_join(r, &of);
}

static void read_other(struct reader *r, struct stall *s)
{
	const json_t *v = read_object(r, "other");
	struct reader of = read_part(r, v);

	if (!v)
		return;
	s->has_other = true;
	s->other.role = read_ref(&of, "role");
	if (!s->other.role)
		s->other.role = "?";
	read_int(&of, "tid", 0, INT32_MAX, &s->other.tid);
	if (json_is_string(json_object_get(v, "process"))) /* else the target itself */
		read_int(&of, "pid", 0, INT32_MAX, &s->other.pid);
	read_into(&of, "process", s->other.process, sizeof(s->other.process));
	read_into(&of, "comm", s->other.comm, sizeof(s->other.comm));
	read_time(&of, "time", &s->other.ts_ns);
	read_str(&of, "doing", &s->other.doing);
	read_frames(&of, "user_stack", &s->other.stack);
	read_strs(&of, "kernel_stack", &s->other.kernel_stack, &s->other.n_kernel);
	reader_join(r, &of);
}

static void read_step(struct reader *r, struct stall_step *k)
{
	read_int(r, "pid", 0, INT32_MAX, &k->pid);
	read_into(r, "process", k->process, sizeof(k->process));
	read_int(r, "tid", 0, INT32_MAX, &k->tid);
	read_into(r, "comm", k->comm, sizeof(k->comm));
	read_str(r, "doing", &k->doing);
	read_into(r, "by", k->how, sizeof(k->how));
	read_into(r, "waits", k->what, sizeof(k->what));
	read_int(r, "for_tid", 0, INT32_MAX, &k->next);
}

static void read_chain(struct reader *r, struct stall *s)
{
	const json_t *a = read_array(r, "chain");
	size_t n = json_array_size(a);

	s->chain = read_room(r, n, sizeof(*s->chain));
	for (size_t i = 0; s->chain && i < n && !r->rc; i++) {
		struct reader one = read_part(r, json_array_get(a, i));

		s->n_chain = i + 1;
		read_step(&one, &s->chain[i]);
		reader_join(r, &one);
	}
	read_str(r, "chain_end", &s->chain_end);
	read_bool(r, "cycle", &s->cycle);
}

int stall_from_json(const json_t *v, const struct report_clock *c, struct stall *ret, struct err *err)
{
	struct reader r = {.v = v, .clock = c, .err = err};
	unsigned which = VERDICT_NONE;

	*ret = (struct stall){.fd = -1, .timeout_ms = -2};
	read_name(&r, "verdict", verdict, &which);
	ret->verdict = (enum verdict)which;
	read_int(&r, "pid", 0, INT32_MAX, &ret->pid);
	read_int(&r, "tid", 0, INT32_MAX, &ret->tid);
	read_int(&r, "fd", 0, INT32_MAX, &ret->fd);
	read_into(&r, "comm", ret->comm, sizeof(ret->comm));
	read_ms(&r, "blocked_ms", &ret->blocked_ns);
	read_bool(&r, "blocked_at_least", &ret->blocked_at_least);
	read_bool(&r, "blocked_before_session", &ret->blocked_before_session);
	read_bool(&r, "busy", &ret->busy);
	ret->syscall = read_ref(&r, "syscall");
	read_i64(&r, "timeout_ms", -1, INT64_MAX, &ret->timeout_ms);
	read_sock(&r, &ret->sock);
	read_str(&r, "file", &ret->file);
	read_rpc(&r, ret);
	read_frames(&r, "user_stack", &ret->user_stack);
	read_strs(&r, "kernel_stack", &ret->kernel_stack, &ret->n_kernel);
	read_reader(&r, ret);
	read_other(&r, ret);
	read_chain(&r, ret);
	read_str(&r, "request", &ret->request);
	read_str(&r, "explanation", &ret->explanation);
	read_str(&r, "next", &ret->next);
	return r.rc;
}

int stall_lives_from_json(const json_t *summary, const struct report_clock *c, const struct stall *stalls,
			  const uint64_t *found_ns, size_t n, struct stall_life *ret, struct err *err)
{
	struct reader r = {.v = summary, .clock = c, .err = err};
	const json_t *a = read_array(&r, "stalls");

	for (size_t i = 0; i < n && !r.rc; i++) {
		struct reader one = read_part(&r, json_array_get(a, i));
		struct stall_life *l = &ret[i];

		*l = (struct stall_life){.stall = &stalls[i],
					 .start_ns = found_ns[i] - stalls[i].blocked_ns,
					 .end_ns = found_ns[i],
					 .lasted_ns = stalls[i].blocked_ns};
		l->end = read_ref(&one, "end");
		if (!l->end)
			l->end = "not known";
		read_ms(&one, "blocked_ms", &l->lasted_ns);
		read_bool(&one, "over", &l->over);
		read_time(&one, "began", &l->start_ns);
		read_time(&one, "ended", &l->end_ns);
		reader_join(&r, &one);
	}
	return r.rc;
}

static void read_line(struct reader *r, struct rpc_line *l)
{
	unsigned which = RPC_BY_CALL;

	read_into(r, "peer", l->peer, sizeof(l->peer));
	read_into(r, "method", l->method, sizeof(l->method));
	read_name(r, "by", by, &which);
	l->by = (enum rpc_by)which;
	read_u64(r, "calls", &l->calls);
	read_u64(r, "in_flight", &l->in_flight);
	read_u64(r, "unanswered", &l->unanswered);
	read_u64(r, "errors", &l->errors);
	read_u64(r, "unclear", &l->unclear);
	read_u64(r, "timed_out", &l->timed_out);
	read_ms(r, "oldest_ms", &l->oldest_ns);
	read_ms(r, "p50_ms", &l->p50_ns);
	read_ms(r, "p99_ms", &l->p99_ns);
	read_ms(r, "max_ms", &l->max_ns);
}

int rpc_ledger_from_json(const json_t *summary, struct rpc_ledger *ret, struct err *err)
{
	struct reader r = {.v = summary, .err = err};
	const json_t *a = read_array(&r, "rpcs");
	size_t n = json_array_size(a);

	*ret = (struct rpc_ledger){.v = read_room(&r, n, sizeof(*ret->v))};
	for (size_t i = 0; ret->v && i < n && !r.rc; i++) {
		struct reader one = read_part(&r, json_array_get(a, i));

		read_line(&one, &ret->v[i]);
		reader_join(&r, &one);
		ret->n = i + 1;
	}
	return r.rc;
}

int log_from_json(const json_t *v, size_t n, struct log_rec *rec, struct timeline_row *ret, struct err *err)
{
	static const struct report_clock real = {0, 0};
	struct reader r = {.v = v, .clock = &real, .err = err}, of;
	const char *severity = read_ref(&r, "severity");
	int64_t number = -1;

	*rec = (struct log_rec){.severity = severity && severity[0] ? severity[0] : '?'};
	read_time(&r, "time", &rec->real_ns);
	read_int(&r, "tid", 0, INT32_MAX, &rec->tid);
	read_into(&r, "where", rec->where, sizeof(rec->where));
	read_into(&r, "text", rec->text, sizeof(rec->text));
	*ret = (struct timeline_row){.kind = TIMELINE_LOG,
				     .real_ns = rec->real_ns,
				     .tid = rec->tid,
				     .log = rec,
				     .stall = SIZE_MAX};
	read_bool(&r, "timed_out", &ret->timed_out);
	of = read_part(&r, read_object(&r, "stall"));
	read_i64(&of, "number", 0, INT64_MAX, &number);
	reader_join(&r, &of);
	if (number >= 0 && (uint64_t)number < n)
		ret->stall = (size_t)number;
	return r.rc;
}
