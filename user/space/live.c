// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A live process: mappings, threads and which pages it has ever touched. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proc/task.h"
#include "space/space_priv.h"
#include "util/pages.h"

#define PM_PRESENT (1ull << 63) /* Documentation/admin-guide/mm/pagemap.rst */
#define PM_SWAPPED (1ull << 62)
#define PM_BATCH   8192 /* entries read at once */
#define SP_TRIES   20
#define SP_WAIT_NS 2000000

static bool is_touched(uint64_t e)
{
	return (e & (PM_PRESENT | PM_SWAPPED)) != 0;
}

/* A thread that runs has no stack pointer to show; most are blocked, and the others soon are. */
static void read_stack_pointers(struct space *s)
{
	struct timespec wait = {.tv_nsec = SP_WAIT_NS};
	size_t left = s->n_threads;

	for (int try = 0; try < SP_TRIES && left; try++) {
		if (try)
			nanosleep(&wait, NULL);
		left = 0;
		for (size_t i = 0; i < s->n_threads; i++) {
			struct space_thread *t = &s->thread[i];
			struct proc_syscall sc;

			if (t->sp)
				continue;
			if (!proc_task_syscall(s->pid, t->tid, &sc) && sc.state != PROC_RUNNING)
				t->sp = sc.sp;
			left += !t->sp;
		}
	}
}

static int read_threads(struct space *s, struct err *err)
{
	struct proc_threads t;
	int rc = proc_threads_read(&t, s->pid, err);

	if (rc)
		return rc;
	s->thread = calloc(t.n + 1, sizeof(*s->thread));
	if (!s->thread) {
		proc_threads_deinit(&t);
		return err_set(err, -ENOMEM, "out of memory");
	}
	for (size_t i = 0; i < t.n; i++) {
		s->thread[i].tid = t.v[i].tid;
		memcpy(s->thread[i].comm, t.v[i].comm, sizeof(s->thread[i].comm));
		if (t.v[i].tid == s->pid)
			snprintf(s->comm, sizeof(s->comm), "%s", t.v[i].comm);
	}
	s->n_threads = t.n;
	proc_threads_deinit(&t);
	read_stack_pointers(s);
	return 0;
}

static void read_entry(struct space *s)
{
	uint64_t v[2];
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/auxv", (int)s->pid);
	f = fopen(path, "re");
	if (!f)
		return;
	while (fread(v, sizeof(v), 1, f) == 1 && v[0] != AT_NULL)
		if (v[0] == AT_ENTRY)
			s->entry = v[1];
	fclose(f);
}

int live_open(struct space *s, struct err *err)
{
	char path[64];
	int rc = proc_maps_read(&s->maps, s->pid, err);

	if (rc)
		return rc;
	if (!s->maps.n)
		return err_set(err, -ESRCH, "process %d has no memory: it is a kernel thread or has exited",
			       (int)s->pid);
	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)s->pid);
	s->pagemap = open(path, O_RDONLY | O_CLOEXEC);
	read_entry(s);
	return read_threads(s, err);
}

bool live_touched(const struct space *s, uint64_t addr, uint64_t end, uint64_t *lo, uint64_t *hi)
{
	const uint64_t size = page_size(); /* of which there is one entry each */
	uint64_t entry[PM_BATCH];
	bool in = false;

	*lo = addr;
	*hi = end;
	if (s->pagemap < 0)
		return addr < end;
	for (uint64_t page = addr / size, last = (end + size - 1) / size; page < last;) {
		uint64_t n = last - page < PM_BATCH ? last - page : PM_BATCH;
		ssize_t got = pread(s->pagemap, entry, n * 8, (off_t)(page * 8));

		if (got < 8) {
			/* not to be told: then it is to be read */
			if (!in)
				*lo = page * size > addr ? page * size : addr;
			return true;
		}
		n = (uint64_t)got / 8;
		for (uint64_t i = 0; i < n; i++) {
			if (is_touched(entry[i]) == in)
				continue;
			if (in) {
				*hi = (page + i) * size;
				return true;
			}
			in = true;
			if ((page + i) * size > addr)
				*lo = (page + i) * size;
		}
		page += n;
	}
	return in;
}
