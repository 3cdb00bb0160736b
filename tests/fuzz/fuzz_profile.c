// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A profile, and the debuginfo that it becomes. */
#include <errno.h>

#include "fuzz.h"
#include "lookups.h"
#include "profile/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct profile *p;
	struct err err = {0};
	struct dbg *d;

	if (profile_parse(&p, (const char *)data, size, "fuzz", &err)) {
		if (err.code != -EBADMSG || strncmp(err.msg, "fuzz:", 5) != 0)
			abort(); /* it must say where */
		return 0;
	}
	if (!dbg_open(&d, profile_debuginfo(p), NULL, &err)) {
		look_at_all(d);
		dbg_close(d);
	}
	profile_close(p);
	return 0;
}
