// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "cmd/writes_run.h"
#include "plan/coverage.h"
#include "proc/caps.h"
#include "report/report.h"
#include "writes/capacity.h"

static const char HELP[] =
	"Usage: culprit writes -p PID (--spec zbs|FILE | --type T [FUNCTIONS]) [OPTIONS]\n\n"
	"Catches bad writes into cached objects: follows each object from its insertion to its destruction, "
	"checks it whenever a\n"
	"thread touches it, and lets hardware watchpoints catch the writer in the act. The target is never "
	"stopped or changed.\n"
	"-p may be repeated, and -n may name several processes: all are guarded, and those of -n's name and "
	"file that start meanwhile.\n\n"
	"What to guard:\n"
	"      --spec zbs|FILE     caches as a built-in or a file describes them\n"
	"      --type T            class of the cached objects; with it:\n"
	"      --insert F[:ARG]    function that puts an object into the cache (all of these may be "
	"repeated)\n"
	"      --check F[:ARG]     function that uses a cached object\n"
	"      --remove F[:ARG]    function that takes an object out\n"
	"      --destroy F[:ARG]   function after which the object is gone (T's destructors are known "
	"anyway)\n"
	"      --touch F           function to be named in a finding's window\n"
	"                          F: name or unique end of one (Meta::CacheLease), with or without "
	"parameters. ARG: argN (arg0 = this),\n"
	"                          *argN, *(argN+OFF), or a parameter's name; not needed if only one "
	"parameter leads to T.\n"
	"                          Without functions, T's constructors, destructors and mutators serve: "
	"objects are "
	"followed from when they\n"
	"                          are built, however they are held. T and functions may be in libraries "
	"that "
	"are loaded,\n"
	"                          or will be: what they do before they are noticed (within a second) is not "
	"covered\n"
	"      --await-library     T or F is in no file of the process yet: wait for a library that has it "
	"(as long as "
	"-d says),\n"
	"                          then begin\n"
	"      --setters MODE      probes on inlined setters: auto (default; dropped if over budget), all, "
	"off\n"
	"      --max-objects N     room in the kernel's tables (default: for half as many more as are alive "
	"at the start)\n\n"
	"More of the story:\n"
	"      --heap              also who allocated and who freed the damaged block before: probes on "
	"malloc, free and operator new\n"
	"                          and delete of glibc, tcmalloc and jemalloc, return probes among them; "
	"blocks of the guarded\n"
	"                          types' sizes are followed. Each call of the allocator costs a trap: "
	"over --max-overhead they\n"
	"                          are taken out again, which the summary says\n\n"
	"When to stop:\n"
	"      --until-crash       follow the target until it dies (no time limit unless -d is given), and "
	"tell at once what it died of\n\n"
	"Watchpoints:\n"
	"      --field T::f        all of them on this field\n"
	"      --object ADDR       all of them on the words of this object\n\n";

static const char EXAMPLES[] = "\nExamples:\n"
			       "  culprit writes -p 31516 --spec zbs\n"
			       "  culprit writes -p 31516 --spec zbs -d 0 --field zbs::Chunk::read_perf_\n"
			       "  culprit writes -n mydaemon --type my::Msg --insert my::Cache::Put:arg1 "
			       "--check my::Cache::Get:arg1 --json\n"
			       "  culprit writes -p 31516 --spec zbs --until-crash -q --json >crash.json\n"
			       "  culprit writes -p 31516 --spec zbs -o chunkd.db\n"
			       "  culprit writes -n mydaemon --type my::Msg\n"
			       "  culprit writes -p 31516 --spec zbs --dry-run\n";

enum {
	OPT_FIELD = OPT_WHAT_LAST,
	OPT_OBJECT,
	OPT_SETTERS,
	OPT_MAX_OBJECTS,
	OPT_UNTIL_CRASH,
	OPT_HEAP,
	OPT_AWAIT
};

