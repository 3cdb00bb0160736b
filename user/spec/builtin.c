// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The specs that need no file. */
#include "spec/spec_priv.h"

static const char zbs_text[] =
#include "zbs.spec.inc" /* specs/zbs.spec, line by line */
	;

const struct spec_builtin spec_builtins[] = {
	{"zbs", zbs_text},
	{NULL, NULL},
};
