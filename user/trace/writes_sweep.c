// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "trace/map_walk.h"
#include "trace/session.h"
#include "trace/writes_sweep.h"

#define ROUND_NS 900000000ull /* from the beginning of a round to that of the next */
#define DUE_NS	 750000000ull /* so soon it should be through, for ticks come late */
#define SHARE	 4	      /* at most 1/4 of one CPU */
#define STEP	 512	      /* nodes between two looks at the clock */
#define LATE	 8	      /* ticks that are made up for at once when they come late */

struct writes_sweep {
	struct sweep *sweep;
	struct map_walk nodes;
	bool in_round;
	uint64_t round_ns; /* start of this round */
	uint64_t tick_ns;  /* the last tick */
	uint64_t news_lost;
	struct writes_sweep_account account;
	uint64_t key[SWEEP_BATCH];
	struct wr_node node[SWEEP_BATCH];
};

static int walk(void *ctx, struct sweep_key *v, size_t max, bool *end)
{
	struct writes_sweep *w = ctx;
	int n = map_walk(&w->nodes, w->key, w->node, max < SWEEP_BATCH ? max : SWEEP_BATCH, end);

	for (int i = 0; i < n; i++)
		v[i] = (struct sweep_key){.addr = w->key[i], .type = w->node[i].type};
	return n;
}

static uint64_t now(void *ctx)
{
	(void)ctx;
	return mono_now_ns();
}

int writes_sweep_create(struct writes_sweep **ret, const struct writes_plan *plan,
			const struct engine_facts *facts, struct engine *engine, int nodes_fd,
			struct err *err)
{
	struct writes_sweep *w = calloc(1, sizeof(*w));
	struct sweep_source source = {.ctx = w, .walk = walk, .clock = now};

	*ret = w;
	if (!w)
		return err_set(err, -ENOMEM, "out of memory");
	w->nodes = (struct map_walk){.fd = nodes_fd, .value_size = sizeof(struct wr_node)};
	return sweep_create(&w->sweep, plan, facts, &source, engine, err);
}

void writes_sweep_destroy(struct writes_sweep *w)
{
	if (w)
		sweep_destroy(w->sweep);
	free(w);
}

struct sweep *writes_sweep_engine(struct writes_sweep *w)
{
	return w->sweep;
}

void writes_sweep_record(struct writes_sweep *w, const struct abi_hdr *rec)
{
	sweep_record(w->sweep, rec);
}

void writes_sweep_lost(struct writes_sweep *w, uint64_t news_lost)
{
	if (news_lost != w->news_lost)
		sweep_missed(w->sweep);
	w->news_lost = news_lost;
}

static uint64_t cpu_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* What this tick stands for: on a machine with too much to do they come late, and the round must not take
 * longer. */
static uint64_t tick_length(struct writes_sweep *w, uint64_t now_ns, uint64_t tick_ns)
{
	uint64_t passed = w->tick_ns ? now_ns - w->tick_ns : 0;

	w->tick_ns = now_ns;
	if (passed < tick_ns)
		return tick_ns;
	return passed < LATE * tick_ns ? passed : LATE * tick_ns;
}

void writes_sweep_tick(struct writes_sweep *w, uint64_t now_ns, uint64_t tick_ns)
{
	uint64_t start = cpu_now_ns(), spent = 0, took;
	struct sweep_stats stats;
	bool end = false;
	size_t due, done = 0;

	tick_ns = tick_length(w, now_ns, tick_ns);
	if (!w->in_round && now_ns < w->round_ns + ROUND_NS)
		return;
	if (!w->in_round)
		w->round_ns = now_ns;
	w->in_round = true;
	sweep_stats(w->sweep, &stats);
	due = (size_t)((double)stats.nodes * (double)tick_ns / DUE_NS) + 1;
	while (!end && done < due && spent < tick_ns / SHARE) {
		done += sweep_step(w->sweep, STEP, &end);
		spent = cpu_now_ns() - start;
	}
	w->account.cpu_ns += spent;
	if (!end)
		return;
	w->in_round = false;
	w->account.rounds++;
	took = mono_now_ns() - w->round_ns;
	w->account.total_ns += took;
	if (took > w->account.longest_ns)
		w->account.longest_ns = took;
}

void writes_sweep_account(const struct writes_sweep *w, struct writes_sweep_account *ret)
{
	*ret = w->account;
	sweep_stats(w->sweep, &ret->stats);
}
