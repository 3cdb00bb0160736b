// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "trace/fit.h"
#include "trace/force.h"
#include "trace/multi.h"
#include "trace/stalls_priv.h"
#include "util/grow.h"

const char *hook_state_name(enum hook_state s)
{
	static const char *const names[] = {"attached", "failed", "not in this kernel", "not used",
					    "dropped"};

	return names[s];
}

/* Loads what may be attached. Without fentry if the kernel refuses that, and notes why. */
static int load(struct stalls_trace *t, struct err *err)
{
	LIBBPF_OPTS(bpf_object_open_opts, o, .btf_custom_path = t->opts.btf);
	int rc = -EINVAL;

	for (int fentry = !forced(FORCE_NOFENTRY); fentry >= 0; fentry--) {
		t->skel = stalls_bpf__open_opts(&o);
		if (!t->skel)
			return -errno;
		stalls_calls_choose(t, fentry);
		if (t->multi)
			bpf_program__set_expected_attach_type(t->skel->progs.rpc_call,
							      BPF_TRACE_UPROBE_MULTI);
		rc = fit_object(t->skel->obj, t->opts.btf, err);
		if (!rc)
			rc = stalls_bpf__load(t->skel);
		if (!rc)
			return 0;
		stalls_bpf__destroy(t->skel);
		t->skel = NULL;
		snprintf(t->fentry_why, sizeof(t->fentry_why), "the kernel refuses it (%s)", strerror(-rc));
	}
	return rc;
}

int stalls_trace_open(struct stalls_trace **ret, const struct stalls_trace_opts *opts, struct err *err)
{
	struct stalls_trace *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return err_set(err, -ENOMEM, "out of memory");
	t->opts = *opts;
	t->multi = opts->rpc && opts->rpc->n_sites && multi_works();
	rc = load(t, err);
	if (rc) {
		err_set(err, rc, "the kernel refuses the programs that follow calls: %s", strerror(-rc));
		err_hint(err, "`culprit doctor` tells what this kernel allows");
		stalls_trace_close(t);
		return rc;
	}
	*ret = t;
	return 0;
}

void stalls_trace_close(struct stalls_trace *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_links; i++)
		bpf_link__destroy(t->link[i].link);
	free(t->link);
	free(t->hook);
	kernel_copies_deinit(&t->copies);
	stalls_bpf__destroy(t->skel);
	free(t);
}

struct hook *stalls_hook_add(struct stalls_trace *t, const char *what, const char *fmt, ...)
{
	struct hook *v;
	va_list ap;

	if (GROW(&t->hook, t->n_hooks))
		return NULL;
	v = &t->hook[t->n_hooks++];
	*v = (struct hook){.what = what};
	va_start(ap, fmt);
	vsnprintf(v->source, sizeof(v->source), fmt, ap);
	va_end(ap);
	return v;
}

int stalls_link_add(struct stalls_trace *t, struct bpf_link *link)
{
	if (GROW(&t->link, t->n_links)) {
		bpf_link__destroy(link);
		return -ENOMEM;
	}
	t->link[t->n_links++] = (struct trace_link){.link = link, .hook = t->n_hooks - 1};
	return 0;
}

void stalls_hook_result(struct hook *h, int rc)
{
	h->state = rc ? HOOK_FAILED : HOOK_ATTACHED;
	if (rc == -ENOENT) {
		h->state = HOOK_ABSENT;
		h->why[0] = '\0';
	} else if (rc) {
		snprintf(h->why, sizeof(h->why), "%s", strerror(-rc));
	}
}

unsigned stalls_trace_thin(struct stalls_trace *t)
{
	bool busy = !t->thinned && (t->bytes == STALLS_BYTES_SOCK || !t->follows_bytes);
	unsigned n = 0;

	t->thinned = true;
	if (busy)
		n = stalls_calls_drop_busy(t);
	if (!n) {
		n = stalls_calls_drop_tracepoints(t);
		busy = false;
		t->follows_bytes = t->follows_bytes && t->bytes != STALLS_BYTES_EXIT;
	}
	if (n)
		stalls_trace_forget_calls(t, !busy);
	return n;
}

