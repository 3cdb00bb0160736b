/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Gathers what surrounds a bad write: at once what may be gone soon, the rest until it is told. */
#ifndef CULPRIT_CMD_WRITES_STORY_H
#define CULPRIT_CMD_WRITES_STORY_H

#include "cmd/writes_report.h"

/* A finding was made. */
void story_begin(struct run *r, struct engine_finding *f);
/* Now and then: searches go on. */
void story_tick(struct run *r);
/* It is about to be told. */
void story_finish(struct run *r, struct engine_finding *f);
/* The session is over: waits a little for a search that still runs. */
void story_wait(struct run *r);

#endif
