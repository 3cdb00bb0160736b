// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/space.h"
#include "inspect/census.h"
#include "report/find.h"
#include "spec/spec.h"

#define DEFAULT_LIMIT 100

static const char HELP[] =
	"Usage: culprit find -p PID|--core FILE VALUE|--bytes HEX [OPTIONS]\n\n"
	"Where a value stands in the memory of a process or of its core, and what is there: function, "
	"variable, stack of a thread,\n"
	"block of the heap, known object and field. The process is not stopped.\n\n"
	"  VALUE                   number, 0x... or decimal\n"
	"      --width N           bytes of the value, 1 to 8 (default 4, or 8 if it does not fit)\n"
	"      --mask M            compare only these bits of the value\n"
	"      --bytes HEX         look for these bytes instead, in the order of memory; ?? matches any "
	"byte\n"
	"      --align N           only at addresses that are multiples of N (default 1)\n"
	"      --map PATTERN       only in mappings whose name matches (glob or part), or: stack, anon, "
	"code\n"
	"      --type T, --spec S  tell also which object of this class, or of the spec's caches and what "
	"they contain, and which\n"
	"                          field (may be repeated; needs debuginfo)\n"
	"      --limit N           hits shown (default 100); all are counted\n\n";

static const char EXAMPLES[] =
	"\nExamples:\n"
	"  culprit find -p 31516 0xfffc0000                       as gdb's find, over everything, without "
	"stopping it\n"
	"  culprit find -p 31516 0xfffc0000 --spec zbs            and in which field of which cached lease\n"
	"  culprit find --core core.1234 --binary ./zbs-chunkd 0xfffc0000 --map code\n"
	"  culprit find -p 31516 0x7f7135f8b1a8 --align 8         who points there\n"
	"  culprit find -p 31516 --bytes '4a 52 4e 4c ?? 30'      text or a structure\n";

enum { OPT_WIDTH = OPT_SPACE_LAST, OPT_MASK, OPT_ALIGN, OPT_MAP, OPT_BYTES, OPT_LIMIT };

static const struct option LONG[] = {
	COMMON_LONG,
	SPACE_LONG,
	{"width", 1, 0, OPT_WIDTH},
	{"mask", 1, 0, OPT_MASK},
	{"align", 1, 0, OPT_ALIGN},
	{"map", 1, 0, OPT_MAP},
	{"bytes", 1, 0, OPT_BYTES},
	{"limit", 1, 0, OPT_LIMIT},
	{0},
};

struct options {
	struct space_opts s;
	const char *map, *bytes, *value_text;
	uint64_t value, mask, align, width, limit;
	struct pattern pattern;
	char what[160];
};

static int number(const char *name, const char *arg, uint64_t *v)
{
	return space_number(arg, v) ? usage("find", "%s takes a number, not '%s'", name, arg) : 0;
}

static int own_option(struct options *o, int opt, const char *arg)
{
	switch (opt) {
	case OPT_WIDTH:
		return number("--width", arg, &o->width);
	case OPT_MASK:
		return number("--mask", arg, &o->mask);
	case OPT_ALIGN:
		return number("--align", arg, &o->align);
	case OPT_LIMIT:
		return number("--limit", arg, &o->limit);
	case OPT_MAP:
		o->map = arg;
		return 0;
	case OPT_BYTES:
		o->bytes = arg;
		return 0;
	}
	return space_option("find", &o->s, opt, arg);
}

static int build_pattern(struct options *o, struct err *err)
{
	if (o->bytes) {
		snprintf(o->what, sizeof(o->what), "bytes %.100s", o->bytes);
		return pattern_hex(&o->pattern, o->bytes, o->align, err);
	}
	if (!o->width)
		o->width = o->value >> 32 ? 8 : 4;
	if (o->width > 8)
		return err_set(err, -EINVAL, "a value has 1 to 8 bytes; --bytes takes longer patterns");
	if (o->mask == UINT64_MAX)
		snprintf(o->what, sizeof(o->what), "0x%" PRIx64 " (%" PRIu64 " bytes)", o->value, o->width);
	else
		snprintf(o->what, sizeof(o->what), "0x%" PRIx64 " (%" PRIu64 " bytes, mask 0x%" PRIx64 ")",
			 o->value, o->width, o->mask);
	return pattern_value(&o->pattern, o->value, (unsigned)o->width, o->mask, o->align, err);
}

