// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One page: the text with its headings marked, and the stalls drawn over time. No script, nothing from
 * elsewhere. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "replay/order.h"
#include "replay/text.h"

#define WIDTH	   1000 /* of the drawing */
#define ROW	   18
#define LEFT	   260
#define ROWS_DRAWN 200

static const char HEAD[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>culprit report</title>\n"
	"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
	"'unsafe-inline'\">\n<style>\n"
	"body{font:14px/1.45 system-ui,sans-serif;margin:2em auto;max-width:110em;padding:0 "
	"1em;color:#222;background:#fff}\n"
	"pre{font:12.5px/1.4 ui-monospace,monospace;overflow-x:auto;margin:0;padding:.8em "
	"1em;background:#f6f6f4}\n"
	"section{border:1px solid #ccc;border-left:6px solid #888;margin:1em 0}\n"
	"section.finding{border-left-color:#c33}section.joined{border-left-color:#36c;margin-left:2em}\n"
	"section.end{border-left-color:#484}section.cut{border-left-color:#e90}\n"
	"svg text{font:11px ui-monospace,monospace}\n</style></head><body>\n<h1>culprit report</h1>\n";

static void escaped(FILE *f, const char *s)
{
	for (; *s; s++) {
		switch (*s) {
		case '<':
			fputs("&lt;", f);
			break;
		case '>':
			fputs("&gt;", f);
			break;
		case '&':
			fputs("&amp;", f);
			break;
		case '"':
			fputs("&quot;", f);
			break;
		case '\'':
			fputs("&#39;", f);
			break;
		default:
			fputc(*s, f);
		}
	}
}

/* Text that is written to *to becomes a section; for section_end(). */
struct section {
	FILE *to;
	char *text;
	size_t len;
};

static int section_begin(struct section *s)
{
	*s = (struct section){0};
	s->to = open_memstream(&s->text, &s->len);
	return s->to ? 0 : -ENOMEM;
}

static int section_end(FILE *f, struct section *s, const char *class)
{
	int rc = fclose(s->to) ? -ENOMEM : 0;

	if (!rc && s->len) {
		fprintf(f, "<section class=\"%s\"><pre>", class);
		escaped(f, s->text);
		fputs("</pre></section>\n", f);
	}
	free(s->text);
	return rc;
}

/* From the first begin of a stall to the last end. */
static bool span(struct replay *const *v, size_t n, uint64_t *from, uint64_t *to)
{
	*from = UINT64_MAX;
	*to = 0;
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < v[i]->n_stalls; k++) {
			uint64_t a = replay_wall(v[i], v[i]->life[k].start_ns),
				 b = a + v[i]->life[k].lasted_ns;

			*from = a < *from ? a : *from;
			*to = b > *to ? b : *to;
		}
	}
	return *to > *from;
}

static void bar(FILE *f, const struct replay *r, size_t stall, unsigned row, uint64_t from, uint64_t to)
{
	const struct stall *s = &r->stall[stall];
	const struct stall_life *l = &r->life[stall];
	double scale = (double)(WIDTH - LEFT) / (double)(to - from);
	double x = LEFT + (double)(replay_wall(r, l->start_ns) - from) * scale,
	       w = (double)l->lasted_ns * scale;
	const char *host = session_value(r->s, "host");
	char t[16], d[16];

	fprintf(f, "<text x=\"0\" y=\"%u\">", row * ROW + 13);
	escaped(f, host ? host : "?");
	fprintf(f, " %d ", (int)s->tid);
	escaped(f, s->comm);
	fprintf(f, "</text><rect x=\"%.1f\" y=\"%u\" width=\"%.1f\" height=\"%d\" fill=\"#d66\"><title>", x,
		row * ROW + 2, w < 2 ? 2 : w, ROW - 4);
	fprintf(f, "%s, %s for %s", verdict_name(s->verdict), text_time(&r->clock, l->start_ns, t),
		text_duration(l->lasted_ns, d));
	if (s->rpc_method) {
		fputs(", ", f);
		escaped(f, s->rpc_method);
	}
	fputs("</title></rect>\n", f);
}

static void drawing(FILE *f, struct replay *const *v, size_t n)
{
	uint64_t from, to;
	unsigned rows = 0, row = 0;

	for (size_t i = 0; i < n; i++)
		rows += (unsigned)v[i]->n_stalls;
	if (!span(v, n, &from, &to))
		return;
	if (rows > ROWS_DRAWN)
		fprintf(f, "<p>The first %d of %u stalls are drawn.</p>\n", ROWS_DRAWN, rows);
	rows = rows > ROWS_DRAWN ? ROWS_DRAWN : rows;
	fprintf(f, "<svg viewBox=\"0 0 %d %u\" width=\"100%%\" role=\"img\">\n", WIDTH, rows * ROW);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < v[i]->n_stalls && row < rows; k++)
			bar(f, v[i], k, row++, from, to);
	fputs("</svg>\n", f);
}

static int one_finding(FILE *f, struct replay *const *v, const struct order *o, const struct replay_joined *j)
{
	const struct replay *r = v[o->session];
	const struct replay_finding *x = &r->v[o->finding];
	struct section s;
	int rc = section_begin(&s);

	if (rc)
		return rc;
	replay_finding_text(s.to, r, x);
	rc = section_end(f, &s, "finding");
	for (size_t i = 0; !rc && x->kind == REPLAY_STALL && i < j->n; i++) {
		if (j->v[i].a != o->session || j->v[i].stall != x->stall)
			continue;
		rc = section_begin(&s);
		if (rc)
			break;
		replay_joined_text(s.to, v, &j->v[i]);
		rc = section_end(f, &s, "joined");
	}
	return rc;
}

static int each(FILE *f, struct replay *const *v, size_t n, void (*text)(FILE *f, const struct replay *r),
		const char *class)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < n; i++) {
		struct section s;

		rc = section_begin(&s);
		if (rc)
			break;
		text(s.to, v[i]);
		rc = section_end(f, &s, v[i]->has_summary ? class : "cut");
	}
	return rc;
}

int replay_html(FILE *f, struct replay *const *v, size_t n, const struct replay_joined *j)
{
	struct order *order;
	size_t n_all;
	int rc;

	fputs(HEAD, f);
	rc = each(f, v, n, replay_header_text, "session");
	drawing(f, v, n);
	order = order_findings(v, n, &n_all);
	if (!rc && !order)
		rc = -ENOMEM;
	for (size_t i = 0; !rc && i < n_all; i++)
		rc = one_finding(f, v, &order[i], j);
	free(order);
	if (!rc)
		rc = each(f, v, n, replay_footer_text, "end");
	fputs("</body></html>\n", f);
	return rc;
}
