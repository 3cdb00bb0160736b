/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The memory of a process with what is known of it, one interface for a live process and a core: mappings,
 * threads, modules and their symbols. A live process is not stopped: what is read is of the moment it is
 * read.
 */
#ifndef CULPRIT_SPACE_H
#define CULPRIT_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "elf/elf_file.h"
#include "proc/maps.h"
#include "util/err.h"

struct space;

struct space_thread {
	pid_t tid;
	char comm[16]; /* "" if not known */
	uint64_t sp;   /* 0: it ran whenever it was looked at */
};

/* -ESRCH, -EPERM. debuginfo as elf_find_debug takes it, may be NULL; kept by the caller. */
int space_open_pid(struct space **ret, pid_t pid, const char *debuginfo, struct err *err);
/*
 * binary: the executable, NULL = where the core says it was. It must have the build-id that stands in the
 * core. -EBADMSG: it is of another build (both ids in the message), or the core is damaged. That the
 * executable cannot be found is no error here, but space_exe() is NULL then.
 */
int space_open_core(struct space **ret, const char *core, const char *binary, const char *debuginfo,
		    struct err *err);
void space_close(struct space *s); /* NULL is fine */

bool space_is_core(const struct space *s);
pid_t space_pid(const struct space *s);	       /* 0 if a core does not tell */
const char *space_comm(const struct space *s); /* "" if a core does not tell */
/* By address. Of a core: without device and inode, and "[heap]" or "[stack]" are not named. */
const struct proc_maps *space_maps(const struct space *s);
/* Memory that is not readable on purpose of the kernel's ([vvar]) is not worth a try. */
bool space_readable(const struct proc_map *m);
/* Threads by tid; a core's crashed one is space_crashed(). */
const struct space_thread *space_threads(const struct space *s, size_t *n);
pid_t space_crashed(const struct space *s); /* 0: none */
int space_signal(const struct space *s);    /* that killed it, 0: none */
/* The thread whose stack the address is in; NULL if it is in none. */
const struct space_thread *space_stack_at(const struct space *s, uint64_t addr);

/* As proc_mem_read(). Of a core, what was not dumped is read from the file that was mapped, if that has the
 * same build-id. */
ssize_t space_read(const struct space *s, uint64_t addr, void *buf, size_t len);

/*
 * Calls fn with the readable bytes of [start, end) in ascending windows. Two windows that adjoin share
 * `overlap` bytes, so that what is at most overlap + 1 bytes long stands whole in exactly one of them. Pages
 * that were never touched are left out: they hold zeros and reading would make the kernel allocate tables for
 * them. fn returns non-zero to stop, which is returned. -ESRCH: the process has gone.
 */
struct space_walked {
	uint64_t bytes;	     /* given to fn, shared ones counted once */
	uint64_t untouched;  /* bytes left out for never having been touched */
	uint64_t unreadable; /* pages */
};
typedef int (*space_walk_fn)(void *ctx, uint64_t addr, const uint8_t *bytes, size_t len);
int space_walk(const struct space *s, uint64_t start, uint64_t end, size_t overlap, space_walk_fn fn,
	       void *ctx, struct space_walked *walked);

struct space_module {
	const char *path;    /* as the process saw it */
	uint64_t start, end; /* its mappings; end includes .bss once it has been opened */
	/* After space_module_open(): */
	bool tried;
	struct elf_file *file;			 /* NULL: why[] says why */
	uint64_t bias;				 /* address in the process - address in the file */
	char build_id[2 * ELF_BUILD_ID_MAX + 1]; /* as in memory; "" = not known */
	char why[256];
	struct space_symbol *symbol; /* by address */
	size_t n_symbols;
	bool symbols_read;
};
/* The module whose range holds addr, opened if that is possible; NULL if there is none. */
struct space_module *space_module_at(struct space *s, uint64_t addr);
/* The executable; NULL: it cannot be told or its file is not there or of another build, *why says what
 * (static or owned by s). */
struct space_module *space_exe(struct space *s, const char **why);

struct space_symbol {
	uint64_t start, size; /* size 0: not known, it goes up to the next one */
	const char *name;     /* mangled; owned by the space */
	bool is_function;
};
/* Nearest symbol whose bytes hold addr; NULL if none. *offset: from its start. */
const struct space_symbol *space_symbol_at(struct space *s, uint64_t addr, uint64_t *offset);

#endif
