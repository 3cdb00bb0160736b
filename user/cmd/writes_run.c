// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The session of `culprit writes`: arm, follow, report. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/writes_run.h"
#include "cmd/writes_crash.h"
#include "cmd/writes_late.h"
#include "cmd/writes_report.h"
#include "plan/coverage.h"
#include "cmd/writes_story.h"
#include "proc/mem.h"
#include "proc/process.h"
#include "report/write.h"
#include "trace/crash.h"
#include "trace/heap.h"
#include "trace/verbose.h"
#include "writes/slots.h"

#define TICK_MS	    50
#define SECOND_NS   1000000000ull
#define DEADLINE_NS (3 * SECOND_NS)
#define ARMING_NS   (60 * SECOND_NS) /* the deadline while another process is armed */
#define WARM_NS	    (2 * SECOND_NS)  /* before the budget is looked at */

static ssize_t fact_read(void *ctx, uint64_t addr, void *buf, size_t len)
{
	const struct run *r = ctx;

	return proc_mem_read(r->pid, addr, buf, len);
}

static bool fact_mapped(void *ctx, uint64_t addr)
{
	return death_mapped(ctx, addr);
}

/* What stands in the kernel's tables is known to live only while the probes see what ends. */
static bool fact_object(void *ctx, uint64_t addr, struct wr_object *o)
{
	const struct run *r = ctx;

	return writes_trace_object(r->trace, addr, o) && writes_trace_covered(r->trace);
}

static bool fact_node(void *ctx, uint64_t addr, struct wr_node *n)
{
	const struct run *r = ctx;

	return writes_trace_node(r->trace, addr, n) && writes_trace_covered(r->trace);
}

static bool fact_shadow(void *ctx, uint64_t addr, const struct wr_node *n, uint32_t size,
			uint8_t shadow[WR_NODE_BYTES])
{
	return writes_trace_shadow(((const struct run *)ctx)->trace, addr, n, size, shadow);
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

/* A change seen at the end of an object, which the engine believes at once. */
static bool ends_unseen(const struct abi_hdr *rec)
{
	return rec->kind == WR_REC_CANDIDATE && rec->size >= sizeof(struct wr_candidate) &&
	       (((const struct wr_candidate *)rec)->flags & WR_CAND_DESTROY);
}

/* Records tell whose they are by the thread's process. */
static void sink(void *ctx, const struct abi_hdr *rec)
{
	struct runs *s = ctx;

	for (size_t i = 0; i < s->n; i++) {
		struct run *r = s->v[i];

		if (s->n + s->n_failed > 1 && (rec->tgid != (uint32_t)r->pid || r->exited))
			continue;
		if (ends_unseen(rec))
			late_look(r->later, rec->ts_ns);
		engine_record(r->engine, rec);
		death_record(r, rec);
		writes_sweep_record(r->sweep, rec);
		if (r->watch)
			writes_watch_record(r->watch, rec);
	}
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
				"culprit: bad write (%s) in process %d: %s of %s 0x%" PRIx64 " is 0x%" PRIx64
				"\n",
				confidence_name(f->w.confidence), (int)r->pid, f->w.path, f->w.object_type,
				f->w.object_addr, f->w.new_value);
		if (r->watch && f->lives)
			writes_watch_damaged(r->watch, f, now_ns);
	}
}

/* Once a second: the kernel's deadline, the figures for the progress line, the budget of the probes on
 * setters. */
static void each_second(struct runs *s, uint64_t now_ns)
{
	double budget = s->o->c.max_overhead_pct;

	if (now_ns < s->second_ns + SECOND_NS)
		return;
	s->second_ns = now_ns;
	s->overhead_pct = s->store_pct = 0;
	for (size_t i = 0; i < s->n; i++) {
		struct run *r = s->v[i];

		if (r->exited)
			continue;
		writes_trace_deadline(r->trace, now_ns + DEADLINE_NS);
		death_each_second(r);
		story_heap_second(r, now_ns, now_ns + DEADLINE_NS);
		writes_trace_counters(r->trace, r->counters);
		writes_sweep_lost(r->sweep, r->counters[WR_C_NEWS_LOST]);
		r->overhead_pct = run_overhead(r, now_ns, &r->store_pct);
		s->overhead_pct += r->overhead_pct;
		s->store_pct += r->store_pct;
	}
	runs_arrivals(s);
	if (s->o->setters != SETTERS_AUTO || now_ns < s->start_ns + WARM_NS || s->overhead_pct <= budget ||
	    s->store_pct <= budget / 4)
		return;
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i]->exited || s->v[i]->stores_dropped)
			continue;
		s->v[i]->stores_dropped = writes_trace_drop_stores(s->v[i]->trace);
		s->v[i]->stores_dropped_pct = s->v[i]->store_pct;
	}
}

