// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "proc/process.h"
#include "trace/btf.h"

const char COMMON_HELP[] =
	"Target and session:\n"
	"  -p, --pid PID           the process to look at\n"
	"  -n, --comm NAME         the same, by name (`writes`: all of that name; else it must be one)\n"
	"  -d, --duration SECONDS  how long (default 60; 0 = until Ctrl-C); the summary is printed at the "
	"end in any case\n"
	"      --json              JSON Lines on stdout instead of text; the last line is the summary\n"
	"      --debuginfo DIR     where separate debuginfo files are (beside .gnu_debuglink and "
	"/usr/lib/debug)\n"
	"      --profile FILE      instead of debuginfo: what `culprit layout` made from it; may be "
	"repeated, for "
	"libraries\n"
	"      --btf FILE          kernel types, where the kernel has no /sys/kernel/btf/vmlinux\n"
	"      --max-overhead PCT  budget, of one CPU (default 3)\n"
	"      --allow-vm-watchpoints  use hardware watchpoints although this is a virtual machine\n"
	"      --dry-run           print the plan, attach nothing\n"
	"  -q, --quiet             no progress line\n"
	"  -v, --verbose           more detail on stderr\n"
	"  -h, --help              this\n"
	"\n"
	"Exit code: 0 nothing found, coverage complete; 1 findings; 2 usage; 3 cannot run here; 4 nothing "
	"found, coverage incomplete\n";

void common_init(struct common_opts *o)
{
	*o = (struct common_opts){.duration_s = 60, .max_overhead_pct = 3};
}

static int parse_long(const char *arg, long min, long max, long *ret)
{
	char *end;
	long v;

	errno = 0;
	v = strtol(arg, &end, 10);
	if (errno || end == arg || *end || v < min || v > max)
		return -EINVAL;
	*ret = v;
	return 0;
}

static int parse_number(const char *arg, double min, double max, double *ret)
{
	char *end;
	double v;

	errno = 0;
	v = strtod(arg, &end);
	if (errno || end == arg || *end || !isfinite(v) || v < min || v > max)
		return -EINVAL;
	*ret = v;
	return 0;
}

int common_option(struct common_opts *o, int opt, const char *arg, struct err *err)
{
	long v;

	switch (opt) {
	case 'p':
		if (parse_long(arg, 1, INT_MAX, &v))
			return err_set(err, -EINVAL, "-p takes a process id, not '%s'", arg);
		o->pid = (pid_t)v;
		for (size_t i = 0; i < o->n_pids; i++) {
			if (o->pids[i] == o->pid)
				return 0;
		}
		if (o->n_pids == COMMON_MAX_PIDS)
			return err_set(err, -EINVAL, "more than %d processes", COMMON_MAX_PIDS);
		o->pids[o->n_pids++] = o->pid;
		return 0;
	case 'n':
		o->comm = arg;
		return 0;
	case 'd':
		if (parse_number(arg, 0, 1e7, &o->duration_s))
			return err_set(err, -EINVAL, "-d takes seconds, not '%s'", arg);
		return 0;
	case 'o':
		o->output = arg;
		return 0;
	case 'q':
		o->quiet = true;
		return 0;
	case 'v':
		o->verbose++;
		return 0;
	case OPT_JSON:
		o->json = true;
		return 0;
	case OPT_BTF:
		o->btf = arg;
		return 0;
	case OPT_DEBUGINFO:
		o->debuginfo = arg;
		return 0;
	case OPT_PROFILE:
		if (o->n_profiles == COMMON_MAX_PROFILES)
			return err_set(err, -EINVAL, "more than %d profiles", COMMON_MAX_PROFILES);
		o->profile[o->n_profiles++] = arg;
		return 0;
	case OPT_OVERHEAD:
		if (parse_number(arg, 0.01, 100, &o->max_overhead_pct))
			return err_set(err, -EINVAL, "--max-overhead takes a percentage of one CPU, not '%s'",
				       arg);
		return 0;
	case OPT_DRY_RUN:
		o->dry_run = true;
		return 0;
	case OPT_VM_WATCH:
		o->allow_vm_watchpoints = true;
		return 0;
	}
	return 1;
}

