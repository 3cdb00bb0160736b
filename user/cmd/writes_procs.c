// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Processes that come and go while a session runs. */
#include <stdio.h>
#include <string.h>

#include "cmd/writes_report.h"
#include "proc/process.h"

size_t runs_ended(struct runs *s, uint64_t now_ns)
{
	size_t left = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct run *r = s->v[i];

		if (r->exited)
			continue;
		if (session_target_started(r->pid) == r->p->started) {
			left++;
			continue;
		}
		transport_drain(s->transport, NULL);
		run_finish(r, now_ns);
		if (r->watch)
			writes_watch_stop(r->watch, now_ns);
		r->exited = true;
		r->end_ns = now_ns;
		if (!s->o->c.quiet && (s->t->n > 1 || s->o->c.comm)) {
			session_clear_line();
			fprintf(stderr, "culprit: process %d has exited\n", (int)r->pid);
		}
	}
	return left;
}

static bool among(const pid_t *v, size_t n, pid_t pid)
{
	for (size_t i = 0; i < n; i++) {
		if (v[i] == pid)
			return true;
	}
	return false;
}

static bool guarded(const struct runs *s, pid_t pid)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i]->pid == pid && !s->v[i]->exited)
			return true;
	}
	return false;
}

static void refuse(struct runs *s, pid_t pid, const char *why)
{
	if (!s->n_refused)
		snprintf(s->refusal, sizeof(s->refusal), "%.250s", why);
	if (s->n_refused < RUNS_MAX)
		s->refused[s->n_refused++] = pid;
	session_clear_line();
	if (!s->o->c.quiet)
		fprintf(stderr, "culprit: process %d is not guarded: %s\n", (int)pid, why);
}

static void take(struct runs *s, pid_t pid)
{
	struct err err = {0};

	if (s->n == RUNS_MAX || s->n_failed == RUNS_MAX)
		refuse(s, pid, "too many came during the session");
	else if (writes_targets_add(s->t, s->o, pid, true, &err) ||
		 run_add(s, s->t->v[s->t->n - 1], true, &err))
		refuse(s, pid, err.msg);
}

bool runs_expected(struct runs *s)
{
	size_t before = s->n;

	runs_arrivals(s);
	return s->n_seen > 0 || s->n > before;
}

/* What a process starts by fork bears its name until it is another program: only who is there twice counts.
 */
void runs_arrivals(struct runs *s)
{
	pid_t now[RUNS_MAX];
	struct proc_pids found;
	size_t n = 0;

	if (!s->o->c.comm || proc_find_comm(s->o->c.comm, &found, NULL))
		return;
	for (size_t i = 0; i < found.n && n < RUNS_MAX; i++) {
		pid_t pid = found.v[i];

		if (!session_target_started(pid) || guarded(s, pid) || among(s->refused, s->n_refused, pid))
			continue;
		if (among(s->seen, s->n_seen, pid))
			take(s, pid);
		else
			now[n++] = pid;
	}
	memcpy(s->seen, now, n * sizeof(now[0]));
	s->n_seen = n;
	proc_pids_deinit(&found);
}
