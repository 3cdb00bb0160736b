/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the kernel's types come from, without which no program can be loaded. */
#ifndef CULPRIT_BTF_H
#define CULPRIT_BTF_H

#include "util/err.h"

enum btf_source { BTF_FILE, BTF_KERNEL, BTF_BUILTIN, BTF_NONE };

/*
 * Chooses: file if given, else the kernel's own, else what is built in for this release (tools/add-btf).
 * *path gets the file for libbpf's btf_custom_path, valid until the process ends; NULL = libbpf finds the
 * kernel's own. -EINVAL: file is no BTF; -ENOENT: there is none; both with what to do as hint, and *source =
 * BTF_NONE.
 */
int btf_choose(const char *file, const char **path, enum btf_source *source, struct err *err);

#endif
