/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Do the BPF programs cost more than they may? Tracepoints are of the whole machine: the programs also run,
 * and find that they are not meant, at every such call of every other process (about 60 ns each, measured
 * on 6.18; 545,000 a second beside parallel builds, against 15,000 of the target's own). That is a cost like
 * any other, but it comes in bursts: only several windows in a row count.
 */
#ifndef CULPRIT_STALLS_BUDGET_H
#define CULPRIT_STALLS_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define BUDGET_WINDOW_NS 2000000000ULL
#define BUDGET_WINDOWS	 3

struct budget {
	double pct; /* of one CPU */
	uint64_t from_ns,
		run_ns; /* begin of the window, and the run time counted by then; from_ns 0: none yet */
	unsigned over;	/* windows in a row that were over the budget */
};

/* To be asked now and then with the time and the run time counted so far. True: over the budget for
 * BUDGET_WINDOWS windows. */
bool budget_exceeded(struct budget *b, uint64_t now_ns, uint64_t run_ns);

#endif
