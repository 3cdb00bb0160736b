// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Puts the probes of a plan into the target, and takes them out. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace/force.h"
#include "trace/writes_priv.h"
#include "util/grow.h"

struct bpf_link *attach_sites(const struct writes_trace *t, const struct bpf_program *prog, pid_t pid,
			      const char *path, const unsigned long *offsets, const uint64_t *cookies,
			      size_t n)
{
	if (t->multi) {
		LIBBPF_OPTS(bpf_uprobe_multi_opts, opts, .offsets = offsets,
			    .cookies = (const __u64 *)cookies, .cnt = n);

		return bpf_program__attach_uprobe_multi(prog, pid, path, NULL, &opts);
	}
	if (n == 1) {
		LIBBPF_OPTS(bpf_uprobe_opts, opts, .bpf_cookie = t->cookies ? cookies[0] : 0,
			    .attach_mode = forced(FORCE_NOLINK) ? PROBE_ATTACH_MODE_PERF
								: PROBE_ATTACH_MODE_DEFAULT);

		return bpf_program__attach_uprobe_opts(prog, pid, path, offsets[0], &opts);
	}
	errno = EOPNOTSUPP;
	return NULL;
}

static int keep(struct writes_trace *t, struct bpf_link *link, bool store)
{
	if (GROW(&t->link, t->n_links)) {
		bpf_link__destroy(link);
		return -ENOMEM;
	}
	t->link[t->n_links++] = (struct trace_link){.link = link, .store = store};
	return 0;
}

/* A field whose licences will not be seen must not be judged by its changes. */
static void unjudge(struct writes_trace *t, const struct wr_probe *probe)
{
	const struct wr_type *type = &t->plan->type[probe->type];

	for (uint32_t i = 0; i < type->n_fields; i++) {
		uint32_t key = type->first_field + i;
		struct wr_field f = t->plan->field[key];

		if (!(probe->fields[i / 64] >> (i % 64) & 1))
			continue;
		t->unjudged[key] = true;
		f.flags &= (uint8_t)~WR_FF_SHADOW;
		bpf_map__update_elem(t->kernel.fields, &key, sizeof(key), &f, sizeof(f), BPF_ANY);
	}
}

static void site_failed(struct writes_trace *t, uint64_t cookie, int e)
{
	const struct plan_probe *p = &t->plan->probe[cookie];

	t->failed++;
	if (!t->failure[0])
		snprintf(t->failure, sizeof(t->failure), "%s at 0x%llx: %s", p->function,
			 (unsigned long long)p->vaddr, strerror(e));
	if (p->wire.role == WR_ROLE_STORE)
		unjudge(t, &p->wire);
}

/* Appends a store to those that stand at its instruction already; -EEXIST if something else does, or too
 * many. */
static int site_chain(struct writes_trace *t, uint32_t first, uint32_t index)
{
	const struct bpf_map *map = t->kernel.probes;
	struct wr_probe p;

	for (int i = 1; i < WR_SITE_STORES; i++) {
		if (bpf_map__lookup_elem(map, &first, sizeof(first), &p, sizeof(p), 0))
			return -errno;
		if (p.role != WR_ROLE_STORE)
			break;
		if (!p.next) {
			p.next = index;
			return bpf_map__update_elem(map, &first, sizeof(first), &p, sizeof(p), BPF_ANY);
		}
		first = p.next;
	}
	return -EEXIST;
}

/* Where there are no cookies: 0 = to be attached, 1 = another probe at this instruction stands for it,
 * -errno. */
static int site_add(struct writes_trace *t, const struct bpf_program *prog, uint32_t index)
{
	const struct bpf_map *map = t->kernel.sites;
	enum wr_program which = prog == t->kernel.on_object    ? WR_ON_OBJECT
				: prog == t->kernel.on_destroy ? WR_ON_DESTROY
							       : WR_ON_NODE;
	const struct plan_probe *site = &t->plan->probe[index];
	uint64_t bias = site->module ? t->plan->module[site->module - 1].bias : t->bias;
	uint64_t key = WR_SITE_KEY(bias + site->vaddr, which);
	uint32_t first;
	int ret;

	if (!bpf_map__update_elem(map, &key, sizeof(key), &index, sizeof(index), BPF_NOEXIST))
		return 0;
	if (t->plan->probe[index].wire.role != WR_ROLE_STORE)
		return -EEXIST;
	if (bpf_map__lookup_elem(map, &key, sizeof(key), &first, sizeof(first), 0))
		return -errno;
	ret = site_chain(t, first, index);
	return ret ? ret : 1;
}

