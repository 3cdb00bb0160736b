/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef CULPRIT_REPLAY_ORDER_H
#define CULPRIT_REPLAY_ORDER_H

#include "replay/replay.h"

struct order {
	uint64_t real_ns;
	size_t session, finding;
};

/* The findings of all sessions in order of time; *n of them, for free(). NULL: no memory, *n is 0. */
struct order *order_findings(struct replay *const *v, size_t n, size_t *n_all);

#endif
