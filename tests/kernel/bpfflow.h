/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a program uses on the kernel whose types it was relocated against: helpers that it can reach, and
 * instructions that need a newer kernel. Branches on constants are decided as every verifier since 4.18
 * decides them; nothing else is assumed of the verifier.
 */
#ifndef CULPRIT_TESTS_BPFFLOW_H
#define CULPRIT_TESTS_BPFFLOW_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>

#define BPFFLOW_HELPERS 512

struct bpfflow {
	bool helper[BPFFLOW_HELPERS]; /* reached, by number */
	size_t reached;		      /* instructions */
	bool calls;		      /* there is a function of its own, reached or not */
	bool atomics;		      /* that return something, or are no addition (5.12) */
	bool kfuncs;	 /* functions of the kernel (5.13), typed variables (5.10), callbacks (5.13) */
	bool wide_jumps; /* 32-bit compares and later ones: not in -mcpu=v2 */
};

/* -errno; -EINVAL if a jump leads out of the program. */
int bpfflow(struct bpfflow *ret, const struct bpf_insn *insn, size_t n);

#endif
