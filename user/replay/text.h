/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The parts of a session's text. */
#ifndef CULPRIT_REPLAY_TEXT_H
#define CULPRIT_REPLAY_TEXT_H

#include "replay/replay.h"

void replay_header_text(FILE *f, const struct replay *r); /* where and when it was */
void replay_finding_text(FILE *f, const struct replay *r, const struct replay_finding *x);
void replay_footer_text(FILE *f, const struct replay *r); /* tables, notes, coverage */

#endif
