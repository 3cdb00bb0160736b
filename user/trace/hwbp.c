// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A slot is moved by PERF_EVENT_IOC_MODIFY_ATTRIBUTES: it costs about what close and open cost, but the debug
 * register stays ours and the program stays attached.
 */
#include "trace/hwbp.h"

#include <errno.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch/arch.h"

/* Where the register points while its events are disabled: an address that is ours alone. */
static uint64_t parked;

struct hwbp {
	struct perf_event_attr attr; /* as the kernel has it */
	bool on;
	size_t n;
	int fd[];
};

bool hwbp_under_hypervisor(void)
{
	char line[4096];
	bool found = false;

	if (arch_under_hypervisor())
		return true;
	FILE *f = fopen("/proc/cpuinfo", "re");

	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "flags", 5))
			found = strstr(line, " hypervisor") != NULL;
	}
	fclose(f);
	return found;
}

static int cpus_add(struct hwbp_cpus *cpus, long from, long to)
{
	int *v = realloc(cpus->cpu, (cpus->n + (size_t)(to - from) + 1) * sizeof(*v));

	if (!v)
		return -ENOMEM;
	cpus->cpu = v;
	for (long c = from; c <= to; c++)
		v[cpus->n++] = (int)c;
	return 0;
}

int hwbp_cpus_parse(struct hwbp_cpus *cpus, const char *text)
{
	*cpus = (struct hwbp_cpus){0};
	while (*text && *text != '\n') {
		char *end;
		long from = strtol(text, &end, 10), to = from;
		int err = -EINVAL;

		if (end != text && *end == '-') {
			text = end + 1;
			to = strtol(text, &end, 10);
		}
		if (end != text && from >= 0 && to >= from && to < 1 << 16 && (!*end || strchr(",\n", *end)))
			err = cpus_add(cpus, from, to);
		if (err) {
			hwbp_cpus_deinit(cpus);
			return err;
		}
		text = *end == ',' ? end + 1 : end;
	}
	return cpus->n ? 0 : -EINVAL;
}

int hwbp_cpus_online(struct hwbp_cpus *cpus, struct err *err)
{
	static const char path[] = "/sys/devices/system/cpu/online";
	char text[4096];
	FILE *f = fopen(path, "re");
	int ret = -EIO;

	*cpus = (struct hwbp_cpus){0};
	if (!f)
		return err_set(err, -errno, "cannot read %s: %s", path, strerror(errno));
	if (fgets(text, sizeof(text), f))
		ret = hwbp_cpus_parse(cpus, text);
	fclose(f);
	return ret ? err_set(err, ret, "cannot make out the list of CPUs in %s", path) : 0;
}

bool hwbp_cpus_equal(const struct hwbp_cpus *a, const struct hwbp_cpus *b)
{
	return a->n == b->n && (!a->n || !memcmp(a->cpu, b->cpu, a->n * sizeof(*a->cpu)));
}

void hwbp_cpus_deinit(struct hwbp_cpus *cpus)
{
	free(cpus->cpu);
	*cpus = (struct hwbp_cpus){0};
}

static int event_open(struct hwbp *w, int cpu, int prog_fd, struct err *err)
{
	int fd = (int)syscall(SYS_perf_event_open, &w->attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0 && errno == ENOSPC) {
		err_set(err, -ENOSPC, "no free debug register on CPU %d", cpu);
		err_hint(err, "a debugger or another tracer uses them");
		return -ENOSPC;
	}
	if (fd < 0)
		return err_set(err, -errno, "cannot open a watchpoint on CPU %d: %s", cpu, strerror(errno));
	if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, prog_fd) < 0) {
		int code = -errno;

		close(fd);
		return err_set(err, code, "cannot attach the watch program on CPU %d: %s", cpu,
			       strerror(-code));
	}
	w->fd[w->n++] = fd;
	return 0;
}

int hwbp_open(struct hwbp **ret, const struct hwbp_cpus *cpus, int prog_fd, struct err *err)
{
	struct hwbp *w = calloc(1, sizeof(*w) + cpus->n * sizeof(w->fd[0]));

	*ret = NULL;
	if (!w)
		return err_set(err, -ENOMEM, "out of memory");
	w->attr = (struct perf_event_attr){
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(w->attr),
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = (uintptr_t)&parked,
		.bp_len = sizeof(parked),
		.sample_period = 1,
		.disabled = 1,
		.exclude_hv = 1,
	};
	for (size_t i = 0; i < cpus->n; i++) {
		int code = event_open(w, cpus->cpu[i], prog_fd, err);

		if (code) {
			hwbp_close(w);
			return code;
		}
	}
	*ret = w;
	return 0;
}

void hwbp_close(struct hwbp *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->n; i++)
		close(w->fd[i]);
	free(w);
}

int hwbp_off(struct hwbp *w, struct err *err)
{
	int code = 0;

	if (!w->on)
		return 0;
	w->on = false;
	for (size_t i = 0; i < w->n; i++) {
		if (ioctl(w->fd[i], PERF_EVENT_IOC_DISABLE, 0) < 0)
			code = err_set(err, -errno, "cannot switch a watchpoint off: %s", strerror(errno));
	}
	return code;
}

int hwbp_move(struct hwbp *w, uint64_t addr, unsigned width, struct err *err)
{
	/* each CPU leaves the old address before any watches the new one: a record is never of two words */
	int code = hwbp_off(w, err);

	if (code)
		return code;
	w->attr.bp_addr = addr;
	w->attr.bp_len = width;
	w->attr.disabled = 0;
	w->on = true;
	for (size_t i = 0; i < w->n; i++) {
		if (ioctl(w->fd[i], PERF_EVENT_IOC_MODIFY_ATTRIBUTES, &w->attr) < 0) {
			code = err_set(err, -errno, "cannot watch %u bytes at 0x%llx: %s", width,
				       (unsigned long long)addr, strerror(errno));
			hwbp_off(w, NULL);
			return code;
		}
	}
	return 0;
}

bool hwbp_is_on(const struct hwbp *w)
{
	return w->on;
}

uint64_t hwbp_count(const struct hwbp *w)
{
	uint64_t sum = 0, v;

	for (size_t i = 0; i < w->n; i++) {
		if (read(w->fd[i], &v, sizeof(v)) == sizeof(v))
			sum += v;
	}
	return sum;
}
