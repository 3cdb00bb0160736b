/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Multi-uprobe links: many probes by one link, and without the CAP_SYS_ADMIN that perf's uprobes ask for. */
#ifndef CULPRIT_TRACE_MULTI_H
#define CULPRIT_TRACE_MULTI_H

#include <stdbool.h>

/* Does the kernel have them (6.6), and does their pid mean a process? The first ones compared threads. */
bool multi_works(void);

#endif
