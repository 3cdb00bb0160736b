// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <string.h>

#include "doctor/feature.h"

const char *feature_state_name(enum feature_state s)
{
	static const char *const names[] = {"works", "refused", "silent", "limited"};

	return names[s];
}

void feature_refuse(struct feature *f, int err)
{
	f->state = FEATURE_REFUSED;
	f->error = err < 0 ? err : -err;
	snprintf(f->why, sizeof(f->why), "%s", strerror(-f->error));
}

bool features_allow(const struct feature *f, bool writes, char *missing, unsigned len)
{
	unsigned n = 0;

	missing[0] = '\0';
	for (int i = 0; i < FEATURE_MAX; i++) {
		bool needed = writes ? f[i].for_writes : f[i].for_stalls;

		if (!needed || f[i].state == FEATURE_WORKS ||
		    (f[i].instead_of && f[f[i].instead_of].state == FEATURE_WORKS))
			continue;
		if (n < len)
			n += (unsigned)snprintf(missing + n, len - n, "%s%s", n ? ", " : "", f[i].name);
	}
	return missing[0] == '\0';
}
