// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/cmd.h"
#include "cmd/space.h"
#include "inspect/survey.h"
#include "report/object.h"

#define DEFAULT_DEPTH  2
#define DEFAULT_LIMIT  20
#define SECOND_LOOK_NS 50000000

static const char HELP[] =
	"Usage: culprit inspect -p PID|--core FILE --type T ADDR [OPTIONS]\n"
	"       culprit inspect -p PID|--core FILE --all-of T [OPTIONS]\n\n"
	"Prints an object field by field, in the order of the class: offset, name, has-bit, value, type; and "
	"marks what cannot be: wild\n"
	"pointers, wrong vtables, impossible counts and values. Of a live process nothing is stopped: what "
	"looks broken is looked\n"
	"at twice.\n\n"
	"      --type T            class of the object at ADDR (needs debuginfo)\n"
	"      --all-of T          find all objects of the class and those derived from it by their vtables, "
	"and check them all\n"
	"      --depth N           follow messages and repeated fields so many levels down (default 2)\n"
	"      --limit N           objects listed by --all-of (default 20; damaged ones come first)\n\n";

static const char EXAMPLES[] =
	"\nExamples:\n"
	"  culprit inspect -p 31516 --type zbs::Chunk 0x5630c6e682d0\n"
	"  culprit inspect --core core.31516 --binary ./zbs-chunkd --type zbs::libmeta::CachedLease "
	"0x5630c6e682d0 --depth 3\n"
	"  culprit inspect -p 31516 --all-of zbs::libmeta::CachedLease      is any lease damaged, now, "
	"before it crashes?\n"
	"  culprit inspect --core core.31516 --all-of zbs::Chunk --json | jq 'select(.kind==\"damaged\")'\n";

enum { OPT_ALL_OF = OPT_SPACE_LAST, OPT_DEPTH, OPT_LIMIT };

static const struct option LONG[] = {
	COMMON_LONG,
	SPACE_LONG,
	{"all-of", 1, 0, OPT_ALL_OF},
	{"depth", 1, 0, OPT_DEPTH},
	{"limit", 1, 0, OPT_LIMIT},
	{0},
};

struct options {
	struct space_opts s;
	const char *all_of, *addr_text;
	uint64_t addr, depth, limit;
};

static int own_option(struct options *o, int opt, const char *arg)
{
	switch (opt) {
	case OPT_ALL_OF:
		o->all_of = arg;
		return 0;
	case OPT_DEPTH:
		return space_number(arg, &o->depth)
			       ? usage("inspect", "--depth takes a number, not '%s'", arg)
			       : 0;
	case OPT_LIMIT:
		return space_number(arg, &o->limit)
			       ? usage("inspect", "--limit takes a number, not '%s'", arg)
			       : 0;
	}
	return space_option("inspect", &o->s, opt, arg);
}

static int check(const struct options *o)
{
	int ret = space_check("inspect", &o->s);

	if (ret)
		return ret;
	if (o->s.spec)
		return usage("inspect", "--spec goes with find; here --type T or --all-of T names the class");
	if (!o->all_of && !o->s.n_types)
		return usage("inspect", "an object of which class? --type T ADDR or --all-of T");
	if (o->all_of && (o->s.n_types || o->addr_text))
		return usage("inspect",
			     "--all-of finds the objects itself: no --type and no address with it");
	if (o->s.n_types > 1)
		return usage("inspect", "one --type at a time");
	if (!o->all_of && !o->addr_text)
		return usage("inspect", "where is the object? give its address, or --all-of %s",
			     o->s.type[0]);
	if (o->depth > OBJECT_MAX_DEPTH)
		return usage("inspect", "--depth goes up to %d", OBJECT_MAX_DEPTH);
	return 0;
}

/* 0: go on; else the exit code, negative for 0 (--help). */
static int parse(int argc, char **argv, struct options *o)
{
	struct err err = {0};
	int opt, ret;

	common_init(&o->s.c);
	o->depth = DEFAULT_DEPTH;
	o->limit = DEFAULT_LIMIT;
	while ((opt = getopt_long(argc, argv, COMMON_SHORT, LONG, NULL)) != -1) {
		if (opt == 'h') {
			printf("%s%s%s", HELP, SPACE_HELP, EXAMPLES);
			return -1;
		}
		ret = common_option(&o->s.c, opt, optarg, &err);
		if (ret < 0)
			return usage("inspect", "%s", err.msg);
		ret = ret ? own_option(o, opt, optarg) : 0;
		if (ret)
			return ret;
	}
	if (optind < argc)
		o->addr_text = argv[optind++];
	if (optind < argc)
		return usage("inspect", "one object at a time: what is '%s'?", argv[optind]);
	if (o->addr_text && (space_number(o->addr_text, &o->addr) || !o->addr))
		return usage("inspect", "'%s' is no address (0x...)", o->addr_text);
	return check(o);
}

static void second_look(void)
{
	const struct timespec t = {.tv_nsec = SECOND_LOOK_NS};

	nanosleep(&t, NULL);
}

static int print_summary(const struct options *o, const struct space *s, size_t objects, size_t broken,
			 bool complete)
{
	if (!o->s.c.json)
		return 0;
	return json_line(stdout, json_pack("{s:s, s:s, s:i, s:b, s:I, s:I}", "kind", "summary", "command",
					   "inspect", "pid", (int)space_pid(s), "complete", complete,
					   "objects", (json_int_t)objects, "findings", (json_int_t)broken));
}

