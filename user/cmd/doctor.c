// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <getopt.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "proc/caps.h"
#include "report/doctor.h"
#include "trace/features.h"
#include "trace/force.h"
#include "trace/verbose.h"

static const char HELP[] =
	"Usage: culprit doctor [-p PID] [OPTIONS]\n\n"
	"What this node supports, tried out and not guessed: every way of tracing is loaded, attached, "
	"triggered and counted. With a\n"
	"target also what is known of it. Nothing is left attached, the target is only read.\n\n"
	"Options:\n"
	"  -p, --pid PID         also look at this process\n"
	"  -n, --comm NAME       the same, by name\n"
	"      --spec S          and plan `culprit writes --spec S` for it: what is found, what is not, what "
	"is "
	"inlined\n"
	"      --max-overhead PCT  the budget to tell in probe hits (default 3, of one CPU)\n"
	"      --debuginfo DIR   where separate debuginfo files are\n"
	"      --profile FILE    instead of it: what `culprit layout` made; may be repeated, for libraries\n"
	"      --btf FILE        kernel types, where the kernel has no /sys/kernel/btf/vmlinux\n"
	"      --json            one JSON object per line\n"
	"  -v, --verbose         what libbpf says when a probe is refused\n\n"
	"Exit code: 0 writes and stalls can both run; 3 one of them cannot\n\n"
	"Examples:\n"
	"  culprit doctor\n"
	"  culprit doctor -n zbs-chunkd --debuginfo /root/debug\n"
	"  culprit doctor -n zbs-chunkd --profile zbs-chunkd.profile --spec zbs\n";

struct doctor_opts {
	struct common_opts c;
	const char *spec; /* NULL: no plan */
};

enum { OPT_SPEC = OPT_COMMAND_FIRST };

/* 0, 1 = --help was given, negative = usage error, already explained in err */
static int parse(int argc, char **argv, struct doctor_opts *o, struct err *err)
{
	static const struct option longs[] = {COMMON_LONG, {"spec", 1, 0, OPT_SPEC}, {0}};
	int opt, rc;

	common_init(&o->c);
	while ((opt = getopt_long(argc, argv, COMMON_SHORT, longs, NULL)) != -1) {
		if (opt == 'h')
			return 1;
		if (opt == '?')
			return err_set(err, -EINVAL, "bad option");
		if (opt == OPT_SPEC) {
			o->spec = optarg;
			continue;
		}
		rc = common_option(&o->c, opt, optarg, err);
		if (rc)
			return rc;
	}
	if (optind < argc)
		return err_set(err, -EINVAL, "unexpected argument '%s'", argv[optind]);
	if (!o->c.pid && !o->c.comm && (o->spec || o->c.n_profiles))
		return err_set(err, -EINVAL, "%s goes with a target: -p PID or -n NAME",
			       o->spec ? "--spec" : "--profile");
	return 0;
}

/* Which of the profiles stands for what. */
static void name_profiles(const struct common_opts *c, struct target_facts *t)
{
	t->profile = common_profile_of(c, t->exe.build_id);
	for (size_t i = 0; i < t->n_libs; i++)
		t->lib[i].profile = common_profile_of(c, t->lib[i].build_id);
}

int cmd_doctor(int argc, char **argv)
{
	struct doctor_opts o = {0};
	struct target_facts target = {0};
	struct feature f[FEATURE_MAX];
	struct doctor_report r = {.feature = f};
	bool known;
	char missing[256];
	struct err err = {0};
	struct node node;
	int rc = parse(argc, argv, &o, &err);

	if (rc == 1) {
		fputs(HELP, stdout);
		return 0;
	}
	if (rc)
		return usage("doctor", "%s", err.msg);
	if (o.c.pid || o.c.comm) {
		rc = common_target(&o.c, &err);
		if (rc)
			return rc == -EINVAL ? usage("doctor", "%s", err.msg) : fail(EXIT_CANNOT_RUN, &err);
	}
	if (force_check(&err))
		return fail(EXIT_CANNOT_RUN, &err);
	if (caps_check(CAPS_TRACE, &err)) /* said at once; each row shows what that means */
		fail(EXIT_CANNOT_RUN, &err);
	trace_verbose(o.c.verbose);
	known = o.c.pid && !target_facts_read(&target, o.c.pid, o.c.debuginfo, o.spec, &err);
	if (o.c.pid && !known) /* the rows say what is missing */
		fail(EXIT_CANNOT_RUN, &err);
	name_profiles(&o.c, &target);
	node_read(&node, "");
	features_probe(f, o.c.pid, o.c.btf, &node);
	r.node = &node;
	r.virtual_machine = cpu_is_virtual();
	r.forced = force_text();
	r.pid = o.c.pid;
	r.target = known ? &target : NULL;
	r.spec = o.spec;
	r.max_overhead_pct = o.c.max_overhead_pct;
	if (r.target && f[FEATURE_UPROBE].state == FEATURE_WORKS)
		r.uprobe_ns = features_uprobe_ns(o.c.btf);
	if (o.c.json)
		rc = doctor_json(&r);
	else
		doctor_text(&r);
	target_facts_free(&target);
	if (rc || (o.c.pid && !known))
		return EXIT_CANNOT_RUN;
	return features_allow(f, true, missing, sizeof(missing)) &&
			       features_allow(f, false, missing, sizeof(missing))
		       ? EXIT_NOTHING
		       : EXIT_CANNOT_RUN;
}