static int attach_raw(struct stalls_trace *t, const char *what, const char *name, struct bpf_program *prog,
		      bool unused, bool *attached)
{
	struct hook *h = stalls_hook_add(t, what, "raw tracepoint %s", name);
	struct bpf_link *link;

	*attached = false;
	if (!h)
		return -ENOMEM;
	if (unused) {
		h->state = HOOK_NOT_USED;
		return 0;
	}
	link = bpf_program__attach_raw_tracepoint(prog, name);
	stalls_hook_result(h, link ? 0 : -errno);
	if (!link)
		return 0;
	*attached = true;
	return stalls_link_add(t, link);
}

static bool by_functions(const struct stalls_trace *t, enum call_group g)
{
	return t->group_source[g] == SOURCE_FENTRY || t->group_source[g] == SOURCE_KPROBE;
}

/* By the hooks of calls: what there is instead of the sock tracepoints. */
static int bytes_by_calls(struct stalls_trace *t, struct hook *h)
{
	bool fn = by_functions(t, GROUP_RECV) && by_functions(t, GROUP_SEND);
	bool tp = t->group_source[GROUP_RECV] == SOURCE_TRACEPOINT &&
		  t->group_source[GROUP_SEND] == SOURCE_TRACEPOINT && !t->tracepoint_rc;
	int rc;

	h->state = HOOK_ATTACHED;
	t->follows_bytes = true;
	if (fn && t->group_ends[GROUP_RECV] && t->group_ends[GROUP_SEND]) {
		t->bytes = STALLS_BYTES_FEXIT;
		snprintf(h->source, sizeof(h->source), "returns of the functions that receive and send");
	} else if (fn) {
		t->bytes = STALLS_BYTES_ENTRY;
		snprintf(h->source, sizeof(h->source), "what the sending functions are asked to send");
		h->what = "bytes sent";
		rc = stalls_calls_attach_bytes(t);
		t->follows_bytes = !rc;
		return rc == -ENOMEM ? rc : 0;
	} else if (tp) {
		t->bytes = STALLS_BYTES_EXIT;
		snprintf(h->source, sizeof(h->source), "exits of read and write calls");
		snprintf(h->why, sizeof(h->why), "bytes sent by sendmmsg are not counted");
	} else {
		t->follows_bytes = false;
		h->state = HOOK_NOT_USED;
	}
	return 0;
}

/* The sock tracepoints are exact for every kind of socket, and only sockets' users pay. */
static int attach_bytes(struct stalls_trace *t)
{
	bool sent, received,
		without = t->opts.no_sock_tp || forced(FORCE_NOSOCKTP) || t->opts.source == SOURCE_FENTRY ||
			  t->opts.source == SOURCE_KPROBE;
	struct hook *h;
	int rc = attach_raw(t, "bytes sent", "sock_send_length", t->skel->progs.sock_send, without, &sent);

	if (!rc)
		rc = attach_raw(t, "bytes received", "sock_recv_length", t->skel->progs.sock_recv, without,
				&received);
	if (rc)
		return rc;
	t->bytes = STALLS_BYTES_SOCK;
	t->follows_bytes = sent && received;
	if (t->follows_bytes || t->opts.no_calls)
		return 0;
	h = stalls_hook_add(t, "bytes sent, received", "%s", "hooks of calls");
	return h ? bytes_by_calls(t, h) : -ENOMEM;
}

/* By perf, of all processes that run this file: bound to a pid it would see the main thread only. At the
 * cheap site with a cookie that says what differs there; without cookies at the entry, where nothing does. */
static struct bpf_link *attach_perf(struct stalls_trace *t, const struct rpc_site *s)
{
	LIBBPF_OPTS(bpf_uprobe_opts, o, .bpf_cookie = STALLS_COOKIE(s->arg, s->ra));
	struct bpf_link *link = NULL;

