/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A profile: what the commands have to know of one binary, in a text file, for nodes that have no debuginfo
 * of it. It holds the entries of the debuginfo that the planners looked at and the symbols, and becomes a
 * debuginfo file again when it is read, so that there is one way from debuginfo to plan. docs/profile.md has
 * the form.
 */
#ifndef CULPRIT_PROFILE_H
#define CULPRIT_PROFILE_H

#include <stdio.h>

#include "dwarf/dbg.h"
#include "util/err.h"

struct profile_probe { /* said for the reader; the plan is made anew */
	const char *role, *function;
	uint64_t entry, vaddr;
};

struct profile_info {
	const char *what; /* "--spec zbs": what it was made for */
	const struct profile_probe *probe;
	size_t n_probes;
	size_t max_symbol_bytes; /* above this, only the symbols that are needed; 0 = 256 KiB */
};

/* After dbg_record() and the lookups. -ENODATA: the binary has no build-id; -ENOMEM, -EINVAL, -EIO. */
int profile_write(FILE *f, struct dbg *d, const struct profile_info *info, struct err *err);

struct profile; /* one that was read */

/*
 * -EBADMSG: "NAME:LINE:COLUMN: what is wrong". *ret for profile_close(). From text, or from a file (-ENOENT
 * and the like).
 */
int profile_parse(struct profile **ret, const char *text, size_t len, const char *name, struct err *err);
int profile_open(struct profile **ret, const char *file, struct err *err);
void profile_close(struct profile *p);		       /* NULL is fine */
const char *profile_build_id(const struct profile *p); /* hex */
const char *profile_binary(const struct profile *p); /* name of the file it is of, without directories; "" */
/* Path of a debuginfo file, as dbg_open and elf_find_debug take it; it is there until profile_close(). */
const char *profile_debuginfo(const struct profile *p);

#endif
