// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "proc/caps.h"
#include "report/report.h"
#include "report/threads.h"
#include "symbol/image.h"
#include "trace/session.h"
#include "trace/threads.h"
#include "trace/verbose.h"

static const char help[] =
	"Usage: culprit threads -p PID [-w] [--json]\n"
	"\n"
	"One screen, now: every thread's system call with its timeout, for how long it has been blocked (at "
	"least),\n"
	"the descriptor and socket it waits for, and its stack. The process is not stopped.\n"
	"\n"
	"  -p, --pid PID         the process to look at\n"
	"  -n, --comm NAME       the same, by name (must be the only one of it)\n"
	"  -w, --wide            every descriptor with its socket's counters, and both stacks in full; "
	"nothing folded\n"
	"      --json            JSON Lines: one per thread, one per epoll set, the last one the summary\n"
	"      --proc            read /proc only, do not try the BPF task iterator\n"
	"      --debuginfo DIR   where separate debuginfo files are\n"
	"      --btf FILE        kernel types, where the kernel has no /sys/kernel/btf/vmlinux\n"
	"  -q, --quiet           no footer\n"
	"  -v, --verbose         more detail on stderr\n"
	"  -h, --help            this\n"
	"\n"
	"Threads in the same call on the same thing with the same stacks share a row (column N); TID, COMM "
	"and BLOCKED\n"
	"are those of the one blocked longest. A call marked * belongs to a thread that ran while it was "
	"looked at.\n"
	"A descriptor marked DEAD means another file by now than the one the call waits for.\n"
	"\n"
	"Examples:\n"
	"  culprit threads -p $(pidof zbs-metad)       who is stuck, on which socket, since when\n"
	"  culprit threads -n zbs-metad -w | less      with all counters and full stacks\n"
	"  culprit threads -p 1234 --json | jq -r 'select(.kind==\"thread\" and .blocked_ms>10000) | .comm'\n"
	"\n"
	"Exit code: 0 done; 2 usage; 3 cannot run here; 4 done, but something could not be told (see the "
	"notes)\n";

struct options {
	struct common_opts common;
	bool wide, proc_only;
};

enum { OPT_PROC = OPT_COMMAND_FIRST };

/* 0 go on, 1 help was printed, negative: err. */
static int parse(int argc, char **argv, struct options *o, struct err *err)
{
	static const struct option longs[] = {
		COMMON_LONG, {"wide", 0, 0, 'w'}, {"proc", 0, 0, OPT_PROC}, {0}};
	int opt, rc;

	common_init(&o->common);
	opterr = 0;
	optind = 1;
	while ((opt = getopt_long(argc, argv, COMMON_SHORT "w", longs, NULL)) != -1) {
		switch (opt) {
		case 'h':
			fputs(help, stdout);
			return 1;
		case 'w':
			o->wide = true;
			break;
		case OPT_PROC:
			o->proc_only = true;
			break;
		case '?':
		case ':':
			return err_set(err, -EINVAL, "bad option '%s'", argv[optind - 1]);
		default:
			rc = common_option(&o->common, opt, optarg, err);
			if (rc < 0)
				return rc;
		}
	}
	if (optind < argc)
		return err_set(err, -EINVAL, "unexpected '%s'", argv[optind]);
	return 0;
}

static size_t terminal_width(void)
{
	struct winsize w;

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &w))
		return 0;
	return w.ws_col;
}

static void account(const struct autopsy *a, const struct threads *t, const char *no_user, struct summary *s)
{
	size_t unread = 0, unknown = 0;

	for (size_t i = 0; i < a->n_threads; i++) {
		unread += a->thread[i].args_unread;
		unknown += !a->thread[i].blocked_known && a->thread[i].state != 'R';
	}
	s->threads = (unsigned)a->n_threads;
	s->complete = true;
	s->bpf_cpu_pct = -1;
	s->ended = "done";
	s->probes_planned = s->probes_attached = a->source == AUTOPSY_ITERATOR ? 2 : 0;
	s->events_seen = a->n_raw;
	summary_count(s, "descriptors", a->n_fds);
	summary_count(s, "skipped", a->n_skipped);
	summary_count(s, "moved", a->n_moved);
	summary_note(s, false, "source: %s; blocked times are lower bounds", autopsy_source_name(a->source));
	if (a->source_why)
		summary_note(s, false, "no task iterator (%s): files held by a poll call are not compared",
			     a->source_why);
	if (threads_socks_why(t))
		summary_note(s, true, "sockets are not told: %s", threads_socks_why(t));
	if (no_user)
		summary_note(s, true, "no user stacks: %s", no_user);
	if (unread)
		summary_note(s, true, "%zu threads whose arguments could not be read", unread);
	if (unknown)
		summary_note(s, true, "%zu blocked threads of which it is not known for how long", unknown);
}

