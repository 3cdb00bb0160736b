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

/* bytes: of the node at addr, with room for WR_NODE_BYTES; what is behind its end does not matter. */
static inline __attribute__((always_inline)) __u64 wr_digest(__u64 addr, __u32 type, const struct wr_type *t,
							     const __u8 *bytes)
{
	__u64 a = addr, b = type, c = 1, d = 2; /* lanes, for the processor's sake */
	const __u64 *v = (const __u64 *)bytes;
	__u32 words = (t->size + 7) / 8;

	for (__u32 w = 0; w < WR_NODE_WORDS; w += 4) {
		if (w >= words)
			break;
		a = wr_mix(a, v[w] & t->mask[w]);
		b = wr_mix(b, v[w + 1] & t->mask[w + 1]);
		c = wr_mix(c, v[w + 2] & t->mask[w + 2]);
		d = wr_mix(d, v[w + 3] & t->mask[w + 3]);
	}
	return wr_mix(wr_mix(a, b), wr_mix(c, d));
}

#endif
