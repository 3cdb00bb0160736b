// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The table of `culprit threads`, made to fit the terminal. */
#include <stdlib.h>
#include <string.h>

#include "report/report.h"
#include "report/sock.h"
#include "report/threads.h"

#define CALL_LEN  40
#define CALL_MOST 24  /* columns */
#define WHAT_LEN  512 /* a dead descriptor has two sockets to tell of */
#define WHAT_MOST 48  /* columns, beside a stack: a connection by IPv4 addresses and its state */
#define STACK_MIN 32
#define INDENT	  8 /* of what has no room in the row */

struct cells {
	char call[CALL_LEN], fd[16], what[WHAT_LEN], blocked[16], stack[4096];
};

struct layout {
	size_t width; /* 0: no terminal */
	bool counts;  /* some row stands for several threads */
	bool below;   /* what and stack have a line of their own */
	size_t comm, call, what;
};

/* Thread and file names are the target's: nothing of them may steer the terminal. */
static void tame(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

static void fill_cells(const struct autopsy *a, const struct thread_row *r, struct cells *c)
{
	const struct thread_facts *t = r->t;

	text_call(t, c->call, sizeof(c->call));
	text_waits(a, t, c->what, sizeof(c->what));
	text_stack_line(t, c->stack, sizeof(c->stack));
	c->fd[0] = '\0';
	if (t->n_wait)
		snprintf(c->fd, sizeof(c->fd), "%d", a->fd[thread_foremost(t->wait, t->n_wait)->fd].fd);
	if (t->blocked_known)
		text_duration(t->blocked_ns, c->blocked);
	else
		snprintf(c->blocked, sizeof(c->blocked), t->state == 'R' ? "-" : "?");
	tame(c->what);
	tame(c->stack);
}

static void widen(size_t *width, const char *text, size_t most)
{
	size_t n = strlen(text);

	if (n > *width)
		*width = n < most ? n : most;
}

/* What stands left of the socket or file. */
static size_t head_width(const struct layout *l)
{
	return 7 + (l->counts ? 5 : 0) + 1 + l->comm + 2 + 10 + 2 + l->call + 6 + 2;
}

static void lay_out(struct layout *l, const struct autopsy *a, const struct thread_row *rows, size_t n,
		    struct cells *c)
{
	size_t room;

	*l = (struct layout){.width = l->width, .comm = 4, .call = 4, .what = 11};
	for (size_t i = 0; i < n; i++) {
		fill_cells(a, &rows[i], c);
		l->counts |= rows[i].count > 1;
		widen(&l->comm, rows[i].t->comm, FINDING_COMM_LEN);
		widen(&l->call, c->call, CALL_MOST);
		widen(&l->what, c->what, WHAT_LEN);
	}
	if (!l->width)
		return;
	l->below = l->width < head_width(l) + WHAT_MOST + 2 + STACK_MIN;
	room = l->below ? (l->width > INDENT + 4 ? l->width - INDENT : 4) : l->width - head_width(l);
	/* beside what is a stack; two thirds of the room are enough for either */
	if (l->what > room * 2 / 3 && l->what > WHAT_MOST)
		l->what = room * 2 / 3 > WHAT_MOST ? room * 2 / 3 : WHAT_MOST;
	if (l->what > room)
		l->what = room;
}

/* As much of the text as fits, to its last space if there is one; the rest begins behind that. */
static size_t piece(const char *text, size_t width, const char **rest)
{
	size_t n = strlen(text), cut = width;

	*rest = text + n;
	if (n <= width)
		return n;
	while (cut && text[cut] != ' ')
		cut--;
	if (!cut)
		cut = width;
	*rest = text + cut + (text[cut] == ' ');
	return cut;
}

static void put_line(FILE *f, const char *line, size_t width)
{
	size_t n = strlen(line);

	while (n && line[n - 1] == ' ')
		n--;
	if (n)
		fprintf(f, "%.*s\n", (int)(width && n > width ? width : n), line);
}

/* Socket or file in its column, on as many lines as it takes, and the stack beside the first of them. */
static void put_texts(FILE *f, const struct layout *l, const char *head, size_t indent, const char *what,
		      const char *stack)
{
	char line[8192];
	const char *rest;
	size_t n = piece(what, l->what, &rest);

	snprintf(line, sizeof(line), "%s%-*.*s  %s", head, (int)l->what, (int)n, what, stack);
	put_line(f, line, l->width);
	while (*rest) {
		what = rest;
		n = piece(what, l->what, &rest);
		snprintf(line, sizeof(line), "%*s%.*s", (int)indent, "", (int)n, what);
		put_line(f, line, l->width);
	}
}

static void put_row(FILE *f, const struct layout *l, const char *tid, const char *count, const char *comm,
		    char state, const struct cells *c)
{
	char head[256], name[FINDING_COMM_LEN];

	snprintf(name, sizeof(name), "%s", comm);
	tame(name);
	snprintf(head, sizeof(head), "%7s%s %-*s %c %9s  %-*s %5s  ", tid, count, (int)l->comm, name, state,
		 c->blocked, (int)l->call, c->call, c->fd);
	if (!l->below) {
		put_texts(f, l, head, head_width(l), c->what, c->stack);
		return;
	}
	put_line(f, head, l->width);
	snprintf(head, sizeof(head), "%*s", INDENT, "");
	if (c->what[0]) {
		put_texts(f, l, head, INDENT, c->what, c->stack);
	} else if (c->stack[0]) {
		fputs(head, f);
		put_line(f, c->stack, l->width > INDENT ? l->width - INDENT : 1);
	}
}

static void wide_part(FILE *f, const struct autopsy *a, const struct thread_facts *t)
{
	char text[WHAT_LEN];

	for (size_t i = 0; i < t->n_wait; i++) {
		const struct fd_facts *d = &a->fd[t->wait[i].fd];
		const struct sock_facts *sock;

		text[0] = '\0';
		text_wait(a, &t->wait[i], text, sizeof(text));
		tame(text);
		fprintf(f, "        fd %d: %s\n", d->fd, text);
		sock = t->wait[i].dead ? &t->wait[i].held_sock : &d->sock;
		if (sock->known) {
			fprintf(f, "            ");
			text_sock_detail(f, sock);
		}
		for (size_t k = 0; k < d->n_members; k++) {
			text[0] = '\0';
			text_wait(a, &d->member[k], text, sizeof(text));
			tame(text);
			fprintf(f, "            fd %d: %s\n", a->fd[d->member[k].fd].fd, text);
		}
	}
	if (t->n_kernel) {
		fprintf(f, "        kernel: ");
		text_kernel_stack(f, t->kernel_stack, t->n_kernel);
	}
	text_frames(f, &t->user_stack, 8, 0);
}

void text_threads(FILE *f, const struct autopsy *a, const struct thread_row *rows, size_t n, bool wide,
		  size_t width)
{
	static const struct cells title = {
		.call = "CALL", .fd = "FD", .what = "SOCKET/FILE", .blocked = "BLOCKED", .stack = "STACK"};
	struct cells *c = malloc(sizeof(*c));
	struct layout l = {.width = width};
	char tid[12], count[16] = "";

	if (!c)
		return;
	lay_out(&l, a, rows, n, c);
	put_row(f, &l, "TID", l.counts ? "    N" : "", "COMM", 'S', &title);
	for (size_t i = 0; i < n; i++) {
		const struct thread_facts *t = rows[i].t;

		fill_cells(a, &rows[i], c);
		snprintf(tid, sizeof(tid), "%d", (int)t->tid);
		if (l.counts)
			snprintf(count, sizeof(count), " %4zu", rows[i].count);
		put_row(f, &l, tid, count, t->comm, t->state, c);
		if (wide)
			wide_part(f, a, t);
	}
	free(c);
}
