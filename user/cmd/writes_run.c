// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The session of `culprit writes`: arm, follow, report. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/writes_run.h"
#include "cmd/writes_crash.h"
#include "cmd/writes_report.h"
#include "plan/coverage.h"
#include "cmd/writes_story.h"
#include "proc/mem.h"
#include "proc/process.h"
#include "report/write.h"
#include "trace/crash.h"
#include "trace/verbose.h"

#define TICK_MS	    50
#define SECOND_NS   1000000000ull
#define DEADLINE_NS (3 * SECOND_NS)
#define WARM_NS	    (2 * SECOND_NS) /* before the budget is looked at */

static ssize_t fact_read(void *ctx, uint64_t addr, void *buf, size_t len)
{
	const struct run *r = ctx;

	return proc_mem_read(r->o->c.pid, addr, buf, len);
}

static bool fact_mapped(void *ctx, uint64_t addr)
{
	return death_mapped(ctx, addr);
}

static bool fact_object(void *ctx, uint64_t addr, struct wr_object *o)
{
	return writes_trace_object(((const struct run *)ctx)->trace, addr, o);
}

static bool fact_node(void *ctx, uint64_t addr, struct wr_node *n)
{
	return writes_trace_node(((const struct run *)ctx)->trace, addr, n);
}

static size_t fact_calls(void *ctx, struct wr_touch *v, size_t max)
{
	size_t n;

	return writes_trace_calls(((const struct run *)ctx)->trace, v, max, &n) ? 0 : n;
}

static bool fact_judged(void *ctx, unsigned type, unsigned field, uint64_t shadow_ns)
{
	return writes_trace_judged(((const struct run *)ctx)->trace, type, field, shadow_ns);
}

static uint64_t fact_objects(void *ctx)
{
	uint64_t c[WR_C_MAX];

	return writes_trace_counters(((const struct run *)ctx)->trace, c) ? 0 : writes_trace_objects(c);
}

static void sink(void *ctx, const struct abi_hdr *rec)
{
	struct run *r = ctx;

	engine_record(r->engine, rec);
	death_record(r, rec);
	if (r->watch)
		writes_watch_record(r->watch, rec);
}

/* A finding is announced when it is made; the report follows when it is ripe. */
static void announce(struct run *r, uint64_t now_ns)
{
	struct engine_finding *f;

	while ((f = engine_announce(r->engine))) {
		story_begin(r, f);
		if (!r->o->c.quiet)
			fprintf(stderr,
				"\r\033[K"
				"culprit: bad write (%s): %s of %s 0x%" PRIx64 " is 0x%" PRIx64 "\n",
				confidence_name(f->w.confidence), f->w.path, f->w.object_type,
				f->w.object_addr, f->w.new_value);
		if (r->watch && f->lives)
			writes_watch_damaged(r->watch, f, now_ns);
	}
}

/* Once a second: the kernel's deadline, the figures for the progress line, the budget of the probes on
 * setters. */
static void each_second(struct run *r, uint64_t now_ns)
{
	if (now_ns < r->second_ns + SECOND_NS)
		return;
	r->second_ns = now_ns;
	writes_trace_deadline(r->trace, now_ns + DEADLINE_NS);
	death_each_second(r);
	writes_trace_counters(r->trace, r->counters);
	r->overhead_pct = run_overhead(r, now_ns, &r->store_pct);
	if (r->o->setters == SETTERS_AUTO && !r->stores_dropped && now_ns > r->start_ns + WARM_NS &&
	    r->overhead_pct > r->o->c.max_overhead_pct && r->store_pct > r->o->c.max_overhead_pct / 4) {
		r->stores_dropped = writes_trace_drop_stores(r->trace);
		r->stores_dropped_pct = r->store_pct;
	}
}

/*
 * The sweep looks at objects no thread vouches for. So it waits until the destroy hooks are seen to work, and
 * stops when an object's end was missed.
 */
