/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rendering of stalls: each as it is found, the table of all of them and the RPC ledger at the end. */
#ifndef CULPRIT_REPORT_STALL_H
#define CULPRIT_REPORT_STALL_H

#include "report/report.h"
#include "stalls/engine.h"
#include "stalls/rpc.h"

/* The finding with its evidence, as reference output has it: verdict first, then the facts, then what to do.
 */
void text_stall(FILE *f, const struct stall *s, const struct report_clock *c);
/* One line per finding with its final duration; nothing if there are none. */
void text_stall_table(FILE *f, const struct stall_life *v, size_t n);
/* RPCs by peer and method; nothing if none was seen. latency: whether ends of calls could be observed. */
void text_rpc_ledger(FILE *f, const struct rpc_ledger *l);

json_t *json_stall(const struct stall *s, const struct report_clock *c);
/* For the summary: [{"verdict","tid","blocked_ms","over","end","began","ended"}] and [{"peer","method",..}].
 */
json_t *json_stall_lives(const struct stall_life *v, size_t n, const struct report_clock *c);
json_t *json_rpc_ledger(const struct rpc_ledger *l);

#endif
