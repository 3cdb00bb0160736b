// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/stalls.h"
#include "proc/caps.h"
#include "sock/netlink.h"
#include "trace/verbose.h"

static const char help_head[] =
	"Usage: culprit stalls -p PID [--threshold MS] [-d SECONDS] [--spec S] [--json]\n"
	"\n"
	"Names RPCs that got stuck, and whose fault it is: threads that were blocked before it was started "
	"at once, then every\n"
	"call that lasts longer than the threshold until the session ends. Works for clients and servers, "
	"and never stops the process.\n"
	"\n"
	"      --threshold MS      a call is stuck when it has lasted so long (default 1000)\n"
	"      --spec S            RPC functions: a built-in name (zbs) or a file; default: overrides of "
	"protobuf's RpcChannel\n"
	"      --framing F         RPCs are framed as by `baidu_std` (brpc) or `grpc`: names calls of "
	"asynchronous "
	"clients and servers\n"
	"                          by their bytes on the wire (of which nothing else is kept); may be "
	"repeated; "
	"others: docs/spec.md\n"
	"      --source S          what tells of calls: auto (for each kind of call the cheapest that "
	"works), "
	"or only fentry, kprobe or\n"
	"                          tracepoint\n"
	"      --log FILE          the daemon's log (glog): its messages about what is stuck, in one "
	"timeline with it; "
	"may grow, be\n"
	"                          rotated or cut off meanwhile; may be repeated\n"
	"      --without HOOK      do without `sock` (tracepoints of sent and received bytes), `calls` "
	"(following calls at\n"
	"                          all) or `iter` (task iterator), as on a kernel that lacks it; may be "
	"repeated\n"
	"\n";

static const char help_tail[] =
	"\n"
	"Verdicts: peer-silent (request acknowledged, no reply), request-unacked, request-unsent, "
	"peer-window-closed, reply-unread\n"
	"(it is in our receive queue), polling-dead-fd (the descriptor was closed or reused meanwhile), "
	"connect-pending, half-open,\n"
	"local-writer-blocked, server-thread-blocked (a request was taken, and the thread that has it is "
	"blocked).\n"
	"A connection that is idle, with no request outstanding, is no stall.\n"
	"A finding follows the chain of waits: locks, connections of this process, and those to other "
	"processes "
	"of this machine\n"
	"(loopback, unix sockets), to its end or round in a circle. Threads that cannot be known for certain "
	"are not named.\n"
	"\n"
	"Examples:\n"
	"  culprit stalls -p $(pidof zbs-metad)                   who waits for whom, now and during the "
	"next minute\n"
	"  culprit stalls -n zbs-metad --threshold 200 -d 0       calls over 200 ms, until Ctrl-C\n"
	"  culprit stalls -p 1234 --json | jq 'select(.kind==\"stall\")'\n"
	"  culprit stalls -p 1234 --framing grpc --log /var/log/zbs/zbs-metad.INFO\n"
	"  culprit stalls -n zbs-metad -o a.db                    keep it all in a file, for `culprit "
	"report` here or elsewhere\n"
	"  culprit stalls -p 1234 --dry-run                       what would be attached, and what replaces "
	"what is missing\n";

enum { OPT_THRESHOLD = OPT_COMMAND_FIRST, OPT_SPEC, OPT_FRAMING, OPT_LOG, OPT_WITHOUT, OPT_SOURCE };

static int option_without(struct stalls_opts *o, const char *arg, struct err *err)
{
	if (!strcmp(arg, "sock"))
		o->no_sock = true;
	else if (!strcmp(arg, "calls"))
		o->no_calls = true;
	else if (!strcmp(arg, "iter"))
		o->no_iter = true;
	else
		return err_set(err, -EINVAL, "--without takes sock, calls or iter, not '%s'", arg);
	return 0;
}

static int option_source(struct stalls_opts *o, const char *arg, struct err *err)
{
	for (enum call_source s = SOURCE_AUTO; s <= SOURCE_TRACEPOINT; s++) {
		if (strcmp(arg, call_source_name(s)) != 0)
			continue;
		o->source = s;
		return 0;
	}
	return err_set(err, -EINVAL, "--source takes auto, fentry, kprobe or tracepoint, not '%s'", arg);
}

