// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/cmd.h"
#include "replay/again.h"
#include "replay/replay.h"

#define SESSIONS_MAX 32

static const char HELP[] =
	"Usage: culprit report [OPTIONS] SESSION...\n"
	"\n"
	"Shows sessions again that `culprit stalls` or `culprit writes` wrote with -o FILE.db, on any "
	"machine, without "
	"privileges.\n"
	"Several are merged in order of time. Where two of them are of both ends of a connection, each "
	"stalled client is "
	"joined with\n"
	"what its peer's session says of the request: which thread read it and where that thread is.\n"
	"\n"
	"      --json              the sessions' JSON Lines (docs/json.md), and a `joined` line for each "
	"pair\n"
	"      --folded            stacks for flame graphs: of stalls with the ms blocked, of bad writes "
	"with how often\n"
	"      --chrome            trace for Perfetto or chrome://tracing\n"
	"      --html              one page that needs nothing else\n"
	"      --debuginfo DIR     name the frames again, by build-id and offset, with debuginfo that the "
	"node did not "
	"have\n"
	"  -h, --help              this\n"
	"\n"
	"Exit code: 0 no findings, coverage complete; 1 findings; 2 usage; 3 no session file: the message "
	"says why; 4 no\n"
	"findings, coverage incomplete\n"
	"\n"
	"Examples:\n"
	"  culprit report a.db                          as it was printed on the node\n"
	"  culprit report client.db server.db           both ends of an RPC\n"
	"  culprit report a.db --json | jq 'select(.kind==\"stall\")'\n"
	"  culprit report a.db --debuginfo /srv/debug   with names, of a session on a stripped node\n"
	"  culprit report a.db b.db --html >incident.html\n";

enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_FOLDED, FORMAT_CHROME, FORMAT_HTML };

struct report_opts {
	enum format format;
	const char *debuginfo;
	char **path;
	size_t n;
};

enum { OPT_FOLDED = OPT_COMMAND_FIRST, OPT_CHROME, OPT_HTML };

