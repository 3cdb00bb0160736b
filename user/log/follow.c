// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log/follow.h"

#define LINE_MAX_LEN 8192 /* what is longer goes on as another line */

struct log_file {
	char *path;
	int fd;
	uint64_t at; /* bytes read of the file */
	char line[LINE_MAX_LEN];
	size_t n;
	bool skip_first; /* begun in the middle of a line */
	bool has;	 /* a message that may go on */
	struct log_rec rec;
	uint64_t lines, turns;
};

static int reopen(struct log_file *f)
{
	int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (f->fd >= 0)
		close(f->fd);
	f->fd = fd;
	f->at = 0;
	f->n = 0;
	return 0;
}

int log_open(struct log_file **ret, const char *path, struct err *err)
{
	struct log_file *f = calloc(1, sizeof(*f));
	struct stat st;
	int rc;

	if (!f)
		return err_set(err, -ENOMEM, "out of memory");
	f->fd = -1;
	f->path = strdup(path);
	rc = f->path ? reopen(f) : -ENOMEM;
	if (!rc && (fstat(f->fd, &st) || !S_ISREG(st.st_mode)))
		rc = -EINVAL;
	if (rc) {
		log_close(f);
		return err_set(err, rc, "cannot read the log %s: %s", path,
			       rc == -EINVAL ? "not a file" : strerror(-rc));
	}
	if (st.st_size > LOG_BACK) {
		f->at = (uint64_t)st.st_size - LOG_BACK;
		f->skip_first = true;
	}
	*ret = f;
	return 0;
}

void log_close(struct log_file *f)
{
	if (!f)
		return;
	if (f->fd >= 0)
		close(f->fd);
	free(f->path);
	free(f);
}

static void take_line(struct log_file *f, uint64_t now_ns, void (*sink)(void *ctx, const struct log_rec *r),
		      void *ctx)
{
	struct log_rec r;

	f->lines++;
	if (f->skip_first) {
		f->skip_first = false;
	} else if (glog_parse(f->line, f->n, now_ns, &r)) {
		if (f->has)
			sink(ctx, &f->rec);
		f->rec = r;
		f->has = true;
	} else if (f->has) {
		glog_continue(&f->rec, f->line, f->n);
	}
	f->n = 0;
}

static void read_on(struct log_file *f, uint64_t now_ns, void (*sink)(void *ctx, const struct log_rec *r),
		    void *ctx)
{
	char buf[65536];
	ssize_t got;

	while ((got = pread(f->fd, buf, sizeof(buf), (off_t)f->at)) > 0) {
		f->at += (uint64_t)got;
		for (ssize_t i = 0; i < got; i++) {
			if (buf[i] != '\n')
				f->line[f->n++] = buf[i];
			if (buf[i] == '\n' || f->n == sizeof(f->line))
				take_line(f, now_ns, sink, ctx);
		}
	}
}

/* The file was cut off, or the name leads to another one by now. */
static bool turned(struct log_file *f)
{
	struct stat here, there;

	if (fstat(f->fd, &here))
		return false;
	if ((uint64_t)here.st_size < f->at) {
		f->at = 0;
		f->n = 0;
		return true;
	}
	return !stat(f->path, &there) && (there.st_ino != here.st_ino || there.st_dev != here.st_dev) &&
	       !reopen(f);
}

void log_read(struct log_file *f, uint64_t now_ns, bool last,
	      void (*sink)(void *ctx, const struct log_rec *r), void *ctx)
{
	read_on(f, now_ns, sink, ctx);
	for (int i = 0; i < 4 && turned(f); i++) {
		f->turns++;
		read_on(f, now_ns, sink, ctx);
	}
	if (last && f->has) {
		sink(ctx, &f->rec);
		f->has = false;
	}
}

uint64_t log_lines(const struct log_file *f)
{
	return f->lines;
}

uint64_t log_turns(const struct log_file *f)
{
	return f->turns;
}
