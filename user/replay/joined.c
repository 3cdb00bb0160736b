// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the two ends of a connection say together. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "replay/replay.h"
#include "report/read.h"

#define FRAMES_SHOWN 16

static const struct report_clock real_clock = {0, 0};

static const char *value_or(const struct replay *r, const char *key)
{
	const char *v = session_value(r->s, key);

	return v ? v : "?";
}

/* The thread that the other end kept. */
struct there {
	const json_t *v; /* NULL: none */
	pid_t tid;	 /* 0: not known */
	const char *comm, *how, *doing;
	uint64_t looked_ns;
	struct frames stack;
};

static const char *string_at(const json_t *v, const char *key)
{
	return json_string_value(json_object_get(v, key));
}

static struct there there_of(const struct joined *j)
{
	struct there t = {.v = j->wb ? j->wb->thread : NULL};
	json_int_t tid = json_integer_value(json_object_get(t.v, "tid"));

	t.tid = tid > 0 && tid <= INT32_MAX ? (pid_t)tid : 0;
	t.comm = string_at(t.v, "comm");
	t.how = string_at(t.v, "how");
	t.doing = string_at(t.v, "doing");
	t.looked_ns = (uint64_t)json_integer_value(json_object_get(t.v, "looked_ns"));
	if (!t.tid && j->cb && j->cb->recv_tid)
		t.tid = j->cb->recv_tid;
	if (t.v && frames_from_json(t.v, "user_stack", &t.stack, NULL))
		frames_deinit(&t.stack);
	return t;
}

static void thread_name(FILE *f, const struct there *t)
{
	if (t->tid)
		fprintf(f, "thread %d", (int)t->tid);
	else
		fprintf(f, "a thread that is not known");
	if (t->comm)
		fprintf(f, " (%s)", t->comm);
}

static void verdict(FILE *f, const struct replay *b, const struct joined *j, const struct there *t)
{
	const char *host = b ? value_or(b, "host") : "?";
	char x[16];

	fprintf(f, "JOINED  ");
	switch (j->state) {
	case JOIN_READ:
		fprintf(f, "request read on %s by ", host);
		thread_name(f, t);
		fprintf(f, "%s%s, not answered", t->doing ? ", now " : "", t->doing ? t->doing : "");
		break;
	case JOIN_UNREAD:
		fprintf(f, "%s has not read it: %u bytes in its receive queue", host,
			j->wb ? j->wb->unread : j->cb->recv_queue);
		if (t->v && t->tid) {
			fprintf(f, "; ");
			thread_name(f, t);
			fprintf(f, " should%s%s", t->doing ? ", and is " : "", t->doing ? t->doing : "");
		}
		break;
	case JOIN_ANSWERED:
		fprintf(f, "%s answered", host);
		if (j->answered_ns)
			fprintf(f, " at %s", text_time(&real_clock, j->answered_ns, x));
		break;
	case JOIN_NOT_ARRIVED:
		fprintf(f,
			"request not arrived on %s: its kernel has %" PRIu64 " of %" PRIu64
			" bytes; lost or held up on the way",
			host, j->arrived, j->written);
		break;
	case JOIN_CLOSED:
		fprintf(f, "%s closed the connection, and no answer was seen", host);
		break;
	case JOIN_UNCLEAR:
		fprintf(f, "%s had the connection; nothing can be said of this request: %s", host, j->why);
		break;
	case JOIN_REUSED:
	case JOIN_NO_OVERLAP:
	case JOIN_NO_CONNECTION:
		fprintf(f, "nothing can be said: %s", j->why);
		break;
	}
	fputc('\n', f);
}

static void request_line(FILE *f, const struct replay *a, const struct replay *b, const struct joined *j)
{
	const struct stall *s = &a->stall[j->stall];
	char x[16];

	fprintf(f, "  request   left %s (process %d, thread %d) at %s", value_or(a, "host"), (int)s->pid,
		(int)s->tid, text_time(&real_clock, j->sent_ns, x));
	if (s->rpc_method)
		fprintf(f, ", %s", s->rpc_method);
	if (j->by_id)
		fprintf(f, ", number %" PRIu64 " at both ends", s->rpc_id);
	if (b && j->read_ns)
		fprintf(f, "; read on %s (process %s, %s) at %s", value_or(b, "host"), value_or(b, "pid"),
			value_or(b, "comm"), text_time(&real_clock, j->read_ns, x));
	fputc('\n', f);
}

static void thread_lines(FILE *f, const struct replay *b, const struct joined *j, const struct there *t)
{
	const struct stall *s = b && j->peer_stall != SIZE_MAX ? &b->stall[j->peer_stall] : NULL;
	const json_t *kernel = json_object_get(t->v, "kernel_stack"), *k;
	char x[16];
	size_t i;

	if (t->how)
		fprintf(f, "  there     %s%s\n", t->v && t->tid ? "it " : "", t->how);
	if (t->looked_ns)
		fprintf(f, "            as of %s:\n", text_time(&real_clock, t->looked_ns, x));
	text_frames(f, &t->stack, 12, FRAMES_SHOWN);
	if (json_array_size(kernel)) {
		fprintf(f, "            kernel: ");
		json_array_foreach((json_t *)kernel, i, k) if (json_is_string(k))
			fprintf(f, "%s%s", i ? " <- " : "", json_string_value(k));
		fputc('\n', f);
	}
	if (s && s->explanation)
		fprintf(f, "  its own   %s: %s\n", verdict_name(s->verdict), s->explanation);
}

