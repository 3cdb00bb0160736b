/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where else in the process a bad value stands: a search of all its memory, on a thread of its own with the
 * lowest priority, so that the session goes on meanwhile. One search per value.
 */
#ifndef CULPRIT_STORY_ELSEWHERE_H
#define CULPRIT_STORY_ELSEWHERE_H

#include "report/story.h"

#define ELSEWHERE_VALUES 8 /* looked for in one session; for more the story says so */

struct searches;
/* debuginfo is kept. -ENOMEM. */
int searches_create(struct searches **ret, pid_t pid, const char *debuginfo);
/* At the end of the program: a search that still runs is left alone. NULL is fine. */
void searches_destroy(struct searches *s);

/* Wants to know where value, damage of `width` bytes, stands. Each value once, further calls are free. */
void searches_want(struct searches *s, uint64_t value, unsigned width);
/* Starts what waits. To be called every now and then. */
void searches_tick(struct searches *s);
/*
 * What is known of a value, the word at addr itself left out; what was in out is freed. False: the search is
 * not over yet. 0 or -ENOMEM in *err.
 */
bool searches_get(const struct searches *s, uint64_t value, unsigned width, uint64_t addr,
		  struct elsewhere *out);
/* Is a search running or waiting? */
bool searches_busy(const struct searches *s);

#endif
