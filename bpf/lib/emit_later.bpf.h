/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Records of functions that have no context to hand to a perf buffer. They go to the ring buffer at once if
 * there is one; else they wait, and the program sends them before it ends. To be included with
 * EMIT_LATER_BYTES (largest record), EMIT_LATER_MAX (records of one run of the program, a power of 2) and
 * EMIT_LATER_LEVELS (runs that may be at work on one CPU) defined.
 */
#ifndef CULPRIT_EMIT_LATER_BPF_H
#define CULPRIT_EMIT_LATER_BPF_H

#include "emit.bpf.h"

struct emit_waiting {
	__u64 n;
	__u8 rec[EMIT_LATER_MAX][EMIT_LATER_BYTES];
};

/* user space makes it small where it is not used */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EMIT_LATER_LEVELS);
	__type(key, __u32);
	__type(value, struct emit_waiting);
} emit_waiting SEC(".maps");

static __always_inline void emit_later(__u32 level, void *rec, __u64 size)
{
	struct emit_waiting *w;
	__u64 i;

	if (HAS_HELPER(ringbuf_output)) {
		if (bpf_ringbuf_output(&events, rec, size, 0))
			lost_add(ABI_LOST_RING);
		return;
	}
	w = bpf_map_lookup_elem(&emit_waiting, &level);
	if (!w)
		return;
	i = w->n;
	if (i >= EMIT_LATER_MAX || size > EMIT_LATER_BYTES ||
	    bpf_probe_read_kernel(w->rec[i & (EMIT_LATER_MAX - 1)], size, rec)) {
		lost_add(ABI_LOST_RING);
		return;
	}
	w->n = i + 1;
}

/* At the end of every program that may have called emit_later. */
static __always_inline void emit_flush(void *ctx, __u32 level)
{
	struct emit_waiting *w;

	if (HAS_HELPER(ringbuf_output))
		return;
	w = bpf_map_lookup_elem(&emit_waiting, &level);
	if (!w)
		return;
	for (__u64 i = 0; i < EMIT_LATER_MAX; i++) {
		if (i >= w->n)
			break;
		emit(ctx, w->rec[i], EMIT_LATER_BYTES);
	}
	w->n = 0;
}

#endif
