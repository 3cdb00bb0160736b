// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "elf/elf_file.h"
#include "proc/process.h"
#include "report/report.h"
#include "trace/features.h"
#include "trace/verbose.h"

static const char HELP[] =
	"Usage: culprit doctor [-p PID] [OPTIONS]\n\n"
	"What this node supports, tried out and not guessed: every way of tracing is loaded, attached, "
	"triggered and counted. With a\n"
	"target also what is known of it. Nothing is left attached, the target is only read.\n\n"
	"Options:\n"
	"  -p, --pid PID         also look at this process\n"
	"  -n, --comm NAME       the same, by name\n"
	"      --debuginfo DIR   where separate debuginfo files are\n"
	"      --btf FILE        kernel types, where the kernel has no /sys/kernel/btf/vmlinux\n"
	"      --json            one JSON object per line\n"
	"  -v, --verbose         what libbpf says when a probe is refused\n\n"
	"Exit code: 0 writes and stalls can both run; 3 one of them cannot\n\n"
	"Examples:\n"
	"  culprit doctor\n"
	"  culprit doctor -n zbs-chunkd --debuginfo /root/debug\n";

struct target_facts {
	struct proc_status status;
	struct proc_exe exe;
	struct elf_debug debug;
	bool stripped;
};

static void lockdown_mode(char *buf, size_t len)
{
	FILE *f = fopen("/sys/kernel/security/lockdown", "re");
	char line[128], *open, *close;

	snprintf(buf, len, "none");
	if (!f)
		return;
	if (fgets(line, sizeof(line), f) && (open = strchr(line, '[')) && (close = strchr(open, ']')))
		snprintf(buf, len, "%.*s", (int)(close - open - 1), open + 1);
	fclose(f);
}

static int target_read(struct target_facts *t, const struct common_opts *o, struct err *err)
{
	struct elf_file *elf = NULL;
	char path[64];
	int rc;

	rc = proc_status_read(&t->status, o->pid, err);
	if (!rc)
		rc = proc_exe_read(&t->exe, o->pid, err);
	if (rc)
		return rc;
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)o->pid);
	rc = elf_file_open(&elf, path, err);
	if (rc)
		return rc;
	elf_find_debug(elf, o->debuginfo, &t->debug);
	elf_file_close(elf);
	return 0;
}

/* The features without which an engine cannot run; true if it can. names lists what is missing. */
static bool engine_can_run(const struct feature *f, bool writes, char *names, size_t len)
{
	size_t n = 0;

	names[0] = '\0';
	for (int i = 0; i < FEATURE_MAX; i++) {
		bool needed = writes ? f[i].for_writes : f[i].for_stalls;

		if (needed && f[i].state != FEATURE_WORKS && n < len)
			n += (size_t)snprintf(names + n, len - n, "%s%s", n ? ", " : "", f[i].name);
	}
	return names[0] == '\0';
}

static void print_text(const struct feature *f, const struct target_facts *t, const struct common_opts *o)
{
	struct utsname u;
	char lock[32], missing[256];

	uname(&u);
	lockdown_mode(lock, sizeof(lock));
	printf("node      %s %s%s, lockdown %s\n\n", u.release, u.machine,
	       cpu_is_virtual() ? ", virtual machine" : "", lock);
	printf("  %-21s %-8s  %s\n", "CAPABILITY", "STATE", "USED FOR / WHY NOT AND WHAT SERVES INSTEAD");
	for (int i = 0; i < FEATURE_MAX; i++) {
		printf("  %-21s %-8s  %s\n", f[i].name, feature_state_name(f[i].state), f[i].used_for);
		if (f[i].state == FEATURE_WORKS)
			continue;
		printf("  %-21s %-8s    %s", "", "", f[i].why);
		printf(f[i].fallback ? "; instead: %s\n" : "\n", f[i].fallback);
	}
	for (int writes = 1; writes >= 0; writes--)
		printf("%s%-8s  %s%s\n", writes ? "\n" : "", writes ? "writes" : "stalls",
		       engine_can_run(f, writes, missing, sizeof(missing)) ? "can run here"
									   : "cannot run here; missing: ",
		       missing);
	if (!t)
		return;
	printf("\ntarget    %d (%s) %u threads\n", (int)o->pid, t->status.comm, t->status.threads);
	printf("binary    %s%s, build-id %s\n", t->exe.path,
	       t->exe.deleted ? " (replaced or deleted since it was started)" : "",
	       t->exe.build_id[0] ? t->exe.build_id : "none");
	printf("debuginfo %s%s%s\n", elf_debug_state_name(t->debug.state), t->debug.path[0] ? ": " : "",
	       t->debug.path);
	if (t->debug.state == ELF_DEBUG_NONE || t->debug.state == ELF_DEBUG_MISMATCH)
		printf("%s\n          writes needs it: bring the debuginfo of this build-id and give "
		       "--debuginfo DIR\n",
		       t->debug.reason);
	if (t->status.ns_depth > 1)
		printf("namespace pid %d inside its container\n",
		       (int)t->status.ns_pid[t->status.ns_depth - 1]);
	if (t->status.tracer)
		printf("tracer    pid %d ptraces it: breakpoint registers may be taken, and it may be "
		       "stopped\n",
		       (int)t->status.tracer);
}

