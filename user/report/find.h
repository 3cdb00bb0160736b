/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What `find` found, as text and as JSON lines. */
#ifndef CULPRIT_REPORT_FIND_H
#define CULPRIT_REPORT_FIND_H

#include "find/find.h"
#include "report/report.h"

struct find_view {
	const struct space *space;
	const struct find_result *result;
	const char *what;  /* "0xfffc0000 (4 bytes)" */
	double read_alone; /* bytes a second; 0 = not measured */
	uint64_t objects;  /* known objects that hits were compared with */
	bool with_types;
};

void text_find(FILE *f, const struct find_view *v);
/* "kind":"hit" lines. 0 or -errno. */
int json_find(FILE *f, const struct find_view *v);
/* The closing "kind":"summary". */
json_t *json_find_summary(const struct find_view *v, bool complete);

#endif
