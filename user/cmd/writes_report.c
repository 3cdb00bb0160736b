// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a `culprit writes` session cost and covered. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/writes_crash.h"
#include "cmd/writes_late.h"
#include "cmd/writes_report.h"
#include "plan/coverage.h"
#include "cmd/writes_story.h"
#include "proc/process.h"
#include "report/write.h"
#include "writes/slots.h"

#define ROWS 12 /* of the overhead table */

/* What one hit of each probe costs, in ns: the trap, measured on this machine, and the program. For free().
 */
static double *hit_costs(const struct run *r)
{
	struct writes_cost c = writes_trace_cost(r->trace);
	const struct writes_plan *p = r->p->plan;
	double program[WR_ROLE_MAX];
	double *v = calloc(p->n_probes + 1, sizeof(*v));

	for (unsigned role = 0; role < WR_ROLE_MAX; role++)
		program[role] = writes_trace_run_ns(r->trace, role);
	for (size_t i = 0; v && i < p->n_probes; i++)
		v[i] = (p->probe[i].stepped ? c.stepped_ns : c.emulated_ns) + program[p->probe[i].wire.role];
	return v;
}

double run_overhead(const struct run *r, uint64_t now_ns, double *stores)
{
	double wall = (double)(now_ns - r->start_ns), total = 0;
	size_t n = r->p->plan->n_probes;
	uint64_t *hits = calloc(n + 1, sizeof(*hits));
	double *cost = hit_costs(r);

	*stores = 0;
	if (hits && cost && !writes_trace_hits(r->trace, hits) && wall > 0) {
		for (size_t i = 0; i < n; i++) {
			double ns = cost[i] * (double)hits[i];

			total += ns;
			if (r->p->plan->probe[i].wire.role == WR_ROLE_STORE)
				*stores += ns;
		}
		*stores *= 100 / wall;
		total *= 100 / wall;
	}
	free(hits);
	free(cost);
	return total;
}

uint64_t run_lost(const struct run *r)
{
	return transport_lost(r->transport, ABI_LOST_RING) + transport_malformed(r->transport);
}

/* Adds what the probes of a process did to the rows of their functions and roles. */
static void add_costs(const struct run *r, double wall, struct write_cost *v, size_t *n)
{
	const struct writes_plan *p = r->p->plan;
	uint64_t *hits = calloc(p->n_probes + 1, sizeof(*hits));
	double *cost = hit_costs(r);

	if (!hits || !cost || writes_trace_hits(r->trace, hits))
		goto out;
	for (size_t i = 0; i < p->n_probes; i++) {
		const char *role = wr_role_name(p->probe[i].wire.role);
		size_t k = 0;

		while (k < *n && (v[k].role != role || strcmp(v[k].function, p->probe[i].function) != 0))
			k++;
		if (k == *n)
			v[(*n)++] = (struct write_cost){.function = p->probe[i].function, .role = role};
		v[k].sites++;
		v[k].hits += hits[i];
		v[k].cpu_pct += cost[i] * (double)hits[i] * 100 / wall;
	}
out:
	free(hits);
	free(cost);
}

/* One row per function and role; *n of them, for free(). */
static struct write_cost *costs(const struct runs *all, uint64_t now_ns, size_t *n)
{
	struct write_cost *v;
	size_t max = 1;

	*n = 0;
	for (size_t i = 0; i < all->n; i++)
		max += all->v[i]->p->plan->n_probes;
	v = calloc(max, sizeof(*v));
	for (size_t i = 0; v && i < all->n; i++)
		add_costs(all->v[i], (double)(now_ns - all->start_ns), v, n);
	return v;
}

