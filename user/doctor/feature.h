/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a kernel may let us do, one row each of `culprit doctor`. */
#ifndef CULPRIT_FEATURE_H
#define CULPRIT_FEATURE_H

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
	FEATURE_CAPS,
	FEATURE_BTF,
	FEATURE_KERNEL_READ,
	FEATURE_USER_READ,
	FEATURE_RINGBUF,
	FEATURE_PERFBUF,
	FEATURE_UPROBE,
	FEATURE_UPROBE_MULTI,
	FEATURE_COOKIE,
	FEATURE_URETPROBE,
	FEATURE_WATCHPOINT,
	FEATURE_SYSCALL_TP,
	FEATURE_SOCK_TP,
	FEATURE_KPROBE,
	FEATURE_FENTRY,
	FEATURE_ITER_TASK,
	FEATURE_RUN_TIME,
	FEATURE_SOCK_DIAG,
	FEATURE_VM_READV,
	FEATURE_TASK_STACK,
	FEATURE_KALLSYMS,
	FEATURE_WRITES,
	FEATURE_STALLS,
	FEATURE_FRAMING,
	FEATURE_MAX,
};

struct feature {
	const char *name;     /* static */
	const char *used_for; /* static */
	const char *fallback; /* static: what serves instead; NULL = nothing, the engine that needs it cannot
				 run */
	const char *since;    /* static: upstream kernel that brought it; NULL = older than 4.18 */
	int instead_of;	      /* enum feature_id that does the same where this one is missing; 0 = none */
	int error;	      /* -errno of what was refused; 0 */
	enum feature_state state;
	bool for_writes, for_stalls; /* the engine cannot run without it, unless `instead_of` works */
	bool put_aside;		     /* not tried: CULPRIT_FORCE */
	char why[ERR_MSG_LEN];	     /* empty when it works */
	char change[ERR_MSG_LEN];    /* what the operator can change so that it works; empty: nothing, or not
					needed */
};

/* Refused with this errno, of either sign; why is its text. */
void feature_refuse(struct feature *f, int err);

/* Can the engine run with these? missing gets the names of what it lacks, "" if nothing. */
bool features_allow(const struct feature *f, bool writes, char *missing, unsigned len);

#endif
