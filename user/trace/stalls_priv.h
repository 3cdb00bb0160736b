/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by stalls.c (loading, attaching), stalls_calls.c (which hooks tell of which calls) and
 * stalls_tables.c (reading). */
#ifndef CULPRIT_TRACE_STALLS_PRIV_H
#define CULPRIT_TRACE_STALLS_PRIV_H

#include "symbol/copies.h"
#include "trace/stalls.h"

#include "stalls.skel.h"

#define STALLS_FUNCTIONS 32 /* functions of the kernel that may be hooked, at most */

/* What is hooked together or not at all; those before GROUP_MAX are calls. */
enum call_group {
	GROUP_POLL,
	GROUP_SELECT,
	GROUP_EPOLL,
	GROUP_RECV,
	GROUP_SEND,
	GROUP_CONNECT,
	GROUP_ACCEPT,
	GROUP_CLOSE,
	GROUP_MAX,
	GROUP_BYTES,
	GROUP_POLL_END,
	GROUP_RESENT
};

struct trace_link {
	struct bpf_link *link; /* NULL: dropped */
	size_t hook;	       /* index of its row */
	bool tracepoint;       /* of all system calls: it serves several rows */
};

struct stalls_trace {
	struct stalls_bpf *skel;
	struct stalls_trace_opts opts;
	bool multi; /* RPC calls are told of by multi-uprobes, for which their program is loaded */
	struct trace_link *link;
	size_t n_links;
	struct hook *hook;
	size_t n_hooks;
	unsigned n_calls; /* groups of calls that are followed */
	enum stalls_bytes bytes;
	bool follows_bytes;
	bool thinned;
	/* of stalls_calls.c */
	const char *
		fentry_name[STALLS_FUNCTIONS]; /* by place in its table; NULL: not among the kernel's types */
	struct bpf_program *fexit[STALLS_FUNCTIONS];
	char fentry_why[96], kprobe_why[96]; /* why not at all */
	struct kernel_copies copies;
	enum call_source group_source[GROUP_MAX];
	bool group_ends[GROUP_MAX];
	bool tracepoints_tried;
	int tracepoint_rc; /* of sys_enter and sys_exit, when tried */
	uint32_t how[STALLS_NR_MAX];
};

/* Before loading: which programs; fentry = false leaves those out. */
void stalls_calls_choose(struct stalls_trace *t, bool fentry);
int stalls_calls_attach(struct stalls_trace *t);
/* The hooks that count bytes where neither the sock tracepoints nor ends of calls do. -ENOENT: some are
 * missing. */
int stalls_calls_attach_bytes(struct stalls_trace *t);
/* Detaches the hooks of receiving and sending calls; returns how many rows that were. */
unsigned stalls_calls_drop_busy(struct stalls_trace *t);
/* Detaches sys_enter and sys_exit; the same. */
unsigned stalls_calls_drop_tracepoints(struct stalls_trace *t);
/* Writes who tells of which call into the programs' table. */
int stalls_calls_configure(struct stalls_trace *t);

/* Adds a row, attached; NULL: out of memory. */
struct hook *stalls_hook_add(struct stalls_trace *t, const char *what, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Takes over link, of the row added last. */
int stalls_link_add(struct stalls_trace *t, struct bpf_link *link);
void stalls_hook_result(struct hook *h, int rc);

/* Drops calls from the table whose end will not be seen: of reads and writes only, or all. */
void stalls_trace_forget_calls(struct stalls_trace *t, bool all);

#endif
