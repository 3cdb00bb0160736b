/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Asks of a module's debuginfo all that the commands will ask on the node, so that it is recorded. */
#ifndef CULPRIT_PROFILE_ASKS_H
#define CULPRIT_PROFILE_ASKS_H

#include "profile/profile.h"
#include "spec/spec.h"

struct profile_asked {
	struct profile_probe *probe;
	char **text; /* names of the probes */
	size_t n;
	char **missing; /* what cannot be probed or found, and why */
	size_t n_missing;
};

/*
 * d must be recording. The classes of the spec's caches, its functions and RPC layers; further classes to
 * look at (inspect --type). Errors: those of the lookups.
 */
int profile_ask(struct profile_asked *ret, struct dbg *d, const struct spec *spec, const char *const *type,
		size_t n_types, struct err *err);
void profile_asked_deinit(struct profile_asked *a);

#endif
