// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "doctor/explain.h"

/* What a feature asks of the process: one of CAP_SYS_ADMIN and this; 0 = nothing. A second one, if any. */
struct wants {
	int cap, cap2;
	const char *config; /* option without which a kernel does not have it */
};

static struct wants wants_of(enum feature_id id)
{
	switch (id) {
	case FEATURE_BTF:
		return (struct wants){.config = "CONFIG_DEBUG_INFO_BTF"};
	case FEATURE_RUN_TIME: /* bpf_enable_stats() */
		return (struct wants){.cap = NODE_CAP_SYS_ADMIN, .config = "CONFIG_BPF_SYSCALL"};
	case FEATURE_UPROBE: /* perf_uprobe_event_init() */
	case FEATURE_COOKIE:
	case FEATURE_URETPROBE:
		return (struct wants){NODE_CAP_BPF, NODE_CAP_SYS_ADMIN, "CONFIG_UPROBE_EVENTS"};
	case FEATURE_UPROBE_MULTI:
		return (struct wants){NODE_CAP_BPF, NODE_CAP_PERFMON, "CONFIG_UPROBE_EVENTS"};
	case FEATURE_WATCHPOINT:
		return (struct wants){NODE_CAP_BPF, NODE_CAP_PERFMON, "CONFIG_HAVE_HW_BREAKPOINT"};
	case FEATURE_KPROBE:
		return (struct wants){NODE_CAP_BPF, NODE_CAP_PERFMON, "CONFIG_KPROBE_EVENTS"};
	case FEATURE_FENTRY:
		return (struct wants){NODE_CAP_BPF, NODE_CAP_PERFMON,
				      "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS"};
	case FEATURE_KERNEL_READ:
	case FEATURE_USER_READ:
	case FEATURE_RINGBUF:
	case FEATURE_PERFBUF:
	case FEATURE_SYSCALL_TP:
	case FEATURE_SOCK_TP:
	case FEATURE_ITER_TASK:
		return (struct wants){NODE_CAP_BPF, NODE_CAP_PERFMON, "CONFIG_BPF_EVENTS"};
	case FEATURE_SOCK_DIAG:
		/* setns(), where the target has a network namespace of its own */
		return (struct wants){.cap = NODE_CAP_SYS_ADMIN, .config = "CONFIG_INET_DIAG"};
	case FEATURE_VM_READV:
		return (struct wants){.cap = NODE_CAP_SYS_PTRACE, .config = "CONFIG_CROSS_MEMORY_ATTACH"};
	case FEATURE_TASK_STACK:
		return (struct wants){.cap = NODE_CAP_SYS_ADMIN, .config = "CONFIG_STACKTRACE"};
	case FEATURE_KALLSYMS:
		return (struct wants){.cap = NODE_CAP_SYSLOG, .config = "CONFIG_KALLSYMS"};
	case FEATURE_WRITES:
	case FEATURE_STALLS:
	case FEATURE_FRAMING:
		return (struct wants){NODE_CAP_BPF, NODE_CAP_PERFMON, "CONFIG_BPF_EVENTS"};
	case FEATURE_CAPS:
	case FEATURE_MAX:
		break;
	}
	return (struct wants){0};
}

/* Locked down with confidentiality, the kernel keeps these to itself (security/lockdown, enum
 * lockdown_reason). */
static bool locked_down(enum feature_id id, const struct node *n)
{
	if (strcmp(n->lockdown, "confidentiality") != 0)
		return false;
	switch (id) {
	case FEATURE_KERNEL_READ:
	case FEATURE_USER_READ: /* libbpf then takes the helper that reads both */
	case FEATURE_WRITES:
	case FEATURE_KPROBE:
	case FEATURE_FENTRY:
	case FEATURE_ITER_TASK:
	case FEATURE_KALLSYMS:
	case FEATURE_PERFBUF:
	case FEATURE_STALLS:
	case FEATURE_FRAMING:
		return true;
	default:
		return false;
	}
}

static bool lacks(const struct node *n, int cap)
{
	bool parted =
		cap == NODE_CAP_BPF || cap == NODE_CAP_PERFMON; /* from CAP_SYS_ADMIN, which still has them */

	return cap && !node_has_cap(n, (enum node_cap)cap) &&
	       !(parted && node_has_cap(n, NODE_CAP_SYS_ADMIN));
}