/* 0: go on; else the exit code, negative for 0 (--help). */
static int parse(int argc, char **argv, struct options *o)
{
	struct err err = {0};
	int opt, ret;

	common_init(&o->s.c);
	o->mask = UINT64_MAX;
	o->align = 1;
	o->limit = DEFAULT_LIMIT;
	while ((opt = getopt_long(argc, argv, COMMON_SHORT, LONG, NULL)) != -1) {
		if (opt == 'h') {
			printf("%s%s%s", HELP, SPACE_HELP, EXAMPLES);
			return -1;
		}
		ret = common_option(&o->s.c, opt, optarg, &err);
		if (ret < 0)
			return usage("find", "%s", err.msg);
		ret = ret ? own_option(o, opt, optarg) : 0;
		if (ret)
			return ret;
	}
	if (optind < argc)
		o->value_text = argv[optind++];
	if (optind < argc)
		return usage("find", "one value at a time: what is '%s'?", argv[optind]);
	if (o->value_text && space_number(o->value_text, &o->value))
		return usage("find", "'%s' is no number; --bytes HEX takes bytes", o->value_text);
	ret = space_check("find", &o->s);
	if (ret)
		return ret;
	if (!o->value_text == !o->bytes)
		return usage("find", "what is to be found? VALUE or --bytes HEX");
	return build_pattern(o, &err) ? usage("find", "%s", err.msg) : 0;
}

static int report(const struct options *o, const struct find_view *v)
{
	/* what is not there in what could be read may be in what could not */
	bool complete = !v->result->walked.unreadable;

	if (o->s.c.json) {
		if (json_find(stdout, v) || json_line(stdout, json_find_summary(v, complete)))
			return EXIT_CANNOT_RUN;
	} else {
		text_find(stdout, v);
	}
	if (v->result->total)
		return EXIT_FINDINGS;
	return complete ? EXIT_NOTHING : EXIT_INCOMPLETE;
}

/* Classes of --type, and of the caches of --spec. */
static int open_types(struct known **k, const struct options *o, struct space *s, struct spec **spec,
		      struct err *err)
{
	const char *name[KNOWN_MAX_ROOTS];
	size_t n = 0;
	int rc = 0;

	for (size_t i = 0; i < o->s.n_types; i++)
		name[n++] = o->s.type[i];
	if (o->s.spec)
		rc = spec_load(spec, o->s.spec, err);
	for (size_t i = 0; !rc && *spec && i < (*spec)->n_cache && n < KNOWN_MAX_ROOTS; i++)
		name[n++] = (*spec)->cache[i].type;
	return rc ? rc : known_open(k, s, o->s.c.debuginfo, name, n, err);
}

/* The value is still there: else the object may have come after it. */
static bool still_there(const struct pattern *p, const struct space *s, uint64_t addr)
{
	uint8_t bytes[PATTERN_MAX];
	uint64_t hit;

	return space_read(s, addr, bytes, p->len) == (ssize_t)p->len &&
	       pattern_search(p, bytes, p->len, addr, &hit, 1) == 1;
}

/* Which object each hit is in, and which object that one belongs to. */
static int name_objects(struct find_result *r, const struct pattern *p, struct space *s,
			const struct known *k, const struct census *c)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < r->n_hits; i++) {
		const struct census_object *o = census_at(c, k, r->hit[i].addr), *owner;

		if (!o || !still_there(p, s, r->hit[i].addr))
			continue;
		rc = census_path(c, k, s, o, r->hit[i].addr, &owner, &r->hit[i].path);
		r->hit[i].object_type = owner->cls->cls;
		r->hit[i].object = owner->addr;
	}
	return rc;
}

/* Finds, then looks for the objects, so that a hit's object is not gone by then. */
static int run(struct options *o, struct space *s, struct err *err)
{
	struct find_view v = {.space = s, .what = o->what, .with_types = o->s.n_types || o->s.spec};
	struct find_result *r = NULL;
	struct census *c = NULL;
	struct known *k = NULL;
	struct spec *spec = NULL;
	int rc = 0;

	if (v.with_types)
		rc = open_types(&k, o, s, &spec, err);
	if (!rc)
		rc = find_run(&r, s, &o->pattern, o->map, o->s.c.verbose ? 0 : o->limit, err);
	if (!rc && k)
		rc = census_take(&c, s, k, err);
	if (!rc && k && name_objects(r, &o->pattern, s, k, c))
		rc = err_set(err, -ENOMEM, "out of memory");
	v.result = r;
	v.objects = c ? c->n - c->count[OBJECT_FREED] : 0;
	if (!rc && o->s.c.verbose)
		v.read_alone = find_read_alone(s, o->map);
	rc = rc ? fail(EXIT_CANNOT_RUN, err) : report(o, &v);
	find_free(r);
	census_free(c);
	known_free(k);
	spec_free(spec);
	return rc;
}

int cmd_find(int argc, char **argv)
{
	struct options o = {0};
	struct err err = {0};
	struct space *s = NULL;
	int ret = parse(argc, argv, &o);

	if (ret)
		return ret < 0 ? 0 : ret;
	if (space_from_options(&s, &o.s, &err))
		return fail(EXIT_CANNOT_RUN, &err);
	ret = run(&o, s, &err);
	space_close(s);
	return ret;
}
