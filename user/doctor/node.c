// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <zlib.h>

#include "doctor/node.h"
#include "proc/slurp.h"

/* First inode numbers of include/linux/proc_ns.h: those of the first namespaces, on every kernel. */
#define FIRST_USER_NS 0xEFFFFFFDU
#define FIRST_PID_NS  0xEFFFFFFCU

/* First line of a file, "" if it cannot be read. */
static void line_of(const struct node *n, const char *path, char *buf, size_t len)
{
	char *text = NULL;

	buf[0] = '\0';
	if (proc_slurp(&text, "%s%s", n->root, path))
		return;
	snprintf(buf, len, "%.*s", (int)strcspn(text, "\n"), text);
	free(text);
}

static int number_of(const struct node *n, const char *path, int unknown)
{
	char line[32];

	line_of(n, path, line, sizeof(line));
	return line[0] ? atoi(line) : unknown;
}

static bool there(const struct node *n, const char *path)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s%s", n->root, path);
	return !access(full, F_OK);
}

/* The one in brackets: "none [integrity] confidentiality". */
static void lockdown(struct node *n)
{
	char line[128], *from, *to;

	snprintf(n->lockdown, sizeof(n->lockdown), "none");
	line_of(n, "/sys/kernel/security/lockdown", line, sizeof(line));
	from = strchr(line, '[');
	to = from ? strchr(from, ']') : NULL;
	if (to)
		snprintf(n->lockdown, sizeof(n->lockdown), "%.*s", (int)(to - from - 1), from + 1);
}

static void own_status(struct node *n)
{
	char *text = NULL, *save = NULL;

	if (proc_slurp(&text, "%s/proc/self/status", n->root))
		return;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!strncmp(line, "CapEff:", 7))
			n->caps = strtoull(line + 7, NULL, 16);
		else if (!strncmp(line, "Seccomp:", 8))
			n->seccomp = atoi(line + 8);
		else if (!strncmp(line, "NoNewPrivs:", 11))
			n->no_new_privs = atoi(line + 11) != 0;
	}
	free(text);
}

static bool ns_is_other(const struct node *n, const char *name, unsigned first)
{
	char path[PATH_MAX], link[64], *open;
	ssize_t len;

	snprintf(path, sizeof(path), "%s/proc/self/ns/%s", n->root, name);
	len = readlink(path, link, sizeof(link) - 1);
	if (len <= 0)
		return false;
	link[len] = '\0';
	open = strchr(link, '[');
	return open && strtoul(open + 1, NULL, 10) != first;
}

/* Another mount namespace than init's, as far as that can be seen. */
static bool own_mounts(const struct node *n)
{
	char path[PATH_MAX], ours[64], theirs[64];
	ssize_t a, b;

	snprintf(path, sizeof(path), "%s/proc/self/ns/mnt", n->root);
	a = readlink(path, ours, sizeof(ours));
	snprintf(path, sizeof(path), "%s/proc/1/ns/mnt", n->root);
	b = readlink(path, theirs, sizeof(theirs));
	return a > 0 && b > 0 && (a != b || memcmp(ours, theirs, (size_t)a) != 0);
}

/* Machines made of container images have the signs too: there must be a namespace. */
static void container(struct node *n)
{
	static const struct {
		const char *path, *name;
	} signs[] = {
		{"/.dockerenv", "docker"},
		{"/run/.containerenv", "podman"},
		{"/var/run/secrets/kubernetes.io", "kubernetes"},
	};
	char text[64];

	if (!n->user_ns && !n->pid_ns && !own_mounts(n))
		return;
	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]) && !n->container[0]; i++)
		if (there(n, signs[i].path))
			snprintf(n->container, sizeof(n->container), "%s", signs[i].name);
	line_of(n, "/run/systemd/container", text, sizeof(text));
	if (text[0] && !n->container[0])
		snprintf(n->container, sizeof(n->container), "%.31s", text);
}

/* Another root than init's: its files are of another file system, or another directory of it. */
static bool other_root(const struct node *n)
{
	struct stat ours, theirs;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/proc/1/root/.", n->root);
	if (n->root[0] || stat(path, &theirs) || stat("/", &ours))
		return false;
	return ours.st_dev != theirs.st_dev || ours.st_ino != theirs.st_ino;
}

