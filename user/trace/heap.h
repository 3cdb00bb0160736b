/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Probes on the functions of every allocator in the target (bpf/heap.bpf.c), and what they have kept of a
 * block. Return probes are used for functions that cannot throw; on kernels from 6.13 on for the others too,
 * but only at calls for blocks of the sizes followed.
 */
#ifndef CULPRIT_TRACE_HEAP_H
#define CULPRIT_TRACE_HEAP_H

#include <sys/types.h>

#include "heap/history.h"
#include "plan/writes.h"
#include "report/finding.h"
#include "symbol/image.h"
#include "trace/session.h"

struct heap_trace;

struct heap_trace_cfg {
	pid_t pid;
	const struct writes_plan *plan; /* whose types' sizes are followed */
	struct image *image;		/* names stacks; kept */
	const char *btf, *debuginfo;
	bool multi; /* the kernel has multi-uprobe links */
};
/* Loads and attaches. -ENOENT: the target has no allocator that could be told; other -errno; with message. */
int heap_trace_open(struct heap_trace **ret, const struct heap_trace_cfg *cfg, struct err *err);
void heap_trace_close(struct heap_trace *h); /* NULL is fine */
void heap_trace_usage(const struct heap_trace *h, struct session_usage *u);

/* The programs do nothing after this time. */
void heap_trace_deadline(struct heap_trace *h, uint64_t deadline_ns);
/* CPU time taken so far by traps and programs, in ns. The arguments: what one trap costs here without its
 * program, by the kind of instruction; 0: not known. */
double heap_trace_cost_ns(const struct heap_trace *h, double emulated_ns, double stepped_ns);
/* Takes the probes out; what was kept stays. */
void heap_trace_stop(struct heap_trace *h);

/* Fills w's owner from what is known of the memory at its word when it was found. */
void heap_trace_tell(struct heap_trace *h, struct bad_write *w);
/* Counters and notes for the summary. */
void heap_trace_account(const struct heap_trace *h, struct summary *s);

#endif
