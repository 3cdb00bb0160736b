// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <elfutils/libdwelf.h>

#include "proc/process.h"
#include "proc/slurp.h"
#include "util/grow.h"

#define DELETED " (deleted)"

static const char *value_of(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, len) && line[len] == ':')
			return line + len + 1 + strspn(line + len + 1, "\t ");
	}
	return NULL;
}

static uint64_t number_of(const char *text, const char *key)
{
	const char *v = value_of(text, key);

	return v ? strtoull(v, NULL, 10) : 0;
}

/* proc(5) escapes newline and backslash in Name. */
static void copy_name(char comm[PROC_COMM_LEN], const char *v)
{
	size_t n = 0;

	while (*v && *v != '\n' && n < PROC_COMM_LEN - 1) {
		if (v[0] == '\\' && (v[1] == 'n' || v[1] == '\\')) {
			comm[n++] = v[1] == 'n' ? '\n' : '\\';
			v += 2;
		} else {
			comm[n++] = *v++;
		}
	}
	comm[n] = '\0';
}

int proc_status_parse(const char *text, struct proc_status *ret)
{
	const char *name = value_of(text, "Name"), *state = value_of(text, "State"),
		   *uid = value_of(text, "Uid");
	const char *ns = value_of(text, "NSpid");
	char *end;

	memset(ret, 0, sizeof(*ret));
	if (!name || !state || !uid || !value_of(text, "Tgid"))
		return -EBADMSG;
	copy_name(ret->comm, name);
	ret->state = *state;
	ret->tgid = (pid_t)number_of(text, "Tgid");
	ret->ppid = (pid_t)number_of(text, "PPid");
	ret->tracer = (pid_t)number_of(text, "TracerPid");
	ret->uid = (uid_t)strtoul(uid, &end, 10);
	ret->euid = (uid_t)strtoul(end, NULL, 10);
	ret->threads = (unsigned)number_of(text, "Threads");
	ret->peak_rss_kib = number_of(text, "VmHWM");
	while (ns && isdigit((unsigned char)*ns) && ret->ns_depth < PROC_NS_DEPTH) {
		ret->ns_pid[ret->ns_depth++] = (pid_t)strtol(ns, &end, 10);
		ns = end + strspn(end, "\t ");
	}
	return 0;
}

int proc_status_read(struct proc_status *ret, pid_t pid, struct err *err)
{
	char *text;
	int e;

	e = proc_slurp(&text, "/proc/%d/status", (int)pid);
	if (e == -ENOENT)
		e = -ESRCH;
	if (!e) {
		e = proc_status_parse(text, ret);
		free(text);
	}
	return e ? err_set(err, e, "process %d: status: %s", (int)pid, strerror(-e)) : 0;
}

int proc_start_ticks(pid_t pid, uint64_t *ret)
{
	struct proc_thread t;
	int err = proc_thread_read(&t, pid, pid);

	if (!err)
		*ret = t.start_ticks;
	return err;
}

static void read_build_id(int fd, char hex[PROC_BUILD_ID_LEN])
{
	const void *id;
	ssize_t len;
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	len = elf ? dwelf_elf_gnu_build_id(elf, &id) : 0;
	if (len > (PROC_BUILD_ID_LEN - 1) / 2)
		len = 0;
	hex[0] = '\0';
	for (ssize_t i = 0; i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", ((const unsigned char *)id)[i]);
	elf_end(elf);
}

int proc_exe_read(struct proc_exe *ret, pid_t pid, struct err *err)
{
	char link[64], path[PATH_MAX + 1];
	struct stat st;
	ssize_t len;
	int fd, e;

	memset(ret, 0, sizeof(*ret));
	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	len = readlink(link, path, sizeof(path) - 1);
	fd = len < 0 ? -1 : open(link, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st)) {
		struct proc_thread t;

		e = -errno;
		if (e == -ENOENT && proc_thread_read(&t, pid, pid) == -ESRCH)
			e = -ESRCH;
		if (fd >= 0)
			close(fd);
		return err_set(err, e, "process %d: executable: %s", (int)pid, strerror(-e));
	}
	path[len] = '\0';
	if ((size_t)len > strlen(DELETED) && !strcmp(path + len - strlen(DELETED), DELETED)) {
		path[(size_t)len - strlen(DELETED)] = '\0';
		ret->deleted = true;
	}
	ret->inode = st.st_ino;
	ret->dev = st.st_dev;
	read_build_id(fd, ret->build_id);
	close(fd);
	ret->path = strdup(path);
	return ret->path ? 0 : err_set(err, -ENOMEM, "out of memory");
}

void proc_exe_deinit(struct proc_exe *e)
{
	free(e->path);
	*e = (struct proc_exe){0};
}

static bool exe_named(pid_t pid, const char *name)
{
	struct proc_exe exe;
	const char *base;
	bool same;

	proc_exe_read(&exe, pid, NULL);
	if (!exe.path)
		return false; /* has exited, or is a thread of the kernel */
	base = strrchr(exe.path, '/');
	same = !strcmp(base ? base + 1 : exe.path, name);
	proc_exe_deinit(&exe);
	return same;
}

static int by_pid(const void *a, const void *b)
{
	const pid_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int proc_find_comm(const char *name, struct proc_pids *ret, struct err *err)
{
	bool cut = strlen(name) >= PROC_COMM_LEN;
	struct proc_thread t;
	struct dirent *d;
	DIR *dir;
	int e = 0;

	*ret = (struct proc_pids){0};
	dir = opendir("/proc");
	if (!dir)
		return err_set(err, -errno, "/proc: %s", strerror(errno));
	while (!e && (d = readdir(dir))) {
		pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);

		if (pid <= 0 || pid == getpid() || proc_thread_read(&t, pid, pid))
			continue;
		if (strncmp(t.comm, name, PROC_COMM_LEN - 1) != 0 || (cut && !exe_named(pid, name)))
			continue;
		e = GROW(&ret->v, ret->n);
		if (!e)
			ret->v[ret->n++] = pid;
	}
	closedir(dir);
	if (e) {
		proc_pids_deinit(ret);
		return err_set(err, e, "out of memory");
	}
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_pid);
	return 0;
}

void proc_pids_deinit(struct proc_pids *p)
{
	free(p->v);
	*p = (struct proc_pids){0};
}
