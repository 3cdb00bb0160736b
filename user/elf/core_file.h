/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An ELF core of an x86-64 or aarch64 Linux process: what of its memory was dumped, what it had mapped, and
 * its threads. */
#ifndef CULPRIT_CORE_FILE_H
#define CULPRIT_CORE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/err.h"

/* One mapping of the process (PT_LOAD). [start, start + dumped) stands in the core from file_off on; the rest
 * was left out. */
struct core_segment {
	uint64_t start, end;
	uint64_t file_off, dumped;
	uint32_t flags; /* PF_R, PF_W, PF_X */
};

/* A mapped file (NT_FILE). */
struct core_mapped {
	uint64_t start, end;
	uint64_t offset;  /* into the file, bytes */
	const char *path; /* owned by the core_file */
};

struct core_thread {
	pid_t tid;
	uint64_t sp, pc;
};

struct core_file {
	int fd;
	char *path;
	uint16_t machine;	  /* e_machine */
	struct core_segment *seg; /* by address, none overlap */
	size_t n_seg;
	struct core_mapped *mapped; /* by address; empty if the core has no NT_FILE */
	size_t n_mapped;
	struct core_thread *thread; /* [0] is the one that crashed */
	size_t n_threads;
	char comm[17];	/* "" if not known */
	pid_t pid;	/* 0 if not known */
	int signal;	/* that killed it; 0 = none or not known */
	uint64_t entry; /* AT_ENTRY; 0 if not known */
	uint64_t vdso;	/* AT_SYSINFO_EHDR; 0 if not known */
	char **strings; /* owned: paths */
	size_t n_strings;
	size_t cut; /* segments whose dumped bytes end past the end of the file: a truncated core */
};

/*
 * -ENOENT and the like; -ENOEXEC: no ELF core; -ENOTSUP: of another machine; -EBADMSG: damaged, the message
 * names the offset. A truncated core opens, with what is there (cut > 0).
 */
int core_file_open(struct core_file **ret, const char *path, struct err *err);
/* The same from an open file, which is taken over (also on error). name is for messages. */
int core_file_parse(struct core_file **ret, int fd, const char *name, struct err *err);
void core_file_close(struct core_file *c); /* NULL is fine */

/* NULL: not mapped. */
const struct core_segment *core_segment_at(const struct core_file *c, uint64_t addr);
const struct core_mapped *core_mapped_at(const struct core_file *c, uint64_t addr);

#endif