/* Every way in which something was not seen. */
static void note_losses(const uint64_t c[WR_C_MAX], uint64_t forgotten, struct summary *s)
{
	static const struct {
		unsigned counter;
		const char *text;
	} loss[] = {
		{WR_C_OBJECTS_FULL,
		 "times an object was not followed: the table was full; --max-objects makes room"},
		{WR_C_NODES_FULL,
		 "times a message was not checked: the table was full; --max-objects makes room"},
		{WR_C_WALK_BOUND,
		 "times a part of an object was left out: more elements, messages or depth than are walked"},
		{WR_C_NODE_TOO_BIG, "checks of a message bigger than what is shadowed: its end was left out"},
		{WR_C_READ_FAILED, "times a message could not be read in the kernel (not resident)"},
		{WR_C_ARG_FAILED, "times a function's argument could not be followed to the object"},
		{WR_C_DEADLINE, "probe hits were ignored because this program was held up"},
		{WR_C_ON_ARENA, "objects were built on an arena, where they end unseen: not followed"},
		{WR_C_BUSY, "probe hits were ignored: too many preempted ones on one CPU"},
	};

	for (size_t i = 0; i < sizeof(loss) / sizeof(loss[0]); i++) {
		if (c[loss[i].counter])
			summary_note(s, true, "%llu %s", (unsigned long long)c[loss[i].counter],
				     loss[i].text);
	}
	if (c[WR_C_PURGED] > forgotten)
		summary_note(s, true, "%llu objects were forgotten and taken up again after that gap",
			     (unsigned long long)(c[WR_C_PURGED] - forgotten));
	if (c[WR_C_REPLACED])
		summary_note(s, false,
			     "%llu objects were built or inserted where one was still followed: the end of "
			     "that one was missed",
			     (unsigned long long)c[WR_C_REPLACED]);
}

static void note_plan(const struct run *r, struct summary *s)
{
	if (writes_trace_failed(r->trace))
		summary_note(s, true, "%u probes could not be attached, the first: %s",
			     writes_trace_failed(r->trace), writes_trace_failure(r->trace));
	if (r->stores_dropped)
		summary_note(
			s, true,
			"%u probes on inlined setters were taken out (%.1f%% of one CPU, budget %.1f%%): "
			"changes of their fields are not judged since; --setters all keeps them",
			r->stores_dropped, r->stores_dropped_pct, r->o->c.max_overhead_pct);
}

static void note_engine(const struct run *r, struct summary *s)
{
	struct engine_stats e;
	char buf[256];

	engine_stats(r->engine, &e);
	for (size_t i = 0; engine_distrust(r->engine, i, buf, sizeof(buf))[0]; i++)
		summary_note(s, true, "%s", buf);
	if (e.overflow)
		summary_note(s, true, "%llu candidates or findings were dropped: more than are kept",
			     (unsigned long long)e.overflow);
	summary_count(s, "transients dropped", e.transient + e.vanished);
}

static void note_sweep(const struct run *r, uint64_t now_ns, struct summary *s)
{
	double wall = (double)(now_ns - r->start_ns);
	struct writes_sweep_account a;
	char longest[16], mean[16];

	writes_sweep_account(r->sweep, &a);
	summary_count(s, "sweeps", a.rounds);
	summary_count(s, "messages swept", a.stats.nodes);
	summary_count(s, "arena changes passed over", a.stats.on_arena);
	if (a.stats.on_arena)
		summary_note(
			s, false,
			"%llu times the rounds left a changed message alone because it stands on an arena, "
			"where its end is not seen: such messages are checked when they are touched only",
			(unsigned long long)a.stats.on_arena);
	if (a.rounds)
		summary_note(s, false,
			     "objects nobody touched were read in rounds of at most %s, %s on average, for "
			     "%.1f%% of one CPU",
			     text_duration(a.longest_ns, longest), text_duration(a.total_ns / a.rounds, mean),
			     wall > 0 ? 100 * (double)a.cpu_ns / wall : 0);
	else
		summary_note(
			s, false, "objects nobody touched were not looked at: %s",
			r->counters[WR_C_DESTROYED]
				? "ends of objects were or may be missed, so what the table holds may be gone"
				: "no destruction was seen that would show that ends of objects are noticed");
}

/* Types without functions of the user's: what their constructors told. */
static void note_nursery(const struct run *r, struct summary *s)
{
	struct nursery_stats n;

	if (!r->nursery)
		return;
	writes_nursery_stats(r->nursery, &n);
	summary_count(s, "taken up from constructors", n.adopted);
	summary_count(s, "before the session by vtable", r->existing);
	if (n.strange)
		summary_note(
			s, true,
			"%llu objects built by the type's constructors have another's vtable: not followed",
			(unsigned long long)n.strange);
	if (n.left)
		summary_note(s, true, "%llu times a part of a new object was left out: more than is walked",
			     (unsigned long long)n.left);
}

