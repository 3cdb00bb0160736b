/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Open files of a process. pid may also be a thread id: then that thread's table, should it have its own. */
#ifndef CULPRIT_PROC_FD_H
#define CULPRIT_PROC_FD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/err.h"

enum proc_fd_kind {
	PROC_FD_FILE, /* anything with a path: file, directory, device */
	PROC_FD_SOCKET,
	PROC_FD_PIPE,
	PROC_FD_EPOLL,
	PROC_FD_EVENTFD,
	PROC_FD_TIMERFD,
	PROC_FD_SIGNALFD,
	PROC_FD_OTHER, /* another anonymous inode */
};
const char *proc_fd_kind_name(enum proc_fd_kind k); /* "socket", static */

struct proc_fd {
	int fd;
	enum proc_fd_kind kind;
	uint64_t inode; /* of a socket (as sock_diag counts) or pipe; 0 for the rest */
	char *target;	/* the link: "socket:[1234]", "/var/log/x" */
};

struct proc_fds {
	struct proc_fd *v; /* by fd, ascending */
	size_t n;
};

/* -ESRCH, -EACCES, -EPERM. Files closed meanwhile are left out. */
int proc_fds_read(struct proc_fds *ret, pid_t pid, struct err *err);
void proc_fds_deinit(struct proc_fds *f);
/* One file. -EBADF: fd is not open (or no such process). Free with proc_fd_deinit. */
int proc_fd_read(struct proc_fd *ret, pid_t pid, int fd);
void proc_fd_deinit(struct proc_fd *f);

/* What an epoll fd waits for. */
struct proc_epoll_member {
	int fd;		 /* number at EPOLL_CTL_ADD; may be closed or another file now: compare inode */
	uint32_t events; /* EPOLLIN, ... */
	uint64_t data;
	uint64_t inode; /* 0 on kernels that do not say (before 4.14) */
};

struct proc_epoll {
	struct proc_epoll_member *v;
	size_t n;
};

/* -EBADF: not open; -EINVAL: not an epoll fd. */
int proc_epoll_read(struct proc_epoll *ret, pid_t pid, int fd);
int proc_epoll_parse(const char *fdinfo, struct proc_epoll *ret);
void proc_epoll_deinit(struct proc_epoll *e);

#endif
