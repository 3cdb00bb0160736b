/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TEST_STACKCOPY_H
#define TEST_STACKCOPY_H

#include "../../bpf/abi/stack.h"

enum { COPY_UPROBE, COPY_TRACEPOINT, COPY_PERF, COPY_ITER, COPY_MAX };

struct copy {
	__u64 taken;
	struct abi_stack stack;
};

#endif