/*
 * The sweep looks at objects no thread vouches for. So it waits until the destroy hooks are seen to work, and
 * stops when an object's end was missed.
 */
static bool sweep_trusted(const struct run *r)
{
	const uint64_t *c = r->counters;

	return !late_holds(r->later) && c[WR_C_DESTROYED] && !c[WR_C_REPLACED] && !c[WR_C_BUSY] &&
	       !r->p->plan->ends_missed && !r->p->plan->n_missing && !writes_trace_failed(r->trace);
}

/* True: the target is dying, and what can be known of it is known. */
static bool run_tick(struct run *r, uint64_t now_ns, struct err *err)
{
	bool dead = death_tick(r, now_ns);

	if (engine_n_pending(r->engine))
		late_look(r->later, now_ns);
	late_tick(r->later, now_ns);
	engine_tick(r->engine, now_ns, false);
	announce(r, now_ns);
	if (dead)
		return true;
	story_tick(r);
	run_tell(r, now_ns, false);
	if (sweep_trusted(r))
		writes_sweep_tick(r->sweep, now_ns, TICK_MS * 1000000ull);
	if (r->nursery && !r->p->plan->ends_missed)
		writes_nursery_tick(r->nursery, now_ns, TICK_MS * 1000000ull);
	if (r->watch && !r->watch_failed && writes_watch_tick(r->watch, now_ns, err)) {
		snprintf(r->no_watch, sizeof(r->no_watch), "watchpoints were given up: %.400s", err->msg);
		writes_watch_stop(r->watch, now_ns);
		r->watch_failed = true;
	}
	return false;
}

void run_finish(struct run *r, uint64_t now_ns)
{
	death_tick(r, now_ns);
	writes_trace_counters(r->trace, r->counters);
	engine_tick(r->engine, now_ns, true);
	announce(r, now_ns);
}

static int tick(void *ctx, uint64_t now_ns, bool last, struct err *err)
{
	struct runs *s = ctx;
	size_t left = runs_ended(s, now_ns);

	output_tick(&s->out, now_ns);
	if (!last) /* first of all: the deadline may have passed, and then nothing that is known counts */
		each_second(s, now_ns);
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i]->exited)
			continue;
		if (last)
			run_finish(s->v[i], now_ns);
		else if (run_tick(s->v[i], now_ns, err) && s->n == 1)
			return SESSION_OVER;
	}
	return left || last || runs_expected(s) ? SESSION_GO_ON : SESSION_TARGETS_GONE;
}

static void progress(void *ctx, char *buf, size_t len)
{
	const struct runs *s = ctx;
	uint64_t checks = 0, objects = 0, lost = 0;
	char text[3][32];
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		checks += s->v[i]->counters[WR_C_CHECKS];
		objects += s->v[i]->exited ? 0 : writes_trace_objects(s->v[i]->counters);
		n += engine_n_findings(s->v[i]->engine);
	}
	lost = run_lost(s->v[0]);
	snprintf(buf, len, "%s checks  %s objects  %zu bad write%s  %.1f%% cpu  %s lost",
		 text_count(checks, text[0]), text_count(objects, text[1]), n, n == 1 ? "" : "s",
		 s->overhead_pct, text_count(lost, text[2]));
}

/* What is about to be watched, on stderr. */
static void introduce(const struct run *r)
{
	const struct writes_plan *p = r->p->plan;
	const struct plan_coverage *c = &p->coverage;
	struct proc_status st;
	struct proc_exe exe;

	if (r->o->c.quiet || proc_status_read(&st, r->pid, NULL) || proc_exe_read(&exe, r->pid, NULL))
		return;
	fprintf(stderr, "culprit: %d (%s, build-id %.8s) %u threads; guarding ", (int)r->pid, st.comm,
		exe.build_id, st.threads);
	for (unsigned t = 0; t < p->n_types; t++) {
		if (p->info[t].cache)
			fprintf(stderr, "%s%s", t ? ", " : "", p->info[t].guard->name);
	}
	fprintf(stderr, " and %zu types in it: %u fields by invariant, %u by their changes\n",
		p->n_types - r->p->spec->n_cache, c->invariant, c->judged);
	fprintf(stderr, "culprit: room for %u objects and %u messages in them: %.0f MiB of kernel memory\n",
		r->capacity.objects, r->capacity.nodes, (double)r->capacity.bytes / (1 << 20));
	proc_exe_deinit(&exe);
}

