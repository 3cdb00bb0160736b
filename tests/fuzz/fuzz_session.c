// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Session files of anybody: as bytes (first byte 0), through SQLite; or as lines of JSON (first byte 1),
 * which are findings, connections and waits of two sessions. What can be read is rendered in every way.
 */
#include "fuzz.h"

#include "replay/replay.h"
#include "util/grow.h"

static FILE *nowhere(void)
{
	static FILE *f;

	if (!f)
		f = fopen("/dev/null", "w");
	if (!f)
		abort();
	return f;
}

static void render(struct replay *const *v, size_t n)
{
	struct join_session side[2];
	uint64_t *found[2];
	struct joined *joined;
	struct replay_joined j;

	for (size_t i = 0; i < n; i++) {
		found[i] = calloc(v[i]->n_stalls + 1, sizeof(*found[i]));
		for (size_t k = 0; k < v[i]->n_stalls; k++)
			found[i][k] = replay_wall(v[i], v[i]->found_ns[k]);
		side[i] = (struct join_session){v[i]->s, v[i]->stall, found[i], v[i]->n_stalls};
	}
	if (join_sessions(side, n, &joined, &j.n))
		abort();
	j.v = joined;
	replay_text(nowhere(), v, n, &j);
	replay_json(nowhere(), v, n, &j);
	replay_folded(nowhere(), v, n);
	replay_chrome(nowhere(), v, n, &j);
	replay_html(nowhere(), v, n, &j);
	free(joined);
	for (size_t i = 0; i < n; i++)
		free(found[i]);
}

static void by_file(const uint8_t *data, size_t size)
{
	struct session *s;
	struct replay *r;
	struct err err = {0};
	char path[32];
	int fd = file_of(data, size, path);

	if (!session_load(&s, path, &err) && !replay_open(&r, s, &err)) {
		render(&r, 1);
		replay_close(r);
	} else if (!err.msg[0]) {
		abort(); /* every error has its words */
	}
	close(fd);
}

static void copy(char *to, size_t len, const json_t *v, const char *key)
{
	const char *s = json_string_value(json_object_get(v, key));

	snprintf(to, len, "%s", s ? s : "");
}

static uint64_t number(const json_t *v, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(v, key));
}

static void add_conn(struct session *s, const json_t *v)
{
	struct session_conn c = {.id = (int64_t)s->n_conns + 1,
				 .inode = number(v, "inode"),
				 .peer_inode = number(v, "peer_inode"),
				 .accepted = number(v, "accepted"),
				 .gone = number(v, "gone"),
				 .first_ns = number(v, "first_ns"),
				 .seen_ns = number(v, "seen_ns"),
				 .last_send_ns = number(v, "last_send_ns"),
				 .last_recv_ns = number(v, "last_recv_ns"),
				 .recv_queue = (uint32_t)number(v, "recv_queue"),
				 .send_queue = (uint32_t)number(v, "send_queue"),
				 .bytes_acked = number(v, "bytes_acked"),
				 .bytes_received = number(v, "bytes_received")};

	copy(c.family, sizeof(c.family), v, "family");
	copy(c.local, sizeof(c.local), v, "local");
	copy(c.remote, sizeof(c.remote), v, "remote");
	if (GROW(&s->conn, s->n_conns))
		abort();
	s->conn[s->n_conns++] = c;
}

/* Of the connection before it. */
static void add_wait(struct session *s, json_t *v)
{
	json_t *thread = json_object_get(v, "thread");
	struct session_wait w = {.id = (int64_t)s->n_waits + 1,
				 .conn = (int64_t)s->n_conns,
				 .ours = number(v, "ours"),
				 .since_ns = number(v, "since_ns"),
				 .seen_ns = number(v, "seen_ns"),
				 .until_ns = number(v, "until_ns"),
				 .end = number(v, "closed")	? "closed"
					: number(v, "until_ns") ? "answered"
								: NULL,
				 .unread = (uint32_t)number(v, "unread"),
				 .thread = json_is_object(thread) ? json_incref(thread) : NULL};

	if (GROW(&s->wait, s->n_waits))
		abort();
	s->wait[s->n_waits++] = w;
}

/* Takes v over. */
static void add(struct session *s, json_t *v)
{
	const char *kind = json_string_value(json_object_get(v, "kind"));

	if (!kind || json_is_object(v) == 0) {
		json_decref(v);
		return;
	}
	if (!strcmp(kind, "conn")) {
		add_conn(s, v);
		json_decref(v);
	} else if (!strcmp(kind, "wait")) {
		add_wait(s, v);
		json_decref(v);
	} else if (GROW(&s->line, s->n_lines)) {
		abort();
	} else {
		s->line[s->n_lines++] = (struct session_line){.real_ns = number(v, "real_ns"), .json = v};
	}
}

static struct session *session_new(void)
{
	static const char *const keys[][2] = {{"command", "stalls"},
					      {"start_real_ns", "1700000000000000000"},
					      {"start_mono_ns", "1000000000000"},
					      {"end_real_ns", "1700000060000000000"},
					      {"boot_id", "x"},
					      {"netns", "1"}};
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->path = strdup("s.db");
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (GROW(&s->key, s->n_keys))
			abort();
		s->key[s->n_keys++] = (struct session_key){strdup(keys[i][0]), strdup(keys[i][1])};
	}
	return s;
}

/* An empty line, and the other session begins. */
static void by_lines(const uint8_t *data, size_t size)
{
	struct session *s[2] = {session_new(), session_new()};
	char *text = text_of(data, size), *rest = text, *line;
	struct replay *v[2] = {NULL, NULL};
	size_t at = 0, n = 0;
	struct err err;

	while ((line = strsep(&rest, "\n"))) {
		if (!*line)
			at = 1;
		else
			add(s[at], json_loads(line, JSON_REJECT_DUPLICATES, NULL));
	}
	free(text);
	for (size_t i = 0; i < 2; i++) {
		err = (struct err){0};
		if (!replay_open(&v[n], s[i], &err))
			n++;
		else if (!err.msg[0])
			abort();
	}
	if (n)
		render(v, n);
	for (size_t i = 0; i < n; i++)
		replay_close(v[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] == 1)
		by_lines(data + 1, size - 1);
	else
		by_file(data + 1, size - 1);
	return 0;
}
