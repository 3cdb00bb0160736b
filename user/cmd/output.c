// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "cmd/output.h"
#include "proc/process.h"
#include "report/report.h"
#include "trace/session.h"
#include "util/str.h"
#include "util/version.h"

#define ALIVE_NS 1000000000ULL

const char OUTPUT_HELP[] =
	"  -o, --output FILE.db    also write a session file (docs/session.md): `culprit report` shows it "
	"again, "
	"elsewhere too,\n"
	"                          and joins both ends of an RPC; nothing is overwritten\n";

/* As it could be typed again. */
static void quote(char *buf, size_t len, const char *arg)
{
	bool plain =
		*arg &&
		strspn(arg, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,+@%") ==
			strlen(arg);

	if (plain) {
		str_append(buf, len, " %s", arg);
		return;
	}
	str_append(buf, len, " '");
	for (; *arg; arg++)
		str_append(buf, len, *arg == '\'' ? "'\\''" : "%c", *arg);
	str_append(buf, len, "'");
}

static void set_command_line(struct store *s, char **argv)
{
	char line[4096] = "culprit";

	for (size_t i = 0; argv[i]; i++)
		quote(line, sizeof(line), argv[i]);
	store_set(s, "command", "%s", argv[0]);
	store_set(s, "command_line", "%s", line);
}

static void set_node(struct store *s)
{
	char boot_id[64] = "";
	struct utsname u;
	struct tm tm;
	time_t now = time(NULL);
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (f && fgets(boot_id, sizeof(boot_id), f))
		boot_id[strcspn(boot_id, "\n")] = '\0';
	if (f)
		fclose(f);
	store_set(s, "culprit", "%s", CULPRIT_VERSION);
	if (boot_id[0])
		store_set(s, "boot_id", "%s", boot_id);
	if (!uname(&u)) {
		store_set(s, "host", "%s", u.nodename);
		store_set(s, "kernel", "%s", u.release);
		store_set(s, "machine", "%s", u.machine);
	}
	if (localtime_r(&now, &tm))
		store_set(s, "utc_offset_s", "%ld", tm.tm_gmtoff);
}

static void set_target(struct store *s, const struct common_opts *c)
{
	char path[64], pids[16 * COMMON_MAX_PIDS] = "";
	struct proc_status st;
	struct proc_exe exe;
	struct stat ns;

	store_set(s, "pid", "%d", (int)c->pid);
	for (size_t i = 0; i < c->n_pids; i++)
		str_append(pids, sizeof(pids), "%s%d", i ? " " : "", (int)c->pids[i]);
	if (c->n_pids > 1)
		store_set(s, "pids", "%s", pids);
	if (!proc_status_read(&st, c->pid, NULL)) {
		store_set(s, "comm", "%s", st.comm);
		store_set(s, "threads", "%u", st.threads);
	}
	if (!proc_exe_read(&exe, c->pid, NULL)) {
		store_set(s, "exe", "%s", exe.path);
		if (exe.build_id[0])
			store_set(s, "build_id", "%s", exe.build_id);
		proc_exe_deinit(&exe);
	}
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)c->pid);
	if (!stat(path, &ns))
		store_set(s, "netns", "%ju", (uintmax_t)ns.st_ino);
}

int output_open(struct output *o, const struct common_opts *c, char **argv, struct err *err)
{
	struct report_clock now = report_clock_now();
	int rc;

	o->json = c->json;
	o->path = c->output;
	if (!o->path)
		return 0;
	signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error like a full disk */
	rc = store_create(&o->store, o->path, err);
	if (rc)
		return rc;
	set_command_line(o->store, argv);
	set_node(o->store);
	set_target(o->store, c);
	store_set(o->store, "start_real_ns", "%" PRIu64, now.real_ns);
	store_set(o->store, "start_mono_ns", "%" PRIu64, now.mono_ns);
	return 0;
}

bool output_wants(const struct output *o)
{
	return o->json || o->store;
}

void output_line(struct output *o, json_t *v)
{
	store_line(o->store, v, report_clock_now().real_ns);
	if (o->json)
		json_line(stdout, v);
	else
		json_decref(v);
}

void output_tick(struct output *o, uint64_t now_ns)
{
	if (!o->store)
		return;
	if (now_ns >= o->alive_ns + ALIVE_NS) {
		o->alive_ns = now_ns;
		store_set(o->store, "alive_real_ns", "%" PRIu64, report_clock_now().real_ns);
	}
	store_flush(o->store, now_ns);
}

void output_account(struct output *o, struct summary *s)
{
	struct store_state st;

	if (!o->store)
		return;
	store_flush(o->store, UINT64_MAX);
	st = store_state(o->store);
	if (st.lost || st.waiting)
		summary_note(s, true, "%" PRIu64 " rows of the session are not in %s: %s",
			     st.lost + st.waiting, o->path,
			     st.why[0] ? st.why : "there was no room for them while it could not be written");
}

int output_close(struct output *o, int rc, const char *ended)
{
	struct store_state st;
	uint64_t missing;

	if (!o->store)
		return rc;
	store_set(o->store, "end_real_ns", "%" PRIu64, report_clock_now().real_ns);
	store_set(o->store, "ended", "%s", ended ? ended : "ended");
	store_flush(o->store, UINT64_MAX);
	st = store_state(o->store);
	missing = store_close(o->store);
	o->store = NULL;
	if (!missing)
		return rc;
	fprintf(stderr, "culprit: %" PRIu64 " rows of the session are not in %s%s%s\n", missing, o->path,
		st.why[0] ? ": " : "", st.why);
	return rc == EXIT_NOTHING ? EXIT_INCOMPLETE : rc;
}

void output_abandon(struct output *o)
{
	store_abandon(o->store);
	o->store = NULL;
}
