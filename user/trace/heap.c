// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "trace/heap.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heap.skel.h"
#include "heap/functions.h"
#include "proc/maps.h"
#include "trace/fit.h"
#include "trace/heap_priv.h"
#include "util/grow.h"

#define FIRST_DEADLINE_NS 5000000000ull

/* Executable mappings, merged where the least lies between, until they are few enough. */
void heap_texts(const struct proc_maps *maps, struct heap_cfg *cfg)
{
	struct heap_range *v = calloc(maps->n + 1, sizeof(*v));
	size_t n = 0;

	for (size_t i = 0; v && i < maps->n; i++) {
		const struct proc_map *m = &maps->v[i];

		if (!(m->perms & PROC_X) || m->start >> 63)
			continue;
		v[n++] = (struct heap_range){m->start, m->end};
	}
	while (n > HEAP_TEXTS) {
		size_t at = 1;

		for (size_t i = 2; i < n; i++)
			if (v[i].start - v[i - 1].end < v[at].start - v[at - 1].end)
				at = i;
		v[at - 1].end = v[at].end;
		memmove(v + at, v + at + 1, (n - at - 1) * sizeof(*v));
		n--;
	}
	for (size_t i = 0; i < n; i++)
		cfg->text[i] = v[i];
	cfg->n_texts = (uint32_t)n;
	free(v);
}

static int settings(struct heap_trace *h)
{
	uint32_t zero = 0;

	return bpf_map__update_elem(h->skel->maps.heap_settings, &zero, sizeof(zero), &h->cfg, sizeof(h->cfg),
				    0);
}

static int load(struct heap_trace *h, const struct heap_trace_cfg *cfg, struct err *err)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = cfg->btf);
	int ret = 0;

	h->session = cfg->multi && heap_session_works();
	h->skel = heap_bpf__open_opts(&opts);
	if (!h->skel)
		return err_set(err, -errno, "cannot open the programs of --heap: %s", strerror(errno));
	if (!cfg->multi) {
		struct bpf_program *p;

		bpf_object__for_each_program(p, h->skel->obj) bpf_program__set_expected_attach_type(p, 0);
	}
	if (h->session)
		ret = bpf_program__set_expected_attach_type(h->skel->progs.heap_session,
							    (enum bpf_attach_type)HEAP_UPROBE_SESSION);
	else
		ret = bpf_program__set_autoload(h->skel->progs.heap_session, false);
	if (!ret)
		ret = fit_object(h->skel->obj, cfg->btf, err);
	if (!ret)
		ret = heap_bpf__load(h->skel);
	return ret ? err_set(err, ret, "the kernel refused the programs of --heap: %s", strerror(-ret)) : 0;
}

int heap_trace_open(struct heap_trace **ret, const struct heap_trace_cfg *cfg, struct err *err)
{
	struct heap_trace *h = calloc(1, sizeof(*h));
	struct proc_maps maps = {0};
	int r;

	*ret = NULL;
	if (!h)
		return err_set(err, -ENOMEM, "out of memory");
	h->c = *cfg;
	r = proc_maps_read(&maps, cfg->pid, err);
	if (!r)
		r = heap_sites_find(h, &maps, err);
	if (!r)
		r = load(h, cfg, err);
	if (!r) {
		h->cfg.tgid = (uint32_t)cfg->pid;
		h->cfg.deadline_ns = mono_now_ns() + FIRST_DEADLINE_NS;
		for (unsigned t = 0; t < cfg->plan->n_types; t++) {
			/* the object alone, and behind the counters of std::make_shared */
			heap_sizes_add(h->cfg.sizes, cfg->plan->type[t].size, h->glibc_only);
			heap_sizes_add(h->cfg.sizes, cfg->plan->type[t].size + 16, h->glibc_only);
		}
		heap_texts(&maps, &h->cfg);
		if (settings(h))
			r = err_set(err, -errno, "cannot fill the table of --heap: %s", strerror(errno));
	}
	if (!r)
		r = heap_sites_attach(h, err);
	proc_maps_deinit(&maps);
	if (r)
		heap_trace_close(h);
	else
		*ret = h;
	return r;
}

