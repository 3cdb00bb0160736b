/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What an engine concludes, ready to be rendered: the two kinds of finding and the summary that closes a
 * session. Plain values, owned by whoever holds the struct; strings are malloc'ed and freed by the _deinit
 * functions. Times are CLOCK_MONOTONIC nanoseconds; the renderer turns them into wall time with struct
 * report_clock.
 */
#ifndef CULPRIT_FINDING_H
#define CULPRIT_FINDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "report/story.h"

#define FINDING_COMM_LEN 16

/* One frame of a user stack. Inlined frames come before the frame that holds them. */
struct frame {
	char *module;	 /* path of the mapped file, or "[vdso]"; NULL if the address is in none */
	char *build_id;	 /* hex, NULL if the file has none */
	uint64_t offset; /* file-relative address (ELF vaddr) of the instruction */
	uint64_t addr;	 /* address in the process */
	char *symbol;	 /* demangled, NULL if unknown */
	char *file;	 /* source, NULL without debuginfo */
	int line;	 /* 0 if unknown */
	bool inlined;
};

/* The instruction that made a store which a watchpoint trapped. */
struct store_insn {
	bool decoded;	 /* addr, offset, width and text are known */
	bool verified;	 /* its operand is the watched word, by the registers at the trap */
	uint64_t addr;	 /* of it in the process */
	uint64_t offset; /* file-relative (ELF vaddr) */
	unsigned width;	 /* bytes it writes; 0: not known */
	char text[80];	 /* "mov qword ptr [rdi + 0x28], rax" */
	char why[80];	 /* not verified */
};

struct frames {
	struct frame *v;
	size_t n;
	bool truncated; /* the stack goes on, but was not copied or could not be unwound further */
};

/* Frees what f holds, not f itself. */
void frames_deinit(struct frames *f);

/* A thread seen at a function at a time. function NULL: not known. */
struct touch {
	uint64_t ts_ns; /* 0: never */
	pid_t tid;
	char comm[FINDING_COMM_LEN];
	char *function;
};

/* A block of memory was handed out or freed; at.ts_ns 0: not seen. */
struct block_event {
	struct touch at; /* function: of the allocator's caller */
	struct frames stack;
};

struct block_owner {
	bool known;
	uint64_t block, size; /* size 0: not known */
	struct block_event out, freed;
};

/* Whose memory a word was (--heap). */
struct block_history {
	struct block_owner now;	   /* of the object itself: only block and out */
	struct block_owner before; /* who had it before */
	bool dangling; /* the object's memory has been freed by `before` and not been handed out since */
};

enum confidence { CONF_POSSIBLE, CONF_LIKELY, CONF_CERTAIN };
const char *confidence_name(enum confidence c);

enum write_reason {
	WRITE_WILD_POINTER,
	WRITE_BAD_VTABLE,
	WRITE_BAD_REPEATED,
	WRITE_BAD_VALUE,
	WRITE_UNEXPLAINED,
	WRITE_NON_WRITER,
};
const char *write_reason_name(enum write_reason r); /* as in the JSON: "wild-pointer", ... */

void block_history_deinit(struct block_history *h);

struct bad_write {
	enum write_reason reason;
	enum confidence confidence;
	pid_t pid;
	char *object_type;	  /* "zbs::libmeta::CachedLease" */
	char *cache;		  /* name of the spec's [cache NAME], NULL without one */
	uint64_t object_addr;	  /* of the cached object */
	uint64_t object_since_ns; /* when it was inserted or adopted */
	char *node_type;	  /* type that declares the field: "zbs::Chunk" */
	char *field;		  /* "read_perf_" */
	char *path;		  /* from the object: "chunks_[1].read_perf_" */
	uint64_t addr;		  /* of the damaged word */
	unsigned width;		  /* bytes of the field, 1..8 */
	bool has_old;
	uint64_t old_value, new_value;
	struct touch last_good, found;
	struct touch *touched_by; /* oldest first, between last_good and found */
	size_t n_touched;
	bool has_writer;
	struct {
		struct store_insn insn; /* nothing if in_kernel */
		pid_t tid;
		char comm[FINDING_COMM_LEN];
		uint64_t ts_ns, ip;
		bool in_kernel; /* the store was made by a system call */
		char *syscall;	/* its name, NULL if not in_kernel */
		struct frames stack;
		size_t frame; /* of stack: the function to name; those before it store where they are told to
			       */
	} writer;
	unsigned hits;	   /* times the writer was seen at it */
	char *explanation; /* one or two sentences: why this is a bad write */
	char *next;	   /* what to run or look at next; NULL if nothing */
	struct write_story story;
	struct block_history heap;
};
void bad_write_deinit(struct bad_write *w);

enum verdict {
	VERDICT_NONE, /* healthy */
	VERDICT_REQUEST_UNSENT,
	VERDICT_REQUEST_UNACKED,
	VERDICT_PEER_SILENT,
	VERDICT_PEER_WINDOW_CLOSED,
	VERDICT_REPLY_UNREAD,
	VERDICT_POLLING_DEAD_FD,
	VERDICT_CONNECT_PENDING,
	VERDICT_HALF_OPEN,
	VERDICT_LOCAL_WRITER_BLOCKED,
	VERDICT_SERVER_THREAD_BLOCKED,
};
const char *verdict_name(enum verdict v); /* "peer-silent", ... */