static int option_threshold(struct stalls_opts *o, const char *arg, struct err *err)
{
	char *end;
	long v;

	errno = 0;
	v = strtol(arg, &end, 10);
	if (errno || end == arg || *end || v < 50 || v > 86400000)
		return err_set(err, -EINVAL, "--threshold takes milliseconds from 50 to 86400000, not '%s'",
			       arg);
	o->threshold_ns = (uint64_t)v * 1000000;
	return 0;
}

/* 0 go on, 1 help was printed, negative: err. */
static int parse(int argc, char **argv, struct stalls_opts *o, struct err *err)
{
	static const struct option longs[] = {COMMON_LONG,
					      OUTPUT_LONG,
					      {"threshold", 1, 0, OPT_THRESHOLD},
					      {"spec", 1, 0, OPT_SPEC},
					      {"framing", 1, 0, OPT_FRAMING},
					      {"log", 1, 0, OPT_LOG},
					      {"without", 1, 0, OPT_WITHOUT},
					      {"source", 1, 0, OPT_SOURCE},
					      {0}};
	int opt, rc;

	*o = (struct stalls_opts){.threshold_ns = 1000000000};
	common_init(&o->common);
	opterr = 0;
	optind = 1;
	while ((opt = getopt_long(argc, argv, OUTPUT_SHORT, longs, NULL)) != -1) {
		rc = 0;
		switch (opt) {
		case 'h':
			printf("%s%s%s%s", help_head, OUTPUT_HELP, COMMON_HELP, help_tail);
			return 1;
		case OPT_THRESHOLD:
			rc = option_threshold(o, optarg, err);
			break;
		case OPT_SPEC:
			o->spec = optarg;
			break;
		case OPT_FRAMING:
			rc = stalls_wire_option(o, optarg, err);
			break;
		case OPT_LOG:
			if (o->n_logs == STALLS_LOGS)
				return err_set(err, -EINVAL, "at most %d logs", STALLS_LOGS);
			o->log[o->n_logs++] = optarg;
			break;
		case OPT_WITHOUT:
			rc = option_without(o, optarg, err);
			break;
		case OPT_SOURCE:
			rc = option_source(o, optarg, err);
			break;
		case '?':
		case ':':
			return err_set(err, -EINVAL, "bad option '%s'", argv[optind - 1]);
		default:
			rc = common_option(&o->common, opt, optarg, err);
		}
		if (rc < 0)
			return rc;
	}
	if (optind < argc)
		return err_set(err, -EINVAL, "unexpected '%s'", argv[optind]);
	return 0;
}

static void print_hooks(FILE *f, const struct hook *h, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%-20s %-18s %s%s%s\n", h[i].what, hook_state_name(h[i].state), h[i].source,
			h[i].why[0] ? ": " : "", h[i].why);
}

static void print_plan(FILE *f, const struct stalls_run *r)
{
	const struct hook *h;
	size_t n;

	fprintf(f, "threads: %s%s%s\n", autopsy_source_name(threads_source(r->threads)),
		threads_source_why(r->threads) ? "; no task iterator: " : "",
		threads_source_why(r->threads) ? threads_source_why(r->threads) : "");
	fprintf(f, "sockets: %s\n",
		threads_socks_why(r->threads) ? threads_socks_why(r->threads) : "sock_diag");
	h = stalls_trace_hooks(r->trace, &n);
	print_hooks(f, h, n);
	h = r->payload ? payload_hooks(r->payload, &n) : NULL;
	if (h)
		print_hooks(f, h, n);
	for (size_t i = 0; i < r->rpc.n_notes; i++)
		fprintf(f, "note: %s\n", r->rpc.note[i]);
}