static void introduce_all(const struct runs *s, double arm_s)
{
	bool watch = false;
	unsigned probes = 0;
	double plan_s = 0;

	if (s->o->c.quiet)
		return;
	for (size_t i = 0; i < s->n; i++) {
		introduce(s->v[i]);
		probes += writes_trace_attached(s->v[i]->trace);
		plan_s += s->v[i]->p->plan_s;
		watch |= s->v[i]->watch != NULL;
	}
	fprintf(stderr, "culprit: debuginfo read in %.2f s, %u probes armed in %.2f s%s; Ctrl-C to stop\n",
		plan_s, probes, arm_s, watch ? ", watchpoints rotate" : "");
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i]->no_watch[0] && (!i || strcmp(s->v[i]->no_watch, s->v[i - 1]->no_watch) != 0))
			fprintf(stderr, "culprit: no watchpoints: %s\n", s->v[i]->no_watch);
	}
}

/* The machine has few registers: they are shared out among the processes there are at the start. 0: all. */
static unsigned watch_share(const struct runs *s, bool *none)
{
	size_t n = s->t->n, i = s->n;

	*none = i >= SLOTS_MAX && n > 1;
	if (n < 2)
		return 0;
	return n >= SLOTS_MAX ? 1 : (unsigned)(SLOTS_MAX / n + (i < SLOTS_MAX % n));
}

static int open_watch(struct runs *s, struct run *r, const struct engine_facts *facts, struct err *err)
{
	bool none;
	struct writes_watch_cfg cfg = {
		.plan = r->p->plan,
		.trace = r->trace,
		.facts = facts,
		.dbg = r->p->dbg,
		.image = r->image,
		.engine = r->engine,
		.transport = r->transport,
		.pid = r->pid,
		.max_slots = watch_share(s, &none),
		.btf = r->o->c.btf,
		.allow_vm = r->o->c.allow_vm_watchpoints,
		.has_field = r->p->has_field,
		.field_type = r->p->field_type,
		.field = r->p->field,
		.object = r->o->object,
	};
	struct err why = {0};
	int ret;

	r->no_register = none;
	if (none) {
		snprintf(r->no_watch, sizeof(r->no_watch), "the machine's registers serve other processes");
		return 0;
	}
	ret = writes_watch_open(&r->watch, &cfg, &why);
	if (!ret)
		return 0;
	if (!r->late &&
	    (cfg.has_field || cfg.object)) { /* asked for by name: then going on without is no answer */
		*err = why;
		return ret;
	}
	snprintf(r->no_watch, sizeof(r->no_watch), "%.380s%s%.120s", why.msg, why.hint[0] ? "; " : "",
		 why.hint);
	return 0;
}

/* With tables for as many objects as there are, and will be. */
static int open_trace(struct run *r, struct err *err)
{
	const struct writes_plan *p = r->p->plan;
	uint64_t alive[WR_MAX_TYPES], start = mono_now_ns();

	writes_census(p, r->pid, alive);
	r->census_s = (double)(mono_now_ns() - start) / 1e9;
	for (size_t t = 0; t < p->n_types; t++)
		r->existing += p->info[t].cache ? alive[t] : 0;
	capacity_plan(&r->capacity, p, alive, r->o->max_objects);
	return writes_trace_open(&r->trace, p, &r->capacity, r->pid, r->p->bias, r->o->c.btf, err);
}

static struct engine_facts facts_of(struct run *r)
{
	return (struct engine_facts){.ctx = r,
				     .read = fact_read,
				     .mapped = fact_mapped,
				     .object = fact_object,
				     .node = fact_node,
				     .shadow = fact_shadow,
				     .calls = fact_calls,
				     .n_objects = fact_objects,
				     .judged = fact_judged};
}

int run_nursery(struct run *r, struct err *err)
{
	struct engine_facts facts = facts_of(r);

	if (!r->p->plan->births || r->nursery)
		return 0;
	return writes_nursery_create(&r->nursery, r->p->plan, &facts, writes_sweep_engine(r->sweep), r->trace,
				     err);
}

