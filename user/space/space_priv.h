/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Inside of struct space, for the files of user/space only. */
#ifndef CULPRIT_SPACE_PRIV_H
#define CULPRIT_SPACE_PRIV_H

#include "elf/core_file.h"
#include "space/space.h"

#define SPACE_PAGE 4096ull

struct space {
	pid_t pid;
	struct core_file *core; /* NULL: live */
	int pagemap;		/* -1: not readable */
	char comm[20];
	struct proc_maps maps;
	struct space_thread *thread;
	size_t n_threads;
	struct space_module *module; /* by address */
	size_t n_modules;
	uint64_t entry; /* AT_ENTRY; 0 = not known */
	char *binary;	/* --binary */
	char *debuginfo;
	struct elf_file **debug; /* separate debuginfo files whose symbol names are in use */
	size_t n_debug;
};

/* live.c, core.c: fill maps, threads, entry. */
int live_open(struct space *s, struct err *err);
int core_open(struct space *s, const char *path, struct err *err);
ssize_t core_read(const struct space *s, uint64_t addr, void *buf, size_t len);
/* Where the stretch of memory that was not dumped ends, of which addr is a byte. */
uint64_t core_gap_end(const struct space *s, uint64_t addr);
/* Permissions of the mappings that only the list of files has, once the files are open. */
void core_file_perms(struct space *s);
/* Next run of touched pages in [addr, end) of anonymous memory. false: none up to end. */
bool live_touched(const struct space *s, uint64_t addr, uint64_t end, uint64_t *lo, uint64_t *hi);

/* modules.c */
int modules_group(struct space *s);
void modules_close(struct space *s);
void module_try(struct space *s, struct space_module *m);

#endif