static bool sweep_trusted(const struct run *r)
{
	const uint64_t *c = r->counters;

	return c[WR_C_DESTROYED] && !c[WR_C_REPLACED] && !c[WR_C_BUSY] && !r->p->plan->ends_missed &&
	       !r->p->plan->n_missing && !writes_trace_failed(r->trace);
}

static int tick(void *ctx, uint64_t now_ns, bool last, struct err *err)
{
	struct run *r = ctx;
	bool dead = death_tick(r, now_ns);

	engine_tick(r->engine, now_ns, last);
	announce(r, now_ns);
	if (last || dead)
		return dead;
	story_tick(r);
	run_tell(r, now_ns, false);
	each_second(r, now_ns);
	if (sweep_trusted(r))
		writes_sweep_tick(r->sweep, now_ns, TICK_MS * 1000000ull);
	if (r->nursery && !r->p->plan->ends_missed)
		writes_nursery_tick(r->nursery, now_ns, TICK_MS * 1000000ull);
	if (r->watch && writes_watch_tick(r->watch, now_ns, err)) {
		snprintf(r->no_watch, sizeof(r->no_watch), "watchpoints were given up: %.400s", err->msg);
		writes_watch_stop(r->watch, now_ns);
		r->watch_failed = true;
	}
	return 0;
}

static void progress(void *ctx, char *buf, size_t len)
{
	const struct run *r = ctx;
	char checks[32], objects[32], lost[32];
	size_t n = engine_n_findings(r->engine);

	snprintf(buf, len, "%s checks  %s objects  %zu bad write%s  %.1f%% cpu  %s lost",
		 text_count(r->counters[WR_C_CHECKS], checks),
		 text_count(writes_trace_objects(r->counters), objects), n, n == 1 ? "" : "s",
		 r->overhead_pct, text_count(run_lost(r), lost));
}

/* What is about to be watched, on stderr. */
static void introduce(const struct run *r, double arm_s)
{
	const struct writes_plan *p = r->p->plan;
	const struct plan_coverage *c = &p->coverage;
	struct proc_status st;
	struct proc_exe exe;

	if (r->o->c.quiet || proc_status_read(&st, r->o->c.pid, NULL) ||
	    proc_exe_read(&exe, r->o->c.pid, NULL))
		return;
	fprintf(stderr, "culprit: %d (%s, build-id %.8s) %u threads; guarding ", (int)r->o->c.pid, st.comm,
		exe.build_id, st.threads);
	for (unsigned t = 0; t < p->n_types; t++) {
		if (p->info[t].cache)
			fprintf(stderr, "%s%s", t ? ", " : "", p->info[t].guard->name);
	}
	fprintf(stderr, " and %zu types in it: %u fields by invariant, %u by their changes\n",
		p->n_types - r->p->spec->n_cache, c->invariant, c->judged);
	fprintf(stderr, "culprit: debuginfo read in %.2f s, %u probes armed in %.2f s%s; Ctrl-C to stop\n",
		r->p->plan_s, writes_trace_attached(r->trace), arm_s, r->watch ? ", watchpoints rotate" : "");
	if (r->no_watch[0])
		fprintf(stderr, "culprit: no watchpoints: %s\n", r->no_watch);
	proc_exe_deinit(&exe);
}

static int open_watch(struct run *r, const struct engine_facts *facts, struct err *err)
{
	struct writes_watch_cfg cfg = {
		.plan = r->p->plan,
		.trace = r->trace,
		.facts = facts,
		.dbg = r->p->dbg,
		.image = r->image,
		.engine = r->engine,
		.transport = r->transport,
		.pid = r->o->c.pid,
		.btf = r->o->c.btf,
		.allow_vm = r->o->c.allow_vm_watchpoints,
		.has_field = r->p->has_field,
		.field_type = r->p->field_type,
		.field = r->p->field,
		.object = r->o->object,
	};
	struct err why = {0};
	int ret = writes_watch_open(&r->watch, &cfg, &why);

	if (!ret)
		return 0;
	if (cfg.has_field || cfg.object) { /* asked for by name: then going on without is no answer */
		*err = why;
		return ret;
	}
	snprintf(r->no_watch, sizeof(r->no_watch), "%.380s%s%.120s", why.msg, why.hint[0] ? "; " : "",
		 why.hint);
	return 0;
}

