// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "proc/fd.h"
#include "proc/holders.h"
#include "util/grow.h"
#include "util/search.h"

int proc_holders_add(struct proc_holders *h, uint64_t inode, pid_t pid, int fd)
{
	if (GROW(&h->v, h->n))
		return -ENOMEM;
	h->v[h->n++] = (struct proc_holder){inode, pid, fd};
	return 0;
}

static int take_process(struct proc_holders *h, pid_t pid)
{
	struct proc_fds fds;
	int rc = proc_fds_read(&fds, pid, NULL);

	if (rc == -ENOMEM)
		return rc;
	if (rc) {
		h->unreadable += rc != -ESRCH; /* it has gone */
		return 0;
	}
	for (size_t i = 0; !rc && i < fds.n; i++) {
		if (fds.v[i].kind != PROC_FD_SOCKET)
			continue;
		rc = proc_holders_add(h, fds.v[i].inode, pid, fds.v[i].fd);
	}
	proc_fds_deinit(&fds);
	return rc;
}

static int order(const void *a, const void *b)
{
	const struct proc_holder *x = a, *y = b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return (x->fd > y->fd) - (x->fd < y->fd);
}

void proc_holders_sort(struct proc_holders *h)
{
	size_t kept = 0;

	if (h->n)
		qsort(h->v, h->n, sizeof(*h->v), order);
	for (size_t i = 0; i < h->n; i++) {
		if (kept && h->v[kept - 1].inode == h->v[i].inode && h->v[kept - 1].pid == h->v[i].pid)
			continue;
		h->v[kept++] = h->v[i];
	}
	h->n = kept;
}

int proc_holders_read(struct proc_holders *ret)
{
	struct dirent *d;
	DIR *dir = opendir("/proc");
	int rc = 0;

	*ret = (struct proc_holders){0};
	if (!dir)
		return -errno;
	while (!rc && (d = readdir(dir))) {
		long pid = strtol(d->d_name, NULL, 10);

		if (pid > 0)
			rc = take_process(ret, (pid_t)pid);
	}
	closedir(dir);
	if (rc)
		proc_holders_deinit(ret);
	else
		proc_holders_sort(ret);
	return rc;
}

const struct proc_holder *proc_holders_find(const struct proc_holders *h, uint64_t inode, size_t *n)
{
	size_t first = FIRST_FROM(h->v, h->n, inode, inode);

	*n = FIRST_AFTER(h->v, h->n, inode, inode) - first;
	return *n ? &h->v[first] : NULL;
}

void proc_holders_deinit(struct proc_holders *h)
{
	free(h->v);
	*h = (struct proc_holders){0};
}