/* The answer on its way, or at our end. */
static void answer_line(FILE *f, const struct replay *a, const struct joined *j)
{
	const struct sock_facts *s = &a->stall[j->stall].sock;
	uint32_t unread = j->ca ? j->ca->recv_queue : sock_unread(s);
	char x[16];

	fprintf(f, "  answer    ");
	if (j->wa && j->wa->until_ns)
		fprintf(f, "received on %s at %s\n", value_or(a, "host"),
			text_time(&real_clock, j->wa->until_ns, x));
	else if (unread)
		fprintf(f, "%u bytes lie unread on %s\n", unread, value_or(a, "host"));
	else if (j->cb->unacked || j->cb->send_queue)
		fprintf(f, "%u bytes are not acknowledged by %s: lost or held up on the way back\n",
			j->cb->send_queue, value_or(a, "host"));
	else
		fprintf(f, "it was not seen to come to %s before its session looked last\n",
			value_or(a, "host"));
}

static void bytes_line(FILE *f, const struct joined *j)
{
	if (!j->written)
		return;
	fprintf(f, "  bytes     %" PRIu64 " written at this end, %" PRIu64 " arrived at the other%s\n",
		j->written, j->arrived,
		j->by_bytes ? "; both kernels count the same, also the other way" : "");
}

static void clock_line(FILE *f, const struct joined *j)
{
	int64_t ahead = (int64_t)(j->read_ns - j->sent_ns);
	char x[16];

	if (j->same_clock) {
		fprintf(f, "  clocks    one host, one clock\n");
		return;
	}
	fprintf(f, "  clocks    two hosts: times of each are by its own clock");
	if (!j->by_bytes)
		fprintf(f, "; they were taken to differ by less than %s", text_duration(JOIN_SLACK_NS, x));
	else if (j->read_ns && ahead < 0)
		fprintf(f,
			"; the other is at least %s behind, or it would have read the request before it was "
			"sent",
			text_duration((uint64_t)-ahead, x));
	fputc('\n', f);
}

void replay_joined_text(FILE *f, struct replay *const *v, const struct joined *j)
{
	const struct replay *a = v[j->a], *b = j->b != SIZE_MAX ? v[j->b] : NULL;
	struct there t = there_of(j);

	verdict(f, b, j, &t);
	if (j->cb) {
		request_line(f, a, b, j);
		thread_lines(f, b, j, &t);
		if (j->state == JOIN_ANSWERED)
			answer_line(f, a, j);
		bytes_line(f, j);
		clock_line(f, j);
	} else if (b) {
		fprintf(f, "  session   %s\n", b->s->path);
	}
	fputc('\n', f);
	frames_deinit(&t.stack);
}

json_t *replay_joined_json(struct replay *const *v, const struct joined *j)
{
	const struct replay *a = v[j->a], *b = j->b != SIZE_MAX ? v[j->b] : NULL;
	const struct stall *s = &a->stall[j->stall];
	json_t *o = json_pack("{s:s, s:s, s:o, s:i, s:o, s:i, s:i, s:o, s:o}", "kind", "joined", "state",
			      join_state_name(j->state), "client_session", json_str(a->s->path), "stall",
			      (int)j->stall, "server_session", b ? json_str(b->s->path) : json_null(), "pid",
			      (int)s->pid, "tid", (int)s->tid, "local", json_str(s->sock.local), "remote",
			      json_str(s->sock.remote));

	if (!o)
		return NULL;
	json_object_set_new(o, "sent", json_time(&real_clock, j->sent_ns));
	json_object_set_new(o, "read", json_time(&real_clock, j->read_ns));
	json_object_set_new(o, "answered", json_time(&real_clock, j->answered_ns));
	json_object_set_new(o, "thread", j->wb && j->wb->thread ? json_incref(j->wb->thread) : json_null());
	json_object_set_new(o, "server_stall",
			    j->peer_stall != SIZE_MAX ? json_integer((json_int_t)j->peer_stall)
						      : json_null());
	json_object_set_new(o, "unread",
			    j->cb ? json_integer(j->wb ? j->wb->unread : j->cb->recv_queue) : json_null());
	json_object_set_new(o, "one_clock", json_boolean(j->same_clock));
	json_object_set_new(o, "by_bytes", json_boolean(j->by_bytes));
	json_object_set_new(o, "by_id", json_boolean(j->by_id));
	json_object_set_new(o, "why", j->why[0] ? json_str(j->why) : json_null());
	return o;
}
