// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proc/slurp.h"
#include "proc/task.h"
#include "trace/session.h"
#include "trace/threads_proc.h"

/* clock and clock_task of each CPU's run queue as the kernel's scheduler report prints them, in ns. */
struct sched_clocks {
	struct {
		uint64_t clock, clock_task;
	} * cpu;
	size_t n;
	uint64_t newest;
};

/* "  .clock   : 12345.678901": milliseconds with six decimals, printed from nanoseconds. */
static bool parse_ms(const char *text, uint64_t *ns)
{
	unsigned long long ms;
	unsigned frac;

	if (sscanf(text, " %llu.%6u", &ms, &frac) != 2)
		return false;
	*ns = ms * 1000000 + frac;
	return true;
}

static FILE *open_sched_debug(void)
{
	FILE *f = fopen("/proc/sched_debug", "re"); /* before 5.13 */

	return f ? f : fopen("/sys/kernel/debug/sched/debug", "re");
}

static void read_clocks(struct sched_clocks *c)
{
	FILE *f = open_sched_debug();
	char *line = NULL;
	size_t cap = 0;
	unsigned cpu = 0;

	*c = (struct sched_clocks){0};
	while (f && getline(&line, &cap, f) > 0) {
		char *colon = strchr(line, ':');
		uint64_t ns;

		if (sscanf(line, "cpu#%u", &cpu) == 1) {
			void *v = cpu < c->n || cpu > 65536 ? c->cpu
							    : realloc(c->cpu, (cpu + 1) * sizeof(*c->cpu));

			if (!v || cpu > 65536)
				break;
			c->cpu = v;
			while (c->n <= cpu)
				memset(&c->cpu[c->n++], 0, sizeof(*c->cpu));
		} else if (c->n && colon && !strncmp(line, "  .clock ", 9) && parse_ms(colon + 1, &ns)) {
			c->cpu[cpu].clock = ns;
			c->newest = ns > c->newest ? ns : c->newest;
		} else if (c->n && colon && !strncmp(line, "  .clock_task ", 14) &&
			   parse_ms(colon + 1, &ns)) {
			c->cpu[cpu].clock_task = ns;
		}
	}
	free(line);
	if (f)
		fclose(f);
}

/* Line "se.exec_start : 865880.642239" of the thread's own scheduler report. */
static bool read_exec_start(pid_t pid, pid_t tid, uint64_t *ns)
{
	char path[64], *line = NULL, *colon;
	bool found = false;
	size_t cap = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/sched", (int)pid, (int)tid);
	f = fopen(path, "re");
	while (f && !found && getline(&line, &cap, f) > 0) {
		colon = strchr(line, ':');
		found = colon && !strncmp(line, "se.exec_start", 13) && parse_ms(colon + 1, ns);
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

/* Field 39 of stat, "processor"; counted behind the last ')' because a name may hold anything. */
static bool read_cpu(pid_t pid, pid_t tid, unsigned *cpu)
{
	char path[64], buf[1024], *p;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)pid, (int)tid);
	f = fopen(path, "re");
	if (!f)
		return false;
	n = fread(buf, 1, sizeof(buf) - 1, f);
	fclose(f);
	buf[n] = '\0';
	p = strrchr(buf, ')');
	for (int field = 2; p && field < 39; field++)
		p = strchr(p + 1, ' ');
	return p && sscanf(p, " %u", cpu) == 1;
}

/* The bound of bpf/threads.bpf.c:blocked_for, from what /proc tells. */
static uint64_t blocked_for(pid_t pid, pid_t tid, const struct sched_clocks *c)
{
	const uint64_t slack = 20000000;
	uint64_t start, lag, own;
	unsigned cpu;

	if (!c->n || !read_cpu(pid, tid, &cpu) || cpu >= c->n || !read_exec_start(pid, tid, &start) || !start)
		return THREADS_UNKNOWN;
	if (c->cpu[cpu].clock < c->cpu[cpu].clock_task)
		return THREADS_UNKNOWN;
	lag = c->cpu[cpu].clock - c->cpu[cpu].clock_task;
	own = c->cpu[cpu].clock_task > start ? c->cpu[cpu].clock_task - start : 0;
	if (c->newest > start + lag + slack && c->newest - start - lag - slack > own)
		own = c->newest - start - lag - slack;
	return own;
}

