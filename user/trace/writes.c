// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "trace/fit.h"
#include "trace/force.h"
#include "trace/multi.h"
#include "trace/session.h"
#include "trace/writes.h"
#include "trace/writes_priv.h"

#define LICENCE_NS	  1000000000ull
#define FIRST_DEADLINE_NS 5000000000ull
#define LATE_PROBES	  1024 /* room for those of libraries that are loaded later */

static int fill(const struct bpf_map *map, const void *values, size_t n, size_t size, struct err *err)
{
	for (uint32_t i = 0; i < n; i++) {
		if (bpf_map__update_elem(map, &i, sizeof(i), (const char *)values + i * size, size, BPF_ANY))
			return err_set(err, -errno, "cannot fill the kernel's table %s", bpf_map__name(map));
	}
	return 0;
}

static int fill_tables(struct writes_trace *t, pid_t pid, struct err *err)
{
	const struct writes_plan *p = t->plan;
	int ret;

	t->cfg = (struct wr_cfg){.tgid = (uint32_t)pid,
				 .n_types = (uint32_t)p->n_types,
				 .licence_ns = LICENCE_NS,
				 .deadline_ns = mono_now_ns() + FIRST_DEADLINE_NS};
	t->cfg.resumed_ns =
		UINT64_MAX - LICENCE_NS; /* nothing is judged by its changes until all is attached */
	ret = fill(t->kernel.types, p->type, p->n_types, sizeof(p->type[0]), err);
	if (!ret)
		ret = fill(t->kernel.fields, p->field, p->n_fields, sizeof(p->field[0]), err);
	for (uint32_t i = 0; !ret && i < p->n_probes; i++) {
		if (bpf_map__update_elem(t->kernel.probes, &i, sizeof(i), &p->probe[i].wire,
					 sizeof(p->probe[i].wire), BPF_ANY))
			ret = err_set(err, -errno, "cannot fill the kernel's table probes");
	}
	return ret ? ret : fill(t->kernel.cfg, &t->cfg, 1, sizeof(t->cfg), err);
}

static void set_sizes(struct writes_trace *t, const struct capacity *c)
{
	uint32_t n = (uint32_t)t->plan->n_probes + LATE_PROBES;

	t->room = n = n < WR_MAX_PROBES ? n : WR_MAX_PROBES;
	bpf_map__set_max_entries(t->kernel.probes, n);
	bpf_map__set_max_entries(t->kernel.hits, n);
	if (!t->cookies)
		bpf_map__set_max_entries(t->kernel.sites, n);
	bpf_map__set_max_entries(t->kernel.objects, c->objects);
	bpf_map__set_max_entries(t->kernel.nodes, c->nodes);
	bpf_map__set_max_entries(t->kernel.pieces, c->pieces);
}

int writes_trace_open(struct writes_trace **ret, const struct writes_plan *plan,
		      const struct capacity *capacity, pid_t pid, uint64_t bias, const char *btf,
		      struct err *err)
{
	struct writes_trace *t = calloc(1, sizeof(*t));
	int r;

	*ret = NULL;
	if (!t)
		return err_set(err, -ENOMEM, "out of memory");
	t->plan = plan;
	t->pid = pid;
	t->bias = bias;
	t->cookies = !forced(FORCE_NOCOOKIE) &&
		     libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, BPF_FUNC_get_attach_cookie, NULL) == 1;
	r = writes_kernel_open(&t->kernel, btf, err);
	if (r)
		goto out;
	t->multi = !t->kernel.old && multi_works();
	if (!t->multi) {
		struct bpf_program *prog;

		bpf_object__for_each_program(prog, t->kernel.obj)
			bpf_program__set_expected_attach_type(prog, 0);
	}
	set_sizes(t, capacity);
	r = fit_object(t->kernel.obj, btf, err);
	if (r)
		goto out;
	r = writes_kernel_load(&t->kernel);
	if (r == -ENOMEM) {
		err_set(err, r, "no room in the kernel for tables of %u objects and %u messages (%llu MiB)",
			capacity->objects, capacity->nodes, (unsigned long long)capacity->bytes >> 20);
		err_hint(err, "--max-objects asks for fewer");
		goto out;
	}
	if (r) {
		err_set(err, r, "the kernel refused the programs of 'writes': %s", strerror(-r));
		err_hint(err, "culprit doctor says what this kernel lacks");
		goto out;
	}
	r = fill_tables(t, pid, err);
