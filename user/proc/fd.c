// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proc/fd.h"
#include "proc/slurp.h"
#include "util/grow.h"

static const struct {
	enum proc_fd_kind kind;
	const char *name;
	const char *prefix; /* of the link's target */
} kinds[] = {
	{PROC_FD_FILE, "file", "/"},
	{PROC_FD_SOCKET, "socket", "socket:["},
	{PROC_FD_PIPE, "pipe", "pipe:["},
	{PROC_FD_EPOLL, "epoll", "anon_inode:[eventpoll]"},
	{PROC_FD_EVENTFD, "eventfd", "anon_inode:[eventfd]"},
	{PROC_FD_TIMERFD, "timerfd", "anon_inode:[timerfd]"},
	{PROC_FD_SIGNALFD, "signalfd", "anon_inode:[signalfd]"},
	{PROC_FD_OTHER, "other", ""},
};

const char *proc_fd_kind_name(enum proc_fd_kind k)
{
	return (size_t)k < sizeof(kinds) / sizeof(kinds[0]) ? kinds[k].name : "other";
}

int proc_fd_read(struct proc_fd *ret, pid_t pid, int fd)
{
	char path[64], target[PATH_MAX + 1];
	ssize_t len;
	size_t k;

	memset(ret, 0, sizeof(*ret));
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return errno == ENOENT || errno == ESRCH ? -EBADF : -errno;
	target[len] = '\0';
	ret->fd = fd;
	for (k = 0; strncmp(target, kinds[k].prefix, strlen(kinds[k].prefix)) != 0; k++)
		;
	ret->kind = kinds[k].kind;
	if (ret->kind == PROC_FD_SOCKET || ret->kind == PROC_FD_PIPE)
		ret->inode = strtoull(target + strlen(kinds[k].prefix), NULL, 10);
	ret->target = strdup(target);
	return ret->target ? 0 : -ENOMEM;
}

void proc_fd_deinit(struct proc_fd *f)
{
	free(f->target);
	*f = (struct proc_fd){0};
}

static int by_fd(const void *a, const void *b)
{
	const struct proc_fd *x = a, *y = b;

	return (x->fd > y->fd) - (x->fd < y->fd);
}

int proc_fds_read(struct proc_fds *ret, pid_t pid, struct err *err)
{
	struct dirent *d;
	char path[64];
	DIR *dir;
	int e = 0;

	*ret = (struct proc_fds){0};
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir) {
		e = errno == ENOENT ? -ESRCH : -errno;
		return err_set(err, e, "process %d: open files: %s", (int)pid, strerror(-e));
	}
	while (!e && (d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		e = GROW(&ret->v, ret->n);
		if (e)
			break;
		e = proc_fd_read(&ret->v[ret->n], pid, (int)strtol(d->d_name, NULL, 10));
		if (e == -EBADF)
			e = 0;
		else if (!e)
			ret->n++;
	}
	closedir(dir);
	if (e) {
		proc_fds_deinit(ret);
		return err_set(err, e, "process %d: open files: %s", (int)pid, strerror(-e));
	}
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_fd);
	return 0;
}

void proc_fds_deinit(struct proc_fds *f)
{
	for (size_t i = 0; i < f->n; i++)
		proc_fd_deinit(&f->v[i]);
	free(f->v);
	*f = (struct proc_fds){0};
}

/* Lines of proc(5): "tfd:        7 events:       19 data:                7  pos:0 ino:1a2b sdev:9", inode in
 * hex. */
int proc_epoll_parse(const char *fdinfo, struct proc_epoll *ret)
{
	const char *line = fdinfo;

	*ret = (struct proc_epoll){0};
	while (*line) {
		const char *eol = strchrnul(line, '\n'), *ino;
		struct proc_epoll_member m = {0};

		if (sscanf(line, "tfd: %d events: %x data: %" SCNx64, &m.fd, &m.events, &m.data) == 3) {
			ino = strstr(line, " ino:");
			if (ino && ino < eol)
				m.inode = strtoull(ino + 5, NULL, 16);
			if (GROW(&ret->v, ret->n)) {
				proc_epoll_deinit(ret);
				return -ENOMEM;
			}
			ret->v[ret->n++] = m;
		}
		line = *eol ? eol + 1 : eol;
	}
	return 0;
}

int proc_epoll_read(struct proc_epoll *ret, pid_t pid, int fd)
{
	struct proc_fd f;
	char *text;
	int err;

	*ret = (struct proc_epoll){0};
	err = proc_fd_read(&f, pid, fd);
	if (err)
		return err;
	err = f.kind == PROC_FD_EPOLL ? 0 : -EINVAL;
	proc_fd_deinit(&f);
	if (err)
		return err;
	err = proc_slurp(&text, "/proc/%d/fdinfo/%d", (int)pid, fd);
	if (err)
		return err == -ENOENT || err == -ESRCH ? -EBADF : err;
	err = proc_epoll_parse(text, ret);
	free(text);
	return err;
}

void proc_epoll_deinit(struct proc_epoll *e)
{
	free(e->v);
	*e = (struct proc_epoll){0};
}
