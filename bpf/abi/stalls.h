/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What bpf/stalls.bpf.c keeps and sends: the calls in flight, who used which socket last, RPCs by thread, and
 * closed descriptors. */
#ifndef CULPRIT_ABI_STALLS_H
#define CULPRIT_ABI_STALLS_H

#include "base.h"
#include "stack.h"

#define STALLS_FDS     16    /* descriptors kept of one poll or select set */
#define STALLS_MAX_FD  65536 /* descriptor numbers that can be watched for a close */
#define STALLS_CALLS   8192  /* threads */
#define STALLS_SOCKS   16384
#define STALLS_METHODS 4096 /* pairs of RPC method and peer */

/* Where bytes sent and received come from. */
enum stalls_bytes {
	STALLS_BYTES_SOCK,  /* the sock_*_length tracepoints */
	STALLS_BYTES_EXIT,  /* what read and write calls return to user space */
	STALLS_BYTES_FEXIT, /* what tcp_sendmsg, tcp_recvmsg and their like return */
	STALLS_BYTES_ENTRY, /* sent: asked of tcp_sendmsg and its like; received: tcp_cleanup_rbuf and its
			       like */
};

/* One-slot array map `settings`. */
struct stalls_cfg {
	__u32 tgid;
	__u32 bytes;	    /* enum stalls_bytes */
	__u64 threshold_ns; /* a call that ends after so long sends STALLS_ENDED */
	__u64 tick_ns;	    /* of the kernel's timer: what sk_rcvtimeo counts in */
	__u32 rpcs;	    /* RPC channels are followed: 1; without them no thread is ever in an RPC */
	__u32 pad;
};
_Static_assert(sizeof(struct stalls_cfg) == 32, "stalls_cfg");

/* Array map `hows`, by number of a system call: what it is and who tells of it; 0 = not followed. */
#define STALLS_NR_MAX 512
enum stalls_how {
	STALLS_HOW_POLL = 1,	/* (pollfds, n, ms) */
	STALLS_HOW_PPOLL,	/* (pollfds, n, timespec) */
	STALLS_HOW_SELECT,	/* (n, in, out, ex, timeval) */
	STALLS_HOW_PSELECT,	/* (n, in, out, ex, timespec) */
	STALLS_HOW_EPOLL,	/* (epfd, events, max, ms) */
	STALLS_HOW_EPOLL_TS,	/* (epfd, events, max, timespec) */
	STALLS_HOW_RECV,	/* (fd, ..) */
	STALLS_HOW_SEND,	/* (fd, ..) */
	STALLS_HOW_CONNECT,	/* (fd, ..) */
	STALLS_HOW_ACCEPT,	/* (fd, ..) */
	STALLS_HOW_CLOSE,	/* (fd) */
	STALLS_HOW_DUP,		/* (from, to) */
	STALLS_HOW_CLOSE_RANGE, /* (first, last, flags) */
	STALLS_HOW_RESTART,	/* restart_syscall: goes on with the call that a signal interrupted */
};
#define STALLS_HOW_KIND(how)	 ((how)&0xff)
#define STALLS_HOW_FLAGS_ARG(n)	 (((n) + 1) << 8) /* argument n holds MSG_PEEK and so on */
#define STALLS_HOW_FLAGS_OF(how) ((int)((how) >> 8 & 7) - 1)
#define STALLS_HOW_BY_TRACEPOINT (1U << 16) /* sys_enter and sys_exit tell of it */
#define STALLS_HOW_END_KNOWN	 (1U << 17) /* its end is told of, too */

/* What a descriptor of a call was when the call began. */
struct stalls_fd {
	__s32 fd;
	__u16 events;  /* poll events wanted; of select POLLIN, POLLOUT, POLLPRI by set */
	__u16 is_sock; /* 1: a socket */
	__u64 file;    /* struct file *, to compare, never to follow; 0: closed already */
	__u64 inode;
};
_Static_assert(sizeof(struct stalls_fd) == 24, "stalls_fd");

enum stalls_call_flags {
	STALLS_CALL_MORE_FDS = 1, /* the set is larger than fd[] */
	STALLS_CALL_RESTART = 2,  /* left for a restart: a signal came, the kernel resumes it */
	STALLS_CALL_SEEDED =
		4, /* begun before the session: user space wrote this, entry_ns is an upper bound */
	STALLS_CALL_RECV = 8,
	STALLS_CALL_SEND = 16,
	STALLS_CALL_PEEK = 32, /* looks at what there is and leaves it there */
};

/* Map `calls`, by tid. A slot stays when its call has ended, with entry_ns 0. */
struct stalls_call {
	__u64 entry_ns;	  /* CLOCK_MONOTONIC; 0: no call in flight */
	__s64 timeout_ns; /* -1 infinite, -2 none or not readable */
	__u64 arg[3];
	__u32 nr;
	__u32 flags; /* enum stalls_call_flags */
	__u32 n_fds; /* used in fd[] */
	__u32 got;   /* bytes of this call that were counted already */
	struct stalls_fd fd[STALLS_FDS];
};
_Static_assert(sizeof(struct stalls_call) == 56 + STALLS_FDS * 24, "stalls_call");

