// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* --log: the daemon's own messages beside the findings. */
#include <errno.h>
#include <stdlib.h>

#include "cmd/stalls.h"
#include "proc/process.h"
#include "report/timeline.h"

/* A thread as the daemon counts it, in its own pid namespace, as we count it. */
struct ns_tid {
	pid_t theirs, ours;
};

struct stalls_log {
	struct log_file *file[STALLS_LOGS];
	struct timeline timeline;
	bool namespaced;
	struct ns_tid *tid;
	size_t n_tids;
	uint64_t records, failed;
};

int stalls_log_open(struct stalls_run *r, struct err *err)
{
	struct proc_status st;
	int rc = 0;

	if (!r->opts.n_logs)
		return 0;
	r->log = calloc(1, sizeof(*r->log));
	if (!r->log)
		return err_set(err, -ENOMEM, "out of memory");
	r->log->namespaced = !proc_status_read(&st, r->opts.common.pid, NULL) && st.ns_depth > 1;
	for (size_t i = 0; !rc && i < r->opts.n_logs; i++)
		rc = log_open(&r->log->file[i], r->opts.log[i], err);
	return rc;
}

/* Threads come and go: the list is made anew at each look. */
void stalls_log_threads(struct stalls_run *r, const struct autopsy *a)
{
	struct stalls_log *l = r->log;
	struct ns_tid *v;

	if (!l || !l->namespaced)
		return;
	v = calloc(a->n_threads + 1, sizeof(*v));
	if (!v)
		return;
	free(l->tid);
	l->tid = v;
	l->n_tids = 0;
	for (size_t i = 0; i < a->n_threads; i++) {
		struct proc_status st;

		if (!proc_status_read(&st, a->thread[i].tid, NULL) && st.ns_depth > 1)
			v[l->n_tids++] = (struct ns_tid){st.ns_pid[st.ns_depth - 1], a->thread[i].tid};
	}
}

static void on_log(void *ctx, const struct log_rec *rec)
{
	struct stalls_log *l = ctx;
	struct log_rec r = *rec;

	for (size_t i = 0; i < l->n_tids; i++) {
		if (l->tid[i].theirs == rec->tid) {
			r.tid = l->tid[i].ours;
			break;
		}
	}
	l->records++;
	l->failed += timeline_add(&l->timeline, &r) != 0;
}

void stalls_log_read(struct stalls_run *r, bool last)
{
	for (size_t i = 0; r->log && i < r->opts.n_logs; i++)
		log_read(r->log->file[i], report_clock_now().real_ns, last, on_log, r->log);
}

int stalls_log_rows(struct stalls_run *r, const struct stall_life *lives, size_t n,
		    struct timeline_row **rows, size_t *n_rows)
{
	struct report_clock c = report_clock_now();

	*rows = NULL;
	*n_rows = 0;
	return r->log ? timeline_build(&r->log->timeline, lives, n, &c, rows, n_rows) : 0;
}

void stalls_log_count(struct stalls_run *r, const struct timeline_row *rows, size_t n_rows,
		      const struct stall_life *lives, struct rpc_ledger *ledger)
{
	struct report_clock c = report_clock_now();

	if (r->log)
		timeline_count(&r->log->timeline, rows, n_rows, lives, c.real_ns - (c.mono_ns - r->start_ns),
			       ledger);
}

void stalls_log_account(const struct stalls_run *r, struct summary *s)
{
	uint64_t lines = 0, turns = 0;

	if (!r->log)
		return;
	for (size_t i = 0; i < r->opts.n_logs; i++) {
		lines += log_lines(r->log->file[i]);
		turns += log_turns(r->log->file[i]);
	}
	summary_count(s, "log lines", lines);
	summary_count(s, "log messages", r->log->records);
	if (turns)
		summary_count(s, "times a log was replaced or cut off", turns);
	if (lines && !r->log->records)
		summary_note(s, true,
			     "no line of the log is glog's: I0917 05:25:17.037914 31576 file.cc:97] text");
	if (r->log->failed)
		summary_note(s, true, "%llu log messages found no memory",
			     (unsigned long long)r->log->failed);
}

void stalls_log_close(struct stalls_run *r)
{
	for (size_t i = 0; r->log && i < r->opts.n_logs; i++)
		log_close(r->log->file[i]);
	if (r->log) {
		timeline_deinit(&r->log->timeline);
		free(r->log->tid);
	}
	free(r->log);
}