out:
	if (r)
		writes_trace_close(t);
	else
		*ret = t;
	return r;
}

void writes_trace_close(struct writes_trace *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_links; i++)
		bpf_link__destroy(t->link[i].link);
	free(t->link);
	writes_kernel_close(&t->kernel);
	free(t);
}

unsigned writes_trace_attached(const struct writes_trace *t)
{
	return t->attached;
}

unsigned writes_trace_failed(const struct writes_trace *t)
{
	return t->failed;
}

const char *writes_trace_failure(const struct writes_trace *t)
{
	return t->failure;
}

bool writes_trace_multi(const struct writes_trace *t)
{
	return t->multi;
}

int writes_trace_events_fd(const struct writes_trace *t)
{
	return bpf_map__fd(t->kernel.events);
}

int writes_trace_lost_fd(const struct writes_trace *t)
{
	return bpf_map__fd(t->kernel.lost);
}

int writes_trace_map_fd(const struct writes_trace *t, const char *name)
{
	struct bpf_map *map = bpf_object__find_map_by_name(t->kernel.obj, name);

	return map ? bpf_map__fd(map) : -ENOENT;
}

#define PURGE_BATCH 4096 /* more than stand in one bucket */

/* Kernels before 5.6: one key after the other. */
static uint64_t purge_keys(int fd)
{
	uint64_t key, n = 0;

	while (!bpf_map_get_next_key(fd, NULL, &key) && !bpf_map_delete_elem(fd, &key))
		n++;
	return n;
}

/* Empties a table of addresses. Returns how many there were. */
static uint64_t purge(const struct bpf_map *map)
{
	uint64_t *keys = malloc(PURGE_BATCH * sizeof(*keys)), n = 0;
	void *values = malloc((size_t)PURGE_BATCH * bpf_map__value_size(map));
	uint32_t in = 0, out = 0;
	bool started = false;
	int code = keys && values ? 0 : -ENOMEM;

	while (!code) {
		uint32_t count = PURGE_BATCH;

		code = bpf_map_lookup_and_delete_batch(bpf_map__fd(map), started ? &in : NULL, &out, keys,
						       values, &count, NULL);
		if (!code || code == -ENOENT)
			n += count;
		in = out;
		started = true;
	}
	free(keys);
	free(values);
	return code == -ENOENT ? n : n + purge_keys(bpf_map__fd(map));
}

uint64_t writes_trace_purge(struct writes_trace *t)
{
	uint64_t n = purge(t->kernel.objects);

	purge(t->kernel.nodes);
	purge(t->kernel.pieces);
	return n;
}

static int cfg_store(const struct writes_trace *t)
{
	uint32_t zero = 0;

	return bpf_map__update_elem(t->kernel.cfg, &zero, sizeof(zero), &t->cfg, sizeof(t->cfg), BPF_ANY)
		       ? -errno
		       : 0;
}

/* After a gap in which the probes did nothing. What ended in it did so unseen: begin anew. Mutators that
 * entered in it may still be at it. */
static int begin_anew(struct writes_trace *t, uint64_t deadline_ns)
{
	uint64_t now = mono_now_ns();

	t->purged += writes_trace_purge(t);
	t->cfg.deadline_ns = deadline_ns + (mono_now_ns() - now);
	if (!t->held)
		t->cfg.resumed_ns = mono_now_ns() + LICENCE_NS;
	return cfg_store(t);
}

int writes_trace_deadline(struct writes_trace *t, uint64_t deadline_ns)
{
	uint64_t before = t->cfg.deadline_ns;
	int ret;

	if (mono_now_ns() >= before)
		return begin_anew(t, deadline_ns);
	t->cfg.deadline_ns = deadline_ns;
	ret = cfg_store(t);
	if (ret || mono_now_ns() < before)
		return ret;
	/* The old one may have passed before the new one was there: this thread had no CPU for a moment. */
	t->cfg.deadline_ns = 0;
	ret = cfg_store(t);
	return ret ? ret : begin_anew(t, deadline_ns);
}