/* Attaches sites [0, n); on failure halves them, so that one bad site costs only itself. */
static int attach_some(struct writes_trace *t, const struct bpf_program *prog, const char *path,
		       unsigned long *offsets, uint64_t *cookies, size_t n, bool store)
{
	struct bpf_link *link;
	int ret;

	if (!n)
		return 0;
	if (n == 1 && !t->cookies) {
		ret = site_add(t, prog, (uint32_t)cookies[0]);
		if (ret < 0)
			site_failed(t, cookies[0], -ret);
		t->attached += ret > 0;
		if (ret)
			return 0;
	}
	link = attach_sites(t, prog, t->pid, path, offsets, cookies, n);
	if (link) {
		t->attached += (unsigned)n;
		return keep(t, link, store);
	}
	if (n == 1) {
		site_failed(t, cookies[0], errno);
		return 0;
	}
	ret = attach_some(t, prog, path, offsets, cookies, n / 2, store);
	return ret ? ret : attach_some(t, prog, path, offsets + n / 2, cookies + n / 2, n - n / 2, store);
}

enum group { GROUP_NODE, GROUP_STORE, GROUP_DESTROY, GROUP_OBJECT };

static enum group group_of(unsigned role)
{
	switch (role) {
	case WR_ROLE_STORE:
		return GROUP_STORE;
	case WR_ROLE_CREATE:
	case WR_ROLE_BIRTH:
	case WR_ROLE_MUTATE:
	case WR_ROLE_TOUCH:
		return GROUP_NODE;
	case WR_ROLE_DESTROY:
		return GROUP_DESTROY;
	default:
		return GROUP_OBJECT;
	}
}

const struct bpf_program *writes_program(const struct writes_trace *t, unsigned role)
{
	switch (group_of(role)) {
	case GROUP_OBJECT:
		return t->kernel.on_object;
	case GROUP_DESTROY:
		return t->kernel.on_destroy;
	default:
		return t->kernel.on_node;
	}
}

/* The group's probes in one module. */
static int attach_module(struct writes_trace *t, enum group g, unsigned module, unsigned long *offsets,
			 uint64_t *cookies)
{
	const struct writes_plan *p = t->plan;
	const char *path = module ? p->module[module - 1].path : p->binary;
	const struct bpf_program *prog = NULL;
	size_t n = 0;

	for (size_t i = 0; i < p->n_probes; i++) {
		if (group_of(p->probe[i].wire.role) != g || p->probe[i].module != module || i >= t->room)
			continue;
		prog = writes_program(t, p->probe[i].wire.role);
		offsets[n] = p->probe[i].offset;
		cookies[n++] = i;
	}
	if (path)
		return attach_some(t, prog, path, offsets, cookies, n, g == GROUP_STORE);
	for (size_t i = 0; i < n; i++) /* this process has not loaded it */
		site_failed(t, cookies[i], ENOENT);
	return 0;
}

static int attach_group(struct writes_trace *t, enum group g, struct err *err)
{
	const struct writes_plan *p = t->plan;
	unsigned long *offsets = calloc(p->n_probes + 1, sizeof(*offsets));
	uint64_t *cookies = calloc(p->n_probes + 1, sizeof(*cookies));
	unsigned modules = 0;
	int ret = offsets && cookies ? 0 : -ENOMEM;

	for (size_t i = 0; i < p->n_probes; i++) {
		if (p->probe[i].module > modules)
			modules = p->probe[i].module;
	}
	for (unsigned m = 0; !ret && m <= modules; m++)
		ret = attach_module(t, g, m, offsets, cookies);
	free(offsets);
	free(cookies);
	return ret ? err_set(err, ret, "cannot attach: %s", strerror(-ret)) : 0;
}

