// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A session file: what is put in comes out, nothing is overwritten, a killed or full one still reads, and
 * foreign files are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "replay/replay.h"
#include "store/load.h"
#include "store/schema.h"
#include "store/store.h"

static char dir[32], path[64];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/culprit-test-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/s.db", dir);
	return 0;
}

static int teardown(void **state)
{
	char journal[80];

	(void)state;
	snprintf(journal, sizeof(journal), "%s-journal", path);
	unlink(journal);
	unlink(path);
	return rmdir(dir);
}

static struct store *create(void)
{
	struct store *s = NULL;
	struct err err = {0};

	assert_int_equal(store_create(&s, path, &err), 0);
	store_set(s, "command", "stalls");
	store_set(s, "start_real_ns", "%llu", 1700000000000000000ULL);
	store_set(s, "start_mono_ns", "%llu", 1000000000ULL);
	return s;
}

static void put_line(struct store *s, const char *kind, int tid)
{
	json_t *v = json_pack("{s:s, s:s, s:i, s:i}", "kind", kind, "verdict", "peer-silent", "pid", 7, "tid",
			      tid);

	store_line(s, v, 1700000001000000000ULL);
	json_decref(v);
}

static struct session *load(void)
{
	struct session *s = NULL;
	struct err err = {0};
	int rc = session_load(&s, path, &err);

	if (rc)
		print_message("%s\n", err.msg);
	assert_int_equal(rc, 0);
	return s;
}

static void round_trip(void **state)
{
	struct session_conn c = {.id = 1,
				 .inode = UINT64_MAX >> 1,
				 .fd = -1,
				 .family = "inet",
				 .local = "10.0.0.1:1",
				 .remote = "10.0.0.2:2",
				 .state = "ESTABLISHED",
				 .accepted = true,
				 .first_ns = 5,
				 .seen_ns = 6,
				 .last_recv_ns = 7,
				 .recv_queue = 8,
				 .bytes_received = 9,
				 .recv_tid = 10};
	struct session_wait w = {.id = 1,
				 .conn = 1,
				 .since_ns = 11,
				 .seen_ns = 12,
				 .unread = 13,
				 .method = "a.B",
				 .rpc_id_known = true,
				 .rpc_id = 14};
	struct store *st = create();
	struct session *s;
	struct stat mode;

	(void)state;
	w.thread = json_pack("{s:i, s:s}", "tid", 15, "comm", "bad\033name");
	put_line(st, "stall", 3);
	store_conn(st, &c);
	store_wait(st, &w);
	c.seen_ns = 60; /* the same connection, later */
	w.until_ns = 16;
	w.end = "answered";
	store_conn(st, &c);
	store_wait(st, &w);
	put_line(st, "summary", 0);
	assert_int_equal(store_close(st), 0);
	session_wait_deinit(&w);
	assert_int_equal(stat(path, &mode), 0);
	assert_int_equal(mode.st_mode & 07777, 0600);

	s = load();
	assert_string_equal(session_value(s, "command"), "stalls");
	assert_int_equal(s->n_lines, 2);
	assert_int_equal(json_integer_value(json_object_get(s->line[0].json, "tid")), 3);
	assert_non_null(session_summary(s));
	assert_int_equal(s->n_conns, 1);
	c.fd = s->conn[0].fd;
	assert_int_equal(c.fd, -1);
	assert_memory_equal(&s->conn[0], &c, sizeof(c));
	assert_int_equal(s->n_waits, 1);
	assert_int_equal(s->wait[0].until_ns, 16);
	assert_string_equal(s->wait[0].end, "answered");
	assert_string_equal(s->wait[0].method, "a.B");
	assert_true(s->wait[0].rpc_id_known && s->wait[0].rpc_id == 14);
	assert_string_equal(json_string_value(json_object_get(s->wait[0].thread, "comm")), "bad?name");
	session_free(s);
}

