// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/libbpf.h>
#include <stdio.h>

#include "trace/verbose.h"

static int __attribute__((format(printf, 2, 0)))
print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return level == LIBBPF_DEBUG ? 0 : vfprintf(stderr, fmt, ap);
}

void trace_verbose(bool verbose)
{
	libbpf_set_print(verbose ? print : NULL);
}
