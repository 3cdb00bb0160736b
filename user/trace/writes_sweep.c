// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proc/mem.h"
#include "trace/session.h"
#include "trace/writes_sweep.h"

#define SHARE 50 /* 1/50 of one CPU */

struct writes_sweep {
	struct sweep *sweep;
	int fd;
	pid_t pid;
	bool no_batch; /* before 5.6 */
	bool started;
	uint64_t last;			       /* key to go on after; batch: the kernel's cursor */
	uint64_t round_ns, longest_ns, rounds; /* start of this round; of those done */
	uint64_t key[SWEEP_BATCH];
	struct wr_node node[SWEEP_BATCH];
	struct proc_read read[SWEEP_BATCH];
};

/* A key that vanishes makes the kernel start again, so the round ends there. */
static int walk_keys(struct writes_sweep *w, struct sweep_node *v, size_t max, bool *end)
{
	int n = 0;

	for (size_t i = 0; i < max; i++) {
		uint64_t key;

		if (bpf_map_get_next_key(w->fd, w->started ? &w->last : NULL, &key)) {
			w->started = false;
			*end = true;
			break;
		}
		w->started = true;
		w->last = key;
		v[n].addr = key;
		if (!bpf_map_lookup_elem(w->fd, &key, &v[n].node))
			n++;
	}
	return n;
}

static int walk(void *ctx, struct sweep_node *v, size_t max, bool *end)
{
	struct writes_sweep *w = ctx;
	uint32_t count = max < SWEEP_BATCH ? (uint32_t)max : SWEEP_BATCH, next = 0, in = (uint32_t)w->last;
	int code;

	if (w->no_batch)
		return walk_keys(w, v, max, end);
	code = bpf_map_lookup_batch(w->fd, w->started ? &in : NULL, &next, w->key, w->node, &count, NULL);
	if (code && code != -ENOENT) {
		/* not known here, or more nodes in one bucket than fit */
		w->no_batch = true;
		w->started = false;
		return walk_keys(w, v, max, end);
	}
	*end = code == -ENOENT;
	w->started = !*end;
	w->last = next;
	for (uint32_t i = 0; i < count; i++) {
		v[i].addr = w->key[i];
		v[i].node = w->node[i];
	}
	return (int)count;
}

static void read_nodes(void *ctx, struct sweep_node *v, const uint32_t *len, size_t n)
{
	struct writes_sweep *w = ctx;

	for (size_t i = 0; i < n; i++)
		w->read[i] = (struct proc_read){.addr = v[i].addr, .buf = v[i].bytes, .len = len[i]};
	if (proc_mem_readv(w->pid, w->read, n))
		n = 0;
	for (size_t i = 0; i < n; i++)
		v[i].read = w->read[i].done == len[i];
}

int writes_sweep_create(struct writes_sweep **ret, const struct writes_plan *plan,
			const struct engine_facts *facts, struct engine *engine, int nodes_fd, pid_t pid,
			struct err *err)
{
	struct writes_sweep *w = calloc(1, sizeof(*w));
	struct sweep_source source = {.ctx = w, .walk = walk, .read = read_nodes};

	*ret = w;
	if (!w)
		return err_set(err, -ENOMEM, "out of memory");
	w->fd = nodes_fd;
	w->pid = pid;
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

void writes_sweep_tick(struct writes_sweep *w, uint64_t now_ns, uint64_t tick_ns)
{
	uint64_t start = mono_now_ns();
	bool end = false;

	if (!w->round_ns)
		w->round_ns = now_ns;
	do {
		if (!sweep_step(w->sweep, now_ns, SWEEP_BATCH, &end) && !end)
			return;
	} while (!end && mono_now_ns() - start < tick_ns / SHARE);
	if (!end)
		return;
	w->rounds++;
	if (now_ns - w->round_ns > w->longest_ns)
		w->longest_ns = now_ns - w->round_ns;
	w->round_ns = 0;
}

uint64_t writes_sweep_rounds(const struct writes_sweep *w, uint64_t *longest_ns)
{
	*longest_ns = w->longest_ns;
	return w->rounds;
}
