/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The mappings of a live process, as /proc/PID/maps tells them. */
#ifndef CULPRIT_PROC_MAPS_H
#define CULPRIT_PROC_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "util/err.h"

enum proc_perm { PROC_R = 1, PROC_W = 2, PROC_X = 4, PROC_SHARED = 8 };

struct proc_map {
	uint64_t start, end; /* [start, end) */
	uint64_t offset;     /* into the file */
	dev_t dev;
	uint64_t inode; /* 0: anonymous */
	unsigned perms; /* enum proc_perm */
	bool deleted;	/* the file has been unlinked or replaced; path is without the " (deleted)" */
	char *path;	/* as the target sees it, or "[stack]", "[vdso]", ...; NULL if anonymous */
};

/* Sorted by address. */
struct proc_maps {
	struct proc_map *v;
	size_t n;
};

/* -ESRCH: no such process; -EACCES, -EPERM; -ENOMEM. On error *ret is empty. */
int proc_maps_read(struct proc_maps *ret, pid_t pid, struct err *err);
/* The same from an open maps file. -EBADMSG: a line is not understood. */
int proc_maps_parse(struct proc_maps *ret, FILE *f, struct err *err);
/* NULL: addr is in no mapping. Valid until proc_maps_deinit. */
const struct proc_map *proc_maps_find(const struct proc_maps *m, uint64_t addr);
/* A path by which we can open the mapped file, whatever its name leads to by now. -ENOENT: none. */
int proc_map_file(const struct proc_map *m, pid_t pid, char *buf, size_t len);
void proc_maps_deinit(struct proc_maps *m);

#endif
