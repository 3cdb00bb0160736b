// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>

#include "store/load.h"
#include "util/search.h"

void session_wait_deinit(struct session_wait *w)
{
	json_decref(w->thread);
	*w = (struct session_wait){0};
}

const char *session_value(const struct session *s, const char *key)
{
	for (size_t i = 0; i < s->n_keys; i++)
		if (!strcmp(s->key[i].key, key))
			return s->key[i].value;
	return NULL;
}

uint64_t session_number(const struct session *s, const char *key)
{
	const char *v = session_value(s, key);

	return v ? strtoull(v, NULL, 10) : 0;
}

const json_t *session_summary(const struct session *s)
{
	const json_t *v = s->n_lines ? s->line[s->n_lines - 1].json : NULL;
	const char *kind = json_string_value(json_object_get(v, "kind"));

	return kind && !strcmp(kind, "summary") ? v : NULL;
}

uint64_t session_end_ns(const struct session *s)
{
	uint64_t last = session_number(s, "end_real_ns");

	if (last)
		return last;
	last = session_number(s, "alive_real_ns");
	for (size_t i = 0; i < s->n_lines; i++)
		last = s->line[i].real_ns > last ? s->line[i].real_ns : last;
	for (size_t i = 0; i < s->n_conns; i++)
		last = s->conn[i].seen_ns > last ? s->conn[i].seen_ns : last;
	return last;
}

const struct session_conn *session_conn_by_id(const struct session *s, int64_t id)
{
	size_t at = FIRST_FROM(s->conn, s->n_conns, id, id);

	return at < s->n_conns && s->conn[at].id == id ? &s->conn[at] : NULL;
}
