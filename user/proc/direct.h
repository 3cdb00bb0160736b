/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Open files through which a device stores into the process's memory by itself. */
#ifndef CULPRIT_PROC_DIRECT_H
#define CULPRIT_PROC_DIRECT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct proc_direct {
	char **direct; /* "fd 12 (/var/lib/x)": open with O_DIRECT */
	size_t n_direct;
	char **device; /* of a device that its driver lets store into user memory: RDMA, VFIO */
	size_t n_device;
};

/* 0, -ESRCH, -EACCES, -EPERM, -ENOMEM. Files closed meanwhile are left out. */
int proc_direct_read(struct proc_direct *ret, pid_t pid);
void proc_direct_deinit(struct proc_direct *d);
/* The text of fdinfo: is the file open with O_DIRECT? */
bool proc_fdinfo_direct(const char *fdinfo);

#endif
