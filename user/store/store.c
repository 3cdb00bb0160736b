// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/schema.h"
#include "store/store.h"

#define COLUMNS_MAX 22
#define FLUSH_NS    500000000ULL

struct value {
	bool is_null;
	char *text; /* owned; NULL: number */
	int64_t number;
};

/* A row that waits. */
struct row {
	struct row *next;
	enum store_table table;
	size_t bytes;
	struct value v[COLUMNS_MAX];
};

struct store {
	char *path;
	sqlite3 *db;
	sqlite3_stmt *insert[STORE_TABLES];
	struct row *first, **last;
	uint64_t n_rows, bytes, lost, written;
	uint64_t flushed_ns;
	int64_t n_lines;
	char why[256];
};

static int sql_error(sqlite3 *db, const char *path, struct err *err)
{
	return err_set(err, -EIO, "cannot write %s: %s", path, db ? sqlite3_errmsg(db) : "out of memory");
}

/*
 * Locked by us alone, all files stay open, so that neither directory nor file is looked up again when the
 * capabilities for that are gone. The journal is cut to nothing after each transaction: what is copied while
 * none runs is whole. Nothing is synced: a slow disk must not hold up the session, and what the kernel has
 * survives our death, not the machine's.
 */
static int set_up(struct store *s, struct err *err)
{
	char version[96];
	int rc;

	snprintf(version, sizeof(version), "PRAGMA application_id=%d; PRAGMA user_version=%d;",
		 STORE_APPLICATION_ID, STORE_VERSION);
	rc = sqlite3_exec(
		s->db,
		"PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=TRUNCATE; PRAGMA synchronous=OFF; "
		"PRAGMA temp_store=MEMORY; PRAGMA cache_size=-512; BEGIN IMMEDIATE;",
		NULL, NULL, NULL);
	if (!rc)
		rc = sqlite3_exec(s->db, version, NULL, NULL, NULL);
	for (size_t i = 0; !rc && i < STORE_TABLES; i++)
		rc = sqlite3_exec(s->db, store_schema[i].sql, NULL, NULL, NULL);
	if (!rc)
		rc = sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL);
	for (size_t i = 0; !rc && i < STORE_TABLES; i++)
		rc = sqlite3_prepare_v2(s->db, store_schema[i].insert, -1, &s->insert[i], NULL);
	return rc ? sql_error(s->db, s->path, err) : 0;
}

/* Ours alone, and new: what is there may be somebody's evidence. */
static int make_file(const char *path, struct err *err)
{
	char journal[4096];
	struct stat st;
	int fd;

	if ((size_t)snprintf(journal, sizeof(journal), "%s-journal", path) >= sizeof(journal))
		return err_set(err, -ENAMETOOLONG, "the name of the session file is too long");
	if (!lstat(journal, &st)) {
		err_set(err, -EEXIST, "%s is left from another session file of that name", journal);
		err_hint(err, "choose another name for -o, or remove it if its file is not needed any more");
		return -EEXIST;
	}
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST) {
		err_set(err, -EEXIST, "%s exists, and is not overwritten", path);
		err_hint(err,
			 "choose another name for -o, or move it away; `culprit report %s` shows a session",
			 path);
		return -EEXIST;
	}
	if (fd < 0)
		return err_set(err, -errno, "cannot make %s: %s", path, strerror(errno));
	close(fd);
	return 0;
}

int store_create(struct store **ret, const char *path, struct err *err)
{
	struct store *s = calloc(1, sizeof(*s));
	int rc = -ENOMEM;

	if (!s)
		return err_set(err, -ENOMEM, "out of memory");
	s->last = &s->first;
	rc = make_file(path, err);
	if (rc) {
		free(s);
		return rc;
	}
	/* SQLite takes names that begin so for its own */
	if (asprintf(&s->path, "%s%s", path[0] == '/' || path[0] == '.' ? "" : "./", path) < 0)
		s->path = NULL;
	if (!s->path)
		rc = err_set(err, -ENOMEM, "out of memory");
	else if (sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, NULL))
		rc = sql_error(s->db, path, err);
	else
		rc = set_up(s, err);
	if (rc) {
		store_abandon(s);
		return rc;
	}
	*ret = s;
	return 0;
}

