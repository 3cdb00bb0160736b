// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What must be noticed when programs are held against the oldest kernel: tests/kernel/test_old.py. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "lib/compat.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* known to the verifier since 5.5 only */
const volatile bool newer = false;

SEC("kprobe")
int guarded(void *ctx)
{
	if (HAS_HELPER(get_current_task_btf))
		return bpf_get_current_task_btf() != NULL;
	return bpf_get_current_task() != 0;
}

SEC("kprobe")
int unguarded(void *ctx)
{
	return bpf_get_current_task_btf() != NULL;
}

SEC("kprobe")
int guarded_by_rodata(void *ctx)
{
	if (newer)
		return bpf_ktime_get_boot_ns() != 0;
	return 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

SEC("kprobe")
int with_a_ring(void *ctx)
{
	__u64 v = 0;

	return HAS_HELPER(ringbuf_output) ? bpf_ringbuf_output(&ring, &v, sizeof(v), 0) : 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} others SEC(".maps");

static __noinline int function(__u64 v)
{
	return bpf_ktime_get_ns() > v;
}

SEC("kprobe")
int tail_call_beside_call(void *ctx)
{
	if (function(bpf_get_current_pid_tgid()))
		bpf_tail_call(ctx, &others, 0);
	return 0;
}