static int arm(struct run *r, struct err *err)
{
	struct engine_facts facts = {.ctx = r,
				     .read = fact_read,
				     .mapped = fact_mapped,
				     .object = fact_object,
				     .node = fact_node,
				     .calls = fact_calls,
				     .n_objects = fact_objects,
				     .judged = fact_judged};
	uint64_t start = mono_now_ns();
	int ret;

	ret = session_signals_block(err);
	if (!ret)
		ret = image_open(&r->image, r->o->c.pid, r->o->c.debuginfo, err);
	if (!ret)
		ret = engine_create(&r->engine, r->p->plan, &facts, r->o->c.pid, err);
	if (!ret && searches_create(&r->searches, r->o->c.pid, r->o->c.debuginfo))
		ret = err_set(err, -ENOMEM, "out of memory");
	if (!ret)
		ret = transport_create(&r->transport, sink, r, err);
	if (!ret)
		ret = writes_trace_open(&r->trace, r->p->plan, r->o->c.pid, r->p->bias, r->o->c.btf, err);
	if (!ret)
		ret = transport_add(r->transport, writes_trace_events_fd(r->trace),
				    writes_trace_lost_fd(r->trace), err);
	if (!ret)
		ret = writes_sweep_create(&r->sweep, r->p->plan, &facts, r->engine,
					  writes_trace_map_fd(r->trace, "nodes"), r->o->c.pid, err);
	if (!ret && r->p->plan->births)
		ret = writes_nursery_create(&r->nursery, r->p->plan, &facts, writes_sweep_engine(r->sweep),
					    writes_trace_map_fd(r->trace, "objects"),
					    writes_trace_map_fd(r->trace, "nodes"), err);
	if (!ret)
		ret = death_arm(r, err);
	if (!ret)
		ret = open_watch(r, &facts, err);
	if (ret)
		return ret;
	session_usage_start(&r->usage);
	writes_trace_usage(r->trace, &r->usage);
	if (r->crash_trace)
		crash_trace_usage(r->crash_trace, &r->usage);
	ret = writes_trace_attach(r->trace, err);
	r->start_ns = r->second_ns = mono_now_ns();
	if (!ret)
		introduce(r, (double)(r->start_ns - start) / 1e9);
	return ret;
}

static void disarm(struct run *r)
{
	writes_watch_close(r->watch);
	death_disarm(r);
	writes_nursery_destroy(r->nursery);
	writes_sweep_destroy(r->sweep);
	writes_trace_close(r->trace);
	transport_destroy(r->transport);
	engine_destroy(r->engine);
	searches_destroy(r->searches);
	image_close(r->image);
}

static void print_coverage(const struct run *r)
{
	struct write_coverage *fields;
	size_t n;

	if (plan_coverage_rows(r->p->plan, r->o->setters, &fields, &n))
		return;
	text_write_coverage(stderr, fields, n);
	free(fields);
}

int writes_run(const struct writes_opts *o, const struct writes_prep *p)
{
	static const struct session_ops ops = {.tick = tick, .progress = progress};
	struct session_cfg cfg = {
		.pid = o->c.pid, .duration_s = o->c.duration_s, .tick_ms = TICK_MS, .quiet = o->c.quiet};
	struct run r = {.o = o, .p = p};
	struct err err = {0};
	int ret;

	trace_verbose(o->c.verbose > 0);
	ret = arm(&r, &err);
	if (!ret && o->c.verbose)
		print_coverage(&r);
	if (!ret)
		ret = session_run(&cfg, r.transport, &ops, &r, &r.end, &err);
	if (ret)
		ret = fail(EXIT_CANNOT_RUN, &err);
	else
		ret = run_report(&r);
	disarm(&r);
	return ret;
}
