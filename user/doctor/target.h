/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is known of a process before anything is attached to it. It is only read. */
#ifndef CULPRIT_TARGET_H
#define CULPRIT_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "elf/elf_file.h"
#include "plan/writes.h"
#include "proc/process.h"
#include "util/err.h"

struct target_lib {
	char *path;    /* as the target sees it */
	bool deleted;  /* replaced or removed since it was mapped: what is on disk now is another build */
	bool readable; /* its file can be opened here */
	char build_id[2 * ELF_BUILD_ID_MAX + 1]; /* "" = none */
	enum elf_debug_state debug;
	const char *profile; /* file that stands for its debuginfo; NULL. The caller's */
};

struct target_facts {
	struct proc_status status;
	struct proc_exe exe;
	struct elf_debug debug;
	const char *profile; /* the same for the program */
	struct target_lib *lib;
	size_t n_libs;
	char namespaces[64]; /* "pid, mnt, net": those that are not ours; "" = none */
	char *coroutines;    /* "swapcontext in libfoo.so"; NULL = no sign of any */
	/* with a spec */
	struct spec *spec;
	struct dbg *dbg;
	struct writes_plan *plan; /* NULL: see plan_err */
	struct err plan_err;
};

/* spec: name or file, NULL = no plan. debuginfo may be NULL. For target_facts_free(), also after an error. */
int target_facts_read(struct target_facts *t, pid_t pid, const char *debuginfo, const char *spec,
		      struct err *err);
void target_facts_free(struct target_facts *t);

/* Sites of the plan on store instructions or inlined instances, and those that are single-stepped. */
void target_plan_sites(const struct writes_plan *p, size_t *inlined, size_t *stepped);

#endif
