/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* RPCs by name: which functions are a client's channel or a server's handler, what a stack says of them, and
 * the ledger of calls. */
#ifndef CULPRIT_STALLS_RPC_H
#define CULPRIT_STALLS_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "report/finding.h"
#include "stalls/tables.h"

#define RPC_METHOD_LEN 128

struct rpc_func {
	char *name; /* qualified, without parameters, as of the target's debuginfo; or a glob pattern with '*'
		     */
	char *method; /* the one RPC method that it handles: "zbs.meta.MetaService.ListDb"; NULL = any */
	char *module; /* where its code is known without symbols: path as the process has it mapped; NULL: by
			 name */
	uint64_t begin, end; /* then this, addresses in the file */
};

struct rpc_names {
	struct rpc_func *channel; /* client: overrides of RpcChannel::CallMethod */
	size_t n_channel;
	struct rpc_func *handler; /* server: dispatch and method implementations, and what the spec adds */
	size_t n_handler;
};
/* Copies name and method. -ENOMEM. */
int rpc_names_add(struct rpc_names *n, bool handler, const char *name, const char *method);
/* A function known by its place; name is to show. -ENOMEM. */
int rpc_names_add_code(struct rpc_names *n, bool handler, const char *name, const char *module,
		       uint64_t begin, uint64_t end);
void rpc_names_deinit(struct rpc_names *n);

enum rpc_side { RPC_SIDE_NONE, RPC_SIDE_CLIENT, RPC_SIDE_SERVER };

/* What pthread lock the functions on the stack wait for. */
enum rpc_lock { RPC_LOCK_NONE, RPC_LOCK_MUTEX, RPC_LOCK_RW, RPC_LOCK_COND };

/* What a thread's user stack says. */
struct rpc_stack {
	enum rpc_side side;	     /* of the innermost RPC frame */
	size_t frame;		     /* index of that frame: the channel's, the stub's or the handler's */
	bool call_method;	     /* it is a CallMethod, whose parameter `method` says which */
	char method[RPC_METHOD_LEN]; /* by the name of a stub or handler; empty: not said */
	enum rpc_lock lock;	     /* as glibc's own functions say */
};
void rpc_read_stack(const struct rpc_names *names, const struct frames *st, struct rpc_stack *out);

/*
 * "zbs::meta::MetaService_Stub::ListDb(...)" -> "zbs.meta.MetaService.ListDb": protoc names the client class
 * SERVICE_Stub, in the namespace that is the package. false: not such a name.
 */
bool rpc_stub_method(const char *symbol, char *buf, size_t len);

/* Where a line of the ledger comes from: calls of CallMethod, or frames on the wire. */
enum rpc_by { RPC_BY_CALL, RPC_BY_WIRE_CLIENT, RPC_BY_WIRE_SERVER };
const char *rpc_by_name(enum rpc_by b); /* "call", "wire client", "wire server" */

/* One line of the ledger. Times in ns, 0 unknown. */
struct rpc_line {
	enum rpc_by by;
	char peer[64];		     /* "10.0.0.1:10100"; "-" if the calling threads do not send themselves */
	char method[RPC_METHOD_LEN]; /* "?" if the name could not be read */
	uint64_t calls, in_flight, unanswered;
	uint64_t errors;    /* answers that are errors; on the wire only */
	uint64_t unclear;   /* answers of which it cannot be told whether they are errors */
	uint64_t timed_out; /* by their own time or the answer's word; on the wire, and by the daemon's log */
	uint64_t oldest_ns; /* of those in flight */
	uint64_t p50_ns, p99_ns, max_ns; /* of answered calls: entry to the last byte received */
};

struct rpc_ledger {
	struct rpc_line *v; /* most unanswered first, then most calls */
	size_t n;
};

/*
 * Sums up finished and running calls by method and peer. A record counts as in flight when it has no answer
 * yet and `running(ctx, tid)` says that the call is still on its stack. name() as in engine_ops.
 */
int rpc_ledger_build(struct rpc_ledger *ret, const struct stalls_tables *t, uint64_t now_ns,
		     int (*name)(void *ctx, uint64_t method, char *buf, size_t len),
		     bool (*running)(void *ctx, pid_t tid, const struct stalls_rpc *r), void *ctx);
void rpc_ledger_deinit(struct rpc_ledger *l);
/* After lines were added: sorts, and leaves of two lines about the same client's calls the wire's, which is
 * exact. */
void rpc_ledger_merge(struct rpc_ledger *l);
/* Bucket of struct stalls_method, and of every other histogram that rpc_quantile() reads. */
unsigned rpc_bucket(uint64_t ns);

/* The upper edge, in ns, of the bucket in which the given share (0..1) of all counts is reached; 0 if there
 * are none. */
uint64_t rpc_quantile(const uint32_t bucket[STALLS_BUCKETS], double share);

#endif
