/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Loads and attaches bpf/stalls.bpf.c, choosing each hook's source by trying, and reads its tables. */
#ifndef CULPRIT_TRACE_STALLS_H
#define CULPRIT_TRACE_STALLS_H

#include <stdbool.h>
#include <sys/types.h>

#include "plan/rpc.h"
#include "stalls/autopsy.h"
#include "stalls/tables.h"
#include "trace/threads.h"
#include "trace/transport.h"
#include "util/err.h"

struct stalls_trace;

/* What tells of calls. SOURCE_AUTO: for each group of calls the first that works, in this order. */
enum call_source { SOURCE_AUTO, SOURCE_FENTRY, SOURCE_KPROBE, SOURCE_TRACEPOINT };
const char *call_source_name(enum call_source s); /* "auto", "fentry", "kprobe", "tracepoint" */

struct stalls_trace_opts {
	pid_t pid;
	uint64_t threshold_ns;
	const char *btf;	    /* NULL = the kernel's own */
	const struct rpc_plan *rpc; /* borrowed; NULL: no probes on RPC calls */
	enum call_source source;
	bool no_sock_tp; /* do not use the sock tracepoints */
	bool no_calls;	 /* do not follow calls at all */
};

enum hook_state { HOOK_ATTACHED, HOOK_FAILED, HOOK_ABSENT, HOOK_NOT_USED, HOOK_DROPPED };
const char *hook_state_name(enum hook_state s);

/* One row of the plan. */
struct hook {
	const char *what; /* "poll", "bytes sent", "RPC calls"; static */
	char source[128]; /* "fentry do_sys_poll, with its end", "uprobe zbs::rpc::Channel::CallMethod" */
	enum hook_state state;
	bool busy;    /* of read, write and their like: goes first when the budget is exceeded */
	char why[96]; /* why this source, or why not; may be empty */
};

/* Loads the programs; nothing is attached yet. */
int stalls_trace_open(struct stalls_trace **ret, const struct stalls_trace_opts *opts, struct err *err);
/*
 * Attaches what can be attached; no hook is indispensable, each failure is a row of the plan. try_only:
 * attaches and detaches at once, for the plan alone.
 */
int stalls_trace_attach(struct stalls_trace *t, bool try_only, struct err *err);
void stalls_trace_close(struct stalls_trace *t); /* NULL is fine */
/*
 * Detaches the hooks of read, write and their like, the most frequent ones: from now on such a call is seen
 * by the looks only. The second time, or where bytes are counted by these very hooks, the tracepoints of
 * system calls, which every process pays for. Returns how many rows were dropped; 0: there is no more.
 */
unsigned stalls_trace_thin(struct stalls_trace *t);
const struct hook *stalls_trace_hooks(const struct stalls_trace *t, size_t *n);
/* Whether calls in flight are followed, and bytes by socket: without, findings rest on the looks alone. */
bool stalls_trace_follows_calls(const struct stalls_trace *t);
bool stalls_trace_follows_bytes(const struct stalls_trace *t);
/* Whether tracepoints of all system calls are on, which every process of the machine pays for. */
bool stalls_trace_machine_pays(const struct stalls_trace *t);

const struct bpf_object *stalls_trace_object(const struct stalls_trace *t);
int stalls_trace_add_to(const struct stalls_trace *t, struct transport *to, struct err *err);

/* Puts calls that began before the session into the table, so that their end and a close of their descriptors
 * is seen. */
int stalls_trace_seed(struct stalls_trace *t, const struct autopsy *a, const struct autopsy_ops *ops);
/* Calls in flight only: cheap, for every tick. */
int stalls_trace_calls(struct stalls_trace *t, struct stalls_tables *ret, struct err *err);
/* All tables, and the sockets that the process has open, as threads has them (NULL: without). */
int stalls_trace_tables(struct stalls_trace *t, struct threads *threads, struct stalls_tables *ret,
			struct err *err);
/* Drops sockets from the table that the process does not have open any more. */
void stalls_trace_forget(struct stalls_trace *t, const struct stalls_tables *now, uint64_t now_ns);

#endif
