/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command table and what every command shares. A command parses, plans, runs and reports; it holds no
 * logic. */
#ifndef CULPRIT_CMD_H
#define CULPRIT_CMD_H

#include <stdbool.h>
#include <sys/types.h>

#include "util/err.h"

enum exit_code {
	EXIT_NOTHING = 0, /* nothing found, coverage complete */
	EXIT_FINDINGS = 1,
	EXIT_USAGE = 2,
	EXIT_CANNOT_RUN = 3, /* cannot run here; said why and what to do */
	EXIT_INCOMPLETE = 4, /* nothing found, but coverage incomplete */
};

struct command {
	const char *name;
	const char *summary;		   /* one line, for `culprit --help` */
	int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns enum exit_code */
};

extern const struct command commands[]; /* ends with a NULL name */

int cmd_doctor(int argc, char **argv);
int cmd_writes(int argc, char **argv);
int cmd_stalls(int argc, char **argv);
int cmd_threads(int argc, char **argv);
int cmd_find(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_layout(int argc, char **argv);
int cmd_report(int argc, char **argv);

#define COMMON_MAX_PIDS	    16
#define COMMON_MAX_PROFILES 16

/* Options all tracing commands take; defaults by common_init. */
struct common_opts {
	pid_t pid;		     /* the last -p; the target once common_target() has been asked */
	pid_t pids[COMMON_MAX_PIDS]; /* all -p, in order */
	size_t n_pids;
	const char *comm;  /* -n */
	double duration_s; /* 0 = until Ctrl-C */
	bool json, quiet, dry_run;
	int verbose;
	const char *btf;			  /* --btf FILE */
	const char *debuginfo;			  /* --debuginfo DIR */
	const char *profile[COMMON_MAX_PROFILES]; /* --profile FILE; debuginfo is then what they became */
	size_t n_profiles;
	double max_overhead_pct;
	bool allow_vm_watchpoints;
	const char *output; /* -o, for commands that have sessions (output.h) */
};

#define COMMON_SHORT "p:n:d:qvh"
/* Long options of struct common_opts: put COMMON_LONG first into the command's own struct option table. */
enum {
	OPT_JSON = 1000,
	OPT_BTF,
	OPT_DEBUGINFO,
	OPT_OVERHEAD,
	OPT_DRY_RUN,
	OPT_VM_WATCH,
	OPT_PROFILE,
	OPT_COMMAND_FIRST = 1100
};
#define COMMON_LONG                                                                                          \
	{"pid", 1, 0, 'p'}, {"comm", 1, 0, 'n'}, {"duration", 1, 0, 'd'}, {"quiet", 0, 0, 'q'},              \
		{"verbose", 0, 0, 'v'}, {"help", 0, 0, 'h'}, {"json", 0, 0, OPT_JSON},                       \
		{"btf", 1, 0, OPT_BTF}, {"debuginfo", 1, 0, OPT_DEBUGINFO}, {"profile", 1, 0, OPT_PROFILE},  \
		{"max-overhead", 1, 0, OPT_OVERHEAD}, {"dry-run", 0, 0, OPT_DRY_RUN},                        \
	{                                                                                                    \
		"allow-vm-watchpoints", 0, 0, OPT_VM_WATCH                                                   \
	}
extern const char COMMON_HELP[]; /* the lines of --help that describe them */

void common_init(struct common_opts *o);
/* Takes one getopt_long result. 0 = taken, 1 = not a common option, negative = bad value (err says which). */
int common_option(struct common_opts *o, int opt, const char *arg, struct err *err);
/* After parsing: exactly one live target (by -p or -n); fills o->pid. -ESRCH and friends with a message and
 * hint. */
int common_target(struct common_opts *o, struct err *err);
/* The same for a command that takes several: all of -p, or all processes of -n's name. Fills o->pids and
 * o->pid, the first. */
int common_targets(struct common_opts *o, struct err *err);
/* --profile: opens them and makes them o->debuginfo; -EBADMSG and the like. common_target() does this and
 * checks them against the process; what else they are used for is checked with the second: one is of the
 * binary's build-id, else -EBADMSG with both. The third: that, and none is of another build of a file that is
 * mapped. */
int common_profile_open(struct common_opts *o, struct err *err);
int common_profile_check(const struct common_opts *o, const char *binary, struct err *err);
int common_profile_check_process(const struct common_opts *o, pid_t pid, struct err *err);
/* The opened profile of this build-id: its file as --profile named it; NULL = none. */
const char *common_profile_of(const struct common_opts *o, const char *build_id);
/* Where kernel types come from (trace/btf.h): o->btf becomes what the loaders take. -EINVAL, -ENOENT with
 * what to do. */
int common_btf(struct common_opts *o, struct err *err);

/* Prints "culprit: msg" and the hint to stderr; returns the exit code to leave with. */
int fail(enum exit_code code, const struct err *err);
/* Usage error: message, then "try 'culprit CMD --help'". Returns EXIT_USAGE. */
int usage(const char *cmd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
