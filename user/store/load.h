/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads a session file, which may come from anywhere: only a file with exactly the tables of store/schema.h
 * is taken, nothing in it is run, and what is read is bounded. The file is not changed.
 */
#ifndef CULPRIT_STORE_LOAD_H
#define CULPRIT_STORE_LOAD_H

#include "store/session.h"
#include "util/err.h"

#define LOAD_MAX_BYTES	(256u << 20) /* of text in all rows */
#define LOAD_MAX_ROWS	1000000
#define LOAD_MAX_STRING (16 << 20)

struct session_line {
	uint64_t real_ns;
	json_t *json; /* an object with a string "kind" */
};

struct session_key {
	char *key, *value;
};

struct session {
	char *path;
	struct session_key *key;
	size_t n_keys;
	struct session_line *line; /* in order; a summary, if there is one, is the last */
	size_t n_lines;
	struct session_conn *conn; /* by id */
	size_t n_conns;
	struct session_wait *wait; /* by connection, then since_ns */
	size_t n_waits;
};

/*
 * -ENOENT, -EACCES...; -EBADMSG: it is no session file, is damaged, or of another version; -EBUSY: a session
 * still writes it. The message says which.
 */
int session_load(struct session **ret, const char *path, struct err *err);
void session_free(struct session *s); /* NULL is fine */

/* NULL: it has no such key. */
const char *session_value(const struct session *s, const char *key);
uint64_t session_number(const struct session *s, const char *key); /* 0: none */
/* The last line, if it is a summary; NULL: the session was killed. */
const json_t *session_summary(const struct session *s);
/* When it was last heard of: its end, or the last that was written. CLOCK_REALTIME ns. */
uint64_t session_end_ns(const struct session *s);
const struct session_conn *session_conn_by_id(const struct session *s, int64_t id);

#endif