void heap_trace_stop(struct heap_trace *h)
{
	for (size_t i = 0; i < h->n_links; i++)
		heap_link_close(&h->link[i]);
	h->n_links = 0;
}

void heap_trace_close(struct heap_trace *h)
{
	if (!h)
		return;
	heap_trace_stop(h);
	free(h->link);
	for (size_t i = 0; i < h->n_allocators; i++)
		free(h->allocator[i].path);
	free(h->site);
	heap_bpf__destroy(h->skel);
	free(h);
}

void heap_trace_usage(const struct heap_trace *h, struct session_usage *u)
{
	session_usage_add(u, h->skel->obj);
}

void heap_trace_deadline(struct heap_trace *h, uint64_t deadline_ns)
{
	uint64_t before = h->cfg.deadline_ns;

	h->cfg.deadline_ns = deadline_ns;
	settings(h);
	if (mono_now_ns() >= before) /* or it may have passed before the new one was there */
		h->resumed_ns = mono_now_ns();
}

/* Who was handed a block, or freed it, in the gap is not known: what was seen before it tells nothing. */
static void forget_gap(const struct heap_trace *h, struct heap_past *p)
{
	for (size_t i = 0; i < HEAP_EVENTS; i++) {
		if (p->ev[i].ts_ns < h->resumed_ns)
			p->ev[i].what = 0;
	}
}

static void counters(const struct heap_trace *h, uint64_t v[HEAP_C_MAX])
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *per = cpus > 0 ? calloc((size_t)cpus, sizeof(*per)) : NULL;

	memset(v, 0, HEAP_C_MAX * sizeof(*v));
	for (uint32_t i = 0; per && i < HEAP_C_MAX; i++) {
		if (bpf_map__lookup_elem(h->skel->maps.heap_counters, &i, sizeof(i), per,
					 (size_t)cpus * sizeof(*per), 0))
			continue;
		for (int c = 0; c < cpus; c++)
			v[i] += per[c];
	}
	free(per);
}

double heap_trace_cost_ns(const struct heap_trace *h, double emulated_ns, double stepped_ns)
{
	struct bpf_program *p;
	uint64_t v[HEAP_C_MAX];
	bool stepped = false;
	double ns;

	counters(h, v);
	for (size_t i = 0; i < h->n_sites; i++)
		stepped |= h->site[i].used && h->site[i].f.stepped;
	/* which of the sites is hit is not counted: the dearest is taken */
	ns = (double)v[HEAP_C_HITS] * (stepped ? stepped_ns : emulated_ns);
	bpf_object__for_each_program(p, h->skel->obj)
	{
		struct bpf_prog_info info = {0};
		uint32_t len = sizeof(info);

		if (bpf_program__fd(p) >= 0 && !bpf_prog_get_info_by_fd(bpf_program__fd(p), &info, &len))
			ns += (double)info.run_time_ns;
	}
	return ns;
}

/* All blocks that hold addr; *n of them, for free(). */
static struct heap_seen *blocks_at(const struct heap_trace *h, uint64_t addr, size_t *n)
{
	struct heap_seen *v = NULL, s;
	uint64_t key, *prev = NULL;

	*n = 0;
	for (unsigned i = 0; i < 2 * HEAP_BLOCKS; i++) { /* the table changes meanwhile: not for ever */
		if (bpf_map__get_next_key(h->skel->maps.heap_blocks, prev, &key, sizeof(key)))
			break;
		prev = &key;
		if (key > addr || addr - key > HEAP_SIZE_MAX)
			continue;
		s.addr = key;
		if (bpf_map__lookup_elem(h->skel->maps.heap_blocks, &key, sizeof(key), &s.past,
					 sizeof(s.past), 0) ||
		    !heap_holds(&s, addr) || GROW(&v, *n))
			continue;
		forget_gap(h, &s.past);
		v[(*n)++] = s;
	}
	return v;
}

static void name_stack(const struct heap_trace *h, const struct heap_event *e, struct frames *out)
{
	struct abi_stack *st = calloc(1, sizeof(*st));
	struct heap_stack k;

	if (st && e->stack &&
	    !bpf_map__lookup_elem(h->skel->maps.heap_stacks, &e->stack, sizeof(e->stack), &k, sizeof(k), 0) &&
	    k.len <= sizeof(k.data)) {
		memcpy(st->reg, k.reg, sizeof(st->reg));
		memcpy(st->data, k.data, k.len);
		st->len = k.len;
		st->flags = ABI_STACK_TRUNCATED;
		image_unwind(h->c.image, st, false, out);
	} else {
		image_symbolize(h->c.image, e->caller, true, out);
	}
	free(st);
}

