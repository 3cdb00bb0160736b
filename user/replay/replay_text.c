// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "replay/order.h"
#include "replay/text.h"

#define COST_ROWS 12 /* as the session showed them */

static const char *value_or(const struct replay *r, const char *key, const char *none)
{
	const char *v = session_value(r->s, key);

	return v ? v : none;
}

static void moment(FILE *f, uint64_t real_ns)
{
	time_t sec = (time_t)(real_ns / 1000000000);
	char buf[40];
	struct tm tm;

	if (localtime_r(&sec, &tm) && strftime(buf, sizeof(buf), "%Y-%m-%d %H:%M:%S", &tm))
		fputs(buf, f);
	else
		fputs("?", f);
}

void replay_header_text(FILE *f, const struct replay *r)
{
	uint64_t start = session_number(r->s, "start_real_ns"), end = session_end_ns(r->s);
	const char *pids = session_value(r->s, "pids"), *build_id = session_value(r->s, "build_id");
	long offset = strtol(value_or(r, "utc_offset_s", "0"), NULL, 10);
	char d[16];

	fprintf(f, "SESSION  %s  culprit %s on %s (%s)\n", r->s->path, replay_command(r),
		value_or(r, "host", "?"), value_or(r, "kernel", "?"));
	fprintf(f, "  process   %s (%s)%s%s  %s", value_or(r, "pid", "?"), value_or(r, "comm", "?"),
		pids ? " and more: " : "", pids ? pids : "", value_or(r, "exe", "?"));
	if (build_id)
		fprintf(f, "  build-id %s", build_id);
	fprintf(f, "\n  command   %s\n  when      ", value_or(r, "command_line", "?"));
	moment(f, start);
	fprintf(f, " (the node's UTC%+03ld:%02ld), for %s", offset / 3600, labs(offset) / 60 % 60,
		text_duration(end > start ? end - start : 0, d));
	if (session_value(r->s, "ended"))
		fprintf(f, ", %s\n\n", session_value(r->s, "ended"));
	else
		fprintf(f, ", then it was cut off: what follows is what had been written\n\n");
}

void replay_finding_text(FILE *f, const struct replay *r, const struct replay_finding *x)
{
	switch (x->kind) {
	case REPLAY_STALL:
		text_stall(f, &r->stall[x->stall], &r->clock);
		break;
	case REPLAY_WRITE:
		text_bad_write(f, x->write, &r->clock, x->found_ns);
		break;
	case REPLAY_CRASH:
		text_crash(f, x->crash, &r->clock);
		break;
	}
}

static void joined_of(FILE *f, struct replay *const *v, const struct replay_joined *j, size_t a, size_t stall)
{
	for (size_t i = 0; i < j->n; i++)
		if (j->v[i].a == a && j->v[i].stall == stall)
			replay_joined_text(f, v, &j->v[i]);
}

void replay_footer_text(FILE *f, const struct replay *r)
{
	text_timeline(f, r->row, r->n_rows, r->life);
	text_stall_table(f, r->life, r->n_stalls);
	text_rpc_ledger(f, &r->ledger);
	if (r->has_summary && !r->summary.findings && !strcmp(replay_command(r), "writes"))
		fprintf(f, "no bad write seen\n\n");
	text_write_costs(f, r->cost, r->n_costs, COST_ROWS);
	if (r->has_summary)
		text_summary(f, &r->summary);
	else
		fprintf(f, "INCOMPLETE: the session was cut off (killed, or its node went down) before it "
			   "could say what "
			   "it had covered\n");
}

void replay_text(FILE *f, struct replay *const *v, size_t n, const struct replay_joined *j)
{
	struct order *order;
	size_t n_all;

	for (size_t i = 0; i < n; i++)
		replay_header_text(f, v[i]);
	order = order_findings(v, n, &n_all);
	for (size_t i = 0; i < n_all; i++) {
		const struct replay *r = v[order[i].session];
		const struct replay_finding *x = &r->v[order[i].finding];
		char t[16];

		if (n > 1)
			fprintf(f, "%s  %s on %s\n", text_time(&r->clock, x->found_ns, t), r->s->path,
				value_or(r, "host", "?"));
		replay_finding_text(f, r, x);
		if (x->kind == REPLAY_STALL)
			joined_of(f, v, j, order[i].session, x->stall);
	}
	free(order);
	for (size_t i = 0; i < n; i++) {
		if (n > 1)
			fprintf(f, "%sSESSION  %s  at its end\n", i ? "\n" : "", v[i]->s->path);
		replay_footer_text(f, v[i]);
	}
}
