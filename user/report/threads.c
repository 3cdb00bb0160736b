// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "util/hash.h"

#include "report/report.h"
#include "report/sock.h"
#include "report/threads.h"
#include "util/str.h"

const char *text_call(const struct thread_facts *t, char *buf, size_t len)
{
	char d[16];

	if (!t->in_call) {
		snprintf(buf, len, t->state == 'R' ? "running" : "-");
		return buf;
	}
	snprintf(buf, len, "%s", t->syscall);
	if (t->timeout_ms == -1)
		str_append(buf, len, "(forever)");
	else if (t->timeout_ms >= 0)
		str_append(buf, len, "(%s%s)", text_duration((uint64_t)t->timeout_ms * 1000000, d),
			   t->timeout_left ? " left" : "");
	if (t->moved)
		str_append(buf, len, "*");
	return buf;
}

/* The one to show where there is room for one: what is wrong comes first. n > 0. */
const struct thread_wait *thread_foremost(const struct thread_wait *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (v[i].dead)
			return &v[i];
	}
	return v;
}

static void text_fd(const struct fd_facts *d, char *buf, size_t len)
{
	char sock[256];

	if (!d->open)
		str_append(buf, len, "closed");
	else if (d->sock.known)
		str_append(buf, len, "%s", text_sock(&d->sock, sock, sizeof(sock)));
	else if (d->kind == PROC_FD_EPOLL)
		str_append(buf, len, "epoll of %zu", d->n_members);
	else
		str_append(buf, len, "%s", d->target);
}

void text_wait(const struct autopsy *a, const struct thread_wait *w, char *buf, size_t len)
{
	char sock[256];

	if (w->dead && w->held_sock.known)
		str_append(buf, len,
			   "DEAD %s (the number is now: ", text_sock(&w->held_sock, sock, sizeof(sock)));
	else if (w->dead)
		str_append(buf, len, "DEAD inode %" PRIu64 " (the number is now: ", w->held_inode);
	text_fd(&a->fd[w->fd], buf, len);
	if (w->dead)
		str_append(buf, len, ")");
}

static void more(char *buf, size_t len, size_t n)
{
	if (n > 1)
		str_append(buf, len, " +%zu more", n - 1);
}

const char *text_waits(const struct autopsy *a, const struct thread_facts *t, char *buf, size_t len)
{
	const struct thread_wait *w;
	const struct fd_facts *d;

	buf[0] = '\0';
	if (t->class == CALL_FUTEX)
		snprintf(buf, len, "0x%" PRIx64, t->futex_addr);
	if (t->args_unread)
		snprintf(buf, len, "(arguments not readable)");
	if (!t->n_wait)
		return buf;
	w = thread_foremost(t->wait, t->n_wait);
	d = &a->fd[w->fd];
	text_wait(a, w, buf, len);
	if (t->n_wait == 1 && !w->dead && d->n_members) {
		str_append(buf, len, ": ");
		text_wait(a, thread_foremost(d->member, d->n_members), buf, len);
		more(buf, len, d->n_members);
	}
	more(buf, len, t->n_wait);
	return buf;
}

/* Frames of the C and C++ libraries and of the kernel's own page say nothing about the program. */
static bool is_plumbing(const struct frame *f)
{
	static const char *const modules[] = {"libc.so",   "libc-",    "libpthread",
					      "libstdc++", "ld-linux", "[vdso]"};
	const char *slash = f->module ? strrchr(f->module, '/') : NULL, *base = slash ? slash + 1 : f->module;

	if (frame_is_std(f))
		return true;
	for (size_t i = 0; base && i < sizeof(modules) / sizeof(modules[0]); i++) {
		if (!strncmp(base, modules[i], strlen(modules[i])))
			return true;
	}
	return false;
}

/* Name without parameter list: "(anonymous namespace)::f(int)" -> "(anonymous namespace)::f". */
static int bare_length(const char *name)
{
	static const char anon[] = "(anonymous namespace)", call[] = "operator()";
	const char *p = name;

	while (*p && *p != '(') {
		if (!strncmp(p, call, sizeof(call) - 1))
			p += sizeof(call) - 1;
		else
			p++;
		if (!strncmp(p, anon, sizeof(anon) - 1))
			p += sizeof(anon) - 1;
	}
	if (p == name && !strncmp(p, anon, sizeof(anon) - 1)) {
		p += sizeof(anon) - 1;
		p += strcspn(p, "(");
	}
	return (int)(p - name);
}

