/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Wire basics shared by BPF and user space: every record that leaves the kernel starts with struct abi_hdr.
 * Fixed width fields only; every struct states its size to both compilers.
 */
#ifndef CULPRIT_ABI_BASE_H
#define CULPRIT_ABI_BASE_H

#ifdef __bpf__
#include "vmlinux.h"
#else
#include <linux/types.h>
#endif

#define ABI_COMM_LEN 16

/* One numbering for all engines, so that a record is never taken for another engine's. */
enum abi_kind {
	ABI_KIND_NONE = 0,
	ABI_KIND_WRITES = 0x100,  /* bpf/abi/writes.h counts up from here */
	ABI_KIND_WATCH = 0x200,	  /* bpf/abi/watch.h */
	ABI_KIND_STALLS = 0x300,  /* bpf/abi/stalls.h */
	ABI_KIND_THREADS = 0x400, /* bpf/abi/threads.h */
	ABI_KIND_PAYLOAD = 0x500, /* bpf/abi/payload.h */
	ABI_KIND_CRASH = 0x600,	  /* bpf/abi/crash.h */
};

/* Head of every record. size counts the whole record, head included. */
struct abi_hdr {
	__u32 kind;  /* enum abi_kind + engine's own number */
	__u32 size;  /* bytes, this head included */
	__u64 ts_ns; /* CLOCK_MONOTONIC */
	__u32 tgid;  /* as the host (init pid namespace) counts */
	__u32 tid;   /* as the host counts */
	__u32 cpu;
	__u32 pad;
	char comm[ABI_COMM_LEN];
};
_Static_assert(sizeof(struct abi_hdr) == 48, "abi_hdr");

/* Per-CPU counters, index into the `lost` map each object owns (see bpf/lib/emit.bpf.h). */
enum abi_lost {
	ABI_LOST_RING = 0,  /* no room in the ring buffer */
	ABI_LOST_STACK = 1, /* the user stack could not be read at all */
	ABI_LOST_MAP = 2,   /* a table was full */
	ABI_LOST_READ = 3,  /* target memory was not resident or not mapped */
	ABI_LOST_MAX = 8,
};

#endif