static const struct option LONG[] = {
	COMMON_LONG,
	OUTPUT_LONG,
	WHAT_LONG,
	{"field", 1, 0, OPT_FIELD},
	{"object", 1, 0, OPT_OBJECT},
	{"setters", 1, 0, OPT_SETTERS},
	{"until-crash", 0, 0, OPT_UNTIL_CRASH},
	{"max-objects", 1, 0, OPT_MAX_OBJECTS},
	{"heap", 0, 0, OPT_HEAP},
	{"await-library", 0, 0, OPT_AWAIT},
	{0},
};

static int parse_object(struct writes_opts *o, const char *arg)
{
	char *end;

	errno = 0;
	o->object = strtoull(arg, &end, 0);
	if (errno || end == arg || *end || !o->object)
		return usage("writes", "--object takes an address (0x...), not '%s'", arg);
	return 0;
}

static int parse_setters(struct writes_opts *o, const char *arg)
{
	if (!strcmp(arg, "off"))
		o->setters = SETTERS_OFF;
	else if (!strcmp(arg, "auto"))
		o->setters = SETTERS_AUTO;
	else if (!strcmp(arg, "all"))
		o->setters = SETTERS_ALL;
	else
		return usage("writes", "--setters takes auto, all or off, not '%s'", arg);
	return 0;
}

static int parse_max_objects(struct writes_opts *o, const char *arg)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(arg, &end, 10);
	if (errno || end == arg || *end || !n || n > CAPACITY_MAX_OBJECTS)
		return usage("writes", "--max-objects takes a number from 1 to %u, not '%s'",
			     CAPACITY_MAX_OBJECTS, arg);
	o->max_objects = (uint32_t)n;
	return 0;
}

static int own_option(struct writes_opts *o, int opt, const char *arg)
{
	switch (opt) {
	case OPT_FIELD:
		o->field = arg;
		return 0;
	case OPT_OBJECT:
		return parse_object(o, arg);
	case OPT_SETTERS:
		return parse_setters(o, arg);
	case OPT_HEAP:
		o->heap = true;
		return 0;
	case OPT_AWAIT:
		o->await = true;
		return 0;
	case OPT_UNTIL_CRASH:
		o->until_crash = true;
		return 0;
	case OPT_MAX_OBJECTS:
		return parse_max_objects(o, arg);
	}
	return what_option("writes", &o->what, opt, arg);
}

/* 0: go on; else the exit code, negative for 0 (--help). */
static int parse(int argc, char **argv, struct writes_opts *o)
{
	struct err err = {0};
	bool limited = false;
	int opt, ret;

	common_init(&o->c);
	o->setters = SETTERS_AUTO;
	while ((opt = getopt_long(argc, argv, OUTPUT_SHORT, LONG, NULL)) != -1) {
		if (opt == 'h') {
			printf("%s%s%s%s", HELP, OUTPUT_HELP, COMMON_HELP, EXAMPLES);
			return -1;
		}
		limited |= opt == 'd';
		ret = common_option(&o->c, opt, optarg, &err);
		if (ret < 0)
			return usage("writes", "%s", err.msg);
		ret = ret ? own_option(o, opt, optarg) : 0;
		if (ret)
			return ret;
	}
	if (o->until_crash && !limited)
		o->c.duration_s = 0;
	if (optind < argc)
		return usage("writes", "what is '%s'? functions are given with --insert, --check...",
			     argv[optind]);
	if (what_check("writes", &o->what))
		return EXIT_USAGE;
	if (o->what.n_types > 1)
		return usage("writes", "objects of one class at a time: --type was given %zu times",
			     o->what.n_types);
	if (!o->c.pid && !o->c.comm)
		return usage("writes", "which process? -p PID or -n NAME");
	return 0;
}

