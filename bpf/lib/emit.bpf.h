/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How a record leaves the kernel, and how what could not leave is counted. One `events` and one `lost` map
 * per object. Kernels without ring buffers (before 5.8) get perf buffers instead: user space makes `events`
 * one of them before it loads the object (user/trace/fit.h), by the same mark in the kernel's types.
 */
#ifndef CULPRIT_EMIT_BPF_H
#define CULPRIT_EMIT_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "compat.bpf.h"
#include "../abi/base.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 * 1024 * 1024);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ABI_LOST_MAX);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

static __always_inline void lost_add(__u32 what)
{
	__u64 *n = bpf_map_lookup_elem(&lost, &what);

	if (n)
		*n += 1;
}

static __always_inline void hdr_fill(struct abi_hdr *h, __u32 kind, __u32 size)
{
	__u64 id = bpf_get_current_pid_tgid();

	h->kind = kind;
	h->size = size;
	h->ts_ns = bpf_ktime_get_ns();
	h->tgid = id >> 32;
	h->tid = (__u32)id;
	h->cpu = bpf_get_smp_processor_id();
	h->pad = 0;
	bpf_get_current_comm(h->comm, sizeof(h->comm));
}

/* ctx: the program's own. rec must start with a filled struct abi_hdr; size is what is copied. */
static __always_inline long emit_uncounted(void *ctx, void *rec, __u64 size)
{
	if (HAS_HELPER(ringbuf_output))
		return bpf_ringbuf_output(&events, rec, size, 0);
	return bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, rec, size);
}

/* The same. Counts the loss if there is no room. */
static __always_inline long emit(void *ctx, void *rec, __u64 size)
{
	long err = emit_uncounted(ctx, rec, size);

	if (err)
		lost_add(ABI_LOST_RING);
	return err;
}

#endif