/* Map `socks`, by inode: what the target's threads did with a socket since the session began. */
struct stalls_sock {
	__u64 last_send_ns, last_recv_ns; /* 0: not since then */
	__u64 asked_ns;			  /* first send since the last receive: how long an answer is owed */
	__u64 sent, received;		  /* bytes */
	__u64 burst;			  /* bytes sent since the last receive */
	__u32 send_tid, recv_tid;	  /* who did so last */
	__u32 turns;	     /* receives that followed a send: answers, on a connection we made */
	__u32 replies;	     /* sends that followed a receive: answers, on a connection we accepted */
	__u64 retransmit_ns; /* when the kernel last sent something again; 0: not in this session */
	__u32 retransmits;   /* how often */
	__u32 pad;
	/* of recv_tid when it received: its time on a CPU, what of that in the kernel, and how often it had
	 * slept by itself */
	__u64 recv_cpu_ns, recv_sys_ns, recv_nvcsw;
};
_Static_assert(sizeof(struct stalls_sock) == 104, "stalls_sock");

/* Map `rpcs`, by tid: the RPC a thread began last. */
struct stalls_rpc {
	__u64 entry_ns;
	__u64 sp; /* at entry: the word there is ret while the call runs */
	__u64 ret;
	__u64 method;	     /* const MethodDescriptor * in the target */
	__u64 first_send_ns; /* within this call, by this thread; 0 none */
	__u64 last_recv_ns;  /* on the same socket, after first_send_ns; 0 none */
	__u64 sk;	     /* struct sock *, to compare only */
	__u64 inode;
	__u8 peer[16]; /* IPv4 in the first four bytes, network order */
	__u16 port;    /* network order */
	__u16 family;  /* 0: nothing sent yet */
	__u32 pad;
};
_Static_assert(sizeof(struct stalls_rpc) == 88, "stalls_rpc");

/* Map `methods`: RPCs that are over, summed up in the kernel. A call is over when its thread begins the next
 * one. */
struct stalls_method_key {
	__u64 method;
	__u8 peer[16];
	__u16 port;
	__u16 family;
	__u32 pad;
};
_Static_assert(sizeof(struct stalls_method_key) == 32, "stalls_method_key");

/* Four buckets per octave of microseconds: bucket = 4 * floor(log2 us) + the two bits below the leading one.
 */
#define STALLS_BUCKETS 112
struct stalls_method {
	__u64 calls;
	__u64 unanswered; /* sent, and nothing received before the next call */
	__u64 unsent;	  /* this thread sent nothing during the call: the channel sends elsewhere */
	__u64 max_ns;
	__u32 bucket[STALLS_BUCKETS];
};
_Static_assert(sizeof(struct stalls_method) == 32 + STALLS_BUCKETS * 4, "stalls_method");

/*
 * Attach cookie of a probe on an RPC channel: which argument is the MethodDescriptor (1 + number, 0 = the
 * second), and where the return address stands while the function runs. x86-64: so many bytes above the stack
 * pointer. aarch64, where it comes in a register: so many bytes below it, 0 if not known. Without cookies
 * (before 5.15) the probe stands at the entry.
 */
#define STALLS_COOKIE(arg, ra)	  ((__u64)((arg) + 1) << 32 | (ra))
#define STALLS_COOKIE_ARG(cookie) ((cookie) >> 32 ? ((cookie) >> 32) - 1 : 1)
#define STALLS_COOKIE_RA(cookie)  ((cookie)&0xffffffff)

enum stalls_kind {
	STALLS_ENDED = ABI_KIND_STALLS, /* struct stalls_ended */
	STALLS_CLOSED,			/* struct stalls_closed */
};

/* A call ended that had lasted longer than the threshold. */
struct stalls_ended {
	struct abi_hdr h;
	__u64 entry_ns;
	__s64 ret;
	__u32 nr;
	__u32 flags; /* enum stalls_call_flags */
};
_Static_assert(sizeof(struct stalls_ended) == 72, "stalls_ended");

/* A thread closes, or puts another file behind, a descriptor number that some thread's call in flight waits
 * for; or it closes a range of numbers. */
struct stalls_closed {
	struct abi_hdr h;
	__u64 file; /* behind the number until now */
	__u64 inode;
	__s32 fd;
	__u32 last; /* of close_range: fd is the first, file and inode are not told; else fd */
	__u32 nr;   /* close, dup2, dup3 or close_range */
	__u32 pad;
	struct abi_stack stack; /* of the closing thread; only the used part of data[] is sent */
};
_Static_assert(sizeof(struct stalls_closed) == 80 + sizeof(struct abi_stack), "stalls_closed");

#endif
