/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Loads bpf/crash.bpf.c: the signal that kills the target, and its end, come as records. */
#ifndef CULPRIT_TRACE_CRASH_H
#define CULPRIT_TRACE_CRASH_H

#include <sys/types.h>

#include "trace/session.h"
#include "trace/transport.h"
#include "util/err.h"

struct crash_trace;
/* nodes_fd: `nodes` of the loaded bpf/writes.bpf.o. Adds the records to t. -errno and err: this kernel
 * cannot. */
int crash_trace_open(struct crash_trace **ret, pid_t pid, int nodes_fd, const char *btf, struct transport *t,
		     struct err *err);
void crash_trace_close(struct crash_trace *c); /* NULL is fine */
void crash_trace_usage(const struct crash_trace *c, struct session_usage *u);

#endif
