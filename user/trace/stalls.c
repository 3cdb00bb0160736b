// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "trace/fit.h"
#include "trace/force.h"
#include "trace/stalls_priv.h"
#include "util/grow.h"

enum enter_prog {
	ENTER_NONE,
	ENTER_POLL,
	ENTER_SELECT,
	ENTER_EPOLL,
	ENTER_RECV,
	ENTER_SEND,
	ENTER_CONN,
	ENTER_CLOSE,
	ENTER_DUP
};

/* The calls that are followed. Those that end nothing (close, dup2) have no exit hook, restart_syscall has
 * only that. */
static const struct {
	const char *name;
	enum enter_prog enter;
	bool exit;
} followed[] = {
	{"poll", ENTER_POLL, true},
	{"ppoll", ENTER_POLL, true},
	{"select", ENTER_SELECT, true},
	{"pselect6", ENTER_SELECT, true},
	{"epoll_wait", ENTER_EPOLL, true},
	{"epoll_pwait", ENTER_EPOLL, true},
	{"epoll_pwait2", ENTER_EPOLL, true},
	{"read", ENTER_RECV, true},
	{"readv", ENTER_RECV, true},
	{"recvfrom", ENTER_RECV, true},
	{"recvmsg", ENTER_RECV, true},
	{"recvmmsg", ENTER_RECV, true},
	{"write", ENTER_SEND, true},
	{"writev", ENTER_SEND, true},
	{"sendto", ENTER_SEND, true},
	{"sendmsg", ENTER_SEND, true},
	{"sendmmsg", ENTER_SEND, true},
	{"connect", ENTER_CONN, true},
	{"restart_syscall", ENTER_NONE, true},
	{"close", ENTER_CLOSE, false},
	{"dup2", ENTER_DUP, false},
	{"dup3", ENTER_DUP, false},
};

const char *hook_state_name(enum hook_state s)
{
	static const char *const names[] = {"attached", "failed", "not in this kernel", "not used",
					    "dropped"};

	return names[s];
}

int stalls_trace_open(struct stalls_trace **ret, const struct stalls_trace_opts *opts, struct err *err)
{
	LIBBPF_OPTS(bpf_object_open_opts, o, .btf_custom_path = opts->btf);
	struct stalls_trace *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return err_set(err, -ENOMEM, "out of memory");
	t->opts = *opts;
	t->skel = stalls_bpf__open_opts(&o);
	rc = t->skel ? fit_object(t->skel->obj, opts->btf, err) : -errno;
	if (!rc)
		rc = stalls_bpf__load(t->skel);
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
	stalls_bpf__destroy(t->skel);
	free(t);
}

