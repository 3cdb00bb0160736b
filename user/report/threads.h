/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The thread table of `culprit threads`: sorted, folded, as text or JSON. Stacks must have been taken
 * (autopsy_stacks). */
#ifndef CULPRIT_REPORT_THREADS_H
#define CULPRIT_REPORT_THREADS_H

#include <jansson.h>
#include <stdio.h>

#include "stalls/autopsy.h"

/* Threads that are in the same call on the same thing with the same stacks. */
struct thread_row {
	const struct thread_facts *t; /* the one blocked longest */
	size_t count;
};

/* Longest blocked first, then those of unknown time, then the running ones; ties by tid. -ENOMEM. *ret is for
 * free(). */
int thread_rows(const struct autopsy *a, bool fold, struct thread_row **ret, size_t *n);
/* "poll(10.0 s)", "futex(3.2 s left)", "epoll_wait(forever)", "running"; into buf, returns buf. */
const char *text_call(const struct thread_facts *t, char *buf, size_t len);
/* What the thread waits for, on one line: socket, file, how many more. */
const char *text_waits(const struct autopsy *a, const struct thread_facts *t, char *buf, size_t len);
/* "f <- g <- h": the program's own functions, without those of the C and C++ libraries; the kernel's if there
 * are none. */
const char *text_stack_line(const struct thread_facts *t, char *buf, size_t len);
/* One thing that a call waits for, appended to buf: a socket or file, or a dead one and what its number is
 * now. */
void text_wait(const struct autopsy *a, const struct thread_wait *w, char *buf, size_t len);
/* Of several, the one to show where there is room for one: what is wrong comes first. n > 0. */
const struct thread_wait *thread_foremost(const struct thread_wait *v, size_t n);
/*
 * The table (threads_table.c). width: of the terminal; text that does not fit goes on below in its own
 * column, the stack is cut, and where there is no room for both they get a line of their own. 0: no terminal,
 * one line for each row. wide: every descriptor and both stacks below each row.
 */
void text_threads(FILE *f, const struct autopsy *a, const struct thread_row *rows, size_t n, bool wide,
		  size_t width);

json_t *json_thread(const struct autopsy *a, const struct thread_facts *t);
/* An epoll set and its members; threads refer to it by descriptor number. */
json_t *json_epoll(const struct autopsy *a, const struct fd_facts *d);

#endif
