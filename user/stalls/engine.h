/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From facts to findings: goes over the threads of each look, judges the calls that have lasted longer than
 * the threshold, and keeps what it found until the call ends. Does no I/O and reads no clock; what it needs
 * to know about the target it asks for through struct stall_engine_ops.
 */
#ifndef CULPRIT_STALLS_ENGINE_H
#define CULPRIT_STALLS_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../bpf/abi/stalls.h"
#include "report/finding.h"
#include "stalls/autopsy.h"
#include "stalls/chain.h"
#include "stalls/rpc.h"
#include "stalls/tables.h"
#include "stalls/wire.h"
#include "util/err.h"

struct stall_engine;

struct stall_engine_cfg {
	pid_t pid;
	uint64_t threshold_ns;
	uint64_t start_ns;	       /* calls that began earlier were blocked before the session */
	const struct rpc_names *names; /* borrowed */
};

struct stall_engine_ops {
	void *ctx;
	const struct autopsy_ops *target; /* readers of the target */
	/* value of a parameter of frame `index` of the last unwind(); as image_frame_param. NULL: not
	 * available */
	int (*frame_param)(void *ctx, size_t index, const char *name, uint64_t *value);
	/* full name of the MethodDescriptor at this address of the target; negative if it cannot be read for
	 * certain */
	int (*method_name)(void *ctx, uint64_t method, char *buf, size_t len);
	/* unwinds a stack that an event brought */
	int (*unwind_copy)(void *ctx, const struct abi_stack *st, struct frames *out);
	/* whether the target's parent or a child of it has this socket, too; true where that cannot be read.
	 * NULL: true */
	bool (*shared)(void *ctx, uint64_t inode);
	/* the request that has waited longest on a socket, ours or a client's, by its frames; NULL: not
	 * available
	 */
	bool (*wire)(void *ctx, uint64_t inode, bool ours, struct wire_pending *out);
	/* the same of all sockets, at most max of them; returns how many. NULL: not available */
	size_t (*wire_all)(void *ctx, struct wire_pending *v, size_t max);
	/* whether a request that began in that time, after_ns excluded, still waits on the wire. NULL: not
	 * available */
	bool (*wire_began)(void *ctx, uint64_t after_ns, uint64_t until_ns);
	/* the other end of a connection that process `of` has; NULL: not available. false: nothing is known
	 */
	bool (*peer)(void *ctx, pid_t of, const struct sock_facts *s, struct chain_peer *out);
	/* another process of this machine; false: it cannot be looked at. Used with peer */
	bool (*place)(void *ctx, pid_t pid, struct chain_place *out);
	/* delivers the events that have come meanwhile, by stall_engine_event: a close that a look has
	 * noticed may have been told after the look began. NULL: not available */
	void (*events)(void *ctx);
	/* a new finding; valid until stall_engine_destroy, blocked_ns of that moment */
	void (*found)(void *ctx, const struct stall *s);
};

/* One look at the target. */
struct look {
	uint64_t now_ns;
	struct autopsy *autopsy; /* stacks are taken where needed */
	const struct stalls_tables *tables;
};

int stall_engine_create(struct stall_engine **ret, const struct stall_engine_cfg *cfg,
			const struct stall_engine_ops *ops, struct err *err);
void stall_engine_destroy(struct stall_engine *e); /* NULL is fine */
/* STALLS_ENDED and STALLS_CLOSED records; others are ignored. */
void stall_engine_event(struct stall_engine *e, const struct abi_hdr *rec);
/* Judges; calls found() for each new stall. -ENOMEM. */
int stall_engine_look(struct stall_engine *e, const struct look *l, struct err *err);
/*
 * Whether a call in flight, a request on the wire, or one that was owed an answer at the last look has just
 * passed the threshold and was not judged yet, so that a look is due. Counts only what the last look could
 * not know.
 */
bool stall_engine_wants_look(const struct stall_engine *e, const struct stalls_tables *t, uint64_t now_ns);

/* How a finding went on. */
struct stall_life {
	const struct stall *stall;
	uint64_t start_ns, end_ns; /* at the latest; of one that is not over, end_ns is the time asked for */
	uint64_t lasted_ns;	   /* until its end, or until the last look */
	bool over;
	const char *end; /* static: "still blocked", "timed out", "answered late", "failed", "closed by the
			    peer", "thread exited", "ended" */
};
size_t stall_engine_count(const struct stall_engine *e);
/* i-th finding, in the order found. now_ns: for those that last. */
struct stall_life stall_engine_life(const struct stall_engine *e, size_t i, uint64_t now_ns);
/* Whether the RPC of this record still runs: proved at the last look, or without an answer and younger than
 * the threshold. */
bool stall_engine_rpc_runs(const struct stall_engine *e, pid_t tid, const struct stalls_rpc *r);
/* At the last look: waits over the threshold judged healthy, and waits not judged because the thread moved or
 * is stopped. */
void stall_engine_counts(const struct stall_engine *e, uint64_t *healthy, uint64_t *unclear);

#endif
