/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Facts about a process as a whole. */
#ifndef CULPRIT_PROC_PROCESS_H
#define CULPRIT_PROC_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proc/task.h"
#include "util/err.h"

#define PROC_NS_DEPTH	  32
#define PROC_BUILD_ID_LEN 129 /* hex digits of 64 bytes, and the end */

struct proc_status {
	char comm[PROC_COMM_LEN];
	char state;
	pid_t tgid, ppid;
	pid_t tracer; /* 0: nobody ptraces it */
	uid_t uid, euid;
	unsigned threads;
	unsigned ns_depth;	     /* 1: in our pid namespace only */
	pid_t ns_pid[PROC_NS_DEPTH]; /* ours first, innermost last; ns_depth of them */
	uint64_t peak_rss_kib;	     /* of this program: getrusage() would count what ran before exec, too */
};

/* -ESRCH: no such process. */
int proc_status_read(struct proc_status *ret, pid_t pid, struct err *err);
int proc_status_parse(const char *text, struct proc_status *ret);

/* Start of the process in clock ticks since boot: together with the pid it names one process for good. */
int proc_start_ticks(pid_t pid, uint64_t *ret);

struct proc_exe {
	char *path;   /* as the target sees it */
	bool deleted; /* unlinked or replaced since */
	uint64_t inode;
	dev_t dev;
	char build_id[PROC_BUILD_ID_LEN]; /* hex; empty if the file has none */
};

/* Reads the file that runs, also if it has been replaced since. -ESRCH, -EACCES, -ENOENT (kernel thread). */
int proc_exe_read(struct proc_exe *ret, pid_t pid, struct err *err);
void proc_exe_deinit(struct proc_exe *e);

struct proc_pids {
	pid_t *v; /* ascending */
	size_t n;
};

/*
 * Processes whose main thread has this comm; a longer name is compared in full with the name of the
 * executable. n may be 0 or more than 1: the caller decides. Own process excluded.
 */
int proc_find_comm(const char *name, struct proc_pids *ret, struct err *err);
void proc_pids_deinit(struct proc_pids *p);

#endif
