/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Loads and attaches bpf/payload.bpf.c: the first bytes of what a process sends and receives. Only for a
 * session whose spec describes how RPCs are framed. */
#ifndef CULPRIT_TRACE_PAYLOAD_H
#define CULPRIT_TRACE_PAYLOAD_H

#include <sys/types.h>

#include "trace/stalls.h"
#include "trace/transport.h"
#include "util/err.h"

struct payload;

struct payload_opts {
	pid_t pid;
	unsigned capture; /* bytes of each call, at most PAYLOAD_MAX */
	const char *btf;  /* NULL = the kernel's own */
	bool no_sock_tp;  /* do not use the sock tracepoints */
};

/* Loads the programs; nothing is attached yet. */
int payload_open(struct payload **ret, const struct payload_opts *opts, struct err *err);
/* Attaches; what cannot be is a row of payload_hooks(). try_only: detaches at once. */
int payload_attach(struct payload *p, bool try_only, struct err *err);
void payload_close(struct payload *p); /* NULL is fine */
const struct hook *payload_hooks(const struct payload *p, size_t *n);
/* Whether tracepoints of all system calls are on, which every process of the machine pays for. */
bool payload_machine_pays(const struct payload *p);
const struct bpf_object *payload_object(const struct payload *p);
int payload_add_to(const struct payload *p, struct transport *to, struct err *err);
/* Calls that threads were in when it was attached: their end is seen, too. (By the sock tracepoints it is
 * anyway.) */
void payload_seed(struct payload *p, const struct autopsy *a);
/* Copies nothing of this socket any more. */
void payload_ignore(struct payload *p, uint64_t inode);
/* Drops sockets that the process does not have open any more: a close may come from another process. */
void payload_forget(struct payload *p, bool (*open)(void *ctx, uint64_t inode), void *ctx);

#endif
