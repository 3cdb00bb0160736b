// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <string.h>

#include "report/timeline.h"

#define ROWS_SHOWN 200

/* The clock of a log is the real one already. */
static const struct report_clock real_clock = {0, 0};

static void stall_row(FILE *f, const struct timeline_row *r, const struct stall_life *life)
{
	const struct stall *s = life->stall;
	char d[16];

	if (r->kind == TIMELINE_BEGIN)
		fprintf(f, "> %s%s%s%s%s", verdict_name(s->verdict), s->rpc_method ? " for " : "",
			s->rpc_method ? s->rpc_method : "", s->sock.remote[0] ? ", " : "", s->sock.remote);
	else
		fprintf(f, "< %s, %s after %s", verdict_name(s->verdict), life->end,
			text_duration(life->lasted_ns, d));
}

static void log_row(FILE *f, const struct timeline_row *r, const struct stall_life *lives)
{
	fprintf(f, "%c %s] %s", r->log->severity, r->log->where, r->log->text);
	if (r->timed_out && r->stall != SIZE_MAX)
		fprintf(f, "  <- the %s above", verdict_name(lives[r->stall].stall->verdict));
}

void text_timeline(FILE *f, const struct timeline_row *v, size_t n, const struct stall_life *lives)
{
	size_t logged = 0, from = n > ROWS_SHOWN ? n - ROWS_SHOWN : 0;
	char t[16];

	for (size_t i = 0; i < n; i++)
		logged += v[i].kind == TIMELINE_LOG;
	if (!logged)
		return;
	fprintf(f, "  %-13s %8s  %s\n", "TIME", "THREAD", "LOG AND STALLS (> begins, < ends)");
	if (from)
		fprintf(f, "  ... %zu earlier\n", from);
	for (size_t i = from; i < n; i++) {
		fprintf(f, "  %-13s %8d  ", text_time(&real_clock, v[i].real_ns, t), (int)v[i].tid);
		if (v[i].kind == TIMELINE_LOG)
			log_row(f, &v[i], lives);
		else
			stall_row(f, &v[i], &lives[v[i].stall]);
		fputc('\n', f);
	}
	fputc('\n', f);
}

json_t *json_log(const struct timeline_row *r, const struct stall_life *lives)
{
	const struct stall *s = r->stall != SIZE_MAX ? lives[r->stall].stall : NULL;
	char severity[2] = {0};
	json_t *v;

	if (r->kind != TIMELINE_LOG)
		return NULL;
	severity[0] = r->log->severity;
	v = json_pack("{s:s, s:o, s:i, s:s, s:o, s:o, s:b}", "kind", "log", "time",
		      json_time(&real_clock, r->real_ns), "tid", (int)r->tid, "severity", severity, "where",
		      json_str(r->log->where), "text", json_str(r->log->text), "timed_out", r->timed_out);
	if (!v)
		return NULL;
	if (!s) {
		json_object_set_new(v, "stall", json_null());
		return v;
	}
	json_object_set_new(v, "stall",
			    json_pack("{s:I, s:s, s:o, s:o}", "number", (json_int_t)r->stall, "verdict",
				      verdict_name(s->verdict), "method", json_str(s->rpc_method), "peer",
				      s->sock.remote[0] ? json_str(s->sock.remote) : json_null()));
	return v;
}
