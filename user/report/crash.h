/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The death of the target, ready to be rendered. */
#ifndef CULPRIT_REPORT_CRASH_H
#define CULPRIT_REPORT_CRASH_H

#include "report/report.h"

struct crash {
	pid_t pid, tid;
	char comm[FINDING_COMM_LEN];
	uint64_t ts_ns; /* of the signal */
	uint64_t told_ns;
	int signal, code;
	const char *signal_name; /* static: "SIGSEGV" */
	bool has_addr;		 /* of a fault */
	uint64_t addr;
	bool handled; /* a handler of the target took it first; then it died of the same signal */
	struct frames stack;
	/* The damage that it died of, as far as that can be told; NULL: none is known. Not owned. */
	const struct bad_write *damage;
	char *explanation;
};
void crash_deinit(struct crash *c);

void text_crash(FILE *f, const struct crash *c, const struct report_clock *clock);
json_t *json_crash(const struct crash *c, const struct report_clock *clock);

#endif
