// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "proc/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proc/fd.h"
#include "proc/slurp.h"
#include "util/grow.h"

/* "flags:\t0140002", octal, a line of its own (proc(5)). */
bool proc_fdinfo_direct(const char *fdinfo)
{
	for (const char *line = fdinfo; *line;) {
		const char *eol = strchrnul(line, '\n');

		if (!strncmp(line, "flags:", 6))
			return strtoul(line + 6, NULL, 8) & O_DIRECT;
		line = *eol ? eol + 1 : eol;
	}
	return false;
}

static bool is_device(const char *target)
{
	static const char *const dir[] = {"/dev/infiniband/", "/dev/vfio/"};

	for (size_t i = 0; target && i < sizeof(dir) / sizeof(dir[0]); i++)
		if (!strncmp(target, dir[i], strlen(dir[i])))
			return true;
	return false;
}

static bool is_direct(pid_t pid, int fd)
{
	char *text;
	bool direct;

	if (proc_slurp(&text, "/proc/%d/fdinfo/%d", (int)pid, fd))
		return false;
	direct = proc_fdinfo_direct(text);
	free(text);
	return direct;
}

static int add(char ***v, size_t *n, const struct proc_fd *f)
{
	if (GROW(v, *n) || asprintf(&(*v)[*n], "fd %d (%s)", f->fd, f->target) < 0)
		return -ENOMEM;
	(*n)++;
	return 0;
}

int proc_direct_read(struct proc_direct *ret, pid_t pid)
{
	struct proc_fds fds;
	int err = proc_fds_read(&fds, pid, NULL);

	*ret = (struct proc_direct){0};
	if (err)
		return err;
	for (size_t i = 0; !err && i < fds.n; i++) {
		/* of a pipe the flag means something else (pipe(2)) */
		if (fds.v[i].kind != PROC_FD_FILE || !fds.v[i].target)
			continue;
		if (is_device(fds.v[i].target))
			err = add(&ret->device, &ret->n_device, &fds.v[i]);
		else if (is_direct(pid, fds.v[i].fd))
			err = add(&ret->direct, &ret->n_direct, &fds.v[i]);
	}
	proc_fds_deinit(&fds);
	if (err)
		proc_direct_deinit(ret);
	return err;
}

void proc_direct_deinit(struct proc_direct *d)
{
	for (size_t i = 0; i < d->n_direct; i++)
		free(d->direct[i]);
	for (size_t i = 0; i < d->n_device; i++)
		free(d->device[i]);
	free(d->direct);
	free(d->device);
	*d = (struct proc_direct){0};
}
