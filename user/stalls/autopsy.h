/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every thread of a process as it is now: its call with decoded arguments, for how long, the descriptors it
 * waits for and what they are. Pure: raw thread records come from user/trace/threads.h, everything else
 * through struct autopsy_ops.
 */
#ifndef CULPRIT_AUTOPSY_H
#define CULPRIT_AUTOPSY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../bpf/abi/threads.h"
#include "proc/fd.h"
#include "proc/task.h"
#include "report/finding.h"
#include "symbol/image.h"
#include "util/err.h"

/* One thread as the kernel told it: by the iterator, or by /proc (then kstack instead of rec.kstack[]). */
struct thread_raw {
	struct threads_rec rec;
	uint64_t arg[6];	   /* system call arguments, with rec.nr >= 0 */
	uint64_t known;		   /* bit n: rec.reg[n] is valid (struct image_regs) */
	struct proc_kstack kstack; /* empty with the iterator */
};

struct thread_wait;

/* What a descriptor number of the process means now. One per number, shared by all threads that wait for it.
 */
struct fd_facts {
	int fd;
	bool open;
	enum proc_fd_kind kind;	    /* if open */
	uint64_t inode;		    /* of a socket or pipe; 0 for the rest */
	char *target;		    /* the link: "socket:[1234]"; NULL if closed */
	struct sock_facts sock;	    /* .known only for sockets that sock_diag knows */
	struct thread_wait *member; /* epoll: what it waits for */
	size_t n_members;
	bool members_read;
};

/* One descriptor that a thread or an epoll set waits for. */
struct thread_wait {
	size_t fd;	 /* index into autopsy.fd[] */
	uint32_t events; /* POLLIN and so on; 0 if the call has none */
	/*
	 * The call holds another file than the one behind that number now. Known for poll and select with the
	 * iterator, if every file the call holds could be told apart, and for members of an epoll set.
	 */
	bool dead;
	uint64_t held_inode;	     /* inode of the file it holds, when dead; 0 if several are possible */
	struct sock_facts held_sock; /* of that file, if it is a socket that still exists */
};

enum call_class {
	CALL_OTHER,
	CALL_POLL,
	CALL_SELECT,
	CALL_EPOLL,
	CALL_READ,
	CALL_WRITE,
	CALL_CONNECT,
	CALL_ACCEPT,
	CALL_FUTEX,
	CALL_SLEEP
};

struct thread_facts {
	pid_t tid;
	char comm[FINDING_COMM_LEN];
	char state;   /* R S D T t X Z P I, as ps prints */
	bool in_call; /* false: running in user space, or nothing known */
	bool moved;   /* it ran while it was looked at: arguments may be of different calls; nothing is `dead`
		       */
	int64_t nr;   /* system call number, -1 none */
	const char *syscall; /* static; "syscall_NNN" ones too; NULL if not in_call */
	enum call_class class;
	uint64_t arg[6];    /* of restart_syscall: those of the call that it continues */
	int64_t timeout_ms; /* -1 infinite, -2 the call has none or it could not be read */
	bool timeout_left;  /* the call has a deadline, not a timeout: timeout_ms is what was left of it, not
			       below 0 */
	bool args_unread;   /* the poll set, fd sets or timespec could not be read */
	int fd;		    /* the descriptor argument; of a poll set its first; -1 none */
	struct thread_wait
		*wait; /* poll and select set, or the one descriptor; epoll: the epoll descriptor itself */
	size_t n_wait;
	uint64_t futex_addr; /* CALL_FUTEX */
	bool blocked_known;
	uint64_t blocked_ns;	 /* at least; at `taken` of the autopsy */
	uint64_t blocked_max_ns; /* at most, or blocked_ns where that is not known */
	uint64_t switches;	 /* voluntary and not: unchanged in a later look = never ran since */
	uint64_t start_ns;
	const struct thread_raw *raw;
	/* filled by autopsy_stacks, NULL before */
	struct frames user_stack;
	char **kernel_stack; /* "do_sys_poll", innermost first */
	size_t n_kernel;
	bool stacks_taken;
};

