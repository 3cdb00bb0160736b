// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <string.h>

#include "report/doctor.h"
#include "report/report.h"

static void node_text(const struct doctor_report *r)
{
	const struct node *n = r->node;

	printf("node      %s %s%s, lockdown %s", n->release, n->machine,
	       r->virtual_machine ? ", virtual machine" : "", n->lockdown);
	if (n->selinux >= 0)
		printf(", SELinux %s", n->selinux ? "enforcing" : "permissive");
	if (n->seccomp)
		printf(", seccomp");
	if (n->container[0])
		printf(", in a container (%s)", n->container);
	else if (n->user_ns || n->pid_ns)
		printf(", in %s namespace", n->user_ns && n->pid_ns ? "a user and pid"
					    : n->user_ns	    ? "a user"
								    : "a pid");
	printf("\n");
	if (r->forced)
		printf("forced    CULPRIT_FORCE=%s: does without what the kernel has\n", r->forced);
}

static void features_text(const struct doctor_report *r)
{
	const char *last = "";

	printf("\n  %-21s %-8s  %s\n", "CAPABILITY", "STATE",
	       "USED FOR / WHY NOT, WHAT SERVES INSTEAD, WHAT TO CHANGE");
	for (int i = 0; i < FEATURE_MAX; i++) {
		const struct feature *f = &r->feature[i];

		printf("  %-21s %-8s  %s\n", f->name, feature_state_name(f->state), f->used_for);
		if (f->state == FEATURE_WORKS)
			continue;
		printf("  %-21s %-8s    why: %s\n", "", "", f->why);
		if (f->fallback)
			printf("  %-21s %-8s    instead: %s\n", "", "", f->fallback);
		if (f->change[0])
			printf("  %-21s %-8s    change: %s\n", "", "",
			       strcmp(f->change, last) != 0 ? f->change : "as above");
		last = f->change[0] ? f->change : last;
	}
	for (int writes = 1; writes >= 0; writes--) {
		char missing[256];
		bool can = features_allow(r->feature, writes, missing, sizeof(missing));

		printf("%s%-8s  %s%s\n", writes ? "\n" : "", writes ? "writes" : "stalls",
		       can ? "can run here" : "cannot run here; missing: ", missing);
	}
}

static void libs_text(const struct target_facts *t)
{
	size_t debug = 0, deleted = 0, no_id = 0;

	for (size_t i = 0; i < t->n_libs; i++) {
		debug += t->lib[i].debug == ELF_DEBUG_SELF || t->lib[i].debug == ELF_DEBUG_FOUND;
		no_id += !t->lib[i].build_id[0];
	}
	printf("libraries %zu mapped, debuginfo for %zu, without build-id %zu\n", t->n_libs, debug, no_id);
	for (size_t i = 0; i < t->n_libs; i++) {
		const struct target_lib *l = &t->lib[i];

		if (l->profile)
			printf("          %s: by profile %s\n", l->path, l->profile);
		if (l->deleted)
			printf("          %s was replaced or deleted since it was mapped\n", l->path);
		else if (!l->readable)
			printf("          %s cannot be read here\n", l->path);
		deleted += l->deleted;
	}
	if (deleted)
		printf("          names of their functions come from memory only\n");
}

static void plan_text(const struct doctor_report *r)
{
	const struct target_facts *t = r->target;
	const struct writes_plan *p = t->plan;
	size_t inlined, stepped;

	if (!p) {
		printf("plan      none for spec %s: %s\n", r->spec, t->plan_err.msg);
		if (t->plan_err.hint[0])
			printf("          %s\n", t->plan_err.hint);
		return;
	}
	target_plan_sites(p, &inlined, &stepped);
	printf("functions %zu sites of spec %s resolved, %zu not; %zu of them inlined or store "
	       "instructions\n",
	       p->n_probes, r->spec, p->n_missing, inlined);
	for (size_t i = 0; i < p->n_missing; i++)
		printf("          not: %s\n", p->missing[i]);
	printf("fields    of %zu types: %u by invariants, %u by their changes, %u whose changes are "
	       "accepted, %u not "
	       "looked at\n",
	       p->n_types, p->coverage.invariant, p->coverage.judged, p->coverage.changes,
	       p->coverage.opaque + p->coverage.too_far);
	if (stepped)
		printf("          %zu sites are single-stepped: a hit there costs a multiple\n", stepped);
}

static void target_text(const struct doctor_report *r)
{
	const struct target_facts *t = r->target;
	char buf[32];

	printf("\ntarget    %d (%s) %u threads\n", r->pid, t->status.comm, t->status.threads);
	printf("binary    %s%s, build-id %s\n", t->exe.path,
	       t->exe.deleted ? " (replaced or deleted since it was started)" : "",
	       t->exe.build_id[0] ? t->exe.build_id : "none");
	if (t->profile)
		printf("profile   %s, of this build-id: stands for the debuginfo\n", t->profile);
	else
		printf("debuginfo %s%s%s\n", elf_debug_state_name(t->debug.state),
		       t->debug.path[0] ? ": " : "", t->debug.path);
	if (t->debug.state == ELF_DEBUG_NONE || t->debug.state == ELF_DEBUG_MISMATCH)
		printf("%s\n          writes needs it: bring the debuginfo of this build-id and give "
		       "--debuginfo DIR, or --profile FILE\n",
		       t->debug.reason);
	libs_text(t);
	if (t->namespaces[0]) {
		printf("namespace its own: %s", t->namespaces);
		if (t->status.ns_depth > 1)
			printf("; its pid there is %d", (int)t->status.ns_pid[t->status.ns_depth - 1]);
		printf("\n");
	}
	if (t->coroutines)
		printf("coroutine suspected: %s; what is not on a thread's stack is in no stack shown\n",
		       t->coroutines);
	if (t->status.tracer)
		printf("tracer    pid %d ptraces it: breakpoint registers may be taken, and it may be "
		       "stopped\n",
		       (int)t->status.tracer);
	if (r->spec)
		plan_text(r);
	if (r->uprobe_ns > 0)
		printf("overhead  a hit of an empty probe costs %.2f us here: the budget of %.2g %% of one "
		       "CPU is %s "
		       "hits a second; checks come on top\n",
		       r->uprobe_ns / 1e3, r->max_overhead_pct,
		       text_count((uint64_t)(r->max_overhead_pct / 100 * 1e9 / r->uprobe_ns), buf));
}

void doctor_text(const struct doctor_report *r)
{
	node_text(r);
	features_text(r);
	if (r->target)
		target_text(r);
}
