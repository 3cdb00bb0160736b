/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by stalls.c (attaching) and stalls_tables.c (reading). */
#ifndef CULPRIT_TRACE_STALLS_PRIV_H
#define CULPRIT_TRACE_STALLS_PRIV_H

#include "trace/stalls.h"
#include "trace/tracefs.h"

#include "stalls.skel.h"

struct trace_link {
	struct bpf_link *link;
	size_t hook; /* index of its row */
};

struct stalls_trace {
	struct stalls_bpf *skel;
	struct stalls_trace_opts opts;
	struct trace_link *link;
	size_t n_links;
	struct hook *hook;
	size_t n_hooks;
	unsigned n_calls; /* entry hooks attached */
	bool bytes_from_exit, follows_bytes;
};

/* Drops the calls of detached hooks from the table: their end will not be seen. */
void stalls_trace_forget_busy(struct stalls_trace *t);

#endif