bool writes_trace_covered(const struct writes_trace *t)
{
	return mono_now_ns() < t->cfg.deadline_ns;
}

int writes_trace_start(struct writes_trace *t)
{
	uint64_t now = mono_now_ns();

	t->held = false;
	t->cfg.resumed_ns = now + LICENCE_NS;
	return writes_trace_deadline(t, now + FIRST_DEADLINE_NS);
}

void writes_trace_hold(struct writes_trace *t)
{
	t->held = true;
	t->cfg.resumed_ns = UINT64_MAX - LICENCE_NS;
	cfg_store(t);
	t->forgotten += writes_trace_purge(t);
}

int writes_trace_resume(struct writes_trace *t, bool ends)
{
	if (ends)
		t->forgotten += writes_trace_purge(t);
	return writes_trace_start(t);
}

uint64_t writes_trace_forgotten(const struct writes_trace *t)
{
	return t->forgotten;
}

/* Sums a per-CPU array of counters. */
static int sum(const struct bpf_map *map, uint64_t *v, size_t n)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *per;
	int ret = 0;

	if (cpus < 0)
		return cpus;
	per = calloc((size_t)cpus, sizeof(*per));
	if (!per)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		v[i] = 0;
		if (bpf_map__lookup_elem(map, &i, sizeof(i), per, (size_t)cpus * sizeof(*per), 0)) {
			ret = -errno;
			break;
		}
		for (int c = 0; c < cpus; c++)
			v[i] += per[c];
	}
	free(per);
	return ret;
}

int writes_trace_counters(const struct writes_trace *t, uint64_t v[WR_C_MAX])
{
	int ret = sum(t->kernel.counters, v, WR_C_MAX);

	v[WR_C_PURGED] = t->purged + t->forgotten;
	return ret;
}

int writes_trace_hits(const struct writes_trace *t, uint64_t *v)
{
	size_t n = t->plan->n_probes < t->room ? t->plan->n_probes : t->room;

	memset(v + n, 0, (t->plan->n_probes - n) * sizeof(*v));
	return sum(t->kernel.hits, v, n);
}

bool writes_trace_object(const struct writes_trace *t, uint64_t addr, struct wr_object *o)
{
	return !bpf_map__lookup_elem(t->kernel.objects, &addr, sizeof(addr), o, sizeof(*o), 0);
}

int writes_trace_calls(const struct writes_trace *t, struct wr_touch *v, size_t max, size_t *n)
{
	uint64_t key, *prev = NULL;

	*n = 0;
	while (*n < max && !bpf_map__get_next_key(t->kernel.calls, prev, &key, sizeof(key))) {
		if (!bpf_map__lookup_elem(t->kernel.calls, &key, sizeof(key), &v[*n], sizeof(*v), 0))
			(*n)++;
		prev = &key;
	}
	return 0;
}

double writes_trace_run_ns(const struct writes_trace *t, unsigned role)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	if (bpf_prog_get_info_by_fd(bpf_program__fd(writes_program(t, role)), &info, &len) || !info.run_cnt)
		return 0;
	return (double)info.run_time_ns / (double)info.run_cnt;
}

bool writes_trace_judged(const struct writes_trace *t, unsigned type, unsigned field, uint64_t shadow_ns)
{
	uint32_t at = t->plan->type[type].first_field + field;

	return shadow_ns >= t->cfg.resumed_ns && (t->plan->field[at].flags & WR_FF_SHADOW) &&
	       !t->unjudged[at];
}

uint64_t writes_trace_objects(const uint64_t c[WR_C_MAX])
{
	uint64_t in = c[WR_C_INSERTED] + c[WR_C_ADOPTED];
	uint64_t out = c[WR_C_REMOVED] + c[WR_C_DESTROYED] + c[WR_C_REPLACED] + c[WR_C_PURGED];

	return in > out ? in - out : 0;
}

void writes_trace_usage(const struct writes_trace *t, struct session_usage *u)
{
	session_usage_add(u, t->kernel.obj);
}

struct writes_cost writes_trace_cost(const struct writes_trace *t)
{
	return t->cost;
}
