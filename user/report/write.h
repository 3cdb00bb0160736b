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
/* Of `previous_owner`: null if nothing is known. */
json_t *json_owner(const struct block_history *h, const struct report_clock *c);
void text_owner(FILE *f, const struct bad_write *w);
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

/* How one field of a guarded type is guarded. */
enum write_guard {
	COVERAGE_NONE,	    /* not looked at */
	COVERAGE_INVARIANT, /* what must hold whatever its value */
	COVERAGE_CHANGES,   /* and a change without a known writer is a finding */
};
struct write_coverage {
	const char *type, *field, *kind;
	unsigned offset, width, type_size;
	bool is_root; /* the type is that of the cached objects */
	enum write_guard guard;
	unsigned setters, uncovered; /* inlined instances of its setters; of these, without a probe */
	const char *why;	     /* not better; "" */
};
/* By type; rows of one type stand together. */
void text_write_coverage(FILE *f, const struct write_coverage *v, size_t n);
json_t *json_write_coverage(const struct write_coverage *v, size_t n);

#endif
