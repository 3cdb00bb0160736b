// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/stalls.h"
#include "proc/kin.h"
#include "report/stall.h"
#include "report/timeline.h"

#define FORGET_EVERY_NS (10ULL * 1000000000)

static void on_record(void *ctx, const struct abi_hdr *rec)
{
	struct stalls_run *r = ctx;

	stall_engine_event(r->engine, rec);
	stalls_wire_event(r, rec);
}

static int frame_param(void *ctx, size_t index, const char *name, uint64_t *value)
{
	struct stalls_run *r = ctx;

	return r->image ? image_frame_param(r->image, index, name, value) : -ENODATA;
}

static int method_name(void *ctx, uint64_t method, char *buf, size_t len)
{
	struct stalls_run *r = ctx;
	const struct autopsy_ops *o = threads_ops(r->threads);

	return rpc_method_name(r->rpc.layout, method, o->read_mem, o->ctx, buf, len);
}

static int unwind_copy(void *ctx, const struct abi_stack *st, struct frames *out)
{
	struct stalls_run *r = ctx;

	return r->image ? image_unwind(r->image, st, true, out) : -ENODATA;
}

static bool shared(void *ctx, uint64_t inode)
{
	struct stalls_run *r = ctx;

	return proc_kin_has_socket(r->opts.common.pid, inode);
}

static bool peer(void *ctx, pid_t of, const struct sock_facts *s, struct chain_peer *out)
{
	struct stalls_run *r = ctx;

	return neighbours_peer(r->neighbours, of, s, out);
}

static bool place(void *ctx, pid_t pid, struct chain_place *out)
{
	struct stalls_run *r = ctx;

	return neighbours_place(r->neighbours, pid, out);
}

static void on_found(void *ctx, const struct stall *s)
{
	struct stalls_run *r = ctx;
	struct report_clock now = report_clock_now();

	if (output_wants(&r->out))
		output_line(&r->out, json_stall(s, &now));
	if (r->opts.common.json)
		return;
	if (!r->opts.common.quiet)
		session_clear_line();
	text_stall(stdout, s, &now);
	fflush(stdout);
}

/* The target may end at any time: what cannot be read then is no error. */
static bool target_gone(const struct stalls_run *r)
{
	return kill(r->opts.common.pid, 0) && errno == ESRCH;
}

static uint64_t cpu_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/*
 * Symbols and unwind tables are read when a stack is taken first: not when a stall has to be told. Nor
 * between the first look at the target and its judgement, which would be of different moments.
 */
static void warm_up(struct stalls_run *r)
{
	struct autopsy *a;

	if (!r->image || threads_autopsy(r->threads, &a, NULL))
		return;
	image_refresh(r->image, NULL);
	for (size_t i = 0; i < a->n_threads; i++) {
		struct thread_facts *t = &a->thread[i];

		if (!t->in_call || t->moved)
			continue;
		autopsy_stacks(t, threads_ops(r->threads));
		break;
	}
	autopsy_free(a);
}

static int look(struct stalls_run *r, bool first, bool last, struct err *err)
{
	uint64_t begin = mono_now_ns(), cpu = cpu_now_ns(), seen;
	size_t known = stall_engine_count(r->engine);
	struct stalls_tables tables = {0};
	struct autopsy *a = NULL;
	struct look l;
	int rc = threads_autopsy(r->threads, &a, err);

	if (!rc && r->image)
		image_refresh(r->image, NULL);
	if (!rc) {
		stalls_log_threads(r, a);
		stalls_log_read(r, false);
	}
	if (!rc && first)
		rc = stalls_trace_seed(r->trace, a, threads_ops(r->threads));
	if (!rc && first)
		stalls_wire_seed(r, a);
	if (!rc)
		rc = stalls_trace_tables(r->trace, r->threads, &tables, err);
	neighbours_forget(r->neighbours);
	seen = cpu_now_ns() - cpu;
	if (!rc) {
		l = (struct look){.now_ns = mono_now_ns(), .autopsy = a, .tables = &tables};
		rc = stall_engine_look(r->engine, &l, err);
		r->n_threads = a->n_threads ? (unsigned)a->n_threads : r->n_threads;
		r->looks++;
		if (!rc)
			stalls_store_look(r, &l, stall_engine_count(r->engine) > known, last);
		if (l.now_ns - r->forget_ns > FORGET_EVERY_NS) {
			stalls_trace_forget(r->trace, &tables, l.now_ns);
			stalls_wire_forget(r, &tables, l.now_ns);
			r->forget_ns = l.now_ns;
			r->find_neighbours = true;
		}
	}
	stalls_tables_deinit(&tables);
	autopsy_free(a);
	/* to explain what is found (stacks, names) is done once: the next look is not as dear */
	if (known == stall_engine_count(r->engine))
		seen = cpu_now_ns() - cpu;
	if (first)
		pace_start(&r->pace, mono_now_ns(), seen);
	else
		pace_looked(&r->pace, begin, mono_now_ns(), seen);
	return rc && target_gone(r) ? 0 : rc;
}