/* -n NAME: the only process of it; several are listed, not chosen from. */
static int target_by_name(struct common_opts *o, struct err *err)
{
	struct proc_pids found;
	char list[256] = "";
	size_t len = 0;
	int rc = proc_find_comm(o->comm, &found, err);

	if (rc)
		return rc;
	if (found.n == 1) {
		o->pid = found.v[0];
	} else if (found.n == 0) {
		rc = err_set(err, -ESRCH, "no process is called '%s'", o->comm);
		err_hint(err, "`ps -e` lists the names; -p PID takes a pid");
	} else {
		for (size_t i = 0; i < found.n && len < sizeof(list); i++)
			len += (size_t)snprintf(list + len, sizeof(list) - len, " %d", (int)found.v[i]);
		rc = err_set(err, -EINVAL, "%zu processes are called '%s':%s; choose one with -p", found.n,
			     o->comm, list);
	}
	proc_pids_deinit(&found);
	return rc;
}

static int named_once(const struct common_opts *o, struct err *err)
{
	if (o->pid && o->comm)
		return err_set(err, -EINVAL, "-p and -n both name a target; give one");
	if (!o->pid && !o->comm)
		return err_set(err, -EINVAL, "which process? give -p PID or -n NAME");
	return 0;
}

static int pid_lives(pid_t pid, struct err *err)
{
	if (!kill(pid, 0) || errno != ESRCH)
		return 0;
	err_set(err, -ESRCH, "no process with pid %d", (int)pid);
	err_hint(err, "`pidof NAME` gives the pid of a running program; -n NAME takes the name itself");
	return -ESRCH;
}

static int find_target(struct common_opts *o, struct err *err)
{
	int rc = named_once(o, err);

	if (rc)
		return rc;
	if (o->comm)
		return target_by_name(o, err);
	if (o->n_pids > 1)
		return err_set(err, -EINVAL, "one process at a time: -p was given %zu times", o->n_pids);
	return pid_lives(o->pid, err);
}

/* -n NAME: all processes of it. */
static int targets_by_name(struct common_opts *o, struct err *err)
{
	struct proc_pids found;
	int rc = proc_find_comm(o->comm, &found, err);

	if (rc)
		return rc;
	if (!found.n) {
		rc = err_set(err, -ESRCH, "no process is called '%s'", o->comm);
		err_hint(err, "`ps -e` lists the names; -p PID takes a pid");
	} else if (found.n > COMMON_MAX_PIDS) {
		rc = err_set(err, -E2BIG, "%zu processes are called '%s', more than %d: choose some with -p",
			     found.n, o->comm, COMMON_MAX_PIDS);
	} else {
		memcpy(o->pids, found.v, found.n * sizeof(*found.v));
		o->n_pids = found.n;
		o->pid = found.v[0];
	}
	proc_pids_deinit(&found);
	return rc;
}

static int find_targets(struct common_opts *o, struct err *err)
{
	int rc = named_once(o, err);

	if (!rc && o->comm)
		return targets_by_name(o, err);
	for (size_t i = 0; !rc && i < o->n_pids; i++)
		rc = pid_lives(o->pids[i], err);
	o->pid = o->pids[0];
	return rc;
}

int common_target(struct common_opts *o, struct err *err)
{
	int rc = find_target(o, err);

	if (!rc)
		rc = common_profile_open(o, err);
	return rc ? rc : common_profile_check_process(o, o->pid, err);
}

int common_targets(struct common_opts *o, struct err *err)
{
	int rc = find_targets(o, err);

	if (!rc)
		rc = common_profile_open(o, err);
	for (size_t i = 0; !rc && i < o->n_pids; i++)
		rc = common_profile_check_process(o, o->pids[i], err);
	return rc;
}

int common_btf(struct common_opts *o, struct err *err)
{
	enum btf_source source;

	return btf_choose(o->btf, &o->btf, &source, err);
}

int fail(enum exit_code code, const struct err *err)
{
	fprintf(stderr, "culprit: %s\n", err->msg);
	if (err->hint[0])
		fprintf(stderr, "         %s\n", err->hint);
	return code;
}

int usage(const char *cmd, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "culprit %s: ", cmd);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\nTry 'culprit %s --help'.\n", cmd);
	return EXIT_USAGE;
}
