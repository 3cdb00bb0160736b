/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * CULPRIT_FORCE=WORD,...: does without what the kernel has, as on an older one. For tests and to find out
 * which way of tracing a trouble comes from. Read here only.
 */
#ifndef CULPRIT_FORCE_H
#define CULPRIT_FORCE_H

#include <stdbool.h>

#include "util/err.h"

enum force {
	FORCE_NORINGBUF = 1 << 0,  /* before 5.8: perf buffers */
	FORCE_NOREADUSER = 1 << 1, /* before 5.5: bpf_probe_read for user memory */
	FORCE_NOCOOKIE = 1 << 2,   /* before 5.15: probes are told apart by their address */
	FORCE_NOLINK = 1 << 3,	   /* before 5.15: perf events without BPF links, hence without cookies */
	FORCE_NOMULTI = 1 << 4,	   /* before 6.6: single uprobes */
	FORCE_NOGLOBAL = 1 << 5,   /* before 5.6: functions are verified where they are called */
	FORCE_NOFENTRY = 1 << 6,   /* before 5.5: no fentry, no tp_btf */
	FORCE_NOITER = 1 << 7,	   /* before 5.8: /proc */
	FORCE_NOPIDFD = 1 << 8,	   /* before 5.3: the target's end is looked for */
	FORCE_NOBATCH = 1 << 9,	   /* before 5.6: maps are read key by key */
	FORCE_NOSTATS = 1 << 10,   /* before 5.8: run time of programs is not counted */
	FORCE_NOHELPERS = 1 << 11, /* no helper newer than bpf_send_signal (5.3) */
	FORCE_NOSOCKTP = 1 << 12,  /* before 6.3: no tracepoints sock_send_length, sock_recv_length */
	FORCE_NOKPROBE = 1 << 13,  /* a kernel built without them */
};

/* All words of the variable are known. -EINVAL and err with those that are. */
int force_check(struct err *err);
/* True if f is asked for; unknown words ask for nothing. */
bool forced(enum force f);
/* The variable as given, NULL if it asks for nothing. */
const char *force_text(void);

#endif