/* 0: go on; else the exit code, negative for 0 (--help). */
static int parse(int argc, char **argv, struct report_opts *o)
{
	static const struct option longs[] = {{"json", 0, 0, OPT_JSON},
					      {"folded", 0, 0, OPT_FOLDED},
					      {"chrome", 0, 0, OPT_CHROME},
					      {"html", 0, 0, OPT_HTML},
					      {"debuginfo", 1, 0, OPT_DEBUGINFO},
					      {"help", 0, 0, 'h'},
					      {0}};
	unsigned formats = 0;
	int opt;

	opterr = 0;
	optind = 1;
	while ((opt = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (opt) {
		case 'h':
			fputs(HELP, stdout);
			return -1;
		case OPT_DEBUGINFO:
			o->debuginfo = optarg;
			break;
		case OPT_JSON:
		case OPT_FOLDED:
		case OPT_CHROME:
		case OPT_HTML:
			o->format = opt == OPT_JSON	? FORMAT_JSON
				    : opt == OPT_FOLDED ? FORMAT_FOLDED
				    : opt == OPT_CHROME ? FORMAT_CHROME
							: FORMAT_HTML;
			formats++;
			break;
		default:
			return usage("report", "bad option '%s'", argv[optind - 1]);
		}
	}
	if (formats > 1)
		return usage("report", "one of --json, --folded, --chrome and --html at a time");
	o->path = argv + optind;
	o->n = (size_t)(argc - optind);
	if (!o->n)
		return usage("report", "which session? give the file that was written with -o");
	if (o->n > SESSIONS_MAX)
		return usage("report", "at most %d sessions at a time", SESSIONS_MAX);
	return 0;
}

/* Times are printed as the first session's node has them: that is what its logs say, too. */
static void set_zone(const struct session *s)
{
	const char *offset = session_value(s, "utc_offset_s");
	long east = offset ? strtol(offset, NULL, 10) : 0, minutes = labs(east) / 60;
	char tz[64];

	if (!offset || minutes >= 24L * 60)
		return;
	/* POSIX counts west of Greenwich */
	snprintf(tz, sizeof(tz), "<%c%02ld%02ld>%c%ld:%02ld", east < 0 ? '-' : '+', minutes / 60,
		 minutes % 60, east < 0 ? '+' : '-', minutes / 60, minutes % 60);
	setenv("TZ", tz, 1);
	tzset();
}

static int by_start(const void *a, const void *b)
{
	const struct replay *x = *(struct replay *const *)a, *y = *(struct replay *const *)b;

	return (x->clock.real_ns > y->clock.real_ns) - (x->clock.real_ns < y->clock.real_ns);
}

/* Names that are not found stay as the node had them, and it is said. */
static int name_again(const struct report_opts *o, struct session *s, struct err *err)
{
	struct again_account a = {0};
	int rc = o->debuginfo ? session_name_again(s, o->debuginfo, &a, err) : 0;

	if (!rc && a.missing[0])
		fprintf(stderr,
			"culprit: %s: names as the node had them in %s: no file of that build-id was found\n",
			s->path, a.missing);
	return rc;
}

static int open_all(const struct report_opts *o, struct replay **v, size_t *n, struct err *err)
{
	for (size_t i = 0; i < o->n; i++) {
		struct session *s;
		int rc = session_load(&s, o->path[i], err);

		if (rc)
			return rc;
		rc = name_again(o, s, err);
		if (rc) {
			session_free(s);
			return rc;
		}
		rc = replay_open(&v[*n], s, err);
		if (rc)
			return rc;
		(*n)++;
	}
	qsort(v, *n, sizeof(*v), by_start);
	set_zone(v[0]->s);
	return 0;
}

static int join_all(struct replay *const *v, size_t n, struct joined **joined, size_t *n_joined,
		    struct err *err)
{
	struct join_session side[SESSIONS_MAX];
	uint64_t *found[SESSIONS_MAX] = {NULL};
	int rc = 0;

	for (size_t i = 0; !rc && i < n; i++) {
		found[i] = calloc(v[i]->n_stalls + 1, sizeof(*found[i]));
		for (size_t k = 0; found[i] && k < v[i]->n_stalls; k++)
			found[i][k] = replay_wall(v[i], v[i]->found_ns[k]);
		side[i] = (struct join_session){
			.s = v[i]->s, .stall = v[i]->stall, .found_ns = found[i], .n_stalls = v[i]->n_stalls};
		rc = found[i] ? 0 : -ENOMEM;
	}
	if (!rc)
		rc = join_sessions(side, n, joined, n_joined);
	for (size_t i = 0; i < n; i++)
		free(found[i]);
	return rc ? err_set(err, rc, "out of memory") : 0;
}

static int render(enum format format, struct replay *const *v, size_t n, const struct replay_joined *j,
		  struct err *err)
{
	int rc = 0;

	switch (format) {
	case FORMAT_TEXT:
		replay_text(stdout, v, n, j);
		break;
	case FORMAT_JSON:
		rc = replay_json(stdout, v, n, j);
		break;
	case FORMAT_FOLDED:
		replay_folded(stdout, v, n);
		break;
	case FORMAT_CHROME:
		rc = replay_chrome(stdout, v, n, j);
		break;
	case FORMAT_HTML:
		rc = replay_html(stdout, v, n, j);
		break;
	}
	if (!rc && (fflush(stdout) || ferror(stdout)))
		rc = errno ? -errno : -EIO;
	return rc ? err_set(err, rc, "cannot write: %s", strerror(-rc)) : 0;
}

static int exit_code(struct replay *const *v, size_t n)
{
	bool complete = true;

	for (size_t i = 0; i < n; i++) {
		if (v[i]->n)
			return EXIT_FINDINGS;
		complete &= v[i]->has_summary && v[i]->summary.complete;
	}
	return complete ? EXIT_NOTHING : EXIT_INCOMPLETE;
}

int cmd_report(int argc, char **argv)
{
	struct report_opts o = {.format = FORMAT_TEXT};
	struct replay *v[SESSIONS_MAX] = {NULL};
	struct joined *joined = NULL;
	struct replay_joined j = {0};
	struct err err = {0};
	size_t n = 0;
	int ret = parse(argc, argv, &o), rc;

	if (ret)
		return ret < 0 ? 0 : ret;
	rc = open_all(&o, v, &n, &err);
	if (!rc)
		rc = join_all(v, n, &joined, &j.n, &err);
	j.v = joined;
	if (!rc)
		rc = render(o.format, v, n, &j, &err);
	ret = rc ? fail(EXIT_CANNOT_RUN, &err) : exit_code(v, n);
	for (size_t i = 0; i < n; i++)
		replay_close(v[i]);
	free(joined);
	return ret;
}
