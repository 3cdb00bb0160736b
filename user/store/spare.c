// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/spare.h"

#define MAX_BYTES (512ULL << 20)

static int journal_of(const char *path, char *buf, size_t len)
{
	return (size_t)snprintf(buf, len, "%s-journal", path) < len ? 0 : -ENAMETOOLONG;
}

bool spare_needed(const char *path)
{
	char journal[4096];
	struct stat st;

	return !journal_of(path, journal, sizeof(journal)) && !stat(journal, &st) && S_ISREG(st.st_mode) &&
	       st.st_size > 0;
}

static int copy_bytes(int from, int to)
{
	char buf[65536];
	uint64_t total = 0;
	ssize_t n;

	while ((n = read(from, buf, sizeof(buf))) > 0) {
		total += (uint64_t)n;
		if (total > MAX_BYTES)
			return -EFBIG;
		for (ssize_t done = 0; done < n;) {
			ssize_t w = write(to, buf + done, (size_t)(n - done));

			if (w < 0)
				return -errno;
			done += w;
		}
	}
	return n < 0 ? -errno : 0;
}

static int copy_file(const char *from, const char *to, struct err *err)
{
	int in = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK), out, rc;

	if (in < 0)
		return err_set(err, -errno, "cannot open %s: %s", from, strerror(errno));
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	rc = out < 0 ? -errno : copy_bytes(in, out);
	close(in);
	if (out >= 0 && close(out) && !rc)
		rc = -errno;
	return rc ? err_set(err, rc, "cannot copy %s to %s: %s", from, to, strerror(-rc)) : 0;
}

int spare_make(struct spare *s, const char *path, struct err *err)
{
	const char *tmp = getenv("TMPDIR");
	char from[4096], to[4096];
	int rc;

	if (asprintf(&s->dir, "%s/culprit-XXXXXX", tmp && tmp[0] == '/' ? tmp : "/tmp") < 0) {
		s->dir = NULL;
		return err_set(err, -ENOMEM, "out of memory");
	}
	if (!mkdtemp(s->dir)) {
		rc = -errno;
		free(s->dir);
		s->dir = NULL;
		err_set(err, rc,
			"%s has a journal, and no copy can be made to undo what was half written: %s", path,
			strerror(-rc));
		err_hint(err, "set TMPDIR to a directory that can be written");
		return rc;
	}
	if (asprintf(&s->file, "%s/session", s->dir) < 0) {
		s->file = NULL;
		return err_set(err, -ENOMEM, "out of memory");
	}
	rc = journal_of(path, from, sizeof(from));
	if (!rc)
		rc = journal_of(s->file, to, sizeof(to));
	if (rc)
		return err_set(err, rc, "the name %s is too long", path);
	rc = copy_file(path, s->file, err);
	return rc ? rc : copy_file(from, to, err);
}

void spare_remove(struct spare *s)
{
	char journal[4096];

	if (s->file) {
		unlink(s->file);
		if (!journal_of(s->file, journal, sizeof(journal)))
			unlink(journal);
	}
	if (s->dir)
		rmdir(s->dir);
	free(s->file);
	free(s->dir);
	*s = (struct spare){0};
}
