/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Tracepoints by name. Needs tracefs; where nobody has mounted it, a mount of our own is made that has no
 * place in any directory and goes away with its descriptor.
 */
#ifndef CULPRIT_TRACEFS_H
#define CULPRIT_TRACEFS_H

#include <bpf/libbpf.h>

#include "util/err.h"

struct tracefs {
	int dir; /* its top directory */
	bool own;
};

/* -ENOENT, -EPERM: no tracefs and none can be made; err says what to do. */
int tracefs_open(struct tracefs *t, struct err *err);
void tracefs_close(struct tracefs *t);
/* Attaches prog. -ENOENT: this kernel has no such tracepoint. */
int tracefs_attach(const struct tracefs *t, const char *category, const char *name,
		   const struct bpf_program *prog, struct bpf_link **ret);

#endif
