// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <string.h>

#include "report/sock.h"
#include "report/stall.h"

#define STACK_SHOWN 24
#define OTHER_SHOWN 12

static void call_text(FILE *f, const struct stall *s)
{
	fprintf(f, "%s(", s->syscall ? s->syscall : "?");
	if (s->verdict == VERDICT_SERVER_THREAD_BLOCKED || s->verdict == VERDICT_REPLY_UNREAD) {
		fprintf(f, ")");
		return;
	}
	if (s->fd >= 0)
		fprintf(f, "fd %d", s->fd);
	if (s->timeout_ms == -1)
		fprintf(f, "%sinfinite", s->fd >= 0 ? ", " : "");
	else if (s->timeout_ms >= 0)
		fprintf(f, "%stimeout %" PRId64 " ms", s->fd >= 0 ? ", " : "", s->timeout_ms);
	fprintf(f, ")");
}

static const char *preposition(enum verdict v)
{
	switch (v) {
	case VERDICT_SERVER_THREAD_BLOCKED:
		return "of client";
	case VERDICT_PEER_SILENT:
	case VERDICT_REPLY_UNREAD:
	case VERDICT_POLLING_DEAD_FD:
		return "from";
	default:
		return "to";
	}
}

static void headline_end(FILE *f, const struct stall *s)
{
	if (s->rpc_method)
		fprintf(f, " %s %s", s->busy ? "to" : "for", s->rpc_method);
	if (s->sock.known && s->sock.remote[0])
		fprintf(f, " %s %s", preposition(s->verdict), s->sock.remote);
	fputc('\n', f);
}

/* The thread goes on: what is late is the answer. */
static void headline_busy(FILE *f, const struct stall *s)
{
	char d[16];

	fprintf(f, "STALL  %s  thread %d (%s) %s %s", verdict_name(s->verdict), (int)s->tid, s->comm,
		s->verdict == VERDICT_SERVER_THREAD_BLOCKED ? "read a request that is not answered for"
							    : "has had no answer for",
		text_duration(s->blocked_ns, d));
}

static void headline(FILE *f, const struct stall *s)
{
	char d[16];

	if (s->busy) {
		headline_busy(f, s);
		headline_end(f, s);
		return;
	}
	fprintf(f, "STALL  %s  thread %d (%s) %s %s%s in ", verdict_name(s->verdict), (int)s->tid, s->comm,
		s->verdict == VERDICT_SERVER_THREAD_BLOCKED || s->verdict == VERDICT_REPLY_UNREAD
			? "is blocked"
			: "waits",
		s->blocked_at_least ? "at least " : "", text_duration(s->blocked_ns, d));
	call_text(f, s);
	headline_end(f, s);
}

static void other_text(FILE *f, const struct stall *s, const struct report_clock *c)
{
	char t[16];

	fprintf(f, "  other     %s thread %d (%s)", s->other.role, (int)s->other.tid, s->other.comm);
	if (s->other.pid)
		fprintf(f, " of process %d (%s)", (int)s->other.pid, s->other.process);
	if (s->other.ts_ns)
		fprintf(f, " at %s", text_time(c, s->other.ts_ns, t));
	if (s->other.doing)
		fprintf(f, ", %s", s->other.doing);
	fputc('\n', f);
	text_frames(f, &s->other.stack, 12, OTHER_SHOWN);
	if (s->other.n_kernel) {
		fprintf(f, "            kernel: ");
		text_kernel_stack(f, s->other.kernel_stack, s->other.n_kernel);
	}
}

static void chain_text(FILE *f, const struct stall *s, size_t i)
{
	const struct stall_step *k = &s->chain[i];

	fprintf(f, "  %-9s %d (%s)", i ? "" : "chain", (int)k->tid, k->comm);
	if (k->process[0])
		fprintf(f, " of process %d (%s)", (int)k->pid, k->process);
	if (k->how[0])
		fprintf(f, " %s;", k->how);
	fprintf(f, " %s", k->what);
	if (k->next)
		fprintf(f, " %d", (int)k->next);
	if (k->doing)
		fprintf(f, ", %s", k->doing);
	fprintf(f, "%s\n", s->cycle && i + 1 == s->n_chain ? ": A CYCLE" : "");
}

