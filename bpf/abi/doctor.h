/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What bpf/doctor.bpf.c counts: one slot per way of attaching, so that user space sees that the probe really
 * fired. */
#ifndef CULPRIT_ABI_DOCTOR_H
#define CULPRIT_ABI_DOCTOR_H

#include "base.h"

enum abi_doctor_probe {
	DOCTOR_UPROBE,
	DOCTOR_UPROBE_MULTI,
	DOCTOR_URETPROBE,
	DOCTOR_SYSCALL_TRACEPOINTS,
	DOCTOR_SOCK_TRACEPOINT,
	DOCTOR_KPROBE,
	DOCTOR_FENTRY,
	DOCTOR_ITER_TASK,
	DOCTOR_WATCHPOINT,
	DOCTOR_KERNEL_READ,
	DOCTOR_USER_READ,
	DOCTOR_RING,
	DOCTOR_PERF,
	DOCTOR_COOKIE,
	DOCTOR_MAX,
};

#define DOCTOR_VALUE 0x5eedULL /* the cookie, and what stands at the address to read */

#endif
