/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Gathers what surrounds a bad write: at once what may be gone soon, the rest until it is told. */
#ifndef CULPRIT_CMD_WRITES_STORY_H
#define CULPRIT_CMD_WRITES_STORY_H

#include "cmd/writes_report.h"

/* --heap, before the probes of `writes`. */
int story_heap_arm(struct run *r, struct err *err);
/* Once a second: its deadline and its budget. */
void story_heap_second(struct run *r, uint64_t now_ns, uint64_t deadline_ns);
void story_heap_note(const struct run *r, struct summary *s);

/* A finding was made. */
void story_begin(struct run *r, struct engine_finding *f);
/* Now and then: searches go on. */
void story_tick(struct run *r);
/* It is about to be told. */
void story_finish(struct run *r, struct engine_finding *f);
/* The session is over: waits a little for a search that still runs. */
void story_wait(struct run *r);

#endif