static void not_overwritten(void **state)
{
	struct store *s = NULL;
	struct err err = {0};
	char journal[80];
	int fd = open(path, O_CREAT | O_WRONLY, 0644);

	(void)state;
	assert_int_equal(write(fd, "mine", 4), 4);
	close(fd);
	assert_int_equal(store_create(&s, path, &err), -EEXIST);
	assert_non_null(strstr(err.msg, "not overwritten"));
	assert_true(err.hint[0] != 0);
	unlink(path);
	assert_int_equal(symlink("/etc/hostname", path), 0);
	assert_int_equal(store_create(&s, path, &err), -EEXIST);
	unlink(path);
	snprintf(journal, sizeof(journal), "%s-journal", path);
	close(open(journal, O_CREAT | O_WRONLY, 0644));
	assert_int_equal(store_create(&s, path, &err), -EEXIST);
	assert_non_null(strstr(err.msg, "-journal"));
}

/* Written at once when there was a pause, then at most twice a second; and killed in the middle of it all. */
static void killed(void **state)
{
	struct session *s;
	int status;
	pid_t child = fork();

	(void)state;
	if (!child) {
		struct store *st = create();

		store_flush(st, 1000000000);
		put_line(st, "stall", 1);
		store_flush(st, 1600000000);
		put_line(st, "stall", 2);
		store_flush(st, 1700000000); /* too soon: lost with us */
		raise(SIGKILL);
	}
	waitpid(child, &status, 0);
	assert_true(WIFSIGNALED(status));
	s = load();
	assert_int_equal(s->n_lines, 1);
	assert_null(session_summary(s));
	assert_null(session_value(s, "ended"));
	session_free(s);
}

/* A file that may not grow is a full disk: what is found waits, is counted, and is written when there is
 * room. */
static void full(void **state)
{
	struct rlimit was, none;
	struct store *st = create();
	struct session *s;
	struct store_state now;

	(void)state;
	store_flush(st, UINT64_MAX);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &was);
	none = was;
	none.rlim_cur = 4096;
	setrlimit(RLIMIT_FSIZE, &none);
	for (int i = 0; i < 1000; i++)
		put_line(st, "stall", i);
	store_flush(st, UINT64_MAX);
	now = store_state(st);
	assert_int_equal(now.waiting, 1000);
	assert_true(now.why[0] != 0);
	for (int i = 0; i < 70000; i++)
		put_line(st, "stall", i);
	assert_true(store_state(st).lost > 0); /* bounded */
	setrlimit(RLIMIT_FSIZE, &was);
	store_flush(st, UINT64_MAX);
	now = store_state(st);
	assert_int_equal(now.waiting, 0);
	assert_int_equal(now.why[0], 0);
	assert_int_equal(store_close(st), now.lost);
	s = load();
	assert_true(s->n_lines >= 1000);
	session_free(s);
}

static void abandoned(void **state)
{
	struct store *st = create();

	(void)state;
	store_abandon(st);
	assert_int_equal(access(path, F_OK), -1);
}

/* The journal of a session that was killed while it wrote undoes what was half done, in a copy. */
static void hot_journal(void **state)
{
	char journal[80];
	struct session *s;
	struct stat before, after;
	int status;
	pid_t child;

	(void)state;
	store_close(create());
	child = fork();
	if (!child) {
		sqlite3 *db;

		sqlite3_open(path, &db);
		sqlite3_exec(
			db,
			"PRAGMA cache_size=1; PRAGMA cache_spill=1; BEGIN; UPDATE session SET value='torn'",
			NULL, NULL, NULL);
		for (int i = 0; i < 100; i++) /* more than the cache: the file is changed already */
			sqlite3_exec(db,
				     "INSERT INTO line VALUES(NULL,1,'stall',NULL,1,1,hex(zeroblob(20000)))",
				     NULL, NULL, NULL);
		raise(SIGKILL);
	}
	waitpid(child, &status, 0);
	snprintf(journal, sizeof(journal), "%s-journal", path);
	assert_int_equal(stat(journal, &before), 0);
	assert_true(before.st_size > 0);
	stat(path, &before);
	s = load();
	assert_string_equal(session_value(s, "command"), "stalls");
	assert_int_equal(s->n_lines, 0);
	session_free(s);
	stat(path, &after); /* the evidence is as it was */
	assert_int_equal(before.st_size, after.st_size);
	assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}

static int load_error(struct err *err)
{
	struct session *s;

	return session_load(&s, path, err);
}

static void sql(const char *text)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), 0);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), 0);
	sqlite3_close(db);
}