/* Now and then, and not as a part of a look, whose cost says how often there can be one. */
static void find_neighbours(struct stalls_run *r)
{
	if (r->find_neighbours)
		neighbours_find(r->neighbours);
	r->find_neighbours = false;
}

/* An error is the next tick's to tell: it reads the same buffers. */
static void take_events(void *ctx)
{
	struct stalls_run *r = ctx;

	transport_drain(r->transport, &(struct err){0});
}

int stalls_start(struct stalls_run *r, struct err *err)
{
	struct stall_engine_cfg cfg = {.pid = r->opts.common.pid,
				       .threshold_ns = r->opts.threshold_ns,
				       .start_ns = r->start_ns,
				       .names = &r->rpc.names};
	struct stall_engine_ops ops = {.ctx = r,
				       .target = threads_ops(r->threads),
				       .frame_param = frame_param,
				       .method_name = method_name,
				       .unwind_copy = unwind_copy,
				       .shared = shared,
				       .peer = peer,
				       .place = place,
				       .wire = r->wire ? stalls_wire_oldest : NULL,
				       .wire_all = r->wire ? stalls_wire_all : NULL,
				       .wire_began = r->wire ? stalls_wire_began : NULL,
				       .events = take_events,
				       .found = on_found};
	int rc = stall_engine_create(&r->engine, &cfg, &ops, err);

	if (!rc)
		rc = transport_create(&r->transport, on_record, r, err);
	if (!rc)
		rc = stalls_trace_add_to(r->trace, r->transport, err);
	session_usage_add(&r->usage, stalls_trace_object(r->trace));
	if (!rc)
		rc = stalls_wire_start(r, err);
	if (rc)
		return rc;
	warm_up(r);
	rc = look(r, true, false, err);
	if (rc)
		return rc;
	find_neighbours(r);
	if (!r->opts.common.quiet)
		fprintf(stderr,
			"culprit: process %d, %u threads, %zu blocked in a stall already; following calls "
			"longer than %llu ms%s\n",
			(int)r->opts.common.pid, r->n_threads, stall_engine_count(r->engine),
			(unsigned long long)(r->opts.threshold_ns / 1000000),
			r->opts.common.duration_s > 0 ? "" : " until Ctrl-C");
	return 0;
}

static bool look_due(struct stalls_run *r, uint64_t now_ns, struct err *err)
{
	enum pace_due turn = pace_due(&r->pace, now_ns);
	struct stalls_tables t = {0};
	bool due;

	if (turn != PACE_IF_WANTED)
		return turn == PACE_NOW;
	if (stalls_trace_calls(r->trace, &t, err))
		return false;
	due = stall_engine_wants_look(r->engine, &t, now_ns);
	r->n_calls = 0;
	for (size_t i = 0; i < t.n_calls; i++)
		r->n_calls += t.call[i].call.entry_ns != 0;
	stalls_tables_deinit(&t);
	return due;
}

static void keep_budget(struct stalls_run *r, uint64_t now_ns)
{
	uint64_t run_ns, runs;
	unsigned n;

	if (r->dropped_all || !session_usage_bpf(&r->usage, &run_ns, &runs))
		return;
	r->budget.pct = r->opts.common.max_overhead_pct;
	if (!budget_exceeded(&r->budget, now_ns, run_ns))
		return;
	r->runs_per_s = (double)runs * 1e9 / (double)(now_ns - r->start_ns);
	n = stalls_trace_thin(r->trace);
	r->n_dropped += n;
	r->dropped_all = !n;
	r->budget.over = 0;
}

int stalls_tick(void *ctx, uint64_t now_ns, bool last, struct err *err)
{
	struct stalls_run *r = ctx;
	int rc;

	output_tick(&r->out, now_ns);
	/* events first: an end that the ring holds is more exact than what the look makes of it; and frames
	 * do not wake us */
	if (transport_drain(r->transport, err))
		return err->code;
	if (!last && !look_due(r, now_ns, err))
		return 0;
	if (!last)
		keep_budget(r, now_ns);
	rc = look(r, false, last, err);
	if (!last)
		find_neighbours(r);
	return rc;
}

