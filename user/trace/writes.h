/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Loads bpf/writes.bpf.c with the tables of a plan, attaches its probes, and reads what the kernel keeps. */
#ifndef CULPRIT_TRACE_WRITES_H
#define CULPRIT_TRACE_WRITES_H

#include <stdbool.h>
#include <sys/types.h>

#include "plan/writes.h"
#include "trace/session.h"
#include "writes/capacity.h"
#include "util/err.h"

struct writes_trace;

/* plan is kept and must outlive the trace. bias: load bias of the plan's binary in pid. btf: NULL = the
 * kernel's own. -errno and err. */
int writes_trace_open(struct writes_trace **ret, const struct writes_plan *plan,
		      const struct capacity *capacity, pid_t pid, uint64_t bias, const char *btf,
		      struct err *err);
/*
 * Attaches all rows of the plan: licences and destructors first, so that no object is followed whose writers
 * are not. A site that fails is counted; an error only if no checking probe could be attached. A store site
 * that fails takes its field out of judgement.
 */
int writes_trace_attach(struct writes_trace *t, struct err *err);
/*
 * A library has come that may change and end objects unseen: all are forgotten, and no change is judged until
 * writes_trace_extend().
 */
void writes_trace_hold(struct writes_trace *t);
/* Goes on after that; ends: objects may have ended unseen meanwhile. */
int writes_trace_resume(struct writes_trace *t, bool ends);
/* The plan has grown: what it says of types and fields, and its probes from `first` on, which are all in one
 * module. A site that fails is counted. Then goes on. */
int writes_trace_extend(struct writes_trace *t, size_t first, bool ends, struct err *err);
/* Objects forgotten by these, which writes_trace_counters() counts as WR_C_PURGED. */
uint64_t writes_trace_forgotten(const struct writes_trace *t);
/* Detaches the probes on inlined setters; their fields are no longer judged. Returns how many. */
unsigned writes_trace_drop_stores(struct writes_trace *t);
void writes_trace_close(struct writes_trace *t); /* NULL is fine */

unsigned writes_trace_attached(const struct writes_trace *t);
unsigned writes_trace_failed(const struct writes_trace *t);
/* First reason a site failed for; "" if none did. */
const char *writes_trace_failure(const struct writes_trace *t);
bool writes_trace_multi(const struct writes_trace *t); /* by multi-uprobe links */

int writes_trace_events_fd(const struct writes_trace *t);
int writes_trace_lost_fd(const struct writes_trace *t);
/* By name in bpf/lib: "objects", "nodes", "watch_slots"...; -ENOENT. Owned by t. */
int writes_trace_map_fd(const struct writes_trace *t, const char *name);

/*
 * The kernel's probes do nothing after this time; to be moved on at least every second. If it had passed, all
 * objects are forgotten: some may have ended unseen.
 */
int writes_trace_deadline(struct writes_trace *t, uint64_t deadline_ns);
/* Has it not passed? Then no object that was in the tables a moment ago has ended unseen. */
bool writes_trace_covered(const struct writes_trace *t);
int writes_trace_counters(const struct writes_trace *t, uint64_t v[WR_C_MAX]);
/* Hits of each probe of the plan, plan->n_probes values. */
int writes_trace_hits(const struct writes_trace *t, uint64_t *v);
bool writes_trace_object(const struct writes_trace *t, uint64_t addr, struct wr_object *o);
bool writes_trace_node(const struct writes_trace *t, uint64_t addr, struct wr_node *n);
/* Shadow of a node of size bytes, at most WR_NODE_BYTES; n as just looked up. False: it is gone. */
bool writes_trace_shadow(const struct writes_trace *t, uint64_t addr, const struct wr_node *n, uint32_t size,
			 uint8_t shadow[WR_NODE_BYTES]);
/* Puts a node into the table, in place of one of another object. False: no room, or it is there already. */
bool writes_trace_insert(const struct writes_trace *t, uint64_t addr, const struct wr_node *n,
			 const uint8_t shadow[WR_NODE_BYTES]);
/* Takes it out, if it is still that object's. */
void writes_trace_drop(const struct writes_trace *t, uint64_t addr, uint64_t object_id);
/* Last calls of touch functions: at most max, *n of them. */
int writes_trace_calls(const struct writes_trace *t, struct wr_touch *v, size_t max, size_t *n);
/* Is a change of this field since a shadow of that time judged: all its writers have their probes, and had
 * them all the time? */
bool writes_trace_judged(const struct writes_trace *t, unsigned type, unsigned field, uint64_t shadow_ns);
/* Objects followed now, by the counters. */
uint64_t writes_trace_objects(const uint64_t counters[WR_C_MAX]);
/* Puts the programs into the account of run time. */
void writes_trace_usage(const struct writes_trace *t, struct session_usage *u);

/* What a probe hit costs on this machine, without the program: measured on own code when the trace was
 * attached. 0: not known. */
struct writes_cost {
	double emulated_ns, stepped_ns;
};
struct writes_cost writes_trace_cost(const struct writes_trace *t);
/* Mean run time of the program that serves a role (enum wr_role); 0: not known, the kernel does not count or
 * it never ran. */
double writes_trace_run_ns(const struct writes_trace *t, unsigned role);

#endif