int writes_trace_attach(struct writes_trace *t, struct err *err)
{
	unsigned before;
	int ret;

	writes_calibrate(t);
	ret = attach_group(t, GROUP_STORE, err);
	if (!ret)
		ret = attach_group(t, GROUP_NODE, err);
	if (!ret)
		ret = attach_group(t, GROUP_DESTROY, err);
	before = t->attached;
	if (!ret)
		ret = attach_group(t, GROUP_OBJECT, err);
	/* mutators that entered before their probe stood may still be at it */
	if (!ret)
		ret = writes_trace_start(t);
	if (!ret && t->attached == before) {
		ret = err_set(err, -EOPNOTSUPP, "no probe that checks objects could be attached%s%s",
			      t->failure[0] ? ": " : "", t->failure);
		err_hint(err, "culprit doctor says what this kernel lacks");
	}
	return ret;
}

/* The new probes' table entries. Those that find no room have failed. */
static int add_probes(struct writes_trace *t, size_t first)
{
	for (uint32_t i = (uint32_t)first; i < t->plan->n_probes; i++) {
		if (i >= t->room)
			site_failed(t, i, ENOSPC);
		else if (bpf_map__update_elem(t->kernel.probes, &i, sizeof(i), &t->plan->probe[i].wire,
					      sizeof(t->plan->probe[i].wire), BPF_ANY))
			return -errno;
		if (t->stores_dropped && t->plan->probe[i].wire.role == WR_ROLE_STORE)
			unjudge(t, &t->plan->probe[i].wire);
	}
	return 0;
}

/* Types and fields as the plan has them now. */
static int update_tables(struct writes_trace *t)
{
	const struct writes_plan *p = t->plan;
	int ret = 0;

	for (uint32_t i = 0; !ret && i < p->n_types; i++)
		ret = bpf_map__update_elem(t->kernel.types, &i, sizeof(i), &p->type[i], sizeof(p->type[i]),
					   BPF_ANY);
	for (uint32_t i = 0; !ret && i < p->n_fields; i++) {
		struct wr_field f = p->field[i];

		if (t->unjudged[i])
			f.flags &= (uint8_t)~WR_FF_SHADOW;
		ret = bpf_map__update_elem(t->kernel.fields, &i, sizeof(i), &f, sizeof(f), BPF_ANY);
	}
	return ret;
}

int writes_trace_extend(struct writes_trace *t, size_t first, bool ends, struct err *err)
{
	static const enum group order[] = {GROUP_STORE, GROUP_NODE, GROUP_DESTROY, GROUP_OBJECT};
	const struct writes_plan *p = t->plan;
	size_t n = p->n_probes - first;
	unsigned long *offsets = calloc(n + 1, sizeof(*offsets));
	uint64_t *cookies = calloc(n + 1, sizeof(*cookies));
	int ret = offsets && cookies ? add_probes(t, first) : -ENOMEM;

	if (!ret)
		ret = update_tables(t);
	for (size_t i = 0; !ret && n && i < sizeof(order) / sizeof(order[0]); i++) {
		if (order[i] != GROUP_STORE || !t->stores_dropped)
			ret = attach_module(t, order[i], p->probe[first].module, offsets, cookies);
	}
	if (!ret)
		ret = writes_trace_resume(t, ends);
	free(offsets);
	free(cookies);
	return ret ? err_set(err, ret, "cannot attach: %s", strerror(-ret)) : 0;
}

unsigned writes_trace_drop_stores(struct writes_trace *t)
{
	unsigned n = 0;
	size_t kept = 0;

	t->stores_dropped = true;
	for (size_t i = 0; i < t->plan->n_probes; i++) {
		if (t->plan->probe[i].wire.role == WR_ROLE_STORE) {
			unjudge(t, &t->plan->probe[i].wire);
			n++;
		}
	}
	for (size_t i = 0; i < t->n_links; i++) {
		if (t->link[i].store)
			bpf_link__destroy(t->link[i].link);
		else
			t->link[kept++] = t->link[i];
	}
	t->n_links = kept;
	return n;
}