/* The allocator's own frames, and the standard library's, are not the ones to be named. */
static const char *user_of(const struct frames *st)
{
	for (size_t i = 0; i < st->n; i++) {
		const char *s = st->v[i].symbol;

		if (s && !heap_function_shown(s) && strncmp(s, "std::", 5) != 0 &&
		    strncmp(s, "__gnu_cxx::", 11) != 0)
			return s;
	}
	return NULL;
}

static void fill(const struct heap_trace *h, const struct heap_event *e, struct block_event *out)
{
	const char *s;

	if (!e)
		return;
	out->at.ts_ns = e->ts_ns;
	out->at.tid = (pid_t)e->tid;
	memcpy(out->at.comm, e->comm, sizeof(out->at.comm));
	out->at.comm[sizeof(out->at.comm) - 1] = '\0';
	name_stack(h, e, &out->stack);
	s = user_of(&out->stack);
	out->at.function = s ? strdup(s) : NULL;
}

void heap_trace_tell(struct heap_trace *h, struct bad_write *w)
{
	struct heap_history p;
	size_t n;
	struct heap_seen *v = blocks_at(h, w->addr, &n);

	block_history_deinit(&w->heap);
	image_refresh(h->c.image, NULL);
	if (heap_history_of(v, n, w->addr, w->found.ts_ns, &p)) {
		w->heap.dangling = p.dangling;
		w->heap.now = (struct block_owner){
			.known = p.now.out != NULL, .block = p.now.block, .size = p.now.size};
		fill(h, p.now.out, &w->heap.now.out);
		w->heap.before = (struct block_owner){
			.known = p.before.freed != NULL, .block = p.before.block, .size = p.before.size};
		fill(h, p.before.out, &w->heap.before.out);
		fill(h, p.before.freed, &w->heap.before.freed);
	}
	free(v);
}

static void note_allocators(const struct heap_trace *h, struct summary *s)
{
	char text[512] = "";
	size_t len = 0;

	for (size_t i = 0; i < h->n_allocators && len < sizeof(text); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s (%s)", i ? ", " : "",
					h->allocator[i].name, h->allocator[i].path);
	summary_note(s, false,
		     "--heap: %s; blocks of the guarded types' sizes only: what was there before in a block "
		     "of another "
		     "size is not known",
		     text);
	if (h->n_no_return)
		summary_note(
			s, false,
			"--heap: %u functions that may throw have no probe at their return here (that takes "
			"a "
			"kernel from 6.13 on): who was handed a block by them is not known, who freed it is",
			h->n_no_return);
	if (h->failed)
		summary_note(s, true, "--heap: %u probes could not be attached, the first: %s", h->failed,
			     h->failure);
}

void heap_trace_account(const struct heap_trace *h, struct summary *s)
{
	unsigned long long no_stack, lost;
	uint64_t v[HEAP_C_MAX];

	counters(h, v);
	no_stack = v[HEAP_C_STACKS_FULL] + v[HEAP_C_NO_STACK] + v[HEAP_C_BUSY];
	lost = v[HEAP_C_LOST] + v[HEAP_C_DEADLINE];
	summary_count(s, "heap_calls", v[HEAP_C_HITS]);
	summary_count(s, "heap_handed_out", v[HEAP_C_HANDED_OUT]);
	summary_count(s, "heap_freed", v[HEAP_C_FREED]);
	note_allocators(h, s);
	if (v[HEAP_C_UNKNOWN_SIZE])
		summary_note(s, false, "--heap: %llu frees of blocks whose size is not known were left out",
			     (unsigned long long)v[HEAP_C_UNKNOWN_SIZE]);
	if (no_stack)
		summary_note(s, false, "--heap: %llu events have no stack, only their caller", no_stack);
	if (lost)
		summary_note(s, true, "--heap: %llu events were lost", lost);
}
