// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "dwarf/record.h"
#include "profile/asks.h"
#include "profile/profile.h"
#include "report/who.h"

#define MAX_FUNCS 256
#define MAX_TYPES 16

static const char HELP[] =
	"Usage: culprit layout BINARY [--debuginfo FILE|DIR] --spec zbs|FILE [-o PROFILE]\n"
	"       culprit layout BINARY [--debuginfo FILE|DIR] --type T [FUNCTIONS] [-o PROFILE]\n"
	"       culprit layout BINARY [--debuginfo FILE|DIR] --writers T::FIELD [--json]\n\n"
	"Writes a profile: what the other commands have to know of a binary to work on a node that has no "
	"debuginfo of it: types,\n"
	"vtables, functions, probe sites and inlined instances. It is text, belongs to this one build, and "
	"goes "
	"to --profile there.\n\n"
	"      --spec zbs|FILE     for what this spec names\n"
	"      --type T            for objects of this class (writes, inspect, find; may be repeated); with "
	"one of them:\n"
	"      --insert F[:ARG], --check, --remove, --destroy, --touch\n"
	"                          functions as `culprit writes` takes them\n"
	"      --debuginfo PATH    where the debuginfo is (beside .gnu_debuglink and /usr/lib/debug)\n"
	"      --writers T::FIELD  no profile: list every instruction that can store to this field, with its "
	"function, what it is\n"
	"                          inlined from, width, constant, and what speaks for it that the object is "
	"a T\n"
	"      --json              that list as JSON Lines\n"
	"  -o, --output FILE       where to write it (default: stdout)\n"
	"  -h, --help              this\n\n"
	"Exit code: 0 written; 2 usage; 3 cannot be made; 4 written, but not everything was found (see "
	"stderr)\n\n"
	"Examples:\n"
	"  culprit layout ./zbs-chunkd --debuginfo zbs-chunkd.debug --spec zbs -o zbs-chunkd.profile\n"
	"  culprit writes -p 31516 --spec zbs --profile zbs-chunkd.profile      on the customer's node\n"
	"  culprit layout ./zbs-chunkd --writers zbs::Chunk::read_perf_         who could have written "
	"this?\n"
	"  culprit layout ./daemon --type my::Msg --insert my::Cache::Put:arg1 -o daemon.profile\n";

enum {
	OPT_SPEC = OPT_COMMAND_FIRST,
	OPT_TYPE,
	OPT_INSERT,
	OPT_CHECK,
	OPT_REMOVE,
	OPT_DESTROY,
	OPT_TOUCH,
	OPT_WRITERS
};

static const struct option LONG[] = {
	{"spec", 1, 0, OPT_SPEC},
	{"type", 1, 0, OPT_TYPE},
	{"insert", 1, 0, OPT_INSERT},
	{"check", 1, 0, OPT_CHECK},
	{"remove", 1, 0, OPT_REMOVE},
	{"destroy", 1, 0, OPT_DESTROY},
	{"touch", 1, 0, OPT_TOUCH},
	{"output", 1, 0, 'o'},
	{"debuginfo", 1, 0, OPT_DEBUGINFO},
	{"writers", 1, 0, OPT_WRITERS},
	{"json", 0, 0, OPT_JSON},
	{"help", 0, 0, 'h'},
	{0},
};

struct layout_opts {
	const char *binary, *debuginfo, *spec, *output, *writers;
	bool json;
	const char *type[MAX_TYPES];
	size_t n_types;
	struct spec_option func[MAX_FUNCS];
	size_t n_funcs;
	char what[4096]; /* the options that say what it is for */
};

static void note_what(struct layout_opts *o, const char *option, const char *value)
{
	size_t n = strlen(o->what);

	snprintf(o->what + n, sizeof(o->what) - n, "%s--%s %s", n ? " " : "", option, value);
}

static int add_func(struct layout_opts *o, enum spec_role role, const char *value)
{
	if (o->n_funcs == MAX_FUNCS)
		return usage("layout", "more than %d functions", MAX_FUNCS);
	note_what(o, spec_role_name(role), value);
	o->func[o->n_funcs++] = (struct spec_option){.role = role, .value = value};
	return 0;
}

static int add_type(struct layout_opts *o, const char *value)
{
	if (o->n_types == MAX_TYPES)
		return usage("layout", "more than %d types", MAX_TYPES);
	note_what(o, "type", value);
	o->type[o->n_types++] = value;
	return 0;
}

static int take_option(struct layout_opts *o, int opt, const char *arg)
{
	switch (opt) {
	case OPT_SPEC:
		note_what(o, "spec", arg);
		o->spec = arg;
		return 0;
	case OPT_TYPE:
		return add_type(o, arg);
	case OPT_INSERT:
		return add_func(o, SPEC_INSERT, arg);
	case OPT_CHECK:
		return add_func(o, SPEC_CHECK, arg);
	case OPT_REMOVE:
		return add_func(o, SPEC_REMOVE, arg);
	case OPT_DESTROY:
		return add_func(o, SPEC_DESTROY, arg);
	case OPT_TOUCH:
		return add_func(o, SPEC_TOUCH, arg);
	case OPT_DEBUGINFO:
		o->debuginfo = arg;
		return 0;
	case OPT_WRITERS:
		o->writers = arg;
		return 0;
	case OPT_JSON:
		o->json = true;
		return 0;
	case 'o':
		o->output = arg;
		return 0;
	}
	return usage("layout", "unknown option"); /* getopt has said which */
}

