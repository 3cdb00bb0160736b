// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Threads of a made-up process as a table and as JSON. */
#include "made_threads.h"

static void test_rows_are_sorted_and_folded(void **state)
{
	struct thread_raw raw[5];
	struct thread_row *rows;
	struct autopsy *a;
	size_t n;

	(void)state;
	open_socket(3, 103);
	open_socket(4, 104);
	for (int i = 0; i < 5; i++)
		raw[i] = raw_of(10 + i, SYS_recvfrom, ARGS(i == 1 ? 4 : 3));
	raw[2].rec.blocked_ns = THREADS_UNKNOWN;
	raw[2].rec.reg[ABI_REG_IP] = 0x500000; /* another stack */
	raw[4].rec.state = 0;
	a = build(raw, 5);
	take_stacks(a);
	assert_int_equal(thread_rows(a, false, &rows, &n), 0);
	assert_int_equal(n, 5);
	assert_int_equal(rows[0].t->tid, 13); /* 13 s */
	assert_int_equal(rows[1].t->tid, 11);
	assert_int_equal(rows[2].t->tid, 10);
	assert_int_equal(rows[3].t->tid, 12); /* not known how long */
	assert_int_equal(rows[4].t->tid, 14); /* running */
	free(rows);
	assert_int_equal(thread_rows(a, true, &rows, &n), 0);
	assert_int_equal(n, 4);
	assert_int_equal(rows[0].t->tid, 13);
	assert_int_equal(rows[0].count, 2); /* 10 does the same on the same socket; 11 on another one */
	assert_int_equal(rows[1].count, 1);
	free(rows);
	autopsy_free(a);
}

static void test_table_text(void **state)
{
	struct thread_raw raw = raw_of(10, SYS_recvfrom, ARGS(3));
	struct thread_row *rows;
	struct autopsy *a;
	char *text;
	size_t n, size;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	open_socket(3, 103);
	raw.rec.n_kstack = 1;
	raw.rec.kstack[0] = 0xf20;
	strcpy(raw.rec.h.comm, "a\033[2Jb");
	a = build(&raw, 1);
	take_stacks(a);
	assert_int_equal(thread_rows(a, true, &rows, &n), 0);
	text_threads(f, a, rows, n, true, 0);
	fclose(f);
	assert_non_null(strstr(text,
			       "     10 a?[2Jb S    10.0 s  recvfrom     3  10.0.0.1:103 -> 10.0.0.2:80 "
			       "ESTABLISHED  zbs::(anonymous namespace)::Wait\n"));
	assert_non_null(strstr(text, "kernel: do_sys_poll\n"));
	assert_non_null(strstr(text, "#0  __poll"));
	assert_null(strchr(text, '\033'));
	free(text);
	f = open_memstream(&text, &size);
	text_threads(f, a, rows, n, false, 40);
	fclose(f);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		assert_true(strlen(line) <= 40);
	free(text);
	free(rows);
	autopsy_free(a);
}

/* Where this word stands in the line that holds `of`; -1 if it does not. */
static int column(const char *text, const char *of, const char *word)
{
	const char *at = strstr(text, of), *line = at, *end, *found;

	if (!at)
		return -1;
	while (line > text && line[-1] != '\n')
		line--;
	end = strchrnul(line, '\n');
	found = strstr(line, word);
	return found && found < end ? (int)(found - line) : -1;
}

static char *table(const struct autopsy *a, size_t width)
{
	struct thread_row *rows;
	size_t n, size;
	char *text;
	FILE *f = open_memstream(&text, &size);

	assert_int_equal(thread_rows(a, true, &rows, &n), 0);
	text_threads(f, a, rows, n, false, width);
	fclose(f);
	free(rows);
	return text;
}

/* A dead descriptor has two sockets to tell of: all of it is readable at any width, and the stacks stand in
 * one column. */
static void test_table_fits(void **state)
{
	static const char stack[] = "zbs::(anonymous";
	struct thread_raw raw[2] = {raw_of(10, SYS_recvfrom, ARGS(3)), raw_of(11, SYS_recvfrom, ARGS(4))};
	struct thread_wait *w;
	struct autopsy *a;

	(void)state;
	open_socket(3, 103);
	open_socket(4, 104);
	a = build(raw, 2);
	take_stacks(a);
	w = &a->thread[0].wait[0];
	w->dead = true;
	w->held_sock = a->fd[w->fd].sock;
	strcpy(w->held_sock.local, "10.0.0.1:77");
	for (size_t width = 80; width <= 240; width++) {
		char *text = table(a, width), *line;
		bool below = column(text, "TID", "SOCKET/FILE") < 0;

		assert_int_equal(below, width < 42 + 48 + 2 + 32);
		assert_true(column(text, "SOCKET/FILE", "STACK") > 0);
		assert_int_equal(column(text, "DEAD", stack), column(text, "SOCKET/FILE", "STACK"));
		assert_int_equal(column(text, "10.0.0.1:104 ->", stack), column(text, "DEAD", stack));
		for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
			assert_true(strlen(line) <= width);
		free(text);
		/* nothing of it is lost, on whatever lines it stands */
		text = table(a, width);
		assert_non_null(strstr(text, "DEAD 10.0.0.1:77"));
		assert_non_null(strstr(text, "10.0.0.1:103"));
		free(text);
	}
	autopsy_free(a);
}

static void test_json(void **state)
{
	const struct pollfd set[2] = {{7, POLLIN, 0}, {8, POLLIN, 0}};
	struct autopsy *a;
	json_t *o, *dead;

	(void)state;
	poke(0x1100, set, sizeof(set));
	open_socket(7, 107);
	open_socket(8, 108);
	a = polled(107, 150, THREADS_POLLED_TAKEN);
	o = json_thread(a, &a->thread[0]);
	assert_string_equal(json_string_value(json_object_get(o, "syscall")), POLL_NAME);
	assert_int_equal(json_integer_value(json_object_get(o, "blocked_ms")), 10000);
	assert_int_equal(json_integer_value(json_object_get(o, "timeout_ms")), -1);
	dead = json_array_get(json_object_get(o, "fds"), 1);
	assert_true(json_is_true(json_object_get(dead, "dead")));
	assert_int_equal(json_integer_value(json_object_get(dead, "held_inode")), 150);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(dead, "socket"), "inode")), 108);
	json_decref(o);
	autopsy_free(a);
	a = build_one(SYS_read, ARGS(3));
	o = json_thread(a, &a->thread[0]);
	assert_true(json_is_null(json_object_get(o, "timeout_ms")));
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(json_object_get(o, "fds"), 0), "kind")),
		"closed");
	json_decref(o);
	autopsy_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_rows_are_sorted_and_folded, reset),
		cmocka_unit_test_setup(test_table_text, reset),
		cmocka_unit_test_setup(test_table_fits, reset),
		cmocka_unit_test_setup(test_json, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