/* What was seen in a process, added to s. */
static void count_run(struct run *r, struct summary *s)
{
	const struct writes_plan *p = r->p->plan;
	struct proc_status st;

	if (!r->exited)
		writes_trace_counters(r->trace, r->counters);
	s->probes_planned += (unsigned)(p->n_probes + p->n_missing);
	s->probes_attached += writes_trace_attached(r->trace);
	s->probes_failed += writes_trace_failed(r->trace) + (unsigned)p->n_missing;
	s->findings += engine_n_findings(r->engine) + engine_n_forgotten(r->engine);
	if (!r->exited && !proc_status_read(&st, r->pid, NULL))
		s->threads += st.threads;
	summary_count(s, "checks", r->counters[WR_C_CHECKS]);
	summary_count(s, "checks by digest", r->counters[WR_C_QUICK]);
	summary_count(s, "objects", writes_trace_objects(r->counters));
	summary_count(s, "inserted", r->counters[WR_C_INSERTED]);
	summary_count(s, "adopted", r->counters[WR_C_ADOPTED]);
	summary_count(s, "destroyed", r->counters[WR_C_DESTROYED] + r->counters[WR_C_REMOVED]);
	summary_count(s, "messages compared", r->counters[WR_C_NODES]);
	summary_count(s, "changes by known writers", r->counters[WR_C_LICENSED]);
}

/* What is the same in all processes of one file. */
static void note_file(const struct run *r, struct summary *s)
{
	const struct writes_plan *p = r->p->plan;
	const struct plan_coverage *c = &p->coverage;

	for (size_t i = 0; i < p->n_missing && s->n_notes < SUMMARY_MAX_NOTES / 2; i++)
		summary_note(s, true, "not probed: %s", p->missing[i]);
	for (size_t i = 0; i < p->n_notes && s->n_notes < SUMMARY_MAX_NOTES / 2; i++)
		summary_note(s, false, "%s", p->note[i]);
	if (r->nursery)
		summary_note(
			s, false,
			"%llu places in memory looked like objects of the types by their vtables before the "
			"session (read in %.2f s; freed ones among them): such objects were followed only "
			"from "
			"when a member function changed them",
			(unsigned long long)r->existing, r->census_s);
	if (r->no_watch[0])
		summary_note(s, r->watch_failed, "no watchpoints: %s", r->no_watch);
	summary_note(s, false,
		     "fields: %u guarded by invariant, %u by their changes; not guarded: %u scalars whose "
		     "writers are not all known or are plain C++, %u of other kinds%s",
		     c->invariant, c->judged, c->changes, c->opaque + c->too_far, " (--dry-run lists them)");
}

/* What is to be said of a process. */
static void note_run(struct run *r, uint64_t now_ns, struct summary *s)
{
	note_plan(r, s);
	note_engine(r, s);
	if (!r->counters[WR_C_CHECKS])
		summary_note(s, true,
			     r->nursery ? "no object was seen to be changed or destroyed: none of the "
					  "type's constructors, destructors and mutators was called on one"
					: "no object was seen at all: none of the insert, check and remove "
					  "functions was called");
	note_nursery(r, s);
	late_note(r->later, s);
	death_note(r, s);
	story_heap_note(r, s);
	note_sweep(r, now_ns, s);
	summary_note(s, false, "the kernel's tables had room for %u objects and %u messages: %llu MiB",
		     r->capacity.objects, r->capacity.nodes, (unsigned long long)r->capacity.bytes >> 20);
	if (r->watch)
		writes_watch_account(r->watch, now_ns, s);
}

/* Processes that came and went. */
static void note_processes(const struct runs *all, struct summary *s)
{
	unsigned late = 0, exited = 0, unwatched = 0;
	bool watching = false;

	for (size_t i = 0; i < all->n; i++) {
		late += all->v[i]->late;
		exited += all->v[i]->exited;
		unwatched += all->v[i]->no_register;
		watching |= all->v[i]->watch != NULL;
	}
	if (all->n > 1 || all->n_refused)
		summary_note(s, false, "%zu process%s guarded", all->n, all->n == 1 ? " was" : "es were");
	if (exited && all->n > 1)
		summary_note(s, false, "%u of them exited during the session", exited);
	if (late)
		summary_note(s, false,
			     "%u of them started during the session, and were guarded from a second or two "
			     "later on",
			     late);
	if (watching)
		summary_count(s, "processes without watchpoints", unwatched);
	if (watching && unwatched)
		summary_note(s, false,
			     "%u of them had no watchpoint: the machine's %u registers serve the first %u; "
			     "they are "
			     "guarded by checks and rounds, which name no writer",
			     unwatched, SLOTS_MAX, SLOTS_MAX);
	if (all->n_refused)
		summary_note(s, true, "%zu more of this name started and were not guarded; the first: %s",
			     all->n_refused, all->refusal);
}