static int print_json(const struct autopsy *a, const struct thread_row *rows, size_t n,
		      const struct summary *s)
{
	int err = 0;

	for (size_t i = 0; !err && i < n; i++)
		err = json_line(stdout, json_thread(a, rows[i].t));
	for (size_t i = 0; !err && i < a->n_fds; i++) {
		if (a->fd[i].members_read)
			err = json_line(stdout, json_epoll(a, &a->fd[i]));
	}
	return err ? err : json_line(stdout, json_summary(s));
}

static void print_text(const struct options *o, const struct autopsy *a, const struct thread_row *rows,
		       size_t n, const struct summary *s)
{
	char when[16];

	printf("process %d: %zu threads at %s\n", (int)a->pid, a->n_threads,
	       text_time(&a->taken, a->taken.mono_ns, when));
	text_threads(stdout, a, rows, n, o->wide, terminal_width());
	if (o->common.quiet)
		return;
	putchar('\n');
	text_summary(stdout, s);
}

static int report(const struct options *o, struct threads *t, struct autopsy *a, const char *no_user,
		  struct session_usage *usage, struct err *err)
{
	struct summary s = {.command = "threads"};
	struct thread_row *rows;
	size_t n;
	int rc = 0;

	for (size_t i = 0; !rc && i < a->n_threads; i++)
		rc = autopsy_stacks(&a->thread[i], threads_ops(t));
	if (!rc)
		rc = thread_rows(a, !o->wide && !o->common.json, &rows, &n);
	if (rc)
		return err_set(err, rc, "thread table: %s", strerror(-rc));
	account(a, t, no_user, &s);
	session_usage_finish(usage, &s);
	if (o->common.json)
		rc = print_json(a, rows, n, &s);
	else
		print_text(o, a, rows, n, &s);
	free(rows);
	if (!rc && fflush(stdout))
		rc = -errno;
	rc = rc == -EPIPE ? 0 : rc; /* the reader has seen enough */
	if (rc)
		err_set(err, rc, "cannot write: %s", strerror(-rc));
	else
		rc = s.complete ? EXIT_NOTHING : EXIT_INCOMPLETE;
	summary_deinit(&s);
	return rc;
}

static int look(const struct options *o, struct err *err)
{
	struct session_usage usage;
	struct threads_opts opts = {.pid = o->common.pid, .btf = o->common.btf, .proc_only = o->proc_only};
	struct threads *t = NULL;
	struct autopsy *a = NULL;
	struct err image_err = {0};
	int rc;

	session_usage_start(&usage);
	if (image_open(&opts.image, opts.pid, o->common.debuginfo, &image_err))
		opts.image = NULL;
	rc = threads_open(&t, &opts, err);
	if (!rc)
		rc = threads_autopsy(t, &a, err);
	if (!rc)
		rc = report(o, t, a, image_err.code ? image_err.msg : NULL, &usage, err);
	autopsy_free(a);
	threads_close(t);
	image_close(opts.image);
	return rc;
}

int cmd_threads(int argc, char **argv)
{
	struct options o = {0};
	struct err err = {0};
	int rc = parse(argc, argv, &o, &err);

	if (rc > 0)
		return EXIT_NOTHING;
	if (rc < 0)
		return usage("threads", "%s", err.msg);
	trace_verbose(o.common.verbose);
	rc = common_target(&o.common, &err);
	if (rc == -EINVAL)
		return usage("threads", "%s", err.msg);
	if (!rc)
		rc = caps_check(o.proc_only ? CAPS_READ : CAPS_TRACE, &err);
	if (!rc && common_btf(&o.common, &err) && o.common.btf) /* without any, /proc serves */
		rc = -EINVAL;
	if (!rc)
		rc = look(&o, &err);
	return rc < 0 ? fail(EXIT_CANNOT_RUN, &err) : rc;
}
