/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Makes a BPF object fit the kernel. */
#ifndef CULPRIT_FIT_H
#define CULPRIT_FIT_H

#include <stdbool.h>

#include "util/err.h"

struct bpf_object;

/*
 * To be called between open and load, after the sizes of maps are set. btf: what btf_choose gave. Where the
 * kernel's types know no bpf_ringbuf_output, `events` becomes a perf buffer, as the programs expect by the
 * same mark (bpf/lib/emit.bpf.h). -errno and err if the kernel's types cannot be read.
 */
int fit_object(struct bpf_object *obj, const char *btf, struct err *err);

/* Does the kernel have this helper ("ringbuf_output"), by its types? The programs see the same. */
int fit_has_helper(const char *btf, const char *name, bool *has, struct err *err);

/* Does the verifier look at each global function once, and not at each call (5.6)? */
bool fit_has_functions(void);

#endif
