/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Writes a session file while the session goes. Rows wait in memory and are written in one transaction at
 * most twice a second, so that a killed session loses less than a second. What cannot be written (full disk)
 * stays and is tried again; what then finds no room in memory is counted as lost. Nothing here ends a
 * session.
 */
#ifndef CULPRIT_STORE_STORE_H
#define CULPRIT_STORE_STORE_H

#include "store/session.h"
#include "util/err.h"

#define STORE_QUEUE_BYTES (8u << 20) /* of rows that wait */
#define STORE_MAX_LINES	  65536	     /* findings and log lines of a session, besides its summary */

struct store;

/*
 * Makes the file, mode 0600. -EEXIST with what to do if it is there, or a journal of that name. All files are
 * open when this returns: capabilities to reach them may be given up then.
 */
int store_create(struct store **ret, const char *path, struct err *err);
/* Nothing was recorded: closes and removes the file. NULL is fine. */
void store_abandon(struct store *s);

/* Rows. s may be NULL (no -o): then nothing happens. */
void store_set(struct store *s, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* A line as --json prints it. real_ns: when. v stays the caller's. */
void store_line(struct store *s, const json_t *v, uint64_t real_ns);
void store_conn(struct store *s, const struct session_conn *c);
void store_wait(struct store *s, const struct session_wait *w);
/* Writes what waits, if it is time: now_ns CLOCK_MONOTONIC; UINT64_MAX: in any case. */
void store_flush(struct store *s, uint64_t now_ns);

struct store_state {
	uint64_t lost;	  /* rows that found no room */
	uint64_t waiting; /* rows that are not in the file */
	uint64_t written;
	char why[256]; /* the last error; empty if there was none since something was last written */
};
struct store_state store_state(const struct store *s);
/* Writes the rest. Returns the number of rows that the file lacks. NULL is fine: 0. */
uint64_t store_close(struct store *s);

#endif
