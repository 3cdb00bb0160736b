/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What `writes` and `layout` are about: a spec, or types with functions. */
#ifndef CULPRIT_CMD_WHAT_H
#define CULPRIT_CMD_WHAT_H

#include "cmd/cmd.h"
#include "spec/spec.h"

#define WHAT_MAX_FUNCS 256
#define WHAT_MAX_TYPES 16

struct what_opts {
	const char *spec; /* --spec */
	const char *type[WHAT_MAX_TYPES];
	size_t n_types;
	struct spec_option func[WHAT_MAX_FUNCS];
	size_t n_funcs;
};

enum {
	OPT_SPEC = OPT_COMMAND_FIRST,
	OPT_TYPE,
	OPT_INSERT,
	OPT_CHECK,
	OPT_REMOVE,
	OPT_DESTROY,
	OPT_TOUCH,
	OPT_WHAT_LAST
};
/* Their rows in the command's own table. */
#define WHAT_LONG                                                                                            \
	{"spec", 1, 0, OPT_SPEC}, {"type", 1, 0, OPT_TYPE}, {"insert", 1, 0, OPT_INSERT},                    \
		{"check", 1, 0, OPT_CHECK}, {"remove", 1, 0, OPT_REMOVE}, {"destroy", 1, 0, OPT_DESTROY},    \
	{                                                                                                    \
		"touch", 1, 0, OPT_TOUCH                                                                     \
	}

/* One of the options above; any other is a usage error (getopt has said which). 0 or EXIT_USAGE. */
int what_option(const char *cmd, struct what_opts *o, int opt, const char *arg);
/* A spec or types, not both; functions with one type. 0 or EXIT_USAGE. */
int what_check(const char *cmd, const struct what_opts *o);
/* *ret for spec_free(). */
int what_spec(struct spec **ret, const struct what_opts *o, struct err *err);
/* The options as they may be written again. */
void what_text(const struct what_opts *o, char *buf, size_t len);

#endif
