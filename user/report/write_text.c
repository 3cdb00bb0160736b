// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/write.h"

#define FRAMES_SHOWN 16

static void touch_line(FILE *f, const struct touch *t, const struct report_clock *c)
{
	char buf[16];

	if (!t->ts_ns) {
		fprintf(f, "never in this session");
		return;
	}
	fprintf(f, "%s %s", text_time(c, t->ts_ns, buf), t->function ? t->function : "?");
	if (t->tid)
		fprintf(f, ", thread %d", (int)t->tid);
	if (t->tid && t->comm[0])
		fprintf(f, " (%s)", t->comm);
}

static void verdict_line(FILE *f, const struct bad_write *w)
{
	fprintf(f, "BAD WRITE  %-8s %s::%s  ", confidence_name(w->confidence), w->node_type, w->field);
	if (w->has_old)
		fprintf(f, "0x%" PRIx64 " -> ", w->old_value);
	fprintf(f, "0x%" PRIx64 "  (%s)", w->new_value, write_reason_name(w->reason));
	if (w->has_writer)
		fprintf(f, "  in thread %d (%s)", (int)w->writer.tid, w->writer.comm);
	fputc('\n', f);
}

static void insn_line(FILE *f, const struct store_insn *s)
{
	fputs("  store     ", f);
	if (s->decoded)
		fprintf(f, "0x%" PRIx64 "  %s", s->addr, s->text);
	if (s->decoded && s->width)
		fprintf(f, "  (%u byte%s)", s->width, s->width == 1 ? "" : "s");
	if (!s->verified)
		fprintf(f, "%sunverified: %s", s->decoded ? "  " : "", s->why);
	fputc('\n', f);
}

static void writer_lines(FILE *f, const struct bad_write *w)
{
	const struct frame *top =
		w->writer.frame < w->writer.stack.n ? &w->writer.stack.v[w->writer.frame] : NULL;

	if (!w->has_writer) {
		text_unseen(f, &w->story.unseen);
		return;
	}
	fprintf(f, "  writer    %s", top && top->symbol ? top->symbol : "?");
	if (top && top->file)
		fprintf(f, "  %s:%d", strrchr(top->file, '/') ? strrchr(top->file, '/') + 1 : top->file,
			top->line);
	if (w->writer.in_kernel)
		fprintf(f, "  by system call %s", w->writer.syscall ? w->writer.syscall : "?");
	fprintf(f, "  seen in the act by a watchpoint%s", w->hits > 1 ? "" : "\n");
	if (w->hits > 1)
		fprintf(f, ", %u times\n", w->hits);
	if (!w->writer.in_kernel)
		insn_line(f, &w->writer.insn);
	text_frames(f, &w->writer.stack, 14, FRAMES_SHOWN);
}

static void window_lines(FILE *f, const struct bad_write *w, const struct report_clock *c)
{
	char buf[16];

	fprintf(f, "  last good ");
	touch_line(f, &w->last_good, c);
	fprintf(f, "\n  first bad ");
	touch_line(f, &w->found, c);
	if (w->last_good.ts_ns && w->found.ts_ns > w->last_good.ts_ns)
		fprintf(f, "  (%s later)", text_duration(w->found.ts_ns - w->last_good.ts_ns, buf));
	fputc('\n', f);
	for (size_t i = 0; i < w->n_touched; i++) {
		fprintf(f, i ? "            " : "  between   ");
		touch_line(f, &w->touched_by[i], c);
		fputc('\n', f);
	}
}

void text_bad_write(FILE *f, const struct bad_write *w, const struct report_clock *c, uint64_t now_ns)
{
	char buf[16];

	verdict_line(f, w);
	fprintf(f, "  object    %s 0x%" PRIx64 " of process %d", w->object_type, w->object_addr, (int)w->pid);
	if (w->object_since_ns && now_ns > w->object_since_ns)
		fprintf(f, " (followed for %s)", text_duration(now_ns - w->object_since_ns, buf));
	fprintf(f, "  %s at 0x%" PRIx64 ", %u bytes\n", w->path, w->addr, w->width);
	writer_lines(f, w);
	window_lines(f, w, c);
	text_owner(f, w);
	text_story(f, w);
	fprintf(f, "  why       %s\n", w->explanation);
	if (w->next && !w->has_writer)
		fprintf(f, "  next      %s\n", w->next);
	fputc('\n', f);
}

static int by_cost(const void *a, const void *b)
{
	const struct write_cost *x = a, *y = b;

	if (x->cpu_pct != y->cpu_pct)
		return x->cpu_pct < y->cpu_pct ? 1 : -1;
	if (x->hits != y->hits)
		return x->hits < y->hits ? 1 : -1;
	return strcmp(x->function, y->function);
}

static void cost_row(FILE *f, double pct, uint64_t hits, const char *role, const char *function)
{
	char n[32];

	if (pct < 0)
		fprintf(f, "  %8s", "?");
	else
		fprintf(f, "  %7.2f%%", pct);
	fprintf(f, "  %12s  %-8s %s\n", text_count(hits, n), role, function);
}

void text_write_costs(FILE *f, struct write_cost *v, size_t n, size_t max)
{
	uint64_t hits = 0;
	size_t shown = 0;
	double pct = 0;
	char rest[64];

	if (!n)
		return;
	qsort(v, n, sizeof(*v), by_cost);
	fprintf(f, "  OVERHEAD         COUNT  ROLE     FUNCTION\n");
	for (; shown < n && shown < max && v[shown].hits; shown++)
		cost_row(f, v[shown].cpu_pct, v[shown].hits, v[shown].role, v[shown].function);
	for (size_t i = shown; i < n; i++) {
		hits += v[i].hits;
		pct += v[i].cpu_pct < 0 ? 0 : v[i].cpu_pct;
	}
	if (shown < n) {
		snprintf(rest, sizeof(rest), "%zu more functions", n - shown);
		cost_row(f, pct, hits, "", rest);
	}
	fputc('\n', f);
}

void text_write_coverage(FILE *f, const struct write_coverage *v, size_t n)
{
	static const char *const guard[] = {[COVERAGE_NONE] = "not checked",
					    [COVERAGE_INVARIANT] = "invariant",
					    [COVERAGE_CHANGES] = "changes judged"};

	for (size_t i = 0; i < n; i++) {
		char setters[48] = "";

		if (!i || strcmp(v[i].type, v[i - 1].type) != 0 || v[i].is_root != v[i - 1].is_root)
			fprintf(f, "%s%s, %u bytes\n", v[i].is_root ? "object " : "contains ", v[i].type,
				v[i].type_size);
		if (v[i].setters)
			snprintf(setters, sizeof(setters), "%u/%u setters", v[i].setters - v[i].uncovered,
				 v[i].setters);
		fprintf(f, "  %4u %3u  %-14s %-28s %-14s %-14s%s%s\n", v[i].offset, v[i].width, v[i].kind,
			v[i].field, guard[v[i].guard], setters, v[i].why[0] ? "  " : "", v[i].why);
	}
}
