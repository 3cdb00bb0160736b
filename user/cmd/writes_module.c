// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <string.h>

#include "cmd/writes_module.h"
#include "elf/elf_file.h"

void writes_module_open(struct writes_module *ret, const struct proc_maps *maps, pid_t pid)
{
	char path[4200];

	*ret = (struct writes_module){0};
	for (size_t i = 0; i < maps->n && !ret->file; i++) {
		const char *p = maps->v[i].path, *name = p && *p == '/' ? strrchr(p, '/') + 1 : "";

		if (strncmp(name, "libprotobuf.so", 14) != 0 || strlen(p) >= sizeof(ret->path))
			continue;
		snprintf(ret->path, sizeof(ret->path), "%s", p);
		snprintf(path, sizeof(path), "/proc/%d/root%s", (int)pid, p);
		if (elf_file_open(&ret->file, path, NULL))
			ret->file = NULL;
	}
	ret->m = (struct plan_module){.file = ret->file, .path = ret->path};
}

void writes_module_close(struct writes_module *m)
{
	elf_file_close(m->file);
	m->file = NULL;
}
