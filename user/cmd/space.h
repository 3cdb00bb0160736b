/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What `find` and `inspect` share: a process or a core, and the types to look for. */
#ifndef CULPRIT_CMD_SPACE_H
#define CULPRIT_CMD_SPACE_H

#include "cmd/cmd.h"
#include "space/space.h"

#define SPACE_MAX_TYPES 16

struct space_opts {
	struct common_opts c;
	const char *core, *binary;
	const char *type[SPACE_MAX_TYPES]; /* --type */
	size_t n_types;
	const char *spec; /* --spec */
};

enum { OPT_CORE = OPT_COMMAND_FIRST, OPT_BINARY, OPT_TYPE, OPT_SPEC, OPT_SPACE_LAST };
#define SPACE_LONG                                                                                           \
	{"core", 1, 0, OPT_CORE}, {"binary", 1, 0, OPT_BINARY}, {"type", 1, 0, OPT_TYPE},                    \
	{                                                                                                    \
		"spec", 1, 0, OPT_SPEC                                                                       \
	}
extern const char SPACE_HELP[];

/* One of the options above; else a usage error (getopt has said which). 0 or EXIT_USAGE. */
int space_option(const char *cmd, struct space_opts *o, int opt, const char *arg);
/* A process or a core, not both. 0 or EXIT_USAGE. */
int space_check(const char *cmd, const struct space_opts *o);
int space_from_options(struct space **ret, struct space_opts *o, struct err *err);
/* Number as C writes it, all of arg. -EINVAL. */
int space_number(const char *arg, uint64_t *v);

#endif