static void foreign(void **state)
{
	static const struct {
		const char *sql, *says;
	} bad[] = {
		{"PRAGMA user_version=99", "version 99"},
		{"PRAGMA application_id=1", "some other SQLite file"},
		{"CREATE VIEW v AS SELECT 1", "its tables"},
		{"CREATE TRIGGER t AFTER INSERT ON line BEGIN DELETE FROM line; END", "its tables"},
		{"DROP TABLE wait", "its tables"},
		{"INSERT INTO line VALUES(1,1,'stall',NULL,1,1,'{\"kind\":')", "no JSON object"},
		{"INSERT INTO line VALUES(1,1,'stall',NULL,1,1,'[1]')", "no JSON object"},
		{"INSERT INTO line VALUES(1,1,'stall',NULL,1,1,x'00ff')", "no JSON object"},
		{"INSERT INTO line VALUES(1,1,'x',NULL,1,1,'{\"kind\":\"summary\"}'),"
		 "(2,1,'x',NULL,1,1,'{\"kind\":\"stall\"}')",
		 "not the last line"},
		{"INSERT INTO wait VALUES(1,1,1,1,1,1,NULL,1,NULL,NULL,'5')", "no JSON object"},
	};
	struct err err = {0};
	int fd;

	(void)state;
	assert_int_equal(load_error(&err), -ENOENT);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(load_error(&err), -EBADMSG);
	assert_non_null(strstr(err.msg, "empty"));
	assert_int_equal(write(fd, "not a database at all, but some text that is long enough to look at", 67),
			 67);
	close(fd);
	assert_int_equal(load_error(&err), -EBADMSG);
	assert_non_null(strstr(err.msg, "no session file"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		unlink(path);
		store_close(create());
		sql(bad[i].sql);
		err = (struct err){0};
		assert_int_equal(load_error(&err), -EBADMSG);
		if (!strstr(err.msg, bad[i].says))
			fail_msg("%s: %s", bad[i].sql, err.msg);
	}
}

/* Readers are told that it is being written; they do not read half of it. */
static void busy(void **state)
{
	struct err err = {0};
	struct store *st;
	int ready[2], done[2], status;
	char c = 0;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(ready) | pipe(done), 0);
	child = fork();
	if (!child) {
		st = create();
		store_flush(st, UINT64_MAX);
		if (write(ready[1], &c, 1) != 1 || read(done[0], &c, 1) != 1)
			_exit(1);
		store_close(st);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(load_error(&err), -EBUSY);
	assert_non_null(strstr(err.hint, "Ctrl-C"));
	assert_int_equal(write(done[1], &c, 1), 1);
	waitpid(child, &status, 0);
	session_free(load());
}

/* Findings that are none. */
static void replay_errors(void **state)
{
	static const struct {
		const char *line, *says;
	} bad[] = {
		{"{\"kind\":\"stall\",\"verdict\":\"no-such\"}", "no-such"},
		{"{\"kind\":\"stall\",\"verdict\":7}", "verdict"},
		{"{\"kind\":\"strange\"}", "strange"},
		{"{\"kind\":\"summary\",\"command\":\"stalls\",\"counters\":{\"a\\u001b[2J\":1}}", "control"},
		{"{\"kind\":\"summary\",\"command\":\"stalls\",\"rpcs\":[{\"by\":1}]}", "its summary"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct store *st;
		struct replay *r;
		struct err err = {0};
		json_t *v = json_loads(bad[i].line, 0, NULL);

		unlink(path);
		st = create();
		store_line(st, v, 1);
		json_decref(v);
		store_close(st);
		assert_int_equal(replay_open(&r, load(), &err), -EBADMSG);
		if (!strstr(err.msg, bad[i].says))
			fail_msg("%s: %s", bad[i].line, err.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(not_overwritten, setup, teardown),
		cmocka_unit_test_setup_teardown(killed, setup, teardown),
		cmocka_unit_test_setup_teardown(full, setup, teardown),
		cmocka_unit_test_setup_teardown(abandoned, setup, teardown),
		cmocka_unit_test_setup_teardown(hot_journal, setup, teardown),
		cmocka_unit_test_setup_teardown(foreign, setup, teardown),
		cmocka_unit_test_setup_teardown(busy, setup, teardown),
		cmocka_unit_test_setup_teardown(replay_errors, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
