/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Findings and summaries back from the JSON that json_*() made of them, so that they can be rendered again.
 * What is read may be anybody's: a missing or unknown value becomes what stands for "not known", one of the
 * wrong type or out of range is -EINVAL with its key.
 *
 * Members that are static strings in a finding of a session (a role, a syscall's name, a counter's) point
 * into the JSON here, which therefore has to live as long as what was read from it. All else is owned by the
 * result and freed by its _deinit(), after an error too.
 */
#ifndef CULPRIT_REPORT_READ_H
#define CULPRIT_REPORT_READ_H

#include "report/crash.h"
#include "report/stall.h"
#include "report/timeline.h"
#include "report/write.h"

/* Replaces control characters in all strings of v, keys excepted, by '?': they would reach a terminal. Before
 * anything is read. */
void report_clean(json_t *v);

/* The time at key of v, as json_time() wrote it, in the clock's monotonic ns; 0: none. -EINVAL. */
int report_time(const json_t *v, const char *key, const struct report_clock *c, uint64_t *ns,
		struct err *err);

int stall_from_json(const json_t *v, const struct report_clock *c, struct stall *ret, struct err *err);
int bad_write_from_json(const json_t *v, const struct report_clock *c, struct bad_write *ret,
			struct err *err);
/* damage: what is known of the write it died of; ret points to it if anything is. Both to be deinit'ed. */
int crash_from_json(const json_t *v, const struct report_clock *c, struct crash *ret,
		    struct bad_write *damage, struct err *err);
int summary_from_json(const json_t *v, struct summary *ret, struct err *err);

/*
 * How the n stalls of a session went on, by its summary; found_ns: when each was found. summary NULL or
 * without a line for one: the session was cut off before it could tell. ret has room for n.
 */
int stall_lives_from_json(const json_t *summary, const struct report_clock *c, const struct stall *stalls,
			  const uint64_t *found_ns, size_t n, struct stall_life *ret, struct err *err);
/* The summary's "rpcs"; none: an empty ledger. */
int rpc_ledger_from_json(const json_t *summary, struct rpc_ledger *ret, struct err *err);
/* The summary's "functions"; *ret for free(). */
int write_costs_from_json(const json_t *summary, struct write_cost **ret, size_t *n, struct err *err);
/* Frames at key of v, and whether they go on. */
int frames_from_json(const json_t *v, const char *key, struct frames *ret, struct err *err);
/* A line of kind "log" as a row (its log is *rec, which the caller keeps). n: how many stalls there are. */
int log_from_json(const json_t *v, size_t n, struct log_rec *rec, struct timeline_row *ret, struct err *err);

#endif
