/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What bpf/threads.bpf.c says of one thread: one record per thread of the target, written by a task iterator.
 */
#ifndef CULPRIT_ABI_THREADS_H
#define CULPRIT_ABI_THREADS_H

#include "base.h"
#include "stack.h"

#define THREADS_KSTACK 32 /* kernel frames kept, innermost first */
#define THREADS_POLLED                                                                                       \
	9 /* N_INLINE_POLL_ENTRIES of 64-bit kernels; what a poll adds beyond is counted only */

#define THREADS_UNKNOWN (~0ULL)

enum threads_flags {
	THREADS_REGS = 1, /* reg[] and nr are those saved when the thread entered the kernel */
	THREADS_KSTACK_TAKEN = 2,
	THREADS_POLLED_TAKEN = 4, /* the poll table of the running poll or select call was found */
	THREADS_POLLED_MORE = 8,  /* it has more entries than polled[] holds */
};

/* A file that a sleeping poll or select call holds on to, whatever its descriptor number means by now. */
struct threads_polled {
	__u64 file; /* struct file *, to compare with threads_file.file, never to follow */
	__u64 inode;
	__u32 events; /* poll key: what it waits for */
	__u32 pad;
};
_Static_assert(sizeof(struct threads_polled) == 24, "threads_polled");

/* One open descriptor, written by a task_file iterator. */
struct threads_file {
	__u64 file;
	__u64 inode;
	__s32 fd;
	__u32 tgid;
	__u32 is_sock;
	__u32 pad;
	/* SO_RCVTIMEO, SO_SNDTIMEO of a socket in ticks of the kernel's timer, LONG_MAX infinite; -1: no
	 * socket */
	__s64 ticks[2];
};
_Static_assert(sizeof(struct threads_file) == 48, "threads_file");

struct threads_rec {
	struct abi_hdr h;     /* tgid, tid and comm are the thread's own, not the reader's */
	__u32 flags;	      /* enum threads_flags */
	__u32 state;	      /* task state bits, exit state included; 0 = running or runnable */
	__u64 nvcsw, nivcsw;  /* context switches so far: unchanged = it has not run since */
	__u64 cpu_ns, sys_ns; /* on a CPU so far, what of it in the kernel (THREADS_UNKNOWN: not told); may be
				 a tick late */
	__u64 start_ns;	      /* task start, CLOCK_MONOTONIC: tells a reused tid */
	/*
	 * Not running for at least so long at h.ts_ns; THREADS_UNKNOWN if the scheduler's clocks could not be
	 * read. blocked = clock(this CPU) - exec_start - (clock - clock_task)(thread's CPU): both terms err
	 * to the small side.
	 */
	__u64 blocked_ns;
	/*
	 * Not running for at most so long at h.ts_ns; THREADS_UNKNOWN as above. It last came to a CPU at
	 * sched_info.last_arrival (kernel/sched/stats.h: sched_info_arrive(), by rq->clock), and ran on from
	 * there.
	 */
	__u64 blocked_max_ns;
	__u64 reg[ABI_REGS]; /* DWARF order, as struct abi_stack */
	__s64 nr;	     /* system call number; -1 = in the kernel for another reason */
	/* restart_syscall: the interrupted call's own arguments; restart_fn says which member of the union
	 * they come from */
	__u64 restart_fn;
	__u64 restart_ufds;
	__u64 restart_until_ns; /* poll: deadline, CLOCK_MONOTONIC */
	__u32 restart_nfds;
	__u32 restart_has_timeout;
	__u32 n_kstack;
	__u32 n_polled;
	__u64 kstack[THREADS_KSTACK];
	struct threads_polled polled[THREADS_POLLED];
};
_Static_assert(sizeof(struct threads_rec) == 48 + 8 + 16 + 24 + 16 + ABI_REGS * 8 + 8 + 8 + 8 + 8 + 8 + 8 +
						     THREADS_KSTACK * 8 + THREADS_POLLED * 24,
	       "threads_rec");

/* One-slot array map `settings`. */
struct threads_cfg {
	__u32 tgid;
	__u32 brief; /* 1: no stacks and no poll tables, only what tells whether a thread has run */
	__u32 all;   /* 1: of descriptors, the sockets of all processes instead of all that tgid has */
	__u32 pad;
};
_Static_assert(sizeof(struct threads_cfg) == 16, "threads_cfg");

#endif
