/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What this kernel really lets us do: every capability is tried (load, attach, trigger, count), never
 * inferred from a version.
 */
#ifndef CULPRIT_FEATURES_H
#define CULPRIT_FEATURES_H

#include <stdbool.h>

#include "util/err.h"

enum feature_state {
	FEATURE_WORKS,
	FEATURE_REFUSED, /* the kernel does not have it or does not allow it; why says which */
	FEATURE_SILENT,	 /* attached, but did not fire when triggered */
	FEATURE_LIMITED, /* works, but is not used unless asked for; why says */
};
const char *feature_state_name(enum feature_state s);

enum feature_id {
	FEATURE_BTF,
	FEATURE_RINGBUF,
	FEATURE_UPROBE,
	FEATURE_UPROBE_MULTI,
	FEATURE_URETPROBE,
	FEATURE_WATCHPOINT,
	FEATURE_SYSCALL_TP,
	FEATURE_RAW_TP,
	FEATURE_SOCK_TP,
	FEATURE_KPROBE,
	FEATURE_FENTRY,
	FEATURE_ITER_TASK,
	FEATURE_SOCK_DIAG,
	FEATURE_VM_READV,
	FEATURE_TASK_STACK,
	FEATURE_MAX,
};

struct feature {
	const char *name;     /* static */
	const char *used_for; /* static */
	const char *fallback; /* static: what serves instead; NULL = nothing, the engine that needs it cannot
				 run */
	bool for_writes, for_stalls; /* the engine cannot run without it (fallback NULL) */
	enum feature_state state;
	char why[ERR_MSG_LEN]; /* empty when it works */
};

/* Fills f[FEATURE_MAX]. Takes well below a second; leaves nothing attached. btf: path or NULL. */
void features_probe(struct feature f[FEATURE_MAX], const char *btf);

/* True if CPUID says that we run under a hypervisor. */
bool cpu_is_virtual(void);

#endif