static bool in_container(const struct node *n)
{
	return n->container[0] || n->user_ns || n->pid_ns;
}

static const char *what_to_give(const struct node *n)
{
	return in_container(n) ? "run it on the host, or give the container CAP_BPF, CAP_PERFMON, "
				 "CAP_SYS_PTRACE and CAP_NET_ADMIN (before 5.8 CAP_SYS_ADMIN)"
			       : "run it as root, with all capabilities";
}

/* Refused by somebody: who it was. False: nobody is seen. */
static bool explain_permission(struct feature *f, enum feature_id id, const struct node *n)
{
	struct wants w = wants_of(id);
	int missing = lacks(n, w.cap) ? w.cap : lacks(n, w.cap2) ? w.cap2 : 0;

	if (missing) {
		/* kernels before 5.8 know the two small ones not at all */
		bool one = w.cap2 || missing == NODE_CAP_BPF;
		const char *name =
			one && node_older(n, "5.8") ? "CAP_SYS_ADMIN" : node_cap_name((enum node_cap)missing);

		snprintf(f->why, sizeof(f->why), "%s is missing", name);
		snprintf(f->change, sizeof(f->change), "%s", what_to_give(n));
	} else if (locked_down(id, n)) {
		snprintf(f->why, sizeof(f->why), "the kernel is locked down (confidentiality)");
		snprintf(f->change, sizeof(f->change), "%s",
			 n->secure_boot ? "boot without Secure Boot, or with lockdown=integrity"
					: "boot with lockdown=integrity or without lockdown=");
	} else if (n->user_ns) {
		snprintf(f->why, sizeof(f->why), "in a user namespace: root here is not root on the node");
		snprintf(f->change, sizeof(f->change), "run it on the host");
	} else if (id == FEATURE_VM_READV && n->ptrace_scope == 3) {
		snprintf(f->why, sizeof(f->why),
			 "kernel.yama.ptrace_scope is 3: nobody may read another process");
		snprintf(f->change, sizeof(f->change), "only a reboot takes it back");
	} else if (n->seccomp == 2) {
		snprintf(f->why, sizeof(f->why), "%s; system calls of this process are filtered (seccomp)",
			 strerror(-f->error));
		snprintf(f->change, sizeof(f->change),
			 "run it on the host, or the container with seccomp=unconfined");
	} else if (n->selinux == 1) {
		snprintf(f->why, sizeof(f->why), "%s; SELinux is enforcing", strerror(-f->error));
		snprintf(f->change, sizeof(f->change),
			 "`ausearch -m avc -ts recent` shows whether it was SELinux, and which rule");
	} else {
		return false;
	}
	return true;
}

/* Not there: since when it is, and whether this kernel was built without it. */
static void explain_absence(struct feature *f, enum feature_id id, const struct node *n)
{
	struct wants w = wants_of(id);

	if (w.config && node_config(n, w.config) == 'n') {
		snprintf(f->why, sizeof(f->why), "the kernel is built without %s", w.config);
		snprintf(f->change, sizeof(f->change), "another kernel");
	} else if (f->since && node_older(n, f->since)) {
		snprintf(f->why, sizeof(f->why), "not in this kernel (it came with %s)", f->since);
	}
}

void feature_explain(struct feature *f, enum feature_id id, const struct node *n)
{
	if (f->state == FEATURE_WORKS || f->put_aside)
		return;
	if (id == FEATURE_CAPS) { /* why names them */
		snprintf(f->change, sizeof(f->change), "%s", what_to_give(n));
		return;
	}
	switch (-f->error) {
	case EPERM:
	case EACCES:
		if (!explain_permission(f, id, n))
			explain_absence(f, id, n);
		break;
	case 0:
		if (f->state == FEATURE_SILENT && locked_down(id, n)) {
			f->error = -EPERM;
			explain_permission(f, id, n);
		}
		break;
	case E2BIG:  /* a million instructions followed */
	case EFAULT: /* or 8,192 jumps kept in mind */
		snprintf(f->why, sizeof(f->why),
			 "its programs are more than this kernel's verifier follows%s",
			 node_older(n, "5.6") ? " (5.6 brought functions that are verified alone)" : "");
		break;
	default:
		/* a helper that is withheld is an unknown one to the verifier: EINVAL */
		if (!locked_down(id, n) || !explain_permission(f, id, n))
			explain_absence(f, id, n);
	}
}
