/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Threads of a process: names, states, the system call each is in and its kernel stack. */
#ifndef CULPRIT_PROC_TASK_H
#define CULPRIT_PROC_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/err.h"

#define PROC_COMM_LEN 16

struct proc_thread {
	pid_t tid;
	char comm[PROC_COMM_LEN];
	char state;	      /* 'R', 'S', 'D', ... */
	uint64_t start_ticks; /* since boot, in units of sysconf(_SC_CLK_TCK) */
	uint64_t cpu_ticks;   /* user + system time used so far, same unit */
};

struct proc_threads {
	struct proc_thread *v; /* by tid, ascending */
	size_t n;
};

/* Threads that end while they are read are left out. -ESRCH if there is no such process. */
int proc_threads_read(struct proc_threads *ret, pid_t pid, struct err *err);
void proc_threads_deinit(struct proc_threads *t);
/* One task's line; also for a whole process with tid = pid. -ESRCH if it is gone, -EBADMSG. */
int proc_thread_read(struct proc_thread *ret, pid_t pid, pid_t tid);
/* The same from the text of a stat file, which it takes apart. -EBADMSG. */
int proc_thread_parse(char *text, struct proc_thread *ret);

enum proc_syscall_state {
	PROC_IN_SYSCALL, /* blocked in a system call: everything below is valid */
	PROC_RUNNING,	 /* on a CPU or runnable: nothing is known */
	PROC_NO_SYSCALL, /* blocked, but not in a system call (page fault, signal): sp and pc are valid, nr is
			    -1 */
};

struct proc_syscall {
	enum proc_syscall_state state;
	long nr;
	uint64_t arg[6];
	uint64_t sp, pc; /* user registers at entry; pc is the instruction after `syscall` */
};

/* -ESRCH if the task is gone; -EPERM; -EBADMSG. */
int proc_task_syscall(pid_t pid, pid_t tid, struct proc_syscall *ret);
/* The same from a line of text. */
int proc_syscall_parse(const char *line, struct proc_syscall *ret);
/* "poll"; NULL for a number that the kernel headers of the build did not know. Static. */
const char *proc_syscall_name(long nr);

struct proc_kstack {
	char **v; /* function names, innermost first, offset cut off, ".constprop.0" kept */
	size_t n;
};

/* Empty for a running task. -ESRCH; -EPERM or -EACCES without privilege; -ENOENT if this kernel has no stack
 * file. */
int proc_task_kstack(pid_t pid, pid_t tid, struct proc_kstack *ret);
int proc_kstack_parse(const char *text, struct proc_kstack *ret);
void proc_kstack_deinit(struct proc_kstack *k);

/* Context switches so far; two equal samples mean that the task did not run in between, unless it runs now.
 */
struct proc_switches {
	bool runs; /* now, or it waits for a CPU */
	uint64_t voluntary, involuntary;
};
int proc_task_switches(pid_t pid, pid_t tid, struct proc_switches *ret);

#endif
