// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Programs that do nothing: what is left of a probe's cost is the trap. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("uprobe.multi")
int bench_empty(void *ctx)
{
	return 0;
}

SEC("perf_event")
int bench_hit(void *ctx)
{
	return 0;
}