	if (forced(FORCE_NOLINK))
		o.attach_mode = PROBE_ATTACH_MODE_PERF;
	errno = EOPNOTSUPP;
	if (!forced(FORCE_NOCOOKIE))
		link = bpf_program__attach_uprobe_opts(t->skel->progs.rpc_call, -1, s->path, s->cheap, &o);
	if (link || s->arg != 1)
		return link;
	o.bpf_cookie = 0;
	return bpf_program__attach_uprobe_opts(t->skel->progs.rpc_call, -1, s->path, s->entry, &o);
}

static struct bpf_link *attach_site(struct stalls_trace *t, const struct rpc_site *s)
{
	unsigned long offset = s->cheap;
	__u64 cookie = STALLS_COOKIE(s->arg, s->ra);
	LIBBPF_OPTS(bpf_uprobe_multi_opts, o, .offsets = &offset, .cookies = &cookie, .cnt = 1);

	if (!t->multi)
		return attach_perf(t, s);
	return bpf_program__attach_uprobe_multi(t->skel->progs.rpc_call, t->opts.pid, s->path, NULL, &o);
}

static int attach_rpc(struct stalls_trace *t)
{
	for (size_t i = 0; t->opts.rpc && i < t->opts.rpc->n_sites; i++) {
		const struct rpc_site *s = &t->opts.rpc->site[i];
		struct hook *h = stalls_hook_add(t, "RPC calls", "uprobe %s", s->function);
		struct bpf_link *link;
		int rc;

		if (!h)
			return -ENOMEM;
		link = attach_site(t, s);
		stalls_hook_result(h, link ? 0 : -errno);
		rc = link ? stalls_link_add(t, link) : 0;
		if (rc)
			return rc;
	}
	return 0;
}

/* The tick of the kernel's timer; its coarse clock goes by it. */
static uint64_t tick_ns(void)
{
	struct timespec t;

	return clock_getres(CLOCK_MONOTONIC_COARSE, &t) ? 0 : (uint64_t)t.tv_nsec;
}

static int configure(struct stalls_trace *t, struct err *err)
{
	struct stalls_cfg cfg = {.tgid = (uint32_t)t->opts.pid,
				 .threshold_ns = t->opts.threshold_ns,
				 .bytes = t->bytes,
				 .tick_ns = tick_ns(),
				 .rpcs = t->opts.rpc && t->opts.rpc->n_sites};
	uint32_t zero = 0;

	if (stalls_calls_configure(t) ||
	    bpf_map_update_elem(bpf_map__fd(t->skel->maps.settings), &zero, &cfg, BPF_ANY))
		return err_set(err, -errno, "cannot configure the BPF programs: %s", strerror(errno));
	return 0;
}

int stalls_trace_attach(struct stalls_trace *t, bool try_only, struct err *err)
{
	bool attached;
	int rc;

	rc = attach_raw(t, "end of threads", "sched_process_exit", t->skel->progs.thread_exit, false,
			&attached);
	if (!rc)
		rc = stalls_calls_attach(t);
	if (!rc)
		rc = attach_bytes(t);
	if (!rc)
		rc = attach_rpc(t);
	if (rc)
		return err_set(err, rc, "out of memory");
	/* nothing is recorded before this: the programs do not know the target yet */
	if (!try_only)
		return configure(t, err);
	for (size_t i = 0; i < t->n_links; i++)
		bpf_link__destroy(t->link[i].link);
	t->n_links = 0;
	return 0;
}

const struct hook *stalls_trace_hooks(const struct stalls_trace *t, size_t *n)
{
	*n = t->n_hooks;
	return t->hook;
}

bool stalls_trace_follows_calls(const struct stalls_trace *t)
{
	return t->n_calls > 0;
}

bool stalls_trace_follows_bytes(const struct stalls_trace *t)
{
	return t->follows_bytes;
}

bool stalls_trace_machine_pays(const struct stalls_trace *t)
{
	return t->tracepoints_tried && !t->tracepoint_rc;
}

const struct bpf_object *stalls_trace_object(const struct stalls_trace *t)
{
	return t->skel->obj;
}

int stalls_trace_add_to(const struct stalls_trace *t, struct transport *to, struct err *err)
{
	return transport_add(to, bpf_map__fd(t->skel->maps.events), bpf_map__fd(t->skel->maps.lost), err);
}
