// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report/read.h"
#include "store/load.h"
#include "store/schema.h"
#include "store/store.h"
#include "store/spare.h"
#include "util/grow.h"

#define STEPS_PER_LOOK 100000 /* of SQLite's machine */
#define LOOKS_MAX      20000  /* more than LOAD_MAX_ROWS rows can want */

struct loader {
	const char *path;
	sqlite3 *db;
	struct session *s;
	size_t bytes, rows;
	unsigned looks;
	struct err *err;
};

static int bad(struct loader *l, const char *what)
{
	return err_set(l->err, -EBADMSG, "%s is damaged: %s", l->path, what);
}

/* What SQLite says. */
static int sql_failed(struct loader *l)
{
	switch (sqlite3_errcode(l->db)) {
	case SQLITE_NOTADB:
		return err_set(l->err, -EBADMSG, "%s is no session file of culprit", l->path);
	case SQLITE_BUSY:
		err_set(l->err, -EBUSY, "%s is being written by a session", l->path);
		err_hint(l->err,
			 "wait for its end, or end it with Ctrl-C: what it has found so far is written then");
		return -EBUSY;
	case SQLITE_NOMEM:
		return err_set(l->err, -ENOMEM, "%s needs more memory than is given to it", l->path);
	case SQLITE_CANTOPEN:
		return err_set(l->err, -EACCES, "cannot open %s", l->path);
	default:
		return bad(l, sqlite3_errmsg(l->db));
	}
}

static int number_of(struct loader *l, const char *pragma, int64_t *ret)
{
	sqlite3_stmt *st = NULL;
	int rc = -EBADMSG;

	if (sqlite3_prepare_v2(l->db, pragma, -1, &st, NULL) || sqlite3_step(st) != SQLITE_ROW)
		rc = sql_failed(l);
	else
		rc = 0;
	*ret = rc ? 0 : sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return rc;
}

static int check_version(struct loader *l)
{
	int64_t id, version;
	int rc = number_of(l, "PRAGMA application_id", &id);

	if (!rc)
		rc = number_of(l, "PRAGMA user_version", &version);
	if (rc)
		return rc;
	if (id != STORE_APPLICATION_ID)
		return err_set(l->err, -EBADMSG,
			       "%s is no session file of culprit, but some other SQLite file", l->path);
	if (version != STORE_VERSION) {
		err_set(l->err, -EBADMSG,
			"%s is of version %lld of the session file, this culprit reads version %d", l->path,
			(long long)version, STORE_VERSION);
		err_hint(l->err, "read it with the culprit that wrote it");
		return -EBADMSG;
	}
	return 0;
}

/* Our tables as we make them, and nothing else: no view, trigger or expression of others is ever run. */
static int check_schema(struct loader *l)
{
	bool seen[STORE_TABLES] = {false};
	sqlite3_stmt *st = NULL;
	size_t n = 0;
	int rc;

	if (sqlite3_prepare_v2(l->db, "SELECT sql FROM sqlite_master", -1, &st, NULL))
		return sql_failed(l);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW && n++ < STORE_TABLES) {
		const char *sql = (const char *)sqlite3_column_text(st, 0);

		for (size_t i = 0; sql && i < STORE_TABLES; i++)
			seen[i] |= !strcmp(sql, store_schema[i].sql);
	}
	rc = rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : sql_failed(l);
	sqlite3_finalize(st);
	for (size_t i = 0; !rc && i < STORE_TABLES; i++)
		if (!seen[i] || n != STORE_TABLES)
			rc = bad(l, "its tables are not those of a session");
	return rc;
}

static const char *text_at(sqlite3_stmt *st, int column)
{
	return sqlite3_column_type(st, column) == SQLITE_TEXT ? (const char *)sqlite3_column_text(st, column)
							      : NULL;
}

static uint64_t number_at(sqlite3_stmt *st, int column)
{
	return sqlite3_column_type(st, column) == SQLITE_INTEGER ? (uint64_t)sqlite3_column_int64(st, column)
								 : 0;
}

