/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What of this node decides what may be traced, read from its files. Nothing is tried here. */
#ifndef CULPRIT_NODE_H
#define CULPRIT_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers of include/uapi/linux/capability.h. */
enum node_cap {
	NODE_CAP_DAC_READ_SEARCH = 2,
	NODE_CAP_NET_ADMIN = 12,
	NODE_CAP_SYS_PTRACE = 19,
	NODE_CAP_SYS_ADMIN = 21,
	NODE_CAP_SYS_RESOURCE = 24,
	NODE_CAP_SYSLOG = 34,
	NODE_CAP_PERFMON = 38,
	NODE_CAP_BPF = 39,
};

struct node {
	char root[256];	   /* before every path; "" */
	char release[128]; /* uname -r */
	char machine[32];
	char lockdown[32]; /* "none", "integrity", "confidentiality" */
	char lsm[128];	   /* security modules, as the kernel lists them; "" = not known */
	int selinux;	   /* 1 enforcing, 0 permissive, -1 none */
	int seccomp;	   /* 0 none, 1 strict, 2 filter: of this process */
	bool no_new_privs;
	uint64_t caps;	    /* effective, of this process */
	bool user_ns;	    /* not the first user namespace */
	bool pid_ns;	    /* not the first pid namespace */
	bool chroot;	    /* what is / here is not what init has, or cannot be seen */
	char container[32]; /* "docker", "podman", ...; "" = no sign of one */
	int perf_paranoid;  /* kernel.perf_event_paranoid; INT_MIN = not known */
	int ptrace_scope;   /* kernel.yama.ptrace_scope; -1 = no Yama */
	int bpf_jit;	    /* net.core.bpf_jit_enable; -1 = not known */
	bool secure_boot;
};

/* root: "" or a directory that holds proc, sys, boot, ... (tests). What cannot be read stays at "not known".
 */
void node_read(struct node *n, const char *root);
bool node_has_cap(const struct node *n, enum node_cap c);
const char *node_cap_name(enum node_cap c); /* "CAP_BPF" */
/* 'y', 'm', 'n' by the kernel's configuration (/proc/config.gz, /boot/config-RELEASE); 0 = it cannot be read.
 */
char node_config(const struct node *n, const char *option);
/* Is this kernel older than `version` ("5.8") by its number? Distributions add newer features to older
 * numbers. */
bool node_older(const struct node *n, const char *version);

#endif