enum autopsy_source { AUTOPSY_ITERATOR, AUTOPSY_PROC };
const char *autopsy_source_name(enum autopsy_source s); /* "BPF task iterator", "/proc" */

struct autopsy {
	pid_t pid;
	struct report_clock taken; /* the first look */
	uint64_t socks_ns;	   /* when the sockets' ages were read, CLOCK_MONOTONIC; 0: not known */
	enum autopsy_source source;
	char *source_why;	     /* why not the iterator, NULL with it */
	struct thread_facts *thread; /* by tid */
	size_t n_threads;
	size_t n_skipped; /* threads that went away between the looks */
	size_t n_moved;
	struct fd_facts *fd;
	size_t n_fds;
	struct thread_raw *raw; /* owned; thread[].raw points into it */
	size_t n_raw;
};

/* Facts that the autopsy asks for. Functions return -errno. */
struct autopsy_ops {
	void *ctx;
	/* reads exactly len bytes of the target */
	int (*read_mem)(void *ctx, uint64_t addr, void *buf, size_t len);
	int (*fd_read)(void *ctx, int fd, struct proc_fd *out);	      /* as proc_fd_read */
	int (*epoll_read)(void *ctx, int fd, struct proc_epoll *out); /* as proc_epoll_read */
	/* struct file * behind a descriptor now; 0 closed or not known */
	uint64_t (*file)(void *ctx, int fd);
	bool (*sock)(void *ctx, uint64_t inode, struct sock_facts *out);
	/* SO_RCVTIMEO and SO_SNDTIMEO of the socket behind a descriptor, -1 infinite; false: no socket or not
	 * known. NULL = never known */
	bool (*timeouts)(void *ctx, int fd, int64_t ms[2]);
	/* name of the kernel function at addr; NULL unknown. Valid as long as ctx. */
	const char *(*ksym)(void *ctx, uint64_t addr);
	/* as image_unwind_live; NULL = user stacks are not wanted */
	int (*unwind)(void *ctx, const struct image_regs *regs, struct frames *out);
	/* whether the thread has not run since it had been switched out so often (struct thread_facts); NULL:
	 * not known */
	bool (*stays)(void *ctx, pid_t tid, uint64_t switches);
	/* of a thread that has run, but is in the same call again: where its stack is now (sp and ip), and
	 * how often it has been switched out. NULL: not available */
	bool (*regs_now)(void *ctx, const struct thread_facts *t, struct image_regs *regs,
			 uint64_t *switches);
};

/*
 * Builds the facts of all threads from one look. Takes over raw[] (freed by autopsy_free, also on error).
 * Stacks are not symbolised yet. *ret is complete except for `moved`, which a second look settles
 * (autopsy_confirm).
 */
int autopsy_build(struct autopsy **ret, pid_t pid, struct thread_raw *raw, size_t n,
		  const struct report_clock *taken, const struct autopsy_ops *ops, struct err *err);
/* Completes a raw record of the iterator: rec is filled, the rest follows from it. Counts beyond its arrays
 * are cut. */
void thread_raw_from_rec(struct thread_raw *raw);
/* Second look (brief records do): marks threads that ran in between as moved, and drops those that are gone.
 * Sorts again[]. */
void autopsy_confirm(struct autopsy *a, struct thread_raw *again, size_t n);
/*
 * Takes and symbolises the stacks of one thread; once only, cheap when repeated. Its registers are of the
 * look, its user stack is read now: if it has run in between, they do not fit, and the stack is taken by
 * where the thread is now, if it is in the same call; else it stays empty and `truncated`.
 */
int autopsy_stacks(struct thread_facts *t, const struct autopsy_ops *ops);
/* Of a copy that does not belong to an autopsy. */
void thread_stacks_deinit(struct thread_facts *t);
void autopsy_free(struct autopsy *a);				   /* NULL is fine */
struct thread_facts *autopsy_thread(struct autopsy *a, pid_t tid); /* NULL if not there */
void thread_raw_free(struct thread_raw *raw, size_t n);		   /* NULL is fine */

#endif
