/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rendering of the daemon's log beside the findings. */
#ifndef CULPRIT_REPORT_TIMELINE_H
#define CULPRIT_REPORT_TIMELINE_H

#include "report/report.h"
#include "stalls/timeline.h"

/* One line per row; nothing if the log told nothing. */
void text_timeline(FILE *f, const struct timeline_row *v, size_t n, const struct stall_life *lives);
/* {"kind":"log",..}; NULL for a row that is not of the log. */
json_t *json_log(const struct timeline_row *r, const struct stall_life *lives);

#endif
