// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/arch.h"
#include "cmd/what.h"
#include "dwarf/record.h"
#include "profile/asks.h"
#include "profile/profile.h"
#include "report/who.h"

static const char HELP[] =
	"Usage: culprit layout BINARY [--debuginfo FILE|DIR] --spec zbs|FILE [-o PROFILE]\n"
	"       culprit layout BINARY [--debuginfo FILE|DIR] --type T [FUNCTIONS] [-o PROFILE]\n"
	"       culprit layout BINARY [--debuginfo FILE|DIR | --profile FILE] --writers T::FIELD [--json]\n\n"
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
	"      --profile FILE      with --writers, instead of debuginfo: what the profile says nothing of is "
	"listed as `match`\n"
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

enum { OPT_WRITERS = OPT_WHAT_LAST };

static const struct option LONG[] = {
	WHAT_LONG,
	{"output", 1, 0, 'o'},
	{"debuginfo", 1, 0, OPT_DEBUGINFO},
	{"profile", 1, 0, OPT_PROFILE},
	{"writers", 1, 0, OPT_WRITERS},
	{"json", 0, 0, OPT_JSON},
	{"help", 0, 0, 'h'},
	{0},
};

struct layout_opts {
	struct common_opts c; /* debuginfo and profiles */
	struct what_opts what;
	const char *binary, *output, *writers;
	bool json;
	char text[4096]; /* the options that say what it is for */
};

static int take_option(struct layout_opts *o, int opt, const char *arg)
{
	struct err err = {0};

	switch (opt) {
	case OPT_DEBUGINFO:
	case OPT_PROFILE:
		return common_option(&o->c, opt, arg, &err) ? usage("layout", "%s", err.msg) : 0;
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
	return what_option("layout", &o->what, opt, arg);
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
		return o->what.spec || o->what.n_types || o->output
			       ? usage("layout", "--writers lists stores, it makes no profile: give it alone")
			       : 0;
	if (o->c.n_profiles)
		return usage("layout", "a profile is made from debuginfo; --profile goes with --writers");
	what_text(&o->what, o->text, sizeof(o->text));
	return what_check("layout", &o->what);
}

/* A spec as it is; a type with the functions given, or its own members. */
static int ask(const struct layout_opts *o, struct dbg *d, struct profile_asked *asked, struct err *err)
{
	struct spec *spec = NULL;
	int rc = what_spec(&spec, &o->what, err);

	if (!rc)
		rc = profile_ask(asked, d, spec, o->what.type, o->what.n_types, err);
	spec_free(spec);
	return rc;
}

static int cannot_write(const struct layout_opts *o, struct err *err)
{
	return err_set(err, -errno, "cannot write %s: %s", o->output, strerror(errno));
}

/* A device, a pipe: nothing may take its place, least of all that of /dev/null. */
static int write_into(const struct layout_opts *o, struct dbg *d, const struct profile_info *info,
		      struct err *err)
{
	FILE *f = fopen(o->output, "we");
	int rc;

	if (!f)
		return cannot_write(o, err);
	rc = profile_write(f, d, info, err);
	if (fclose(f) && !rc)
		rc = cannot_write(o, err);
	return rc;
}

/* Written beside its place and then renamed: a reader sees all of it or nothing. */
static int write_beside(const struct layout_opts *o, const char *place, struct dbg *d,
			const struct profile_info *info, struct err *err)
{
	char *temp = NULL;
	FILE *f;
	int rc, fd;

	if (asprintf(&temp, "%s.XXXXXX", place) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	fd = mkstemp(temp);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f) {
		rc = cannot_write(o, err);
		free(temp);
		return rc;
	}
	rc = profile_write(f, d, info, err);
	if (!rc && fchmod(fd, 0644))
		rc = cannot_write(o, err);
	if (fclose(f) && !rc)
		rc = cannot_write(o, err);
	if (!rc && rename(temp, place))
		rc = cannot_write(o, err);
	if (rc)
		unlink(temp);
	free(temp);
	return rc;
}

static int write_file(const struct layout_opts *o, struct dbg *d, const struct profile_info *info,
		      struct err *err)
{
	struct stat st;
	char *place;
	int rc;

	if (!o->output)
		return profile_write(stdout, d, info, err);
	if (!stat(o->output, &st) && !S_ISREG(st.st_mode))
		return write_into(o, d, info, err);
	place = realpath(o->output, NULL); /* a link stays one */
	rc = write_beside(o, place ? place : o->output, d, info, err);
	free(place);
	return rc;
}

static int make(const struct layout_opts *o, struct err *err)
{
	struct profile_asked asked = {0};
	struct profile_info info = {.what = o->text};
	struct dbg *d = NULL;
	int rc, ret;

	rc = dbg_open(&d, o->binary, o->c.debuginfo, err);
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
	if (!rc && arch.no_stores)
		fprintf(stderr, "culprit: %s: the profile has none\n", arch.no_stores);
	ret = rc				  ? fail(EXIT_CANNOT_RUN, err)
	      : asked.n_missing || arch.no_stores ? EXIT_INCOMPLETE
						  : EXIT_NOTHING;
	profile_asked_deinit(&asked);
	dbg_close(d);
	return ret;
}

static int list_writers(struct layout_opts *o, struct err *err)
{
	struct dbg *d = NULL;
	struct who w = {0};
	int rc = common_profile_open(&o->c, err);

	rc = rc ? rc : common_profile_check(&o->c, o->binary, err);
	rc = rc ? rc : dbg_open(&d, o->binary, o->c.debuginfo, err);
	rc = rc ? rc : who_stores(&w, d, o->writers, err);
	w.partial = o->c.n_profiles > 0;
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
