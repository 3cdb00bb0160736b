/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The look at all threads by /proc alone, for kernels without task iterators. */
#ifndef CULPRIT_TRACE_THREADS_PROC_H
#define CULPRIT_TRACE_THREADS_PROC_H

#include <stdbool.h>
#include <sys/types.h>

#include "stalls/autopsy.h"
#include "util/err.h"

/* As threads_look. Only sp, ip and the system call's arguments of the registers are known. */
int threads_proc_look(pid_t pid, bool brief, struct thread_raw **out, size_t *n, struct err *err);

#endif