static int print_json(const struct feature *f, const struct target_facts *t, const struct common_opts *o)
{
	char lock[32], w[256], s[256];
	struct utsname u;
	int rc = 0;

	uname(&u);
	lockdown_mode(lock, sizeof(lock));
	for (int i = 0; i < FEATURE_MAX && !rc; i++)
		rc = json_line(stdout,
			       json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "kind", "capability", "name",
					 f[i].name, "state", feature_state_name(f[i].state), "used_for",
					 f[i].used_for, "why", json_str(f[i].why[0] ? f[i].why : NULL),
					 "fallback", json_str(f[i].fallback)));
	if (t && !rc)
		rc = json_line(stdout, json_pack("{s:s, s:i, s:o, s:i, s:o, s:o, s:s, s:o}", "kind", "target",
						 "pid", (int)o->pid, "comm", json_str(t->status.comm),
						 "threads", (int)t->status.threads, "binary",
						 json_str(t->exe.path), "build_id", json_str(t->exe.build_id),
						 "debuginfo", elf_debug_state_name(t->debug.state),
						 "debuginfo_path", json_str(t->debug.path)));
	if (!rc)
		rc = json_line(stdout, json_pack("{s:s, s:s, s:s, s:b, s:s, s:b, s:b}", "kind", "summary",
						 "command", "doctor", "kernel", u.release, "virtual_machine",
						 cpu_is_virtual(), "lockdown", lock, "writes_can_run",
						 engine_can_run(f, true, w, sizeof(w)), "stalls_can_run",
						 engine_can_run(f, false, s, sizeof(s))));
	return rc;
}

/* 0, 1 = --help was given, negative = usage error, already explained in err */
static int parse(int argc, char **argv, struct common_opts *o, struct err *err)
{
	static const struct option longs[] = {COMMON_LONG, {0}};
	int opt, rc;

	common_init(o);
	while ((opt = getopt_long(argc, argv, COMMON_SHORT, longs, NULL)) != -1) {
		if (opt == 'h')
			return 1;
		if (opt == '?')
			return err_set(err, -EINVAL, "bad option");
		rc = common_option(o, opt, optarg, err);
		if (rc)
			return rc;
	}
	return optind < argc ? err_set(err, -EINVAL, "unexpected argument '%s'", argv[optind]) : 0;
}

int cmd_doctor(int argc, char **argv)
{
	struct target_facts target = {0}, *t = NULL;
	struct feature f[FEATURE_MAX];
	struct common_opts o;
	struct err err = {0};
	char missing[256];
	int rc = parse(argc, argv, &o, &err);

	if (rc == 1) {
		fputs(HELP, stdout);
		return 0;
	}
	if (rc)
		return usage("doctor", "%s", err.msg);
	if (o.pid || o.comm) {
		rc = common_target(&o, &err);
		if (rc)
			return rc == -EINVAL ? usage("doctor", "%s", err.msg) : fail(EXIT_CANNOT_RUN, &err);
	}
	if (common_privilege(&err))
		return fail(EXIT_CANNOT_RUN, &err);
	trace_verbose(o.verbose);
	if (o.pid) {
		if (target_read(&target, &o, &err))
			return fail(EXIT_CANNOT_RUN, &err);
		t = &target;
	}
	features_probe(f, o.btf);
	if (o.json)
		rc = print_json(f, t, &o);
	else
		print_text(f, t, &o);
	proc_exe_deinit(&target.exe);
	if (rc)
		return EXIT_CANNOT_RUN;
	return engine_can_run(f, true, missing, sizeof(missing)) &&
			       engine_can_run(f, false, missing, sizeof(missing))
		       ? EXIT_NOTHING
		       : EXIT_CANNOT_RUN;
}