void text_stall(FILE *f, const struct stall *s, const struct report_clock *c)
{
	char buf[256];

	headline(f, s);
	if (s->blocked_before_session)
		fprintf(f, "  since     before this session began\n");
	if (s->request)
		fprintf(f, "  request   %s\n", s->request);
	if (s->file)
		fprintf(f, "  file      %s\n", s->file);
	if (s->sock.known) {
		fprintf(f, "  socket    fd %d  %s\n", s->fd, text_sock(&s->sock, buf, sizeof(buf)));
		fprintf(f, "            ");
		text_sock_detail(f, &s->sock);
	}
	if (s->user_stack.n) {
		fprintf(f, "  user\n");
		text_frames(f, &s->user_stack, 12, STACK_SHOWN);
	}
	if (s->n_kernel) {
		fprintf(f, "  kernel    ");
		text_kernel_stack(f, s->kernel_stack, s->n_kernel);
	}
	if (s->has_other)
		other_text(f, s, c);
	for (size_t i = 0; s->n_chain > 1 && i < s->n_chain; i++)
		chain_text(f, s, i);
	if (s->chain_end)
		fprintf(f, "  end       %s\n", s->chain_end);
	if (s->explanation)
		fprintf(f, "  why       %s\n", s->explanation);
	if (s->next)
		fprintf(f, "  next      %s\n", s->next);
	fputc('\n', f);
}

void text_stall_table(FILE *f, const struct stall_life *v, size_t n)
{
	char call[48], d[16];

	if (!n)
		return;
	fprintf(f, "  %-22s %-24s %-20s %9s  %-14s %s\n", "VERDICT", "THREAD", "CALL", "BLOCKED", "END",
		"METHOD, PEER");
	for (size_t i = 0; i < n; i++) {
		const struct stall *s = v[i].stall;
		char thread[40];

		snprintf(thread, sizeof(thread), "%d (%s)", (int)s->tid, s->comm);
		if (s->fd >= 0)
			snprintf(call, sizeof(call), "%s, fd %d", s->syscall ? s->syscall : "?", s->fd);
		else
			snprintf(call, sizeof(call), "%s", s->syscall ? s->syscall : "?");
		fprintf(f, "  %-22s %-24s %-20s %9s  %-14s %s%s%s\n", verdict_name(s->verdict), thread, call,
			text_duration(v[i].lasted_ns, d), v[i].end, s->rpc_method ? s->rpc_method : "",
			s->rpc_method && s->sock.remote[0] ? ", " : "", s->sock.remote);
	}
	fputc('\n', f);
}

static const char *time_or_dash(uint64_t ns, char buf[16])
{
	return ns ? text_duration(ns, buf) : strcpy(buf, "-");
}

void text_rpc_ledger(FILE *f, const struct rpc_ledger *l)
{
	char n[32], d[4][16], errors[24];

	if (!l->n)
		return;
	fprintf(f, "  %-22s %-36s %-11s %9s %9s %8s %8s %8s %8s %8s %7s %9s\n", "PEER", "METHOD", "SEEN BY",
		"CALLS", "IN FLIGHT", "OLDEST", "P50", "P99", "MAX", "NO REPLY", "ERRORS", "TIMED OUT");
	for (size_t i = 0; i < l->n; i++) {
		const struct rpc_line *r = &l->v[i];

		if (r->by == RPC_BY_CALL)
			strcpy(errors, "-");
		else
			snprintf(errors, sizeof(errors), "%" PRIu64 "%s", r->errors, r->unclear ? "+?" : "");
		fprintf(f,
			"  %-22s %-36s %-11s %9s %9" PRIu64 " %8s %8s %8s %8s %8" PRIu64 " %7s %9" PRIu64
			"\n",
			r->peer, r->method, rpc_by_name(r->by), text_count(r->calls, n), r->in_flight,
			time_or_dash(r->oldest_ns, d[0]), time_or_dash(r->p50_ns, d[1]),
			time_or_dash(r->p99_ns, d[2]), time_or_dash(r->max_ns, d[3]), r->unanswered, errors,
			r->timed_out);
	}
	fputc('\n', f);
}
