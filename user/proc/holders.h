/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which processes of this machine have which socket open, by their descriptors. */
#ifndef CULPRIT_PROC_HOLDERS_H
#define CULPRIT_PROC_HOLDERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_holder {
	uint64_t inode; /* of the socket */
	pid_t pid;
	int fd; /* the lowest, if there are several */
};

struct proc_holders {
	struct proc_holder *v; /* by inode and pid, each pair once */
	size_t n;
	size_t unreadable; /* processes whose descriptors could not be read */
};

/* All processes that can be seen, in one pass. -ENOMEM, or -errno of /proc. */
int proc_holders_read(struct proc_holders *ret);
/* Those of one socket; *n may be 0. */
const struct proc_holder *proc_holders_find(const struct proc_holders *h, uint64_t inode, size_t *n);
/* Another one, in any order; then proc_holders_sort. -ENOMEM. */
int proc_holders_add(struct proc_holders *h, uint64_t inode, pid_t pid, int fd);
void proc_holders_sort(struct proc_holders *h);
void proc_holders_deinit(struct proc_holders *h);

#endif
