// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "trace/force.h"
#include "trace/tracefs.h"

static int own_mount(void)
{
	int fs = (int)syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC), dir;

	if (fs < 0)
		return -errno;
	dir = (int)syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	if (!dir)
		dir = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	if (dir < 0)
		dir = -errno;
	close(fs);
	return dir;
}

int tracefs_open(struct tracefs *t, struct err *err)
{
	static const char *const places[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};

	struct stat st;

	*t = (struct tracefs){.dir = -1};
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int fd = open(places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0)
			continue;
		if (!fstatat(fd, "events", &st, 0)) { /* faccessat would not count capabilities */
			t->dir = fd;
			return 0;
		}
		close(fd);
	}
	t->dir = own_mount();
	t->own = t->dir >= 0;
	if (t->own)
		return 0;
	err_set(err, t->dir, "no tracefs: %s", strerror(-t->dir));
	err_hint(err, "mount -t tracefs none /sys/kernel/tracing");
	return t->dir;
}

void tracefs_close(struct tracefs *t)
{
	if (t->dir >= 0)
		close(t->dir);
	t->dir = -1;
}

static int tracepoint_id(const struct tracefs *t, const char *category, const char *name)
{
	char path[160], buf[32];
	ssize_t n;
	int fd, id;

	snprintf(path, sizeof(path), "events/%s/%s/id", category, name);
	fd = openat(t->dir, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return -EIO;
	buf[n] = '\0';
	id = atoi(buf);
	return id > 0 ? id : -EIO;
}

int tracefs_attach(const struct tracefs *t, const char *category, const char *name,
		   const struct bpf_program *prog, struct bpf_link **ret)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr), .sample_period = 1, .wakeup_events = 1};
	LIBBPF_OPTS(bpf_perf_event_opts, opts, .force_ioctl_attach = forced(FORCE_NOLINK));
	int id = tracepoint_id(t, category, name), fd, rc;

	if (id < 0)
		return id;
	attr.config = (unsigned)id;
	/* one event suffices: a tracepoint runs its BPF programs on every CPU, whichever the event is of */
	fd = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret = bpf_program__attach_perf_event_opts(prog, fd, &opts);
	if (*ret)
		return 0;
	rc = -errno;
	close(fd);
	return rc;
}