static struct hook *hook_add(struct stalls_trace *t, const char *what, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static struct hook *hook_add(struct stalls_trace *t, const char *what, const char *fmt, ...)
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

/* Takes over link, of the hook added last. */
static int link_add(struct stalls_trace *t, struct bpf_link *link)
{
	if (GROW(&t->link, t->n_links)) {
		bpf_link__destroy(link);
		return -ENOMEM;
	}
	t->link[t->n_links++] = (struct trace_link){.link = link, .hook = t->n_hooks - 1};
	return 0;
}

static void hook_result(struct hook *h, int rc)
{
	h->state = rc ? HOOK_FAILED : HOOK_ATTACHED;
	if (rc == -ENOENT) {
		h->state = HOOK_ABSENT;
		h->why[0] = '\0';
	} else if (rc) {
		snprintf(h->why, sizeof(h->why), "%s", strerror(-rc));
	}
}

static struct bpf_program *enter_program(struct stalls_bpf *s, enum enter_prog p)
{
	switch (p) {
	case ENTER_POLL:
		return s->progs.enter_poll;
	case ENTER_SELECT:
		return s->progs.enter_select;
	case ENTER_EPOLL:
		return s->progs.enter_epoll;
	case ENTER_RECV:
		return s->progs.enter_recv;
	case ENTER_SEND:
		return s->progs.enter_send;
	case ENTER_CONN:
		return s->progs.enter_conn;
	case ENTER_CLOSE:
		return s->progs.enter_close;
	case ENTER_DUP:
		return s->progs.enter_dup;
	case ENTER_NONE:
		break;
	}
	return NULL;
}

static bool is_busy(enum enter_prog p)
{
	return p == ENTER_RECV || p == ENTER_SEND;
}

static int attach_tracepoint(struct stalls_trace *t, const struct tracefs *fs, const char *what,
			     const char *prefix, const char *name, struct bpf_program *prog, bool busy)
{
	struct hook *h = hook_add(t, what, "tracepoint syscalls:%s%s", prefix, name);
	struct bpf_link *link;
	char event[64];
	int rc;

	if (!h)
		return -ENOMEM;
	if (t->opts.no_syscall_tp) {
		h->state = HOOK_NOT_USED;
		return 0;
	}
	h->busy = busy;
	snprintf(event, sizeof(event), "%s%s", prefix, name);
	rc = fs->dir < 0 ? -EOPNOTSUPP : tracefs_attach(fs, "syscalls", event, prog, &link);
	hook_result(h, rc);
	if (rc)
		return 0;
	t->n_calls += strcmp(prefix, "sys_enter_") == 0;
	return link_add(t, link);
}

/* Exits first: a call whose entry is seen and whose exit is not would stay in the table. */
static int attach_calls(struct stalls_trace *t, const struct tracefs *fs)
{
	size_t n = sizeof(followed) / sizeof(followed[0]);
	int rc = 0;

	for (size_t i = 0; !rc && i < n; i++)
		if (followed[i].exit)
			rc = attach_tracepoint(t, fs, "end of calls", "sys_exit_", followed[i].name,
					       t->skel->progs.exit_call, is_busy(followed[i].enter));
	for (size_t i = 0; !rc && i < n; i++)
		if (followed[i].enter != ENTER_NONE)
			rc = attach_tracepoint(t, fs, followed[i].exit ? "begin of calls" : "closes",
					       "sys_enter_", followed[i].name,
					       enter_program(t->skel, followed[i].enter),
					       is_busy(followed[i].enter));
	return rc;
}

/* Entries first: no call is begun any more whose end would not be seen. */
unsigned stalls_trace_thin(struct stalls_trace *t)
{
	unsigned n = 0;

	for (size_t i = t->n_links; i > 0 && !t->bytes_from_exit; i--) {
		struct trace_link *l = &t->link[i - 1];

		if (!l->link || !t->hook[l->hook].busy)
			continue;
		bpf_link__destroy(l->link);
		l->link = NULL;
		t->hook[l->hook].state = HOOK_DROPPED;
		n++;
	}
	if (n)
		stalls_trace_forget_busy(t);
	return n;
}

static int attach_raw(struct stalls_trace *t, const char *what, const char *name, struct bpf_program *prog,
		      bool unused, bool *attached)
{
	struct hook *h = hook_add(t, what, "raw tracepoint %s", name);
	struct bpf_link *link;

	*attached = false;
	if (!h)
		return -ENOMEM;
	if (unused) {
		h->state = HOOK_NOT_USED;
		return 0;
	}
	link = bpf_program__attach_raw_tracepoint(prog, name);
	hook_result(h, link ? 0 : -errno);
	if (!link)
		return 0;
	*attached = true;
	return link_add(t, link);
}

static int attach_bytes(struct stalls_trace *t)
{
	bool sent, received, both;
	struct hook *h;
	int rc = attach_raw(t, "bytes sent", "sock_send_length", t->skel->progs.sock_send, t->opts.no_sock_tp,
			    &sent);

	if (!rc)
		rc = attach_raw(t, "bytes received", "sock_recv_length", t->skel->progs.sock_recv,
				t->opts.no_sock_tp, &received);
	if (rc)
		return rc;
	both = sent && received;
	t->bytes_from_exit = !both && t->n_calls;
	t->follows_bytes = both || t->bytes_from_exit;
	h = hook_add(t, "bytes sent, received", "exits of read and write calls");
	if (!h)
		return -ENOMEM;
	h->state = t->bytes_from_exit ? HOOK_ATTACHED : HOOK_NOT_USED;
	snprintf(h->why, sizeof(h->why), "%s",
		 both ? "the sock tracepoints are exact and cheaper"
		      : "there are no sock tracepoints; bytes sent by sendmmsg are not counted");
	return 0;
}

/* At the cheap site with a cookie that says what differs there; without cookies at the entry, where nothing
 * does. */
static struct bpf_link *attach_site(struct stalls_trace *t, const struct rpc_site *s)
{
	LIBBPF_OPTS(bpf_uprobe_opts, o, .bpf_cookie = STALLS_COOKIE(s->arg, s->pushed));
	struct bpf_link *link = NULL;

	if (forced(FORCE_NOLINK))
		o.attach_mode = PROBE_ATTACH_MODE_PERF;
	errno = EOPNOTSUPP;
	/* of all processes that run this file: bound to a pid it would see the main thread only */
	if (!forced(FORCE_NOCOOKIE))
		link = bpf_program__attach_uprobe_opts(t->skel->progs.rpc_call, -1, s->path, s->cheap, &o);
	if (link || s->arg != 1)
		return link;
	o.bpf_cookie = 0;
	return bpf_program__attach_uprobe_opts(t->skel->progs.rpc_call, -1, s->path, s->entry, &o);
}

static int attach_rpc(struct stalls_trace *t)
{
	for (size_t i = 0; t->opts.rpc && i < t->opts.rpc->n_sites; i++) {
		const struct rpc_site *s = &t->opts.rpc->site[i];
		struct hook *h = hook_add(t, "RPC calls", "uprobe %s", s->function);
		struct bpf_link *link;
		int rc;

		if (!h)
			return -ENOMEM;
		link = attach_site(t, s);
		hook_result(h, link ? 0 : -errno);
		rc = link ? link_add(t, link) : 0;
		if (rc)
			return rc;
	}
	return 0;
}

static int configure(struct stalls_trace *t, struct err *err)
{
	struct stalls_cfg cfg = {.tgid = (uint32_t)t->opts.pid,
				 .threshold_ns = t->opts.threshold_ns,
				 .bytes_from_exit = t->bytes_from_exit,
				 .nr_poll = -1,
				 .nr_select = -1,
				 .nr_epoll_pwait2 = -1};
	uint32_t zero = 0;

#ifdef SYS_poll
	cfg.nr_poll = SYS_poll;
#endif
#ifdef SYS_select
	cfg.nr_select = SYS_select;
#endif
#ifdef SYS_epoll_pwait2
	cfg.nr_epoll_pwait2 = SYS_epoll_pwait2;
#endif
	if (bpf_map_update_elem(bpf_map__fd(t->skel->maps.settings), &zero, &cfg, BPF_ANY))
		return err_set(err, -errno, "cannot configure the BPF programs: %s", strerror(errno));
	return 0;
}

int stalls_trace_attach(struct stalls_trace *t, bool try_only, struct err *err)
{
	struct tracefs fs;
	bool attached;
	int rc;

	tracefs_open(&fs, NULL); /* without it every row says so */
	rc = attach_raw(t, "end of threads", "sched_process_exit", t->skel->progs.thread_exit, false,
			&attached);
	if (!rc)
		rc = attach_calls(t, &fs);
	if (!rc)
		rc = attach_bytes(t);
	if (!rc)
		rc = attach_rpc(t);
	tracefs_close(&fs);
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

const struct bpf_object *stalls_trace_object(const struct stalls_trace *t)
{
	return t->skel->obj;
}

int stalls_trace_add_to(const struct stalls_trace *t, struct transport *to, struct err *err)
{
	return transport_add(to, bpf_map__fd(t->skel->maps.events), bpf_map__fd(t->skel->maps.lost), err);
}