/* The variable SecureBoot of EFI's global namespace: 4 bytes of attributes, then the value. */
static bool secure_boot(const struct node *n)
{
	char path[PATH_MAX];
	unsigned char value[5] = {0};
	FILE *f;

	snprintf(path, sizeof(path),
		 "%s/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", n->root);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (fread(value, 1, sizeof(value), f) != sizeof(value))
		value[4] = 0;
	fclose(f);
	return value[4] == 1;
}

void node_read(struct node *n, const char *root)
{
	struct utsname u;

	*n = (struct node){0};
	snprintf(n->root, sizeof(n->root), "%s", root);
	uname(&u);
	snprintf(n->release, sizeof(n->release), "%s", u.release);
	snprintf(n->machine, sizeof(n->machine), "%.31s", u.machine);
	if (root[0])
		line_of(n, "/proc/sys/kernel/osrelease", n->release, sizeof(n->release));
	lockdown(n);
	line_of(n, "/sys/kernel/security/lsm", n->lsm, sizeof(n->lsm));
	n->selinux = number_of(n, "/sys/fs/selinux/enforce", -1);
	own_status(n);
	n->user_ns = ns_is_other(n, "user", FIRST_USER_NS);
	n->pid_ns = ns_is_other(n, "pid", FIRST_PID_NS);
	n->chroot = other_root(n);
	container(n);
	n->perf_paranoid = number_of(n, "/proc/sys/kernel/perf_event_paranoid", INT_MIN);
	n->ptrace_scope = number_of(n, "/proc/sys/kernel/yama/ptrace_scope", -1);
	n->bpf_jit = number_of(n, "/proc/sys/net/core/bpf_jit_enable", -1);
	n->secure_boot = secure_boot(n);
}

bool node_has_cap(const struct node *n, enum node_cap c)
{
	return n->caps >> c & 1;
}

const char *node_cap_name(enum node_cap c)
{
	switch (c) {
	case NODE_CAP_DAC_READ_SEARCH:
		return "CAP_DAC_READ_SEARCH";
	case NODE_CAP_NET_ADMIN:
		return "CAP_NET_ADMIN";
	case NODE_CAP_SYS_PTRACE:
		return "CAP_SYS_PTRACE";
	case NODE_CAP_SYS_ADMIN:
		return "CAP_SYS_ADMIN";
	case NODE_CAP_SYS_RESOURCE:
		return "CAP_SYS_RESOURCE";
	case NODE_CAP_SYSLOG:
		return "CAP_SYSLOG";
	case NODE_CAP_PERFMON:
		return "CAP_PERFMON";
	case NODE_CAP_BPF:
		return "CAP_BPF";
	}
	return "?";
}

/* gzopen reads files that are not compressed as they are. */
static char config_in(const char *path, const char *option)
{
	gzFile f = gzopen(path, "re");
	size_t len = strlen(option);
	char line[512], found = 0;

	if (!f)
		return 0;
	while (!found && gzgets(f, line, sizeof(line))) {
		if (!strncmp(line, option, len) && line[len] == '=')
			found = line[len + 1];
		else if (line[0] == '#' && !strncmp(line + 2, option, len) && line[len + 2] == ' ')
			found = 'n';
	}
	if (!found) /* options that depend on one that is off are not in the file at all */
		found = gzeof(f) ? 'n' : 0;
	gzclose(f);
	return found;
}

char node_config(const struct node *n, const char *option)
{
	static const char *const places[] = {"/proc/config.gz", "/boot/config-", "/lib/modules/"};
	char path[PATH_MAX], found = 0;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) && !found; i++) {
		snprintf(path, sizeof(path), "%s%s%s%s", n->root, places[i], i ? n->release : "",
			 i == 2 ? "/config" : "");
		found = config_in(path, option);
	}
	return found;
}

bool node_older(const struct node *n, const char *version)
{
	unsigned major = 0, minor = 0, want_major = 0, want_minor = 0;

	if (sscanf(n->release, "%u.%u", &major, &minor) != 2 ||
	    sscanf(version, "%u.%u", &want_major, &want_minor) != 2)
		return false;
	return major < want_major || (major == want_major && minor < want_minor);
}