/* A socket as sock_diag and /proc tell it; ages in ms, -1 = not known. */
struct sock_facts {
	bool known;
	uint64_t inode;
	int family;			 /* AF_INET, AF_INET6, AF_UNIX */
	char local[64], remote[64];	 /* "10.0.0.1:4242", "[::1]:80", or a unix path */
	char state[16];			 /* "ESTABLISHED", "SYN-SENT", ... */
	bool accepted;			 /* our side is the server: the local port is listened on */
	uint32_t recv_queue, send_queue; /* bytes, as the kernel counts: sock_unread() */
	uint32_t unacked;		 /* segments sent, not acknowledged */
	uint32_t notsent;		 /* bytes queued, not sent yet */
	uint32_t retransmits;		 /* of the oldest unacknowledged segment now */
	uint32_t total_retrans;
	uint32_t rtt_us;
	uint64_t bytes_acked, bytes_received, bytes_sent;
	int64_t last_send_ms, last_recv_ms, last_ack_ms;
	uint32_t mss;	      /* bytes of a full segment; 0 not known */
	uint32_t peer_window; /* bytes the peer lets us send, UINT32_MAX = not known */
	uint8_t probes;	      /* unanswered zero-window or keepalive probes */
	char timer[16];	      /* "keepalive", "on", "persist", "" */
	uint64_t peer_inode;  /* AF_UNIX: the other end's inode; 0 none */
};

/* The peer has closed its side of this TCP connection (tcp(7): a FIN was received). */
bool sock_peer_closed(const struct sock_facts *s);
/*
 * Bytes that came and were not read. recv_queue, as ss(8) shows it, counts an unread FIN as one byte, since
 * it takes a sequence number (tcp_diag_get_info(): rcv_nxt - copied_seq).
 */
uint32_t sock_unread(const struct sock_facts *s);

/* A thread on the way from a stuck one to what all of them wait for. */
#define STEP_LEN 160
struct stall_step {
	pid_t tid, pid;
	char comm[FINDING_COMM_LEN];
	char process[FINDING_COMM_LEN]; /* comm of the process; empty: the target itself */
	char *doing;			/* "in futex for 3.2 s", NULL unknown */
	char how[STEP_LEN];  /* how it is known to be the next: "read the request 3.2 s ago"; may be empty */
	char what[STEP_LEN]; /* "waits for a lock held by", "waits for 10.0.0.1:80" */
	pid_t next;	     /* 0: no thread that can be known */
};

struct stall {
	enum verdict verdict;
	pid_t pid, tid;
	int fd; /* -1 if none */
	char comm[FINDING_COMM_LEN];
	uint64_t blocked_ns;   /* how long by now */
	bool blocked_at_least; /* blocked_ns is a lower bound */
	bool blocked_before_session;
	bool busy; /* the thread itself is not stuck: blocked_ns is how long a connection of its owes the
		      answer */
	bool rpc_id_known;
	bool cycle;	     /* the last of chain[] waits for one of those before it */
	bool has_other;	     /* other is known */
	const char *syscall; /* static: "poll" */
	int64_t timeout_ms;  /* -1 infinite, -2 the call has none */
	struct sock_facts sock;
	char *file;	    /* what the fd is, when not a socket; or the dead file of polling-dead-fd */
	char *rpc_method;   /* "zbs.meta.MetaService.ListDb", NULL unknown */
	int64_t rpc_age_ms; /* -1 unknown */
	uint64_t rpc_id;    /* the request's number on the wire, if rpc_id_known */
	struct frames user_stack;
	char **kernel_stack; /* innermost first */
	size_t n_kernel;
	/* server-thread-blocked: who read the request, if that was seen */
	struct {
		pid_t tid; /* 0: not known */
		uint64_t ago_ns;
		bool cpu_known;
		uint64_t cpu_ns; /* of the thread, since */
	} reader;
	/* the other party: who closed the fd, who should read the reply, who read the request */
	struct {
		const char *role; /* static: "closed by", "lock held by", "request read by", ... */
		pid_t tid, pid;	  /* pid: of another process; 0 the target */
		char comm[FINDING_COMM_LEN], process[FINDING_COMM_LEN];
		uint64_t ts_ns; /* when it did; 0 unknown */
		char *doing;	/* "in futex(0x..) for 3.2 s", NULL unknown */
		struct frames stack;
		char **kernel_stack;
		size_t n_kernel;
	} other;
	struct stall_step *chain; /* [0] is the thread itself; of use with 2 or more */
	size_t n_chain;
	char *chain_end; /* why the chain goes no further, where that is not plain from its last step; NULL */
	char *request;	 /* evidence line about the request, NULL none */
	char *explanation;
	char *next;
};
void stall_deinit(struct stall *s);

/* Closing account of a session: what was covered and what was not. Every engine fills the same struct. */
#define SUMMARY_MAX_NOTES 96
struct summary {
	const char *command; /* "writes" */
	bool complete;
	double duration_s;
	unsigned probes_planned, probes_attached, probes_failed;
	uint64_t events_seen, events_lost;
	unsigned threads;
	uint64_t findings;
	double own_cpu_pct, bpf_cpu_pct; /* of one CPU; bpf negative: not known */
	uint64_t rss_kib;
	const char *ended; /* static: "time is up", "interrupted", "target exited" */
	/* engine's own counters, rendered in order: name -> value, and free text notes on what was not
	 * covered */
	struct {
		const char *name;
		uint64_t value;
	} counter[SUMMARY_MAX_NOTES];
	size_t n_counters;
	char *note[SUMMARY_MAX_NOTES];
	size_t n_notes;
	pid_t of_pid; /* of several processes the one that notes are about; 0: all */
};
/* name must be static; a name counted before is added to. */
void summary_count(struct summary *s, const char *name, uint64_t value);
/* Adds a note (printf); incomplete notes say what was lost, skipped, refused or not covered and clear
 * s->complete. The
 * same note twice stands there once. */
void summary_note(struct summary *s, bool incomplete, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void summary_deinit(struct summary *s);

/* Both clocks read at the same moment, so that monotonic event times can be printed as wall time. */
struct report_clock {
	uint64_t mono_ns, real_ns;
};

#endif
