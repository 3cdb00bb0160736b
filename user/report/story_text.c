// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <string.h>

#include "report/write.h"

static void near_fields(FILE *f, const struct neighbourhood *n, uint64_t at)
{
	const char *sep = "  ";

	for (size_t i = 0; i < n->n; i++) {
		const struct near_field *x = &n->v[i];
		uint64_t first = x->addr > n->start ? x->addr : n->start;

		if (first < at || first >= at + 8)
			continue;
		fprintf(f, "%s%s", sep, x->name);
		if (x->width < 8 || x->addr % 8)
			fprintf(f, " 0x%" PRIx64, x->value);
		sep = ", ";
	}
}

static void near_lines(FILE *f, const struct bad_write *w)
{
	const struct neighbourhood *n = &w->story.near;

	for (size_t i = 0; i + 8 <= n->len; i += 8) {
		uint64_t at = n->start + i, v;

		memcpy(&v, n->bytes + i, 8);
		fprintf(f, "  %-9s %c 0x%" PRIx64 "  %016" PRIx64, i ? "" : "around",
			at < w->addr + w->width && w->addr < at + 8 ? '>' : ' ', at, v);
		near_fields(f, n, at);
		fputc('\n', f);
	}
}

static void elsewhere_lines(FILE *f, const struct elsewhere *e)
{
	char n[32];

	if (!e->known) {
		if (e->why_not)
			fprintf(f, "  elsewhere not looked for: %s\n", e->why_not);
		return;
	}
	fprintf(f, "  elsewhere 0x%" PRIx64 " stands in %s other place%s%s\n", e->value,
		text_count(e->total, n), e->total == 1 ? "" : "s", e->complete ? "" : " or more");
	for (size_t i = 0; i < e->n; i++)
		fprintf(f, "              0x%" PRIx64 "  %-5s %s\n", e->v[i].addr, e->v[i].kind,
			e->v[i].where);
	if (e->n < e->total)
		fprintf(f, "              ... %s more; culprit find shows them\n",
			text_count(e->total - e->n, n));
}

void text_unseen(FILE *f, const struct unseen *u)
{
	if (!u->n)
		fprintf(f, "  writer    not seen: no watchpoint held this word at that moment\n");
	for (size_t i = 0; i < u->n; i++)
		fprintf(f, "  %-9s %s%s\n", i ? "" : "writer", i ? "perhaps " : "not seen: ", u->v[i].text);
}

void text_story(FILE *f, const struct bad_write *w)
{
	elsewhere_lines(f, &w->story.elsewhere);
	near_lines(f, w);
}
