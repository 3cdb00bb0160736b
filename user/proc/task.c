// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proc/slurp.h"
#include "proc/task.h"
#include "util/grow.h"

/* A file of a task that cannot be found: the task is what is missing, as the files themselves are always
 * there. */
static int gone(int err)
{
	return err == -ENOENT ? -ESRCH : err;
}

/*
 * proc(5): pid (comm) state ppid ... ; comm may hold anything, so the last ')' ends it. utime and stime are
 * fields 14 and 15, starttime is field 22.
 */
int proc_thread_parse(char *text, struct proc_thread *t)
{
	char *open = strchr(text, '('), *close = strrchr(text, ')'), *save = NULL, *word;
	unsigned field = 2;

	if (!open || !close || close < open || (size_t)(close - open - 1) >= sizeof(t->comm))
		return -EBADMSG;
	memset(t, 0, sizeof(*t));
	t->tid = (pid_t)strtol(text, NULL, 10);
	memcpy(t->comm, open + 1, (size_t)(close - open - 1));
	for (word = strtok_r(close + 1, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		field++;
		if (field == 3)
			t->state = word[0];
		else if (field == 14 || field == 15)
			t->cpu_ticks += strtoull(word, NULL, 10);
		else if (field == 22)
			t->start_ticks = strtoull(word, NULL, 10);
	}
	return field >= 22 ? 0 : -EBADMSG;
}

int proc_thread_read(struct proc_thread *ret, pid_t pid, pid_t tid)
{
	char *text;
	int err;

	err = proc_slurp(&text, "/proc/%d/task/%d/stat", (int)pid, (int)tid);
	if (err)
		return gone(err);
	err = proc_thread_parse(text, ret);
	free(text);
	return err;
}

static int by_tid(const void *a, const void *b)
{
	const struct proc_thread *x = a, *y = b;

	return (x->tid > y->tid) - (x->tid < y->tid);
}

int proc_threads_read(struct proc_threads *ret, pid_t pid, struct err *err)
{
	struct dirent *d;
	char path[64];
	DIR *dir;
	int e = 0;

	*ret = (struct proc_threads){0};
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir) {
		e = gone(-errno);
		return err_set(err, e, "process %d: threads: %s", (int)pid, strerror(-e));
	}
	while ((d = readdir(dir))) {
		pid_t tid = (pid_t)strtol(d->d_name, NULL, 10);

		if (tid <= 0)
			continue;
		e = GROW(&ret->v, ret->n);
		if (e)
			break;
		e = proc_thread_read(&ret->v[ret->n], pid, tid);
		if (e == -ESRCH)
			e = 0;
		else if (e)
			break;
		else
			ret->n++;
	}
	closedir(dir);
	if (!e && !ret->n)
		e = -ESRCH;
	if (e) {
		proc_threads_deinit(ret);
		return err_set(err, e, "process %d: threads: %s", (int)pid, strerror(-e));
	}
	qsort(ret->v, ret->n, sizeof(*ret->v), by_tid);
	return 0;
}

void proc_threads_deinit(struct proc_threads *t)
{
	free(t->v);
	*t = (struct proc_threads){0};
}

int proc_syscall_parse(const char *line, struct proc_syscall *ret)
{
	uint64_t v[8];
	const char *at;
	int n = 0, used = 0;

	memset(ret, 0, sizeof(*ret));
	ret->nr = -1;
	if (!strncmp(line, "running", 7)) {
		ret->state = PROC_RUNNING;
		return 0;
	}
	if (sscanf(line, "%ld%n", &ret->nr, &used) != 1)
		return -EBADMSG;
	for (at = line + used; n < 8 && sscanf(at, " %" SCNx64 "%n", &v[n], &used) == 1; n++)
		at += used;
	if (ret->nr == -1 && n == 2) {
		ret->state = PROC_NO_SYSCALL;
	} else if (ret->nr >= 0 && n == 8) {
		ret->state = PROC_IN_SYSCALL;
		memcpy(ret->arg, v, sizeof(ret->arg));
	} else {
		return -EBADMSG;
	}
	ret->sp = v[n - 2];
	ret->pc = v[n - 1];
	return 0;
}

int proc_task_syscall(pid_t pid, pid_t tid, struct proc_syscall *ret)
{
	char *text;
	int err;

	err = proc_slurp(&text, "/proc/%d/task/%d/syscall", (int)pid, (int)tid);
	if (err)
		return gone(err);
	err = proc_syscall_parse(text, ret);
	free(text);
	return err;
}

/* Lines are "[<0>] name+0x42/0x70" or "[<0>] name+0x42/0x70 [module]"; old kernels end with "[<ffff...>]
 * 0xffffffffffffffff". */
int proc_kstack_parse(const char *text, struct proc_kstack *ret)
{
	const char *line = text;
	int err;

	*ret = (struct proc_kstack){0};
	while (*line) {
		const char *name = strstr(line, "] "), *eol = strchrnul(line, '\n');
		size_t len;

		if (name && name < eol) {
			name += 2;
			len = strcspn(name, "+ \n");
			if (len && strncmp(name, "0xffffffffffffffff", 18) != 0) {
				err = GROW(&ret->v, ret->n);
				if (!err && !(ret->v[ret->n] = strndup(name, len)))
					err = -ENOMEM;
				if (err) {
					proc_kstack_deinit(ret);
					return err;
				}
				ret->n++;
			}
		}
		line = *eol ? eol + 1 : eol;
	}
	return 0;
}

int proc_task_kstack(pid_t pid, pid_t tid, struct proc_kstack *ret)
{
	struct proc_thread t;
	char *text;
	int err;

	*ret = (struct proc_kstack){0};
	err = proc_slurp(&text, "/proc/%d/task/%d/stack", (int)pid, (int)tid);
	if (err == -ENOENT && proc_thread_read(&t, pid, tid) == -ESRCH)
		return -ESRCH;
	if (err)
		return err;
	err = proc_kstack_parse(text, ret);
	free(text);
	return err;
}

void proc_kstack_deinit(struct proc_kstack *k)
{
	for (size_t i = 0; i < k->n; i++)
		free(k->v[i]);
	free(k->v);
	*k = (struct proc_kstack){0};
}

int proc_task_switches(pid_t pid, pid_t tid, struct proc_switches *ret)
{
	static const char vol[] = "\nvoluntary_ctxt_switches:", invol[] = "\nnonvoluntary_ctxt_switches:";
	static const char state[] = "\nState:\t";
	const char *v, *i, *s;
	char *text;
	int err;

	err = proc_slurp(&text, "/proc/%d/task/%d/status", (int)pid, (int)tid);
	if (err)
		return gone(err);
	v = strstr(text, vol);
	i = strstr(text, invol);
	s = strstr(text, state);
	if (v && i && s) {
		ret->runs = s[strlen(state)] == 'R';
		ret->voluntary = strtoull(v + strlen(vol), NULL, 10);
		ret->involuntary = strtoull(i + strlen(invol), NULL, 10);
	}
	err = v && i && s ? 0 : -EBADMSG;
	free(text);
	return err;
}