/* Control characters would reach a terminal. */
static char *plain(char *s)
{
	for (char *c = s; c && *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	return s;
}

static void copy_text(char *to, size_t len, const char *from)
{
	snprintf(to, len, "%s", from ? from : "");
	plain(to);
}

static int read_key(struct loader *l, sqlite3_stmt *st)
{
	const char *key = text_at(st, 0), *value = text_at(st, 1);
	struct session_key k;

	if (!key || !value)
		return bad(l, "a key of the session without text");
	if (GROW(&l->s->key, l->s->n_keys))
		return -ENOMEM;
	k = (struct session_key){.key = plain(strdup(key)), .value = plain(strdup(value))};
	l->s->key[l->s->n_keys++] = k;
	return k.key && k.value ? 0 : -ENOMEM;
}

static json_t *json_of(const char *text)
{
	return text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

static int read_line(struct loader *l, sqlite3_stmt *st)
{
	json_t *v = json_of(text_at(st, 6));

	if (!json_is_object(v) || !json_is_string(json_object_get(v, "kind"))) {
		json_decref(v);
		return bad(l, "a line that is no JSON object of a kind");
	}
	if (l->s->n_lines > STORE_MAX_LINES) {
		json_decref(v);
		return bad(l, "more lines than a session can have");
	}
	if (GROW(&l->s->line, l->s->n_lines)) {
		json_decref(v);
		return -ENOMEM;
	}
	l->s->line[l->s->n_lines++] = (struct session_line){.real_ns = number_at(st, 1), .json = v};
	return 0;
}

static int read_conn(struct loader *l, sqlite3_stmt *st)
{
	struct session_conn *c;

	if (GROW(&l->s->conn, l->s->n_conns))
		return -ENOMEM;
	c = &l->s->conn[l->s->n_conns++];
	*c = (struct session_conn){
		.id = (int64_t)number_at(st, 0),
		.inode = number_at(st, 1),
		.peer_inode = number_at(st, 2),
		.fd = sqlite3_column_type(st, 3) == SQLITE_INTEGER ? sqlite3_column_int(st, 3) : -1,
		.accepted = number_at(st, 8),
		.gone = number_at(st, 9),
		.first_ns = number_at(st, 10),
		.seen_ns = number_at(st, 11),
		.last_send_ns = number_at(st, 12),
		.last_recv_ns = number_at(st, 13),
		.recv_queue = (uint32_t)number_at(st, 14),
		.send_queue = (uint32_t)number_at(st, 15),
		.unacked = (uint32_t)number_at(st, 16),
		.bytes_sent = number_at(st, 17),
		.bytes_acked = number_at(st, 18),
		.bytes_received = number_at(st, 19),
		.recv_tid = (pid_t)number_at(st, 20),
		.send_tid = (pid_t)number_at(st, 21),
	};
	copy_text(c->family, sizeof(c->family), text_at(st, 4));
	copy_text(c->local, sizeof(c->local), text_at(st, 5));
	copy_text(c->remote, sizeof(c->remote), text_at(st, 6));
	copy_text(c->state, sizeof(c->state), text_at(st, 7));
	return 0;
}

static const char *end_of(const char *text)
{
	static const char *const ends[] = {"answered", "closed"};

	for (size_t i = 0; text && i < sizeof(ends) / sizeof(ends[0]); i++)
		if (!strcmp(text, ends[i]))
			return ends[i];
	return NULL;
}

static int read_wait(struct loader *l, sqlite3_stmt *st)
{
	const char *thread = text_at(st, 10);
	json_t *v = json_of(thread);
	struct session_wait *w;

	if (thread && !json_is_object(v)) {
		json_decref(v);
		return bad(l, "a thread that is no JSON object");
	}
	if (GROW(&l->s->wait, l->s->n_waits)) {
		json_decref(v);
		return -ENOMEM;
	}
	report_clean(v);
	w = &l->s->wait[l->s->n_waits++];
	*w = (struct session_wait){
		.id = (int64_t)number_at(st, 0),
		.conn = (int64_t)number_at(st, 1),
		.ours = number_at(st, 2),
		.since_ns = number_at(st, 3),
		.seen_ns = number_at(st, 4),
		.until_ns = number_at(st, 5),
		.end = end_of(text_at(st, 6)),
		.unread = (uint32_t)number_at(st, 7),
		.rpc_id_known = sqlite3_column_type(st, 9) == SQLITE_INTEGER,
		.rpc_id = number_at(st, 9),
		.thread = v,
	};
	copy_text(w->method, sizeof(w->method), text_at(st, 8));
	return 0;
}

static int count(struct loader *l, sqlite3_stmt *st, unsigned columns)
{
	for (unsigned i = 0; i < columns; i++)
		l->bytes += (size_t)sqlite3_column_bytes(st, (int)i);
	if (++l->rows <= LOAD_MAX_ROWS && l->bytes <= LOAD_MAX_BYTES)
		return 0;
	return err_set(l->err, -E2BIG, "%s is larger than a session can be: more than %d rows or %u MiB",
		       l->path, LOAD_MAX_ROWS, LOAD_MAX_BYTES >> 20);
}

static int read_table(struct loader *l, enum store_table table)
{
	static int (*const row[])(struct loader *, sqlite3_stmt *) = {
		[STORE_SESSION] = read_key,
		[STORE_LINE] = read_line,
		[STORE_CONNECTION] = read_conn,
		[STORE_WAIT] = read_wait,
	};
	sqlite3_stmt *st = NULL;
	int rc = 0, step = SQLITE_DONE;

	if (sqlite3_prepare_v2(l->db, store_schema[table].select, -1, &st, NULL))
		return sql_failed(l);
	while (!rc && (step = sqlite3_step(st)) == SQLITE_ROW) {
		rc = count(l, st, store_schema[table].columns);
		if (!rc)
			rc = row[table](l, st);
		if (rc == -ENOMEM)
			err_set(l->err, -ENOMEM, "out of memory");
	}
	if (!rc && step != SQLITE_DONE)
		rc = sql_failed(l);
	sqlite3_finalize(st);
	return rc;
}

/* Damaged files can send SQLite round in circles. */
static int enough(void *ctx)
{
	struct loader *l = ctx;

	return ++l->looks > LOOKS_MAX;
}

static int read_all(struct loader *l)
{
	int rc;

	sqlite3_limit(l->db, SQLITE_LIMIT_LENGTH, LOAD_MAX_STRING);
	sqlite3_db_config(l->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(l->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_progress_handler(l->db, STEPS_PER_LOOK, enough, l);
	if (sqlite3_exec(l->db,
			 "PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY; BEGIN",
			 NULL, NULL, NULL))
		return sql_failed(l);
	rc = check_version(l);
	if (!rc)
		rc = check_schema(l);
	for (enum store_table t = 0; !rc && t < STORE_TABLES; t++)
		rc = read_table(l, t);
	return rc;
}

/* Without a summary in the last place, what is said to be one is not. */
static int check_lines(struct loader *l)
{
	for (size_t i = 0; i + 1 < l->s->n_lines; i++)
		if (!strcmp(json_string_value(json_object_get(l->s->line[i].json, "kind")), "summary"))
			return bad(l, "a summary that is not the last line");
	return 0;
}

static int by_conn(const void *a, const void *b)
{
	const struct session_wait *x = a, *y = b;

	if (x->conn != y->conn)
		return x->conn < y->conn ? -1 : 1;
	return (x->since_ns > y->since_ns) - (x->since_ns < y->since_ns);
}

static int load_from(struct loader *l, const char *file, int flags)
{
	int rc;

	if (sqlite3_open_v2(file, &l->db, flags, NULL))
		rc = l->db ? sql_failed(l) : err_set(l->err, -ENOMEM, "out of memory");
	else
		rc = read_all(l);
	if (!rc)
		rc = check_lines(l);
	sqlite3_close(l->db);
	l->db = NULL;
	return rc;
}

/* A file that cannot be opened has an error that says more than SQLite's. */
static int readable(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int rc = 0;

	if (fd < 0)
		return err_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		rc = err_set(err, -EBADMSG, "%s is no file", path);
	else if (!st.st_size)
		rc = err_set(err, -EBADMSG, "%s is empty: no session file of culprit", path);
	close(fd);
	return rc;
}

int session_load(struct session **ret, const char *path, struct err *err)
{
	struct loader l = {.path = path, .err = err};
	struct spare spare = {0};
	char *name = NULL;
	int rc = readable(path, err);

	if (rc)
		return rc;
	l.s = calloc(1, sizeof(*l.s));
	if (!l.s || !(l.s->path = strdup(path)) ||
	    asprintf(&name, "%s%s", path[0] == '/' || path[0] == '.' ? "" : "./", path) < 0) {
		session_free(l.s);
		return err_set(err, -ENOMEM, "out of memory");
	}
	rc = spare_needed(name) ? spare_make(&spare, name, err) : 0;
	if (!rc)
		rc = load_from(&l, spare.file ? spare.file : name,
			       spare.file ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
	spare_remove(&spare);
	free(name);
	if (rc) {
		session_free(l.s);
		return rc;
	}
	if (l.s->n_waits)
		qsort(l.s->wait, l.s->n_waits, sizeof(*l.s->wait), by_conn);
	*ret = l.s;
	return 0;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_keys; i++) {
		free(s->key[i].key);
		free(s->key[i].value);
	}
	for (size_t i = 0; i < s->n_lines; i++)
		json_decref(s->line[i].json);
	for (size_t i = 0; i < s->n_waits; i++)
		session_wait_deinit(&s->wait[i]);
	free(s->key);
	free(s->line);
	free(s->conn);
	free(s->wait);
	free(s->path);
	free(s);
}
