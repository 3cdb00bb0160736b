/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Why something was refused, and what to change: an errno alone does not help at 3 a.m. */
#ifndef CULPRIT_EXPLAIN_H
#define CULPRIT_EXPLAIN_H

#include "doctor/feature.h"
#include "doctor/node.h"

/*
 * Completes f->why and f->change of a feature that does not work, from f->error and what is known of the
 * node. A cause is named as such only if it can be seen; else what is seen is said beside the error.
 */
void feature_explain(struct feature *f, enum feature_id id, const struct node *n);

#endif
