// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "proc/caps.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef CAP_PERFMON
#define CAP_PERFMON	       38
#define CAP_BPF		       39
#define CAP_CHECKPOINT_RESTORE 40
#endif

struct need {
	cap_value_t cap;
	bool trace; /* only to trace */
	const char *why;
};

/* since Linux 5.8; the tracefs files belong to root */
static const struct need needs[] = {
	{CAP_SYS_PTRACE, false, "reads the target's memory and /proc entries"},
	{CAP_BPF, true, "loads BPF programs"},
	{CAP_PERFMON, true, "attaches them to uprobes, tracepoints and watchpoints"},
	{CAP_DAC_READ_SEARCH, true, "reads tracefs and debuginfo that only root may read"},
};

static const struct need old_needs[] = {
	{CAP_SYS_PTRACE, false, "reads the target's memory and /proc entries"},
	{CAP_SYS_ADMIN, true, "loads BPF programs and attaches them (this kernel has no CAP_BPF)"},
	{CAP_SYS_RESOURCE, true, "raises the limit of locked memory, which BPF maps count against"},
	{CAP_DAC_READ_SEARCH, true, "reads tracefs and debuginfo that only root may read"},
};

/* What a running session may still need; of these only what it had remains. */
static const cap_value_t kept[] = {CAP_SYS_PTRACE,	   CAP_BPF,    CAP_PERFMON,  CAP_DAC_READ_SEARCH,
				   CAP_CHECKPOINT_RESTORE, CAP_SYSLOG, CAP_NET_ADMIN};

static bool kernel_knows(cap_value_t cap)
{
	return cap_get_bound(cap) >= 0;
}

static bool has(cap_t caps, cap_value_t cap)
{
	cap_flag_value_t v = CAP_CLEAR;

	return !cap_get_flag(caps, cap, CAP_EFFECTIVE, &v) && v == CAP_SET;
}

static bool fulfilled(cap_t caps, cap_value_t cap)
{
	/* the kernel takes it for both of these */
	if ((cap == CAP_BPF || cap == CAP_PERFMON) && has(caps, CAP_SYS_ADMIN))
		return true;
	return has(caps, cap) ||
	       (cap == CAP_DAC_READ_SEARCH && (geteuid() == 0 || has(caps, CAP_DAC_OVERRIDE)));
}

static void upper(char *s)
{
	for (; *s; s++)
		if (*s >= 'a' && *s <= 'z')
			*s = (char)(*s - 'a' + 'A');
}

struct text {
	char buf[512];
	size_t n;
};

static void append(struct text *t, const char *s)
{
	int n = t->n < sizeof(t->buf) ? snprintf(t->buf + t->n, sizeof(t->buf) - t->n, "%s", s) : 0;

	t->n += n > 0 ? (size_t)n : 0;
}

int caps_check(enum caps_use use, struct err *err)
{
	bool modern = kernel_knows(CAP_BPF);
	const struct need *need = modern ? needs : old_needs;
	struct text names = {0}, why = {0};
	cap_t caps = cap_get_proc();

	if (!caps)
		return err_set(err, -errno, "cannot read the capabilities of this process: %s",
			       strerror(errno));
	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		char *name;

		if ((need[i].trace && use != CAPS_TRACE) || fulfilled(caps, need[i].cap))
			continue;
		name = cap_to_name(need[i].cap);
		if (name)
			upper(name);
		append(&names, names.n ? ", " : "");
		append(&names, name ? name : "?");
		append(&why, name ? name : "?");
		append(&why, " ");
		append(&why, need[i].why);
		append(&why, "\n         ");
		cap_free(name);
	}
	cap_free(caps);
	if (!names.n)
		return 0;
	err_set(err, -EPERM, "uid %d lacks %s", (int)geteuid(), names.buf);
	err_hint(err, "%srun it with sudo, or give it these capabilities", why.buf);
	return -EPERM;
}

static int keep(cap_t old, cap_t now, cap_value_t cap)
{
	return kernel_knows(cap) && has(old, cap) &&
			       (cap_set_flag(now, CAP_EFFECTIVE, 1, &cap, CAP_SET) ||
				cap_set_flag(now, CAP_PERMITTED, 1, &cap, CAP_SET))
		       ? -errno
		       : 0;
}

int caps_drop(bool admin, struct err *err)
{
	cap_t old = cap_get_proc(), now = cap_init();
	int rc = old && now ? 0 : -ENOMEM;

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]) && !rc; i++)
		rc = keep(old, now, kept[i]);
	if (!rc && (admin || !kernel_knows(CAP_BPF)))
		rc = keep(old, now, CAP_SYS_ADMIN);
	if (!rc && !kernel_knows(CAP_BPF))
		rc = keep(old, now, CAP_SYS_RESOURCE);
	/* what runs as root has CAP_BPF; otherwise CAP_SYS_ADMIN may stand for it and for CAP_PERFMON */
	if (!rc && !(has(old, CAP_BPF) && has(old, CAP_PERFMON)))
		rc = keep(old, now, CAP_SYS_ADMIN);
	if (!rc && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || cap_set_proc(now)))
		rc = -errno;
	if (rc)
		err_set(err, rc, "cannot give up capabilities: %s", strerror(-rc));
	cap_free(old);
	cap_free(now);
	return rc;
}
