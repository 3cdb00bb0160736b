/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the results of a session go: text or JSON Lines on stdout, and the session file of -o. */
#ifndef CULPRIT_CMD_OUTPUT_H
#define CULPRIT_CMD_OUTPUT_H

#include <jansson.h>

#include "cmd/cmd.h"
#include "report/finding.h"
#include "store/store.h"

/* -o, for the commands that have sessions. */
#define OUTPUT_SHORT COMMON_SHORT "o:"
#define OUTPUT_LONG                                                                                          \
	{                                                                                                    \
		"output", 1, 0, 'o'                                                                          \
	}
extern const char OUTPUT_HELP[]; /* its lines of --help; they stand after COMMON_HELP's options */

struct output {
	const char *path;    /* -o; NULL: none */
	bool json;	     /* JSON Lines on stdout */
	struct store *store; /* NULL: no file */
	uint64_t alive_ns;
};

/* Makes the file, if one is asked for, with what is known of target and node. argv: as given to the command.
 */
int output_open(struct output *o, const struct common_opts *c, char **argv, struct err *err);
/* A line of JSON to where it is wanted. Takes v over; NULL if output_wants() is false. */
void output_line(struct output *o, json_t *v);
bool output_wants(const struct output *o); /* whether output_line() has anything to do */
/* At every tick of a session. now_ns: CLOCK_MONOTONIC. */
void output_tick(struct output *o, uint64_t now_ns);
/* Before the summary is printed: it says what could not be written. */
void output_account(struct output *o, struct summary *s);
/* After the summary. Returns rc, or what it becomes if the file is not whole. */
int output_close(struct output *o, int rc, const char *ended);
/* The session could not begin. */
void output_abandon(struct output *o);

#endif