static int arm(struct runs *s, struct run *r, struct err *err)
{
	struct engine_facts facts = facts_of(r);
	int ret;

	ret = image_open(&r->image, r->pid, r->o->c.debuginfo, err);
	if (!ret)
		ret = engine_create(&r->engine, r->p->plan, &facts, r->pid, err);
	if (!ret && searches_create(&r->searches, r->pid, r->o->c.debuginfo))
		ret = err_set(err, -ENOMEM, "out of memory");
	if (!ret)
		ret = open_trace(r, err);
	if (!ret)
		ret = writes_sweep_create(&r->sweep, r->p->plan, &facts, r->engine,
					  writes_trace_map_fd(r->trace, "nodes"), err);
	if (!ret)
		ret = run_nursery(r, err);
	if (!ret && late_create(&r->later, r))
		ret = err_set(err, -ENOMEM, "out of memory");
	if (!ret)
		ret = transport_add(r->transport, writes_trace_events_fd(r->trace),
				    writes_trace_lost_fd(r->trace), err);
	if (!ret)
		ret = death_arm(r, err);
	if (!ret)
		ret = story_heap_arm(r, err);
	if (!ret)
		ret = open_watch(s, r, &facts, err);
	if (ret)
		return ret;
	writes_trace_usage(r->trace, &s->usage);
	if (r->heap)
		heap_trace_usage(r->heap, &s->usage);
	if (r->crash_trace)
		crash_trace_usage(r->crash_trace, &s->usage);
	ret = writes_trace_attach(r->trace, err);
	r->start_ns = mono_now_ns();
	return ret;
}

static void disarm(struct runs *s, struct run *r)
{
	if (!late_destroy(r->later))
		s->t->abandoned = true;
	writes_watch_close(r->watch);
	death_disarm(r);
	heap_trace_close(r->heap);
	writes_nursery_destroy(r->nursery);
	writes_sweep_destroy(r->sweep);
	writes_trace_close(r->trace);
	engine_destroy(r->engine);
	searches_destroy(r->searches);
	image_close(r->image);
	free(r);
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

/* Arming takes a while: the deadlines of those that are armed must not pass meanwhile. */
static void keep_alive(const struct runs *s)
{
	uint64_t now = mono_now_ns();

	for (size_t i = 0; i < s->n; i++) {
		if (!s->v[i]->exited)
			writes_trace_deadline(s->v[i]->trace, now + ARMING_NS);
	}
}

int run_add(struct runs *s, struct writes_prep *p, bool late, struct err *err)
{
	struct run *r = calloc(1, sizeof(*r));
	int ret;

	if (!r)
		return err_set(err, -ENOMEM, "out of memory");
	keep_alive(s);
	*r = (struct run){
		.pid = p->pid, .o = s->o, .p = p, .transport = s->transport, .late = late, .out = &s->out};
	ret = arm(s, r, err);
	if (ret)
		s->failed[s->n_failed++] = r;
	else
		s->v[s->n++] = r;
	if (!ret && late && !s->o->c.quiet) {
		session_clear_line();
		introduce(r);
	}
	return ret;
}

static int arm_all(struct runs *s, struct err *err)
{
	uint64_t start = mono_now_ns();
	int ret = session_signals_block(err);

	if (!ret)
		ret = transport_create(&s->transport, sink, s, err);
	session_usage_start(&s->usage);
	for (size_t i = 0; !ret && i < s->t->n; i++) {
		ret = run_add(s, s->t->v[i], false, err);
		if (ret && s->t->n > 1)
			err_prefix(err, "process %d", (int)s->t->v[i]->pid);
	}
	s->start_ns = s->second_ns = mono_now_ns();
	if (!ret)
		introduce_all(s, (double)(s->start_ns - start) / 1e9);
	return ret;
}

int writes_run(const struct writes_opts *o, char **argv, struct writes_targets *t)
{
	static const struct session_ops ops = {.tick = tick, .progress = progress};
	struct session_cfg cfg = {.pid = t->n == 1 && !o->c.comm ? t->v[0]->pid : 0,
				  .duration_s = o->c.duration_s,
				  .tick_ms = TICK_MS,
				  .quiet = o->c.quiet};
	struct runs s = {.o = o, .t = t};
	struct err err = {0};
	int ret;

	trace_verbose(o->c.verbose > 0);
	ret = output_open(&s.out, &o->c, argv, &err);
	if (!ret)
		ret = arm_all(&s, &err);
	if (ret)
		output_abandon(&s.out);
	if (!ret && o->c.verbose)
		print_coverage(s.v[0]);
	/* uprobes that are still to come */
	cfg.admin = !ret && (!s.n || !writes_trace_multi(s.v[0]->trace));
	if (!ret)
		ret = session_run(&cfg, s.transport, &ops, &s, &s.end, &err);
	if (ret) {
		output_close(&s.out, ret, err.msg);
		ret = fail(EXIT_CANNOT_RUN, &err);
	} else {
		ret = runs_report(&s);
	}
	for (size_t i = 0; i < s.n; i++)
		disarm(&s, s.v[i]);
	for (size_t i = 0; i < s.n_failed; i++)
		disarm(&s, s.failed[i]);
	transport_destroy(s.transport);
	return ret;
}
