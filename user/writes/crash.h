/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From the records of bpf/crash.bpf.c to why the target died: which signal ended it, and which damaged field
 * of which object that was. Pure.
 */
#ifndef CULPRIT_WRITES_CRASH_H
#define CULPRIT_WRITES_CRASH_H

#include "../../bpf/abi/crash.h"
#include "report/crash.h"
#include "writes/engine.h"
#include "writes/sweep.h"

#define CRASH_KEPT 4 /* signals that handlers took */

struct crash_watch;
int crash_watch_create(struct crash_watch **ret, pid_t pid, struct err *err);
void crash_watch_destroy(struct crash_watch *c); /* NULL is fine */

/* Records of other kinds are left alone. */
void crash_record(struct crash_watch *c, const struct abi_hdr *rec);
/* A signal has come that the process cannot survive. */
bool crash_is_fatal(const struct crash_watch *c);
/* How the main thread ended, as wait(2) gives it; -1: it has not, or nobody saw it. */
int crash_exit_code(const struct crash_watch *c);

/*
 * Has the messages that were seen at the fatal signal judged: what a check found shortly before and what they
 * hold now become findings of e. Once; s may be NULL.
 */
void crash_settle(struct crash_watch *c, struct engine *e, struct sweep *s);

typedef int (*crash_unwind_fn)(void *ctx, const struct abi_stack *st, bool pc_is_return, struct frames *out);
/*
 * The story, for crash_deinit(). False: there was no fatal signal. After crash_settle(); the damage it names
 * belongs to e.
 */
bool crash_tell(const struct crash_watch *c, const struct engine *e, crash_unwind_fn unwind, void *ctx,
		uint64_t now_ns, struct crash *out);

#endif
