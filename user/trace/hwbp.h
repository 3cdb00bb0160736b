/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One hardware write watchpoint over every thread, old and new: a perf breakpoint event on each online CPU,
 * with a BPF program behind it. The events are file descriptors of this process; nothing outlives it.
 */
#ifndef CULPRIT_HWBP_H
#define CULPRIT_HWBP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"

/* CPUs as in /sys/devices/system/cpu/online. cpu[] is malloc'ed, freed by hwbp_cpus_deinit. */
struct hwbp_cpus {
	int *cpu;
	size_t n;
};
int hwbp_cpus_online(struct hwbp_cpus *cpus, struct err *err);
/* Parses "0-3,8\n". -EINVAL for anything else, -ENOMEM. */
int hwbp_cpus_parse(struct hwbp_cpus *cpus, const char *text);
bool hwbp_cpus_equal(const struct hwbp_cpus *a, const struct hwbp_cpus *b);
void hwbp_cpus_deinit(struct hwbp_cpus *cpus);

/* CPUID or /proc/cpuinfo says that a hypervisor is below us: hits are dear there, and stray traps were seen.
 */
bool hwbp_under_hypervisor(void);

struct hwbp;
/*
 * Takes one debug register of each CPU and keeps it until closed, disabled at first. -ENOSPC: a debugger or
 * another tracer has them; -EPERM and -EACCES: not allowed; -EOPNOTSUPP, -ENOENT: no such hardware. All or
 * nothing.
 */
int hwbp_open(struct hwbp **ret, const struct hwbp_cpus *cpus, int prog_fd, struct err *err);
void hwbp_close(struct hwbp *w); /* NULL is fine */
/*
 * Watches stores to [addr, addr + width): width 1, 2, 4 or 8, addr a multiple of it. Off while it moves, then
 * on, CPU after CPU. On an error it is off everywhere.
 */
int hwbp_move(struct hwbp *w, uint64_t addr, unsigned width, struct err *err);
int hwbp_off(struct hwbp *w, struct err *err);
bool hwbp_is_on(const struct hwbp *w);
/* Traps the kernel counted on all CPUs since hwbp_open, any process. */
uint64_t hwbp_count(const struct hwbp *w);

#endif
