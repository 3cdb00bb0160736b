/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The watch slot table. Two objects have it: bpf/writes.bpf.c, whose destroy hook releases slots, and
 * bpf/watch.bpf.c; user space makes both use one map (bpf_map__reuse_fd) before it loads the second.
 */
#ifndef CULPRIT_SLOTS_BPF_H
#define CULPRIT_SLOTS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "../abi/watch.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WATCH_SLOTS);
	__type(key, __u32);
	__type(value, struct watch_slot);
} watch_slots SEC(".maps");

/*
 * The object or node that starts at addr dies. To be called after it was deleted from the nodes table: user
 * space arms first and looks the node up afterwards, so one of the two always notices. Returns the number of
 * slots released.
 */
static __always_inline __u32 slots_release(__u64 addr)
{
	__u32 n = 0;

	for (__u32 i = 0; i < WATCH_SLOTS; i++) {
		__u32 key = i;
		struct watch_slot *s = bpf_map_lookup_elem(&watch_slots, &key);

		if (!s)
			break;
		if (s->state == WATCH_ARMED && (s->node == addr || s->object == addr)) {
			s->ended_ns = bpf_ktime_get_ns();
			s->state = WATCH_RELEASED;
			n++;
		}
	}
	return n;
}

#endif