/* Everything that can be refused is tried here; what is indispensable fails, the rest becomes a note. */
static int open_all(struct stalls_run *r, struct err *err)
{
	const struct stalls_opts *o = &r->opts;
	struct threads_opts to = {.pid = o->common.pid, .btf = o->common.btf, .proc_only = o->no_iter};
	struct stalls_trace_opts so = {.pid = o->common.pid,
				       .threshold_ns = o->threshold_ns,
				       .btf = o->common.btf,
				       .rpc = &r->rpc,
				       .no_sock_tp = o->no_sock,
				       .source = o->source,
				       .no_calls = o->no_calls};
	struct neighbours_opts no = {.pid = o->common.pid,
				     .btf = o->common.btf,
				     .debuginfo = o->common.debuginfo,
				     .no_iter = o->no_iter,
				     .no_follow = o->no_sock};
	int rc = o->spec ? spec_load(&r->spec, o->spec, err) : 0;

	if (rc)
		return rc;
	if (image_open(&r->image, o->common.pid, o->common.debuginfo, &r->image_err))
		r->image = NULL;
	rc = rpc_plan_build(&r->rpc, o->common.pid, r->spec, o->common.debuginfo, err);
	if (rc)
		return rc;
	to.image = r->image;
	rc = threads_open(&r->threads, &to, err);
	if (rc)
		return rc;
	no.target = r->threads;
	rc = neighbours_open(&r->neighbours, &no, err);
	if (!rc)
		rc = stalls_trace_open(&r->trace, &so, err);
	if (!rc)
		rc = stalls_trace_attach(r->trace, o->common.dry_run, err);
	if (!rc)
		rc = stalls_wire_open(r, err);
	if (!rc)
		rc = stalls_log_open(r, err);
	return rc;
}

static void close_all(struct stalls_run *r)
{
	stalls_trace_close(r->trace);
	stalls_wire_close(r);
	stalls_store_close(r);
	stalls_log_close(r);
	transport_destroy(r->transport);
	stall_engine_destroy(r->engine);
	neighbours_close(r->neighbours);
	threads_close(r->threads);
	image_close(r->image);
	rpc_plan_deinit(&r->rpc);
	spec_free(r->spec);
}

static int follow(struct stalls_run *r, struct err *err)
{
	struct session_cfg cfg = {.pid = r->opts.common.pid,
				  .duration_s = r->opts.common.duration_s,
				  .tick_ms = 50, /* a verdict within 200 ms of the threshold */
				  .quiet = r->opts.common.quiet,
				  /* setns, and /proc/PID/stack */
				  .admin = diag_elsewhere(r->opts.common.pid) ||
					   threads_source_why(r->threads)};
	struct session_ops ops = {.tick = stalls_tick, .progress = stalls_progress};
	enum session_end why = END_TIME;
	int rc = stalls_start(r, err);

	if (rc) {
		output_abandon(&r->out);
		return rc;
	}
	rc = session_run(&cfg, r->transport, &ops, r, &why, err);
	if (!rc)
		return stalls_finish(r, why);
	output_close(&r->out, rc, err->msg);
	return rc;
}

static int run(const struct stalls_opts *o, char **argv, struct err *err)
{
	struct stalls_run r = {.opts = *o, .start_ns = mono_now_ns()};
	int rc;

	session_usage_start(&r.usage);
	rc = session_signals_block(err);
	if (!rc && !o->common.dry_run)
		rc = output_open(&r.out, &r.opts.common, argv, err);
	if (!rc)
		rc = stalls_store_open(&r, err);
	if (!rc)
		rc = open_all(&r, err);
	if (!rc && o->common.dry_run)
		print_plan(stdout, &r);
	else if (!rc && o->common.verbose)
		print_plan(stderr, &r);
	if (!rc && !o->common.dry_run)
		rc = follow(&r, err);
	else
		output_abandon(&r.out);
	close_all(&r);
	return rc;
}

int cmd_stalls(int argc, char **argv)
{
	struct err err = {0};
	struct stalls_opts o;
	int rc = parse(argc, argv, &o, &err);

	if (rc > 0)
		return EXIT_NOTHING;
	if (rc < 0)
		return usage("stalls", "%s", err.msg);
	trace_verbose(o.common.verbose > 1);
	rc = common_target(&o.common, &err);
	if (rc == -EINVAL)
		return usage("stalls", "%s", err.msg);
	if (!rc)
		rc = caps_check(CAPS_TRACE, &err);
	if (!rc)
		rc = common_btf(&o.common, &err);
	if (!rc)
		rc = run(&o, argv, &err);
	return rc < 0 ? fail(EXIT_CANNOT_RUN, &err) : rc;
}