static uint32_t state_bits(char letter)
{
	switch (letter) {
	case 'R':
		return 0;
	case 'D':
		return 2;
	case 'T':
		return 4;
	case 't':
		return 8;
	case 'X':
		return 0x10;
	case 'Z':
		return 0x20;
	case 'P':
		return 0x40;
	case 'I':
		return 0x402;
	}
	return 1;
}

static void take_call(struct thread_raw *raw, pid_t pid, pid_t tid)
{
	struct proc_syscall call;

	raw->rec.nr = -1;
	if (proc_task_syscall(pid, tid, &call) || call.state == PROC_RUNNING) {
		raw->rec.state = 0;
		return;
	}
	raw->rec.nr = call.nr;
	for (int i = 0; i < 6; i++)
		raw->arg[i] = call.arg[i];
	raw->rec.reg[ABI_REG_SP] = call.sp;
	raw->rec.reg[ABI_REG_IP] = call.pc;
	raw->known = IMAGE_REGS_SP_IP;
	raw->rec.flags |= THREADS_REGS;
}

/* The first number of schedstat: what the scheduler counts. */
static uint64_t cpu_time(pid_t pid, pid_t tid)
{
	uint64_t ns = THREADS_UNKNOWN;
	char *text;

	if (proc_slurp(&text, "/proc/%d/task/%d/schedstat", (int)pid, (int)tid))
		return ns;
	if (sscanf(text, "%" SCNu64, &ns) != 1)
		ns = THREADS_UNKNOWN;
	free(text);
	return ns;
}

/* 0: the thread is there. Switches come first: what happens after them, a later look sees. */
static int take_thread(struct thread_raw *raw, pid_t pid, const struct proc_thread *th, bool brief,
		       const struct sched_clocks *clocks)
{
	struct threads_rec *r = &raw->rec;
	struct proc_switches sw;
	int err = proc_task_switches(pid, th->tid, &sw);

	if (err)
		return err;
	r->h.kind = ABI_KIND_THREADS;
	r->h.size = sizeof(*r);
	r->h.ts_ns = mono_now_ns();
	r->h.tgid = (uint32_t)pid;
	r->h.tid = (uint32_t)th->tid;
	memcpy(r->h.comm, th->comm, sizeof(r->h.comm));
	r->nvcsw = sw.voluntary;
	r->nivcsw = sw.involuntary;
	r->cpu_ns = brief ? THREADS_UNKNOWN : cpu_time(pid, th->tid);
	r->sys_ns = THREADS_UNKNOWN;
	r->start_ns = th->start_ticks * (1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK));
	r->state = state_bits(th->state);
	r->nr = -1;
	r->blocked_ns = r->blocked_max_ns = THREADS_UNKNOWN;
	if (brief || !r->state)
		return 0;
	take_call(raw, pid, th->tid);
	if (!r->state)
		return 0;
	r->blocked_ns = blocked_for(pid, th->tid, clocks);
	if (!proc_task_kstack(pid, th->tid, &raw->kstack))
		r->flags |= THREADS_KSTACK_TAKEN;
	return 0;
}

int threads_proc_look(pid_t pid, bool brief, struct thread_raw **out, size_t *n, struct err *err)
{
	struct sched_clocks clocks = {0};
	struct proc_threads list;
	struct thread_raw *raw;
	size_t kept = 0;
	int rc;

	rc = proc_threads_read(&list, pid, err);
	if (rc)
		return rc;
	if (!brief)
		read_clocks(&clocks);
	raw = calloc(list.n ? list.n : 1, sizeof(*raw));
	for (size_t i = 0; raw && i < list.n; i++) {
		if (!take_thread(&raw[kept], pid, &list.v[i], brief, &clocks))
			kept++;
	}
	proc_threads_deinit(&list);
	free(clocks.cpu);
	if (!raw)
		return err_set(err, -ENOMEM, "out of memory");
	*out = raw;
	*n = kept;
	return 0;
}