static void summarize(struct runs *all, uint64_t now_ns, struct summary *s)
{
	uint64_t c[WR_C_MAX] = {0}, forgotten = 0;

	*s = (struct summary){.command = "writes", .complete = true, .ended = session_end_name(all->end)};
	s->events_seen = transport_seen(all->transport);
	s->events_lost = run_lost(all->v[0]);
	for (size_t i = 0; i < all->n; i++) {
		count_run(all->v[i], s);
		forgotten += writes_trace_forgotten(all->v[i]->trace);
		for (unsigned k = 0; k < WR_C_MAX; k++)
			c[k] += all->v[i]->counters[k];
	}
	if (s->events_lost)
		summary_note(s, true, "%llu records were lost", (unsigned long long)s->events_lost);
	note_processes(all, s);
	note_losses(c, forgotten, s);
	if (all->overhead_pct > all->o->c.max_overhead_pct)
		summary_note(s, false,
			     "the probes took %.1f%% of one CPU, over the budget of %.1f%%: those left "
			     "cannot be spared",
			     all->overhead_pct, all->o->c.max_overhead_pct);
	for (size_t i = 0; i < all->n; i++) {
		s->of_pid = all->n > 1 ? all->v[i]->pid : 0;
		note_run(all->v[i], now_ns, s);
		s->of_pid = 0;
		note_file(all->v[i], s);
	}
	session_usage_finish(&all->usage, s);
}

void run_tell(struct run *r, uint64_t now_ns, bool final)
{
	struct report_clock clock = report_clock_now();
	struct engine_finding *f;

	while ((f = engine_tell(r->engine, now_ns, r->watch && !r->watch_failed, final))) {
		story_finish(r, f);
		if (output_wants(r->out))
			output_line(r->out, json_bad_write(&f->w, &clock, f->again));
		if (!r->o->c.json)
			text_bad_write(stdout, &f->w, &clock, now_ns);
		fflush(stdout);
	}
}

static json_t *processes(const struct runs *all)
{
	json_t *v = json_array();

	for (size_t i = 0; v && i < all->n; i++) {
		const struct run *r = all->v[i];

		json_array_append_new(v, json_pack("{s:i, s:I, s:I, s:I, s:b, s:b, s:b}", "pid", (int)r->pid,
						   "findings", (json_int_t)engine_n_findings(r->engine),
						   "checks", (json_int_t)r->counters[WR_C_CHECKS], "objects",
						   (json_int_t)writes_trace_objects(r->counters),
						   "started_during_session", r->late, "exited", r->exited,
						   "watched", r->watch != NULL));
	}
	return v;
}

static json_t *libraries(const struct runs *all)
{
	json_t *v = json_array();

	for (size_t i = 0; v && i < all->n; i++)
		late_json(all->v[i]->later, v);
	return v;
}

static void print_summary(struct runs *all, struct write_cost *cost, size_t n_costs, const struct summary *s)
{
	struct write_coverage *fields;
	size_t n;
	json_t *v;

	if (!all->o->c.json) {
		if (!s->findings)
			printf("no bad write seen\n\n");
		text_write_costs(stdout, cost, n_costs, ROWS);
		text_summary(stdout, s);
		fflush(stdout);
	}
	if (!output_wants(&all->out))
		return;
	v = json_summary(s);
	if (v) {
		json_object_set_new(v, "functions", json_write_costs(cost, n_costs));
		json_object_set_new(v, "processes", processes(all));
		json_object_set_new(v, "libraries", libraries(all));
	}
	if (v && !plan_coverage_rows(all->v[0]->p->plan, all->o->setters, &fields, &n)) {
		json_object_set_new(v, "fields", json_write_coverage(fields, n));
		free(fields);
	}
	output_line(&all->out, v);
}

int runs_report(struct runs *all)
{
	uint64_t now = mono_now_ns();
	struct write_cost *cost;
	struct summary s;
	size_t n;
	int ret;

	for (size_t i = 0; i < all->n; i++) {
		struct run *r = all->v[i];

		if (r->watch && !r->exited)
			writes_watch_stop(r->watch, now);
		if (!r->exited && all->end != END_TARGET_EXIT && !r->death_ns)
			story_wait(r);
		death_report(r, now);
		run_tell(r, now, true);
	}
	summarize(all, now, &s);
	output_account(&all->out, &s);
	cost = costs(all, now, &n);
	print_summary(all, cost, n, &s);
	ret = s.findings ? EXIT_FINDINGS : s.complete ? EXIT_NOTHING : EXIT_INCOMPLETE;
	ret = output_close(&all->out, ret, s.ended);
	free(cost);
	summary_deinit(&s);
	return ret;
}
