// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What sessions need beside BPF programs of their own, tried on the target where there is one. */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc/caps.h"
#include "proc/maps.h"
#include "proc/mem.h"
#include "sock/sock.h"
#include "trace/features_try.h"

static void try_caps(struct feature *f)
{
	struct err err = {0};
	int rc = caps_check(CAPS_TRACE, &err);

	if (!rc)
		return;
	feature_refuse(f, rc);
	snprintf(f->why, sizeof(f->why), "%s", err.msg);
}

/* Addresses are 0 for those who may not know. Those of variables of a CPU are small anyway. */
static int try_kallsyms(void)
{
	unsigned long long addr = 0;
	char line[256], type = 0;
	FILE *f = fopen("/proc/kallsyms", "re");
	int rc = -EPERM;

	if (!f)
		return -errno;
	while (type != 'T' && type != 't' && fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx %c", &addr, &type) == 2 && (type == 'T' || type == 't') && addr)
			rc = 0;
	fclose(f);
	return rc;
}

static int read_word(pid_t pid, uint64_t addr)
{
	uint64_t word;
	ssize_t got = proc_mem_read(pid, addr, &word, sizeof(word));

	return got < 0 ? (int)got : 0;
}

/* Its first page that can be read. */
static int read_target(pid_t pid)
{
	struct proc_maps maps;
	int rc = proc_maps_read(&maps, pid, NULL);

	if (rc)
		return rc;
	rc = -ENOENT;
	for (size_t i = 0; i < maps.n && rc; i++)
		if (maps.v[i].perms & PROC_R)
			rc = read_word(pid, maps.v[i].start);
	proc_maps_deinit(&maps);
	return rc;
}

/* Everybody may read a child. One that is not dumpable may only be read by who may read any process. */
static int read_child(void)
{
	static volatile uint64_t word = 1;
	int ready[2], rc = -EIO;
	pid_t child;
	char c = 0;

	if (pipe2(ready, O_CLOEXEC))
		return -errno;
	child = fork();
	if (!child) {
		if (!prctl(PR_SET_DUMPABLE, 0) && write(ready[1], &c, 1) == 1)
			pause();
		_exit(0);
	}
	close(ready[1]);
	if (child > 0 && read(ready[0], &c, 1) == 1)
		rc = read_word(child, (uint64_t)(uintptr_t)&word);
	close(ready[0]);
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	return rc;
}

/* In the target's network namespace. Which families there are depends on modules of the kernel. */
static void try_sock_diag(struct feature *f, pid_t pid)
{
	struct sock_table *t = NULL;
	struct err err = {0};
	int rc = sock_table_open(&t, pid, &err);

	if (!rc)
		rc = sock_table_dump(t, &err);
	if (rc) {
		feature_refuse(f, rc);
	} else if (!sock_table_has(t, AF_INET) || !sock_table_has(t, AF_UNIX)) {
		feature_refuse(f, -ENOENT);
		snprintf(f->why, sizeof(f->why), "it does not tell of %s",
			 sock_table_has(t, AF_INET)   ? "unix sockets"
			 : sock_table_has(t, AF_UNIX) ? "TCP sockets"
						      : "any sockets");
		snprintf(f->change, sizeof(f->change), "modprobe -a tcp_diag unix_diag");
	}
	sock_table_close(t);
}

static int try_stack(void)
{
	int fd = open("/proc/self/stack", O_RDONLY | O_CLOEXEC), rc = 0;
	char c;

	if (fd < 0 || read(fd, &c, 1) < 0)
		rc = -errno;
	if (fd >= 0)
		close(fd);
	return rc;
}

static void settle(struct feature *f, int rc)
{
	if (rc)
		feature_refuse(f, rc);
}

void features_read(struct feature f[FEATURE_MAX], pid_t pid)
{
	int fd;

	try_caps(&f[FEATURE_CAPS]);
	try_sock_diag(&f[FEATURE_SOCK_DIAG], pid ? pid : getpid());
	settle(&f[FEATURE_VM_READV], pid ? read_target(pid) : read_child());
	settle(&f[FEATURE_TASK_STACK], try_stack());
	settle(&f[FEATURE_KALLSYMS], try_kallsyms());
	fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	settle(&f[FEATURE_RUN_TIME], fd < 0 ? fd : 0);
	if (fd >= 0)
		close(fd);
}