void stalls_progress(void *ctx, char *buf, size_t len)
{
	struct stalls_run *r = ctx;
	size_t n = stall_engine_count(r->engine);

	snprintf(buf, len, "%u threads  %u calls in flight  %zu stall%s", r->n_threads, r->n_calls, n,
		 n == 1 ? "" : "s");
}

static void count_hooks(const struct hook *h, size_t n, struct summary *s)
{
	for (size_t i = 0; i < n; i++) {
		s->probes_planned += h[i].state == HOOK_ATTACHED || h[i].state == HOOK_FAILED ||
				     h[i].state == HOOK_DROPPED;
		s->probes_attached += h[i].state == HOOK_ATTACHED;
		s->probes_failed += h[i].state == HOOK_FAILED;
		if (h[i].state == HOOK_FAILED && s->probes_failed == 1)
			summary_note(s, true, "not attached: %s (%s), and maybe more: see --dry-run",
				     h[i].source, h[i].why);
	}
}

static void account_hooks(const struct stalls_run *r, struct summary *s)
{
	const struct hook *h;
	size_t n;

	h = stalls_trace_hooks(r->trace, &n);
	count_hooks(h, n, s);
	h = r->payload ? payload_hooks(r->payload, &n) : NULL;
	if (h)
		count_hooks(h, n, s);
	if (r->n_dropped)
		summary_note(s, true,
			     "over the budget of %g%% of one CPU (%.0f runs a second, other processes' calls "
			     "included): %u hooks "
			     "were dropped, such calls are seen by the looks only; "
			     "--max-overhead allows more",
			     r->opts.common.max_overhead_pct, r->runs_per_s, r->n_dropped);
	if (!stalls_trace_follows_calls(r->trace))
		summary_note(
			s, true,
			"calls are not followed: a stall is seen only if it lasts from one look to the next");
	if (!stalls_trace_follows_bytes(r->trace))
		summary_note(s, true, "who reads and writes which socket is not followed");
}

static void account_lost(const struct stalls_run *r, struct summary *s)
{
	uint64_t ring = transport_lost(r->transport, ABI_LOST_RING),
		 map = transport_lost(r->transport, ABI_LOST_MAP);
	uint64_t unread = transport_lost(r->transport, ABI_LOST_READ),
		 stack = transport_lost(r->transport, ABI_LOST_STACK);

	s->events_seen = transport_seen(r->transport);
	s->events_lost = ring + map;
	if (map)
		summary_note(s, true, "%llu calls or sockets found their table full and were not followed",
			     (unsigned long long)map);
	if (ring)
		summary_note(s, true, "%llu events found the ring buffer full", (unsigned long long)ring);
	if (transport_malformed(r->transport))
		summary_note(s, true, "%llu malformed events",
			     (unsigned long long)transport_malformed(r->transport));
	summary_count(s, "unreadable arguments", unread);
	summary_count(s, "unreadable stacks", stack);
}

/* Tracepoints of system calls run the programs for every process: how often that was, all together. */
static void account_machine(const struct stalls_run *r, struct summary *s)
{
	uint64_t run_ns, runs, wall_ns = mono_now_ns() - r->start_ns;

	if (!(stalls_trace_machine_pays(r->trace) || (r->payload && payload_machine_pays(r->payload))) ||
	    !session_usage_bpf(&r->usage, &run_ns, &runs))
		return;
	summary_count(s, "program runs, other processes' calls included", runs);
	summary_note(
		s, false,
		"calls are told of by tracepoints, which all processes of this machine run through: %.0f "
		"runs a second, %.0f ns each",
		(double)runs * 1e9 / (double)(wall_ns ? wall_ns : 1),
		runs ? (double)run_ns / (double)runs : 0);
}

static void account_neighbours(const struct stalls_run *r, struct summary *s)
{
	struct neighbours_account a = neighbours_account(r->neighbours);
	uint64_t wall_ns = mono_now_ns() - r->start_ns;

	if (a.followed)
		summary_note(s, false,
			     "who reads requests in other processes of this machine is followed in %u of "
			     "them, which "
			     "took %.2f%% of one CPU",
			     a.followed, (double)a.bpf_ns * 100 / (double)(wall_ns ? wall_ns : 1));
	if (a.refused)
		summary_note(s, false, "%u more processes of this machine are asked, and not followed",
			     a.refused);
}

