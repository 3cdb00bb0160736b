/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Between the parts of `culprit writes`: what the options say, and the session. */
#ifndef CULPRIT_CMD_WRITES_RUN_H
#define CULPRIT_CMD_WRITES_RUN_H

#include "cmd/output.h"
#include "cmd/what.h"
#include "dwarf/dbg.h"
#include "plan/writes.h"
#include "proc/maps.h"
#include "report/finding.h"

struct writes_opts {
	struct common_opts c;
	struct what_opts what;
	const char *field; /* --field T::f */
	uint64_t object;   /* --object ADDR, 0 = any */
	enum setters_mode setters;
	bool until_crash, heap;
	bool await;	      /* --await-library */
	uint32_t max_objects; /* 0 = as many as there seem to be, and room */
};

/* A file that a process has mapped, beside its executable. */
struct writes_module {
	dev_t dev; /* as the mappings have them */
	ino_t inode;
	const char *name;      /* as the process sees it; the mappings' */
	char path[80];	       /* as we can open it, whatever stands at that name by now */
	struct elf_file *file; /* NULL: no ELF file */
	struct dbg *dbg;       /* NULL: none, or nothing in it that the spec names */
	bool blind;	       /* it has to do with a type of the spec, but no debuginfo */
	uint64_t bias;
	char *own_name; /* of one that was loaded during the session */
};

/* What is known of a process before anything is attached. */
struct writes_prep {
	pid_t pid;
	uint64_t started; /* as session_target_started(): names the process for good */
	char exe[32];	  /* /proc/PID/exe */
	dev_t dev;	  /* and which file that is */
	ino_t ino;
	struct writes_prep *of; /* process of the same file, whose debuginfo and tables it uses; NULL: none */
	struct spec *spec;
	struct dbg *dbg;
	struct proc_maps maps;
	uint64_t bias; /* of the executable */
	dev_t exe_dev; /* as the mappings have them */
	ino_t exe_inode;
	struct writes_module *mapped; /* of this process */
	size_t n_mapped;
	struct plan_module *module; /* as the plan wants them; there is room for more */
	size_t n_modules, max_modules;
	struct writes_module **late; /* loaded during the session */
	size_t n_late;
	struct writes_plan *plan;
	bool has_field; /* --field found: */
	uint16_t field_type, field;
	double plan_s; /* reading the debuginfo took */
};

/* Fills mapped and module; p's mappings, pid, spec and of are known. -ENOMEM. */
int writes_modules_open(struct writes_prep *p, const char *debuginfo);
bool writes_modules_bias(const struct writes_prep *p, const struct elf_file *file, uint64_t *bias);
/* A file that the process has mapped since, m its first mapping; without its debuginfo, among p->late. NULL:
 * it has nothing to do with what the spec names. */
struct writes_module *writes_module_late(struct writes_prep *p, const struct proc_map *m);
void writes_modules_close(struct writes_prep *p);

struct writes_targets {
	struct spec *spec;
	struct writes_prep **v;
	size_t n;
	bool abandoned; /* a thread still reads some of it */
};

/* Spec, debuginfo and plan of all processes of o->c.pids. t: zero; for writes_targets_close() in any case. */
int writes_targets_open(struct writes_targets *t, const struct writes_opts *o, struct err *err);
/* The same, but a class or function that is in none of their files is waited for, as long as a session lasts.
 */
int writes_targets_await(struct writes_targets *t, const struct writes_opts *o, struct err *err);
/* One more process. known_only: it must run a file that another one runs. Errors leave t as it was. */
int writes_targets_add(struct writes_targets *t, const struct writes_opts *o, pid_t pid, bool known_only,
		       struct err *err);
void writes_targets_close(struct writes_targets *t);

/* Arms, follows, reports; argv: of the command. Returns enum exit_code. */
int writes_run(const struct writes_opts *o, char **argv, struct writes_targets *t);

#endif
