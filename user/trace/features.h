/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What this kernel really lets us do: every capability is tried (load, attach, trigger, count), never
 * inferred from a version.
 */
#ifndef CULPRIT_FEATURES_H
#define CULPRIT_FEATURES_H

#include <stdbool.h>
#include <sys/types.h>

#include "doctor/feature.h"
#include "doctor/node.h"

/* Fills f[FEATURE_MAX]; causes are named by what is known of the node. Takes well below a second; leaves
 * nothing attached. pid: the target, 0 = none. btf: path or NULL. */
void features_probe(struct feature f[FEATURE_MAX], pid_t pid, const char *btf, const struct node *node);

/* What one hit of an empty uprobe costs here, in ns: on an instruction that the kernel emulates. 0 = not
 * known. */
double features_uprobe_ns(const char *btf);

/* True if CPUID says that we run under a hypervisor. */
bool cpu_is_virtual(void);

#endif
