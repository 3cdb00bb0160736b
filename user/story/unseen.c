// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "story/unseen.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static int cause(struct unseen *out, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int cause(struct unseen *out, const char *name, const char *fmt, ...)
{
	struct unseen_cause *c = &out->v[out->n];
	va_list ap;
	int n;

	if (out->n == UNSEEN_CAUSES)
		return 0;
	va_start(ap, fmt);
	n = vasprintf(&c->text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -ENOMEM;
	c->cause = name;
	out->n++;
	return 0;
}

/* "a, b and 3 more" */
static char *list(const char *const *v, size_t n)
{
	size_t shown = n > 3 ? 3 : n, len;
	char *s = NULL;
	FILE *f = open_memstream(&s, &len);

	if (!f)
		return NULL;
	for (size_t i = 0; i < shown; i++)
		fprintf(f, "%s%s", i ? ", " : "", v[i]);
	if (n > shown)
		fprintf(f, " and %zu more", n - shown);
	return fclose(f) ? NULL : s;
}

static int watching(struct unseen *out, const struct unseen_facts *f)
{
	if (f->before_session)
		return cause(out, "before-session",
			     "the store was made before the object was first looked at");
	if (f->no_watch)
		return cause(out, "not-watched", "there were no watchpoints: %s", f->no_watch);
	if (f->cover == COVER_NONE)
		return cause(out, "not-watched", "no watchpoint stood on this word at that time");
	if (f->cover == COVER_PART)
		return cause(out, "not-watched",
			     "a watchpoint stood on this word for a part of that time only, and saw no store "
			     "then");
	if (f->hits_lost)
		return cause(
			out, "hit-lost",
			"a watchpoint stood on this word, but records of hits were lost in this session");
	return 0;
}

/* Stores that no debug register sees, as far as the process can have them made. */
static int devices(struct unseen *out, const struct unseen_facts *f)
{
	char *s;
	int ret = 0;

	if (f->n_direct) {
		s = list(f->direct, f->n_direct);
		ret = s ? cause(out, "direct-io",
				"by DMA: open with O_DIRECT: %s; a read into memory that has been freed or "
				"given "
				"away stores past the CPU, where no watchpoint sees it",
				s)
			: -ENOMEM;
		free(s);
	}
	if (!ret && f->n_device) {
		s = list(f->device, f->n_device);
		ret = s ? cause(out, "device", "by DMA of a device this process drives: %s", s) : -ENOMEM;
		free(s);
	}
	if (!ret && !f->files_known)
		ret = cause(out, "direct-io",
			    "by DMA: its open files could not be read, so direct I/O is possible");
	return ret;
}

void unseen_clear(struct unseen *u)
{
	for (size_t i = 0; i < u->n; i++)
		free(u->v[i].text);
	*u = (struct unseen){0};
}

int unseen_explain(struct unseen *out, const struct unseen_facts *f)
{
	bool watched = !f->before_session && !f->no_watch && f->cover == COVER_WHOLE;
	int ret;

	unseen_clear(out);
	ret = watching(out, f);
	if (!ret)
		ret = devices(out, f);
	if (!ret && f->map_known && f->shared)
		ret = cause(out, "shared-memory", "by another process: the word lies in shared memory (%s)",
			    f->map_name ? f->map_name : "anonymous");
	else if (!ret && !f->map_known)
		ret = cause(
			out, "shared-memory",
			"by another process, if the word lies in shared memory: its mapping is not known");
	if (!ret && watched)
		ret = cause(out, "no-instruction",
			    "a watchpoint stood on this word all the time, over all threads and system calls "
			    "of the "
			    "process, and saw no store: so it was no instruction of this process%s",
			    f->n_direct || f->n_device || f->shared
				    ? ""
				    : "; a debugger or process_vm_writev of another process can do that");
	if (!ret && watched && out->n > 1) { /* the surest statement first */
		struct unseen_cause last = out->v[out->n - 1];

		for (size_t i = out->n - 1; i > 0; i--)
			out->v[i] = out->v[i - 1];
		out->v[0] = last;
	}
	return ret;
}
