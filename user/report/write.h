/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bad writes as text and JSON, and the table of what each probed function cost. */
#ifndef CULPRIT_REPORT_WRITE_H
#define CULPRIT_REPORT_WRITE_H

#include "report/report.h"

/* Verdict line first, then the evidence, why, and what next. now_ns: end of the session. */
void text_bad_write(FILE *f, const struct bad_write *w, const struct report_clock *c, uint64_t now_ns);
/* again: it was written before, this one replaces that. */
json_t *json_bad_write(const struct bad_write *w, const struct report_clock *c, bool again);

/* What surrounds a bad write: keys of docs/json.md into `to`; lines of text. */
void json_story(json_t *to, const struct write_story *s);
void text_story(FILE *f, const struct bad_write *w);
void text_unseen(FILE *f, const struct unseen *u);

/* One probed function: all its sites and roles. */
struct write_cost {
	const char *function;
	const char *role; /* static */
	unsigned sites;
	uint64_t hits;
	double cpu_pct; /* of one CPU; negative: not known */
};
/* Most expensive first, at most max rows, the rest summed up; nothing if n is 0. Sorts v. */
void text_write_costs(FILE *f, struct write_cost *v, size_t n, size_t max);
json_t *json_write_costs(const struct write_cost *v, size_t n);

#endif