static void add_frame(const struct frame *f, char *buf, size_t len)
{
	const char *slash = f->module ? strrchr(f->module, '/') : NULL;

	if (buf[0])
		str_append(buf, len, " <- ");
	if (f->symbol)
		str_append(buf, len, "%.*s", bare_length(f->symbol), f->symbol);
	else if (f->module)
		str_append(buf, len, "%s+0x%" PRIx64, slash ? slash + 1 : f->module, f->offset);
	else
		str_append(buf, len, "0x%" PRIx64, f->addr);
}

const char *text_stack_line(const struct thread_facts *t, char *buf, size_t len)
{
	const struct frames *u = &t->user_stack;

	buf[0] = '\0';
	for (size_t i = 0; i < u->n; i++) {
		if (!is_plumbing(&u->v[i]))
			add_frame(&u->v[i], buf, len);
	}
	if (!buf[0]) { /* nothing but library: then that */
		for (size_t i = 0; i < u->n; i++)
			add_frame(&u->v[i], buf, len);
	}
	for (size_t i = 0; !u->n && i < t->n_kernel; i++)
		str_append(buf, len, "%s%s", i ? " <- " : "[kernel] ", t->kernel_stack[i]);
	return buf;
}

static int rank(const struct thread_facts *t)
{
	return t->blocked_known ? 0 : t->state != 'R' ? 1 : 2;
}

static int by_blocked(const void *a, const void *b)
{
	const struct thread_facts *x = ((const struct thread_row *)a)->t,
				  *y = ((const struct thread_row *)b)->t;

	if (rank(x) != rank(y))
		return rank(x) - rank(y);
	if (x->blocked_ns != y->blocked_ns)
		return x->blocked_ns < y->blocked_ns ? 1 : -1;
	return (x->tid > y->tid) - (x->tid < y->tid);
}

/* Everything that must be equal for two threads to share a row. malloc'ed; NULL without memory. */
static char *fold_key(const struct autopsy *a, const struct thread_facts *t)
{
	char *key = NULL, what[512], stack[4096];
	size_t size;
	FILE *f = open_memstream(&key, &size);

	if (!f)
		return NULL;
	fprintf(f, "%c|%s|%d|%d|%s|%s|", t->state, t->syscall ? t->syscall : "", t->moved, t->fd,
		text_waits(a, t, what, sizeof(what)), text_stack_line(t, stack, sizeof(stack)));
	for (size_t i = 0; i < t->n_wait; i++)
		fprintf(f, "%zu:%x,", t->wait[i].fd, t->wait[i].events);
	for (size_t i = 0; i < t->n_kernel; i++)
		fprintf(f, "|%s", t->kernel_stack[i]);
	for (size_t i = 0; i < t->user_stack.n; i++)
		fprintf(f, "|%" PRIx64, t->user_stack.v[i].addr);
	fclose(f);
	return key;
}

struct folded {
	char *key;
	size_t row;
	UT_hash_handle hh;
};

static int fold_rows(const struct autopsy *a, struct thread_row *rows, size_t *n)
{
	struct folded *seen = NULL, *e;
	size_t kept = 0;
	int err = 0;

	for (size_t i = 0; !err && i < *n; i++) {
		char *key = fold_key(a, rows[i].t);

		e = NULL;
		if (key)
			HASH_FIND_STR(seen, key, e);
		if (e) {
			rows[e->row].count++;
			free(key);
			continue;
		}
		e = key ? calloc(1, sizeof(*e)) : NULL;
		if (!e) {
			free(key);
			err = -ENOMEM;
			break;
		}
		e->key = key;
		e->row = kept;
		HASH_ADD_KEYPTR(hh, seen, e->key, strlen(e->key), e);
		rows[kept++] = rows[i];
	}
	e = seen;
	HASH_CLEAR(hh, seen); /* frees the table, not its entries */
	while (e) {
		struct folded *next = e->hh.next;

		free(e->key);
		free(e);
		e = next;
	}
	*n = kept;
	return err;
}

int thread_rows(const struct autopsy *a, bool fold, struct thread_row **ret, size_t *n)
{
	struct thread_row *rows = calloc(a->n_threads ? a->n_threads : 1, sizeof(*rows));
	int err = 0;

	if (!rows)
		return -ENOMEM;
	*n = a->n_threads;
	for (size_t i = 0; i < *n; i++)
		rows[i] = (struct thread_row){.t = &a->thread[i], .count = 1};
	qsort(rows, *n, sizeof(*rows), by_blocked);
	if (fold)
		err = fold_rows(a, rows, n);
	if (err) {
		free(rows);
		return err;
	}
	*ret = rows;
	return 0;
}