static int print_object(const struct options *o, const struct space *s, const struct object *obj, size_t n)
{
	int rc = 0;

	if (!o->s.c.json) {
		text_object(stdout, obj);
		printf("%zu broken invariant%s\n", n, n == 1 ? "" : "s");
	} else {
		json_t *j = json_object_of(obj);

		json_object_set_new(j, "kind", json_string("object"));
		json_object_set_new(j, "pid", json_integer(space_pid(s)));
		rc = json_line(stdout, j);
	}
	if (!rc)
		rc = print_summary(o, s, 1, n, !obj->unreadable);
	if (rc)
		return EXIT_CANNOT_RUN;
	return n ? EXIT_FINDINGS : obj->unreadable ? EXIT_INCOMPLETE : EXIT_NOTHING;
}

/* Reads it; of a live process once more if something is broken, since it may have been in the middle of a
 * change. */
static int read_checked(struct object **ret, const struct options *o, const struct space *s,
			const struct known *k, size_t *n, struct err *err)
{
	struct census_mem mem = {.space = s, .known = k};
	struct rule_mem m = census_rule_mem(&mem);
	struct object_break *first = NULL, *b = NULL;
	struct object *obj = NULL, *again = NULL;
	size_t n_first = 0;
	int rc = object_read(&obj, k, &m, k->root[0], o->addr, (unsigned)o->depth);

	if (!rc)
		rc = object_breaks(obj, &first, &n_first);
	*n = n_first;
	if (!rc && n_first && !space_is_core(s)) {
		second_look();
		rc = object_read(&again, k, &m, k->root[0], o->addr, (unsigned)o->depth);
		if (!rc) {
			object_confirm(again, first, n_first);
			rc = object_breaks(again, &b, n);
			object_breaks_free(b, *n);
		}
	}
	object_breaks_free(first, n_first);
	if (again) {
		object_free(obj);
		obj = again;
	}
	*ret = obj;
	if (!rc)
		return 0;
	object_free(obj);
	*ret = NULL;
	if (rc != -EFAULT)
		return err_set(err, rc, "object at 0x%" PRIx64 ": %s", o->addr, strerror(-rc));
	err_set(err, rc, "nothing can be read at 0x%" PRIx64, o->addr);
	err_hint(err, "--all-of %s finds the objects there are", o->s.type[0]);
	return rc;
}

static int inspect_one(const struct options *o, struct space *s, struct err *err)
{
	struct object *obj = NULL;
	struct known *k = NULL;
	size_t n;
	int ret;

	if (known_open(&k, s, o->s.c.debuginfo, o->s.type, 1, err) || read_checked(&obj, o, s, k, &n, err))
		ret = fail(EXIT_CANNOT_RUN, err);
	else
		ret = print_object(o, s, obj, n);
	object_free(obj);
	known_free(k);
	return ret;
}

static int print_survey(const struct options *o, const struct survey_view *v)
{
	const struct survey *s = v->survey;
	bool complete =
		!v->census->walked.unreadable && !s->n_unreadable && s->n == s->n_alive && !s->distrusted;
	int rc = 0;

	if (o->s.c.json)
		rc = json_survey(stdout, v);
	else
		text_survey(stdout, v);
	if (!rc)
		rc = print_summary(o, v->space, s->n_all, s->n_alive, complete);
	if (rc)
		return EXIT_CANNOT_RUN;
	return s->n_alive ? EXIT_FINDINGS : complete ? EXIT_NOTHING : EXIT_INCOMPLETE;
}

/* A class whose objects cannot be told by a vtable. */
static int check_findable(const struct known *k, struct err *err)
{
	const struct guard_type *g = k->type[k->root[0]].guard;

	if (g->vptrs_known && g->n_vptr)
		return 0;
	return err_set(err, -ENOTSUP, "objects of %s cannot be found by their vtable: %s", g->name,
		       g->vptr_reason[0] ? g->vptr_reason : "it has none");
}

static int inspect_all(const struct options *o, struct space *s, struct err *err)
{
	struct survey_view v = {.space = s, .limit = o->s.c.verbose ? 0 : o->limit};
	struct census *c = NULL;
	struct survey *sv = NULL;
	struct known *k = NULL;
	int rc = known_open(&k, s, o->s.c.debuginfo, &o->all_of, 1, err);

	if (!rc)
		rc = check_findable(k, err);
	if (!rc)
		rc = census_take(&c, s, k, err);
	if (!rc)
		rc = survey_take(&sv, s, k, c, k->root[0], (unsigned)o->depth, err);
	if (!rc && sv->n && !space_is_core(s)) {
		second_look();
		rc = survey_confirm(sv, s, k, (unsigned)o->depth, err);
	}
	v.known = k;
	v.census = c;
	v.survey = sv;
	rc = rc ? fail(EXIT_CANNOT_RUN, err) : print_survey(o, &v);
	survey_free(sv);
	census_free(c);
	known_free(k);
	return rc;
}

int cmd_inspect(int argc, char **argv)
{
	struct options o = {0};
	struct err err = {0};
	struct space *s = NULL;
	int ret = parse(argc, argv, &o);

	if (ret)
		return ret < 0 ? 0 : ret;
	if (space_from_options(&s, &o.s, &err))
		return fail(EXIT_CANNOT_RUN, &err);
	ret = o.all_of ? inspect_all(&o, s, &err) : inspect_one(&o, s, &err);
	space_close(s);
	return ret;
}