/* The plan as one JSON line. */
static void plan_json(const struct writes_plan *plan, const struct write_coverage *fields, size_t n)
{
	json_t *probes = json_array(), *missing = json_array(), *notes = json_array();

	for (size_t i = 0; i < plan->n_probes; i++) {
		const struct plan_probe *r = &plan->probe[i];

		json_array_append_new(probes,
				      json_pack("{s:s, s:I, s:b, s:s}", "role", wr_role_name(r->wire.role),
						"vaddr", (json_int_t)r->vaddr, "stepped", r->stepped,
						"function", r->function));
	}
	for (size_t i = 0; i < plan->n_missing; i++)
		json_array_append_new(missing, json_string(plan->missing[i]));
	for (size_t i = 0; i < plan->n_notes; i++)
		json_array_append_new(notes, json_string(plan->note[i]));
	json_line(stdout, json_pack("{s:s, s:o, s:o, s:o, s:o}", "kind", "plan", "fields",
				    json_write_coverage(fields, n), "probes", probes, "missing", missing,
				    "notes", notes));
}

static void plan_text(const struct writes_plan *plan, const struct write_coverage *fields, size_t n)
{
	text_write_coverage(stdout, fields, n);
	printf("%zu probes\n", plan->n_probes);
	for (size_t i = 0; i < plan->n_probes; i++) {
		const struct plan_probe *r = &plan->probe[i];
		struct arg_path a = {.reg = r->wire.arg.reg, .arg = -1, .n_deref = r->wire.arg.n_deref};
		char buf[64] = "";

		memcpy(a.offs, r->wire.arg.off, sizeof(a.offs));
		printf("  %-8s 0x%-10llx %-9s %s  %s\n", wr_role_name(r->wire.role),
		       (unsigned long long)r->vaddr, r->stepped ? "stepped" : "emulated", r->function,
		       r->wire.arg.used ? arg_path_text(&a, buf, sizeof(buf)) : "");
	}
	for (size_t i = 0; i < plan->n_missing; i++)
		printf("  missing  %s\n", plan->missing[i]);
	for (size_t i = 0; i < plan->n_notes; i++)
		printf("  note     %s\n", plan->note[i]);
}

static void dry_run_of(const struct writes_opts *o, const struct writes_plan *plan)
{
	struct write_coverage *fields;
	size_t n;

	if (plan_coverage_rows(plan, o->setters, &fields, &n))
		n = 0;
	(o->c.json ? plan_json : plan_text)(plan, fields, n);
	free(fields);
}

/* Processes of one file have one plan. */
static int dry_run(const struct writes_opts *o, const struct writes_targets *t)
{
	bool whole = true;

	for (size_t i = 0; i < t->n; i++) {
		if (t->n > 1 && !o->c.json)
			printf("%sprocess %d%s\n", i ? "\n" : "", (int)t->v[i]->pid,
			       t->v[i]->of ? ": the same" : "");
		if (t->v[i]->of)
			continue;
		dry_run_of(o, t->v[i]->plan);
		whole &= !t->v[i]->plan->n_missing;
	}
	return whole ? EXIT_NOTHING : EXIT_INCOMPLETE;
}

int cmd_writes(int argc, char **argv)
{
	struct writes_targets t = {0};
	struct writes_opts o = {0};
	struct err err = {0};
	int ret;

	ret = parse(argc, argv, &o);
	if (ret)
		return ret < 0 ? 0 : ret;
	if (arch.no_writes) {
		err_set(&err, -ENOTSUP, "writes: %s", arch.no_writes);
		return fail(EXIT_CANNOT_RUN, &err);
	}
	if (caps_check(CAPS_TRACE, &err) || common_targets(&o.c, &err) || common_btf(&o.c, &err) ||
	    (o.await ? writes_targets_await : writes_targets_open)(&t, &o, &err))
		ret = fail(EXIT_CANNOT_RUN, &err);
	else
		ret = o.c.dry_run ? dry_run(&o, &t) : writes_run(&o, argv, &t);
	writes_targets_close(&t);
	return ret;
}
