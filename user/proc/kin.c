// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>

#include "proc/fd.h"
#include "proc/kin.h"
#include "proc/process.h"
#include "proc/slurp.h"

static bool has_socket(pid_t pid, uint64_t inode)
{
	struct proc_fds fds;
	bool has = false;
	int rc = proc_fds_read(&fds, pid, NULL);

	if (rc)
		return rc != -ESRCH; /* it has gone, and its files with it */
	for (size_t i = 0; i < fds.n; i++)
		has |= fds.v[i].kind == PROC_FD_SOCKET && fds.v[i].inode == inode;
	proc_fds_deinit(&fds);
	return has;
}

bool proc_kin_has_socket(pid_t pid, uint64_t inode)
{
	struct proc_status st;
	char *children, *at, *end;
	bool has;

	if (proc_status_read(&st, pid, NULL) ||
	    proc_slurp(&children, "/proc/%d/task/%d/children", (int)pid, (int)pid))
		return true;
	has = st.ppid > 0 && has_socket(st.ppid, inode);
	for (at = children; !has; at = end) {
		long child = strtol(at, &end, 10);

		if (end == at)
			break;
		has = has_socket((pid_t)child, inode);
	}
	free(children);
	return has;
}
