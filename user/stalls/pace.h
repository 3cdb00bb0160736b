/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * When to look at the target: once a second, or less often where looks are so dear that this would take more
 * than their share of the time; and out of turn where a call has just passed the threshold. Looks out of turn
 * are paid from what earlier ones have left of that share, so that the first stall of a large process is told
 * at once, while a process whose calls are always long costs no more than its share.
 */
#ifndef CULPRIT_STALLS_PACE_H
#define CULPRIT_STALLS_PACE_H

#include <stdint.h>

#define PACE_EVERY_NS 1000000000ULL
#define PACE_SOON_NS  50000000ULL /* between any two looks */
#define PACE_SHARE    50	  /* looks take one 50th of the time */
#define PACE_SAVED_NS                                                                                        \
	2000000000ULL /* of look time: what there is at the start, and the most that is saved                \
		       */

struct pace {
	uint64_t looked_ns; /* end of the last look */
	uint64_t cost_ns;   /* of the last look, in CPU time: others' load is not its fault */
	uint64_t saved_ns;
};

enum pace_due { PACE_NOT_YET, PACE_IF_WANTED, PACE_NOW };

/* The session begins, its first look has been taken and is not counted. */
void pace_start(struct pace *p, uint64_t now_ns, uint64_t cpu_ns);
enum pace_due pace_due(const struct pace *p, uint64_t now_ns);
void pace_looked(struct pace *p, uint64_t begin_ns, uint64_t end_ns, uint64_t cpu_ns);

#endif