/* 0: go on; else the exit code, negative for 0 (--help). */
static int parse(int argc, char **argv, struct layout_opts *o)
{
	int opt, ret;

	while ((opt = getopt_long(argc, argv, "o:h", LONG, NULL)) != -1) {
		if (opt == 'h') {
			fputs(HELP, stdout);
			return -1;
		}
		ret = take_option(o, opt, optarg);
		if (ret)
			return ret;
	}
	if (optind == argc)
		return usage("layout", "of which binary?");
	o->binary = argv[optind++];
	if (optind < argc)
		return usage("layout", "one binary at a time: what is '%s'?", argv[optind]);
	if (o->writers)
		return o->spec || o->n_types || o->output
			       ? usage("layout", "--writers lists stores, it makes no profile: give it alone")
			       : 0;
	if (!o->spec && !o->n_types)
		return usage("layout", "for what? --spec zbs, --spec FILE, or --type T");
	if (o->spec && o->n_funcs)
		return usage("layout", "--insert, --check... go with --type; a spec names its own functions");
	if (o->n_funcs && o->n_types > 1)
		return usage("layout", "--insert, --check... go with one --type");
	return 0;
}

/* A spec as it is; a type with the functions given, or its own members. */
static int ask(const struct layout_opts *o, struct dbg *d, struct profile_asked *asked, struct err *err)
{
	struct spec *spec = NULL;
	int rc;

	if (o->spec)
		rc = spec_load(&spec, o->spec, err);
	else
		rc = spec_from_options(&spec, o->type[0], o->func, o->n_funcs, err);
	if (!rc)
		rc = profile_ask(asked, d, spec, o->type, o->n_types, err);
	spec_free(spec);
	return rc;
}

/* Written beside its place and then renamed: a reader sees all of it or nothing. */
static int write_file(const struct layout_opts *o, struct dbg *d, const struct profile_info *info,
		      struct err *err)
{
	char *temp = NULL;
	FILE *f;
	int rc, fd;

	if (!o->output)
		return profile_write(stdout, d, info, err);
	if (asprintf(&temp, "%s.XXXXXX", o->output) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	fd = mkstemp(temp);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f) {
		rc = err_set(err, -errno, "cannot write %s: %s", o->output, strerror(errno));
		free(temp);
		return rc;
	}
	rc = profile_write(f, d, info, err);
	if (!rc && fchmod(fd, 0644))
		rc = err_set(err, -errno, "cannot write %s: %s", o->output, strerror(errno));
	if (fclose(f) && !rc)
		rc = err_set(err, -errno, "cannot write %s: %s", o->output, strerror(errno));
	if (!rc && rename(temp, o->output))
		rc = err_set(err, -errno, "cannot write %s: %s", o->output, strerror(errno));
	if (rc)
		unlink(temp);
	free(temp);
	return rc;
}

static int make(const struct layout_opts *o, struct err *err)
{
	struct profile_asked asked = {0};
	struct profile_info info = {.what = o->what};
	struct dbg *d = NULL;
	int rc, ret;

	rc = dbg_open(&d, o->binary, o->debuginfo, err);
	if (!rc && dbg_record(d))
		rc = err_set(err, -ENOMEM, "out of memory");
	if (!rc)
		rc = ask(o, d, &asked, err);
	info.probe = asked.probe;
	info.n_probes = asked.n;
	if (!rc)
		rc = write_file(o, d, &info, err);
	for (size_t i = 0; i < asked.n_missing && !rc; i++)
		fprintf(stderr, "culprit: not found: %s\n", asked.missing[i]);
	ret = rc ? fail(EXIT_CANNOT_RUN, err) : asked.n_missing ? EXIT_INCOMPLETE : EXIT_NOTHING;
	profile_asked_deinit(&asked);
	dbg_close(d);
	return ret;
}

static int list_writers(const struct layout_opts *o, struct err *err)
{
	struct dbg *d = NULL;
	struct who w = {0};
	int rc = dbg_open(&d, o->binary, o->debuginfo, err);

	rc = rc ? rc : who_stores(&w, d, o->writers, err);
	if (!rc && o->json && json_who(stdout, &w))
		rc = err_set(err, -EIO, "cannot write the list: %s", strerror(errno));
	else if (!rc && !o->json)
		text_who(stdout, &w);
	who_free(&w);
	dbg_close(d);
	return rc ? fail(EXIT_CANNOT_RUN, err) : EXIT_NOTHING;
}

int cmd_layout(int argc, char **argv)
{
	struct layout_opts o = {0};
	struct err err = {0};
	int ret = parse(argc, argv, &o);

	if (ret)
		return ret < 0 ? 0 : ret;
	return o.writers ? list_writers(&o, &err) : make(&o, &err);
}