static void row_free(struct row *r)
{
	for (size_t i = 0; i < COLUMNS_MAX; i++)
		free(r->v[i].text);
	free(r);
}

static void destroy(struct store *s)
{
	struct row *next;

	for (struct row *r = s->first; r; r = next) {
		next = r->next;
		row_free(r);
	}
	for (size_t i = 0; i < STORE_TABLES; i++)
		sqlite3_finalize(s->insert[i]);
	sqlite3_close(s->db);
	free(s->path);
	free(s);
}

static void remove_journal(const struct store *s)
{
	char journal[4096];
	struct stat st;

	/* empty since the last transaction */
	if ((size_t)snprintf(journal, sizeof(journal), "%s-journal", s->path) < sizeof(journal) &&
	    !lstat(journal, &st) && S_ISREG(st.st_mode) && !st.st_size)
		unlink(journal);
}

void store_abandon(struct store *s)
{
	if (!s)
		return;
	if (s->path) {
		remove_journal(s);
		unlink(s->path);
	}
	destroy(s);
}

/* Takes the row over. */
static void enqueue(struct store *s, struct row *r, bool whole)
{
	size_t limit;

	if (!r) {
		s->lost++;
		return;
	}
	/* findings come first, whatever else there is */
	limit = r->table == STORE_CONNECTION || r->table == STORE_WAIT ? STORE_QUEUE_BYTES / 2
								       : STORE_QUEUE_BYTES;
	r->bytes = sizeof(*r);
	for (size_t i = 0; i < COLUMNS_MAX; i++)
		r->bytes += r->v[i].text ? strlen(r->v[i].text) : 0;
	if (!whole || s->bytes + r->bytes > limit) {
		s->lost++;
		row_free(r);
		return;
	}
	*s->last = r;
	s->last = &r->next;
	s->n_rows++;
	s->bytes += r->bytes;
}

static struct row *row_new(enum store_table table)
{
	struct row *r = calloc(1, sizeof(*r));

	if (r)
		r->table = table;
	return r;
}

static struct value number(int64_t v)
{
	return (struct value){.number = v};
}

static struct value known(int64_t v, bool is_known)
{
	return (struct value){.number = v, .is_null = !is_known};
}

/* NULL is null; no memory clears *whole. */
static struct value text(const char *s, bool *whole)
{
	struct value v = {.is_null = !s, .text = s ? strdup(s) : NULL};

	if (s && !v.text)
		*whole = false;
	return v;
}

static struct value json(const json_t *j, bool *whole)
{
	struct value v = {.is_null = !j, .text = j ? json_dumps(j, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL};

	if (j && !v.text)
		*whole = false;
	return v;
}

void store_set(struct store *s, const char *key, const char *fmt, ...)
{
	bool whole = true;
	struct row *r;
	va_list ap;

	if (!s)
		return;
	r = row_new(STORE_SESSION);
	if (r) {
		r->v[0] = text(key, &whole);
		va_start(ap, fmt);
		if (vasprintf(&r->v[1].text, fmt, ap) < 0) {
			r->v[1].text = NULL;
			whole = false;
		}
		va_end(ap);
	}
	enqueue(s, r, whole);
}

static const char *string_at(const json_t *v, const char *key)
{
	return json_string_value(json_object_get(v, key));
}

static struct value number_at(const json_t *v, const char *key)
{
	const json_t *n = json_object_get(v, key);

