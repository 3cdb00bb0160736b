/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The words of a finding: evidence about the request, why it is this verdict, and what to do next. */
#ifndef CULPRIT_STALLS_EXPLAIN_H
#define CULPRIT_STALLS_EXPLAIN_H

#include "stalls/engine_priv.h"

/* Fills request, explanation and next of st, whose other fields are complete. -ENOMEM. */
int explain(struct stall *st, const struct subject *s, const struct about *a);

/* "in futex for 3.2 s", "running", "in poll for 40 ms"; malloc'ed, NULL without memory. */
char *explain_doing(const struct thread_facts *t);

#endif
