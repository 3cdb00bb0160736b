// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "doctor/explain.h"

#define ALL_CAPS                                                                                             \
	(1ull << NODE_CAP_BPF | 1ull << NODE_CAP_PERFMON | 1ull << NODE_CAP_SYS_ADMIN |                      \
	 1ull << NODE_CAP_SYS_PTRACE)

struct tree {
	char root[64];
};

static void put(const struct tree *t, const char *path, const char *text)
{
	char full[512];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", t->root, path);
	for (char *p = full + strlen(t->root) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(full, 0700);
		*p = '/';
	}
	f = fopen(full, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	fclose(f);
}

static void put_link(const struct tree *t, const char *path, const char *to)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s", t->root, path);
	assert_int_equal(symlink(to, full), 0);
}

static int make_tree(void **state)
{
	struct tree *t = calloc(1, sizeof(*t));

	snprintf(t->root, sizeof(t->root), "/tmp/test_doctor.XXXXXX");
	assert_non_null(mkdtemp(t->root));
	*state = t;
	return 0;
}

static int remove_tree(void **state)
{
	struct tree *t = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", t->root);
	assert_int_equal(system(command), 0);
	free(t);
	return 0;
}

static void test_node(void **state)
{
	const struct tree *t = *state;
	struct node n;

	put(t, "/proc/sys/kernel/osrelease", "4.18.0-193.28.1.el7.smartx.14.x86_64\n");
	put(t, "/proc/self/status", "Name:\tx\nNoNewPrivs:\t1\nSeccomp:\t2\nCapEff:\t0000008000000000\n");
	put(t, "/proc/self/ns/x", "");
	put_link(t, "/proc/self/ns/user", "user:[4026532500]");
	put_link(t, "/proc/self/ns/pid", "pid:[4026531836]");
	put(t, "/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
	put(t, "/sys/fs/selinux/enforce", "1");
	put(t, "/run/.containerenv", "");
	put(t, "/proc/sys/kernel/perf_event_paranoid", "-1\n");
	put(t, "/proc/sys/kernel/yama/ptrace_scope", "3\n");
	node_read(&n, t->root);
	assert_string_equal(n.release, "4.18.0-193.28.1.el7.smartx.14.x86_64");
	assert_string_equal(n.lockdown, "integrity");
	assert_int_equal(n.selinux, 1);
	assert_int_equal(n.seccomp, 2);
	assert_true(n.no_new_privs);
	assert_true(node_has_cap(&n, NODE_CAP_BPF));
	assert_false(node_has_cap(&n, NODE_CAP_PERFMON));
	assert_true(n.user_ns);
	assert_false(n.pid_ns);
	assert_string_equal(n.container, "podman");
	assert_int_equal(n.perf_paranoid, -1);
	assert_int_equal(n.ptrace_scope, 3);
	assert_true(node_older(&n, "5.8"));
	assert_false(node_older(&n, "4.18"));
	assert_false(node_older(&n, "4.9"));
}

static void test_nothing_to_read(void **state)
{
	const struct tree *t = *state;
	struct node n;

	put(t, "/.dockerenv", ""); /* a machine made of a container image: no namespace, no container */
	node_read(&n, t->root);
	assert_string_equal(n.lockdown, "none");
	assert_string_equal(n.container, "");
	assert_int_equal(n.selinux, -1);
	assert_int_equal(n.perf_paranoid, INT_MIN);
	assert_int_equal(n.ptrace_scope, -1);
	assert_int_equal(node_config(&n, "CONFIG_KPROBES"), 0);
}

static void test_config(void **state)
{
	const struct tree *t = *state;
	struct node n;
	char path[128];
	gzFile f;

	put(t, "/proc/sys/kernel/osrelease", "5.10.0\n");
	put(t, "/boot/config-5.10.0", "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_AB=m\n");
	node_read(&n, t->root);
	assert_int_equal(node_config(&n, "CONFIG_A"), 'y');
	assert_int_equal(node_config(&n, "CONFIG_AB"), 'm');
	assert_int_equal(node_config(&n, "CONFIG_B"), 'n');
	assert_int_equal(node_config(&n, "CONFIG_C"), 'n');
	/* that of the running kernel counts more than a file */
	snprintf(path, sizeof(path), "%s/proc/config.gz", t->root);
	f = gzopen(path, "w");
	assert_true(gzputs(f, "CONFIG_B=y\n") > 0);
	gzclose(f);
	assert_int_equal(node_config(&n, "CONFIG_B"), 'y');
}

static struct feature refused(int error)
{
	struct feature f = {.state = FEATURE_REFUSED, .error = -error};

	snprintf(f.why, sizeof(f.why), "%s", strerror(error));
	return f;
}

static void test_missing_capability(void **state)
{
	struct node n = {
		.root = "/nonexistent", .release = "6.1.0", .caps = 1ull << NODE_CAP_BPF, .lockdown = "none"};
	struct feature f = refused(EPERM);

	(void)state;
	feature_explain(&f, FEATURE_UPROBE_MULTI, &n);
	assert_string_equal(f.why, "CAP_PERFMON is missing");
	assert_non_null(strstr(f.change, "as root"));
	n.caps = 0;
	n.pid_ns = true;
	f = refused(EPERM);
	feature_explain(&f, FEATURE_VM_READV, &n);
	assert_string_equal(f.why, "CAP_SYS_PTRACE is missing");
	assert_non_null(strstr(f.change, "container"));
	/* CAP_SYS_ADMIN stands for those that were parted from it, and for no other */
	n.caps = 1ull << NODE_CAP_SYS_ADMIN;
	f = refused(EPERM);
	feature_explain(&f, FEATURE_VM_READV, &n);
	assert_string_equal(f.why, "CAP_SYS_PTRACE is missing");
	f = refused(EPERM);
	feature_explain(&f, FEATURE_UPROBE_MULTI, &n);
	assert_string_equal(f.why, strerror(EPERM));
	n.caps = 0;
	/* the row of them all says which itself */
	f = refused(EPERM);
	snprintf(f.why, sizeof(f.why), "uid 1 lacks CAP_X");
	feature_explain(&f, FEATURE_CAPS, &n);
	assert_string_equal(f.why, "uid 1 lacks CAP_X");
	assert_non_null(strstr(f.change, "container"));
	/* before 5.8 there was no CAP_BPF */
	snprintf(n.release, sizeof(n.release), "4.18.0-193.el8");
	f = refused(EPERM);
	feature_explain(&f, FEATURE_UPROBE, &n);
	assert_string_equal(f.why, "CAP_SYS_ADMIN is missing");
}

static void test_lockdown(void **state)
{
	struct node n = {
		.root = "/nonexistent", .release = "6.1.0", .caps = ALL_CAPS, .lockdown = "confidentiality"};
	struct feature f = refused(EPERM);

	(void)state;
	feature_explain(&f, FEATURE_KPROBE, &n);
	assert_non_null(strstr(f.why, "locked down"));
	assert_non_null(strstr(f.change, "lockdown="));
	/* it attached, but what it reads is withheld */
	f = (struct feature){.state = FEATURE_SILENT, .why = "attached, but it did not fire"};
	feature_explain(&f, FEATURE_KERNEL_READ, &n);
	assert_non_null(strstr(f.why, "locked down"));
	/* a helper that is withheld, as the verifier says it */
	f = refused(EINVAL);
	feature_explain(&f, FEATURE_KERNEL_READ, &n);
	assert_non_null(strstr(f.why, "locked down"));
	/* which lockdown does not forbid */
	f = refused(EPERM);
	feature_explain(&f, FEATURE_UPROBE, &n);
	assert_string_equal(f.why, strerror(EPERM));
	snprintf(n.lockdown, sizeof(n.lockdown), "integrity");
	f = refused(EPERM);
	feature_explain(&f, FEATURE_KPROBE, &n);
	assert_string_equal(f.why, strerror(EPERM));
}

static void test_other_guards(void **state)
{
	struct node n = {
		.release = "6.1.0", .caps = ALL_CAPS, .lockdown = "none", .seccomp = 2, .selinux = -1};
	struct feature f = refused(EPERM);

	(void)state;
	feature_explain(&f, FEATURE_UPROBE, &n);
	assert_non_null(strstr(f.why, "seccomp"));
	n.ptrace_scope = 3;
	f = refused(EPERM);
	feature_explain(&f, FEATURE_VM_READV, &n);
	assert_non_null(strstr(f.why, "ptrace_scope"));
	n.seccomp = 0;
	n.selinux = 1;
	f = refused(EACCES);
	feature_explain(&f, FEATURE_UPROBE, &n);
	assert_non_null(strstr(f.why, "SELinux"));
	n.user_ns = true;
	f = refused(EPERM);
	feature_explain(&f, FEATURE_UPROBE, &n);
	assert_non_null(strstr(f.why, "user namespace"));
}

static void test_absence(void **state)
{
	const struct tree *t = *state;
	struct feature f = refused(EINVAL);
	struct node n;

	put(t, "/proc/sys/kernel/osrelease", "5.10.0\n");
	node_read(&n, t->root);
	f.since = "6.6";
	feature_explain(&f, FEATURE_UPROBE_MULTI, &n);
	assert_non_null(strstr(f.why, "6.6"));
	put(t, "/boot/config-5.10.0", "# CONFIG_KPROBE_EVENTS is not set\n");
	f = refused(ENOENT);
	feature_explain(&f, FEATURE_KPROBE, &n);
	assert_string_equal(f.why, "the kernel is built without CONFIG_KPROBE_EVENTS");
	/* what was not tried is not explained */
	f = refused(EINVAL);
	f.put_aside = true;
	f.since = "6.6";
	feature_explain(&f, FEATURE_UPROBE_MULTI, &n);
	assert_string_equal(f.why, strerror(EINVAL));
}

static void test_who_can_run(void **state)
{
	struct feature f[FEATURE_MAX] = {0};
	char missing[64];

	(void)state;
	for (int i = 0; i < FEATURE_MAX; i++)
		f[i].name = "something";
	f[FEATURE_RINGBUF].name = "ring buffer";
	f[FEATURE_RINGBUF].for_writes = true;
	f[FEATURE_RINGBUF].instead_of = FEATURE_PERFBUF;
	f[FEATURE_RINGBUF].state = FEATURE_REFUSED;
	assert_true(features_allow(f, true, missing, sizeof(missing)));
	f[FEATURE_PERFBUF].state = FEATURE_SILENT;
	assert_false(features_allow(f, true, missing, sizeof(missing)));
	assert_string_equal(missing, "ring buffer");
	assert_true(features_allow(f, false, missing, sizeof(missing)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_node, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(test_nothing_to_read, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(test_config, make_tree, remove_tree),
		cmocka_unit_test(test_missing_capability),
		cmocka_unit_test(test_lockdown),
		cmocka_unit_test(test_other_guards),
		cmocka_unit_test_setup_teardown(test_absence, make_tree, remove_tree),
		cmocka_unit_test(test_who_can_run),
	};

	return cmocka_run_group_tests_name("doctor", tests, NULL, NULL);
}
