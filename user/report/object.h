/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Objects of `inspect` as text and JSON. */
#ifndef CULPRIT_REPORT_OBJECT_H
#define CULPRIT_REPORT_OBJECT_H

#include "inspect/survey.h"
#include "report/report.h"

/* One object with everything that was read of it. */
void text_object(FILE *f, const struct object *o);
json_t *json_object_of(const struct object *o); /* without "kind" */
/* "0xfffc0000: wild-pointer: ..." of a broken invariant. */
void text_break(FILE *f, const struct object_break *b);
json_t *json_break(const struct object_break *b);

struct survey_view {
	const struct space *space;
	const struct known *known;
	const struct census *census;
	const struct survey *survey;
	size_t limit; /* objects listed; 0 = all */
};
void text_survey(FILE *f, const struct survey_view *v);
/* "kind":"damaged" lines, then "kind":"instance" ones. 0 or -errno. */
int json_survey(FILE *f, const struct survey_view *v);

#endif