static void account(struct stalls_run *r, enum session_end why, struct summary *s)
{
	uint64_t healthy, unclear;

	s->complete = true;
	s->threads = r->n_threads;
	s->findings = stall_engine_count(r->engine);
	s->ended = session_end_name(why);
	account_hooks(r, s);
	account_lost(r, s);
	account_machine(r, s);
	account_neighbours(r, s);
	stalls_wire_account(r, s);
	stalls_log_account(r, s);
	stall_engine_counts(r->engine, &healthy, &unclear);
	summary_count(s, "looks", r->looks);
	summary_count(s, "long waits judged healthy in the last look", healthy);
	summary_count(s, "waits of threads that moved or are stopped", unclear);
	if (threads_source(r->threads) != AUTOPSY_ITERATOR)
		summary_note(s, false, "threads are read from /proc: %s", threads_source_why(r->threads));
	if (threads_socks_why(r->threads))
		summary_note(s, true, "sockets are not told: %s", threads_socks_why(r->threads));
	if (!r->image)
		summary_note(s, true, "no user stacks: %s", r->image_err.msg);
	/* without names, waits that only the stack can tell from idle ones are taken for idle */
	for (size_t i = 0; i < r->rpc.n_notes; i++)
		summary_note(s, r->rpc.layout != RPC_LAYOUT_UNKNOWN && !r->rpc.n_sites, "%s", r->rpc.note[i]);
}

static bool rpc_running(void *ctx, pid_t tid, const struct stalls_rpc *rpc)
{
	struct stalls_run *r = ctx;

	return stall_engine_rpc_runs(r->engine, tid, rpc);
}

/* What the tables at the end show. */
struct closing {
	struct stall_life *lives;
	size_t n;
	struct timeline_row *row;
	size_t n_rows;
	struct rpc_ledger ledger;
};

static void print_end(struct stalls_run *r, const struct closing *c, const struct summary *s)
{
	struct report_clock clock = report_clock_now();
	json_t *v;

	if (!r->opts.common.json) {
		text_timeline(stdout, c->row, c->n_rows, c->lives);
		text_stall_table(stdout, c->lives, c->n);
		text_rpc_ledger(stdout, &c->ledger);
		text_summary(stdout, s);
		fflush(stdout);
	}
	if (!output_wants(&r->out))
		return;
	for (size_t i = 0; i < c->n_rows; i++) {
		v = json_log(&c->row[i], c->lives);
		if (v)
			output_line(&r->out, v);
	}
	v = json_summary(s);
	json_object_set_new(v, "stalls", json_stall_lives(c->lives, c->n, &clock));
	json_object_set_new(v, "rpcs", json_rpc_ledger(&c->ledger));
	output_line(&r->out, v);
}

int stalls_finish(struct stalls_run *r, enum session_end why)
{
	struct summary s = {.command = "stalls"};
	struct stalls_tables t = {0};
	struct closing c = {.n = stall_engine_count(r->engine)};
	struct stall_life *lives = calloc(c.n + 1, sizeof(*lives));
	uint64_t now = mono_now_ns();
	int rc;

	c.lives = lives;
	if (!lives)
		c.n = 0;
	for (size_t i = 0; i < c.n; i++)
		lives[i] = stall_engine_life(r->engine, i, now);
	stalls_log_read(r, true);
	account(r, why, &s);
	if (!stalls_trace_tables(r->trace, NULL, &t, NULL))
		rpc_ledger_build(&c.ledger, &t, now, method_name, rpc_running, r);
	if (r->wire)
		wire_ledger(r->wire, &c.ledger, now);
	if (stalls_log_rows(r, c.lives, c.n, &c.row, &c.n_rows))
		summary_note(&s, true, "no memory for the timeline");
	stalls_log_count(r, c.row, c.n_rows, c.lives, &c.ledger);
	session_usage_finish(&r->usage, &s);
	stalls_store_account(r, &s);
	output_account(&r->out, &s);
	print_end(r, &c, &s);
	rc = s.findings ? EXIT_FINDINGS : s.complete ? EXIT_NOTHING : EXIT_INCOMPLETE;
	rc = output_close(&r->out, rc, s.ended);
	rpc_ledger_deinit(&c.ledger);
	stalls_tables_deinit(&t);
	summary_deinit(&s);
	free(c.row);
	free(lives);
	return rc;
}
