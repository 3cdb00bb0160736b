/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Capabilities instead of root: which this process lacks for what it is to do, and giving up the rest. */
#ifndef CULPRIT_CAPS_H
#define CULPRIT_CAPS_H

#include <stdbool.h>

#include "util/err.h"

enum caps_use {
	CAPS_READ,  /* another process's memory and /proc entries */
	CAPS_TRACE, /* BPF programs and probes as well */
};

/* -EPERM: the message names those that are missing, the hint what each of them is for and how to give them.
 */
int caps_check(enum caps_use use, struct err *err);

/*
 * For good, once everything is attached: what remains is what a running session asks the kernel for (BPF
 * maps, moving watchpoints, the target's memory and /proc). admin: CAP_SYS_ADMIN too, for uprobes that are
 * still to come on kernels without multi-uprobe, and for sockets in another network namespace. Kernels
 * before 5.8 have nothing finer than it and keep it. -errno; then nothing was given up.
 */
int caps_drop(bool admin, struct err *err);

#endif
