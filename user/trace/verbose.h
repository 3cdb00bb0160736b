/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef CULPRIT_TRACE_VERBOSE_H
#define CULPRIT_TRACE_VERBOSE_H

#include <stdbool.h>

/* What libbpf says when the kernel refuses something: to stderr, or nowhere. */
void trace_verbose(bool verbose);

#endif
