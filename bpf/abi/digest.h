/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The digest of a node's guarded bytes, the same in the kernel (bpf/lib/digest.bpf.h) and in the sweep
 * (user/writes/sweep.c). A change of one word always changes it; of several, but once in 2^64.
 */
#ifndef CULPRIT_ABI_DIGEST_H
#define CULPRIT_ABI_DIGEST_H

#include "writes.h"

/* One to one in h for a given w, and in w for a given h. */
static inline __attribute__((always_inline)) __u64 wr_mix(__u64 h, __u64 w)
{
	h = (h ^ w) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 32;
}

/* bytes: of the node at addr, with room for WR_NODE_BYTES and zero from its end up to a whole pair of words.
 */
static inline __attribute__((always_inline)) __u64 wr_digest(__u64 addr, __u32 type, const struct wr_type *t,
							     const __u8 *bytes)
{
	__u64 a = addr, b = type; /* two lanes, for the processor's sake */
	__u32 words = (t->size + 7) / 8;

	for (__u32 w = 0; w < WR_NODE_WORDS; w += 2) {
		if (w >= words)
			break;
		a = wr_mix(a, *(const __u64 *)(bytes + w * 8) & t->mask[w]);
		b = wr_mix(b, *(const __u64 *)(bytes + w * 8 + 8) & t->mask[w + 1]);
	}
	return wr_mix(a, b);
}

#endif
