/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Protobuf's library as a process has it mapped. */
#ifndef CULPRIT_CMD_WRITES_MODULE_H
#define CULPRIT_CMD_WRITES_MODULE_H

#include "plan/writes.h"
#include "proc/maps.h"

struct writes_module {
	struct plan_module m;
	struct elf_file *file; /* NULL: not mapped, or it cannot be read */
	char path[4096];
};

/* Fills *ret from the mappings of pid; what is not there is no error. For writes_module_close(). */
void writes_module_open(struct writes_module *ret, const struct proc_maps *maps, pid_t pid);
void writes_module_close(struct writes_module *m);

#endif