	return known(json_integer_value(n), json_is_integer(n));
}

void store_line(struct store *s, const json_t *v, uint64_t real_ns)
{
	const char *what = string_at(v, "verdict"), *kind = string_at(v, "kind");
	bool whole = true;
	struct row *r;

	if (!s || !v)
		return;
	if (!kind)
		kind = "";
	if (s->n_lines >= STORE_MAX_LINES && strcmp(kind, "summary") != 0) {
		s->lost++;
		return;
	}
	if (!what)
		what = string_at(v, "reason");
	r = row_new(STORE_LINE);
	if (r) {
		r->v[0] = number(++s->n_lines);
		r->v[1] = number((int64_t)real_ns);
		r->v[2] = text(kind, &whole);
		r->v[3] = text(what, &whole);
		r->v[4] = number_at(v, "pid");
		r->v[5] = number_at(v, "tid");
		r->v[6] = json(v, &whole);
	}
	enqueue(s, r, whole);
}

static struct value time_of(uint64_t ns)
{
	return known((int64_t)ns, ns);
}

void store_conn(struct store *s, const struct session_conn *c)
{
	bool unix_sock = !strcmp(c->family, "unix"), whole = true;
	struct row *r;

	if (!s)
		return;
	r = row_new(STORE_CONNECTION);
	if (r) {
		const struct value v[] = {
			number(c->id),
			number((int64_t)c->inode),
			known((int64_t)c->peer_inode, c->peer_inode),
			known(c->fd, c->fd >= 0),
			text(c->family, &whole),
			text(c->local, &whole),
			text(c->remote, &whole),
			text(c->state, &whole),
			number(c->accepted),
			number(c->gone),
			number((int64_t)c->first_ns),
			number((int64_t)c->seen_ns),
			time_of(c->last_send_ns),
			time_of(c->last_recv_ns),
			number(c->recv_queue),
			number(c->send_queue),
			known(c->unacked, !unix_sock),
			known((int64_t)c->bytes_sent, !unix_sock),
			known((int64_t)c->bytes_acked, !unix_sock),
			known((int64_t)c->bytes_received, !unix_sock),
			known(c->recv_tid, c->recv_tid),
			known(c->send_tid, c->send_tid),
		};

		memcpy(r->v, v, sizeof(v));
	}
	enqueue(s, r, whole);
}

void store_wait(struct store *s, const struct session_wait *w)
{
	bool whole = true;
	struct row *r;

	if (!s)
		return;
	r = row_new(STORE_WAIT);
	if (r) {
		const struct value v[] = {
			number(w->id),
			number(w->conn),
			number(w->ours),
			number((int64_t)w->since_ns),
			number((int64_t)w->seen_ns),
			time_of(w->until_ns),
			text(w->end, &whole),
			number(w->unread),
			text(w->method[0] ? w->method : NULL, &whole),
			known((int64_t)w->rpc_id, w->rpc_id_known),
			json(w->thread, &whole),
		};

		memcpy(r->v, v, sizeof(v));
	}
	enqueue(s, r, whole);
}

static int write_row(struct store *s, const struct row *r)
{
	sqlite3_stmt *st = s->insert[r->table];
	int rc = SQLITE_OK;

	for (unsigned i = 0; !rc && i < store_schema[r->table].columns; i++) {
		const struct value *v = &r->v[i];
		int at = (int)i + 1;

		rc = v->text	  ? sqlite3_bind_text(st, at, v->text, -1, SQLITE_STATIC)
		     : v->is_null ? sqlite3_bind_null(st, at)
				  : sqlite3_bind_int64(st, at, v->number);
	}
	if (!rc)
		rc = sqlite3_step(st) == SQLITE_DONE ? SQLITE_OK : SQLITE_ERROR;
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return rc;
}

/* All that waits, or nothing. */
static bool write_all(struct store *s)
{
	int rc = sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

	for (const struct row *r = s->first; !rc && r; r = r->next)
		rc = write_row(s, r);
	if (!rc)
		rc = sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL);
	if (!rc)
		return true;
	snprintf(s->why, sizeof(s->why), "%s", sqlite3_errmsg(s->db));
	sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return false;
}

void store_flush(struct store *s, uint64_t now_ns)
{
	struct row *next;

	if (!s || !s->first || (now_ns != UINT64_MAX && now_ns < s->flushed_ns + FLUSH_NS))
		return;
	if (now_ns != UINT64_MAX)
		s->flushed_ns = now_ns;
	if (!write_all(s))
		return;
	s->why[0] = '\0';
	s->written += s->n_rows;
	for (struct row *r = s->first; r; r = next) {
		next = r->next;
		row_free(r);
	}
	s->first = NULL;
	s->last = &s->first;
	s->n_rows = s->bytes = 0;
}

struct store_state store_state(const struct store *s)
{
	struct store_state st = {.lost = s->lost, .waiting = s->n_rows, .written = s->written};

	memcpy(st.why, s->why, sizeof(st.why));
	return st;
}

uint64_t store_close(struct store *s)
{
	uint64_t missing;

	if (!s)
		return 0;
	store_flush(s, UINT64_MAX);
	missing = s->lost + s->n_rows;
	remove_journal(s);
	destroy(s);
	return missing;
}
