// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Which hooks tell of which calls. The calls are in groups; each group gets the cheapest source that
 * attaches: functions of the kernel by fentry, by kprobe, or the tracepoints of all system calls.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "trace/force.h"
#include "trace/stalls_priv.h"

#define NAMES 3 /* of one function, by kernel */

static const struct {
	long nr;
	enum call_group group;
	uint32_t how;
} followed[] = {
#ifdef SYS_poll
	{SYS_poll, GROUP_POLL, STALLS_HOW_POLL},
	{SYS_select, GROUP_SELECT, STALLS_HOW_SELECT},
	{SYS_epoll_wait, GROUP_EPOLL, STALLS_HOW_EPOLL},
	{SYS_dup2, GROUP_CLOSE, STALLS_HOW_DUP},
#endif
	{SYS_ppoll, GROUP_POLL, STALLS_HOW_PPOLL},
	{SYS_pselect6, GROUP_SELECT, STALLS_HOW_PSELECT},
	{SYS_epoll_pwait, GROUP_EPOLL, STALLS_HOW_EPOLL},
	{SYS_epoll_pwait2, GROUP_EPOLL, STALLS_HOW_EPOLL_TS},
	{SYS_read, GROUP_RECV, STALLS_HOW_RECV},
	{SYS_readv, GROUP_RECV, STALLS_HOW_RECV},
	{SYS_recvfrom, GROUP_RECV, STALLS_HOW_RECV | STALLS_HOW_FLAGS_ARG(3)},
	{SYS_recvmsg, GROUP_RECV, STALLS_HOW_RECV | STALLS_HOW_FLAGS_ARG(2)},
	{SYS_recvmmsg, GROUP_RECV, STALLS_HOW_RECV | STALLS_HOW_FLAGS_ARG(3)},
	{SYS_write, GROUP_SEND, STALLS_HOW_SEND},
	{SYS_writev, GROUP_SEND, STALLS_HOW_SEND},
	{SYS_sendto, GROUP_SEND, STALLS_HOW_SEND | STALLS_HOW_FLAGS_ARG(3)},
	{SYS_sendmsg, GROUP_SEND, STALLS_HOW_SEND | STALLS_HOW_FLAGS_ARG(2)},
	{SYS_sendmmsg, GROUP_SEND, STALLS_HOW_SEND | STALLS_HOW_FLAGS_ARG(3)},
	{SYS_sendfile, GROUP_SEND, STALLS_HOW_SEND},
	{SYS_connect, GROUP_CONNECT, STALLS_HOW_CONNECT},
	{SYS_accept, GROUP_ACCEPT, STALLS_HOW_ACCEPT},
	{SYS_accept4, GROUP_ACCEPT, STALLS_HOW_ACCEPT},
	{SYS_close, GROUP_CLOSE, STALLS_HOW_CLOSE},
	{SYS_dup3, GROUP_CLOSE, STALLS_HOW_DUP},
	{SYS_close_range, GROUP_CLOSE, STALLS_HOW_CLOSE_RANGE},
	{SYS_restart_syscall, GROUP_POLL, STALLS_HOW_RESTART},
};
#define N_FOLLOWED (sizeof(followed) / sizeof(followed[0]))

static const struct {
	const char *what, *calls;
} groups[GROUP_MAX] = {
	[GROUP_POLL] = {"poll", "poll, ppoll"},
	[GROUP_SELECT] = {"select", "select, pselect6"},
	[GROUP_EPOLL] = {"epoll", "epoll_wait, epoll_pwait, epoll_pwait2"},
	[GROUP_RECV] = {"receive", "read, readv, recvfrom, recvmsg, recvmmsg"},
	[GROUP_SEND] = {"send", "write, writev, sendto, sendmsg, sendmmsg, sendfile"},
	[GROUP_CONNECT] = {"connect", "connect"},
	[GROUP_ACCEPT] = {"accept", "accept, accept4"},
	[GROUP_CLOSE] = {"closes", "close, dup2, dup3, close_range"},
};

/*
 * A function that calls of a group pass through when they may block. It is static in many kernels: the
 * compiler may have inlined it, hence the others, or made copies of it (symbol/copies.h); `optional` is not
 * in every kernel.
 */
static const struct function {
	const char *name[NAMES];
	const char *kprobe, *fentry; /* programs */
	const char *fexit;	     /* program, "_N" with the number of parameters follows; NULL: none */
	enum call_group group;
	bool optional;
} functions[] = {
	{{"do_sys_poll"}, "kp_call", "fe_poll", "fx_poll", GROUP_POLL},
	{{"do_select", "core_sys_select"}, "kp_call", "fe_select", "fx_select", GROUP_SELECT},
	{{"do_epoll_wait", "ep_poll"}, "kp_call", "fe_epoll", "fx_epoll", GROUP_EPOLL},
	{{"tcp_recvmsg"}, "kp_tcp_recv", "fe_tcp_recv", "fx_tcp_recv", GROUP_RECV},
	{{"unix_stream_recvmsg"}, "kp_unix_recv", "fe_unix_recv", "fx_unix_recv", GROUP_RECV},
	{{"pipe_read", "anon_pipe_read"}, "kp_call", "fe_pipe_read", "fx_pipe_read", GROUP_RECV},
	{{"tcp_sendmsg"}, "kp_tcp_send", "fe_tcp_send", "fx_tcp_send", GROUP_SEND},
	{{"tcp_sendpage"}, "kp_sendpage", "fe_sendpage", "fx_sendpage", GROUP_SEND, true},
	{{"unix_stream_sendmsg"}, "kp_unix_send", "fe_unix_send", "fx_unix_send", GROUP_SEND},
	{{"pipe_write", "anon_pipe_write"}, "kp_call", "fe_pipe_write", "fx_pipe_write", GROUP_SEND},
	{{"inet_stream_connect"}, "kp_call", "fe_connect", "fx_connect", GROUP_CONNECT},
	{{"unix_stream_connect"}, "kp_call", "fe_unix_connect", "fx_unix_connect", GROUP_CONNECT},
	{{"inet_csk_accept"}, "kp_call", "fe_accept", "fx_accept", GROUP_ACCEPT},
	{{"unix_accept"}, "kp_call", "fe_unix_accept", "fx_unix_accept", GROUP_ACCEPT},
	{{ARCH_SYSCALL "close"}, "kp_call", "fe_close", NULL, GROUP_CLOSE},
#ifdef SYS_dup2
	{{ARCH_SYSCALL "dup2"}, "kp_call", "fe_dup2", NULL, GROUP_CLOSE},
#endif
	{{ARCH_SYSCALL "dup3"}, "kp_call", "fe_dup3", NULL, GROUP_CLOSE},
	{{ARCH_SYSCALL "close_range"}, "kp_call", "fe_close_range", NULL, GROUP_CLOSE, true},
	/* told of only where the functions above do not tell what is sent and received, and when they end */
	{{"tcp_cleanup_rbuf"}, "kp_copied", "fe_copied", NULL, GROUP_BYTES},
	{{"unix_stream_read_actor"}, "kp_chunk", "fe_chunk", NULL, GROUP_BYTES},
	{{"poll_freewait"}, "kp_polled", "fe_polled", NULL, GROUP_POLL_END},
	{{"tcp_retransmit_skb"}, "kp_retransmit", "fe_retransmit", NULL, GROUP_RESENT},
};
#define N_FUNCTIONS (sizeof(functions) / sizeof(functions[0]))

const char *call_source_name(enum call_source s)
{
	static const char *const names[] = {"auto", "fentry", "kprobe", "tracepoint"};

	return names[s];
}

static struct bpf_program *program(const struct stalls_trace *t, const char *name)
{
	return bpf_object__find_program_by_name(t->skel->obj, name);
}

/* Number of parameters of the function with this BTF id. */
static int parameters(const struct btf *btf, int id)
{
	const struct btf_type *t = btf__type_by_id(btf, (uint32_t)id);

	t = t ? btf__type_by_id(btf, t->type) : NULL;
	return t && btf_is_func_proto(t) ? (int)btf_vlen(t) : -1;
}

static bool load_fentry(struct stalls_trace *t, const char *name, const char *target)
{
	struct bpf_program *p = program(t, name);

	if (!p || bpf_program__set_attach_target(p, 0, target))
		return false;
	bpf_program__set_autoload(p, true);
	return true;
}

/*
 * Ends: a kernel without this structure frees the way back of a call that still runs when the program is
 * detached (its trampoline; 5.12 put that right). There, only entries are hooked.
 */
static bool fexit_is_safe(const struct btf *btf)
{
	return btf__find_by_name_kind(btf, "bpf_tramp_image", BTF_KIND_STRUCT) > 0;
}

static void choose_fentry(struct stalls_trace *t, const struct btf *btf)
{
	for (size_t i = 0; i < N_FUNCTIONS; i++) {
		const struct function *f = &functions[i];
		char end[48];
		int id = -1;
		size_t n;

		for (n = 0; n < NAMES && f->name[n] && id < 0; n++)
			id = btf__find_by_name_kind(btf, f->name[n], BTF_KIND_FUNC);
		if (id < 0 || !load_fentry(t, f->fentry, f->name[n - 1]))
			continue;
		t->fentry_name[i] = f->name[n - 1];
		if (!f->fexit || !fexit_is_safe(btf))
			continue;
		snprintf(end, sizeof(end), "%s_%d", f->fexit, parameters(btf, id));
		if (load_fentry(t, end, f->name[n - 1]))
			t->fexit[i] = program(t, end);
	}
}

_Static_assert(N_FUNCTIONS <= STALLS_FUNCTIONS, "stalls_trace has a place for each");

void stalls_calls_choose(struct stalls_trace *t, bool fentry)
{
	struct bpf_program *p;
	struct btf *btf;

	/* those are loaded that may be attached */
	bpf_object__for_each_program(p, t->skel->obj)
	{
		const char *name = bpf_program__name(p);
		bool kp = !strncmp(name, "kp_", 3), fn = !strncmp(name, "fe_", 3) || !strncmp(name, "fx_", 3);

		if (fn || (kp && t->opts.source != SOURCE_AUTO && t->opts.source != SOURCE_KPROBE))
			bpf_program__set_autoload(p, false);
	}
	memset(t->fentry_name, 0, sizeof(t->fentry_name));
	memset(t->fexit, 0, sizeof(t->fexit));
	if (!fentry || t->opts.no_calls || (t->opts.source != SOURCE_AUTO && t->opts.source != SOURCE_FENTRY))
		return;
	btf = t->opts.btf ? btf__parse(t->opts.btf, NULL) : btf__load_vmlinux_btf();
	if (!btf)
		return;
	choose_fentry(t, btf);
	btf__free(btf);
}

/* Such a program takes all that it needs from the system call's own registers. */
static bool needs_no_arguments(const char *kprobe)
{
	return !strcmp(kprobe, "kp_call") || !strcmp(kprobe, "kp_polled");
}

static int attach_kprobe(struct stalls_trace *t, const char *program_name, const char *symbol)
{
	LIBBPF_OPTS(bpf_kprobe_opts, o);
	struct bpf_link *link;

	if (forced(FORCE_NOLINK))
		o.attach_mode = PROBE_ATTACH_MODE_PERF;
	link = bpf_program__attach_kprobe_opts(program(t, program_name), symbol, &o);
	return link ? stalls_link_add(t, link) : -errno;
}

/*
 * At the function, and at the copies of it that some or all callers use instead; *name says which: the
 * function, or its first copy. Without all of them calls would be missed.
 */
static int attach_kprobes(struct stalls_trace *t, const struct function *f, const char *function,
			  const char **name)
{
	const char *copy = kernel_copies_of(&t->copies, function, 0);
	int rc = attach_kprobe(t, f->kprobe, function);

	*name = function;
	if (!copy || !needs_no_arguments(f->kprobe) || (rc && rc != -ENOENT))
		return rc;
	if (rc)
		*name = copy;
	rc = 0;
	for (size_t i = 0; !rc && copy; copy = kernel_copies_of(&t->copies, function, ++i))
		rc = attach_kprobe(t, f->kprobe, copy);
	return rc;
}

/*
 * Callers that use a copy do not come by the function itself. Which arguments a copy has is not known: it
 * serves for kprobes that need none only.
 */
static const char *copy_in_the_way(const struct stalls_trace *t, size_t i, enum call_source source)
{
	if (source == SOURCE_FENTRY)
		return t->fentry_name[i] ? kernel_copies_of(&t->copies, t->fentry_name[i], 0) : NULL;
	return needs_no_arguments(functions[i].kprobe)
		       ? NULL
		       : kernel_copies_of(&t->copies, functions[i].name[0], 0);
}

/* One function by one source. *why is set if not. */
static int attach_function(struct stalls_trace *t, size_t i, enum call_source source, const char **name,
			   char *why, size_t len)
{
	const struct function *f = &functions[i];
	const char *copy = copy_in_the_way(t, i, source);
	struct bpf_link *link = NULL;
	int rc = -ENOENT;

	*name = f->name[0];
	if (copy) {
		snprintf(why, len, "callers use %s, too", copy);
		return -EOPNOTSUPP;
	}
	if (source == SOURCE_FENTRY && t->fentry_name[i]) {
		*name = t->fentry_name[i];
		if (t->fexit[i]) {
			link = bpf_program__attach_trace(t->fexit[i]);
			rc = link ? stalls_link_add(t, link) : -errno;
		}
		if (!t->fexit[i] || !rc) {
			link = bpf_program__attach_trace(program(t, f->fentry));
			rc = link ? stalls_link_add(t, link) : -errno;
		}
	}
	for (size_t n = 0; source == SOURCE_KPROBE && n < NAMES && f->name[n] && rc; n++)
		rc = attach_kprobes(t, f, f->name[n], name);
	if (rc == -ENOENT)
		snprintf(why, len, "no %s in this kernel", f->name[0]);
	else if (rc)
		snprintf(why, len, "%s: %s", *name, strerror(-rc));
	return rc;
}

static void drop_links(struct stalls_trace *t, size_t from)
{
	while (t->n_links > from)
		bpf_link__destroy(t->link[--t->n_links].link);
}

/*
 * All functions of a group by one source, or none. Adds a row for each. *ends: their returns are hooked too.
 * On failure why says what is missing.
 */
static int attach_group(struct stalls_trace *t, enum call_group g, enum call_source source, const char *what,
			bool *ends, char *why, size_t len)
{
	size_t links = t->n_links, hooks = t->n_hooks;
	unsigned done = 0;

	*ends = true;
	for (size_t i = 0; i < N_FUNCTIONS; i++) {
		const char *name;
		struct hook *h;
		int rc;

		if (functions[i].group != g)
			continue;
		h = stalls_hook_add(t, what, "%s", "");
		if (!h)
			return -ENOMEM;
		h->busy = g == GROUP_RECV || g == GROUP_SEND;
		rc = attach_function(t, i, source, &name, why, len);
		if (rc && functions[i].optional) {
			t->n_hooks--;
			continue;
		}
		if (rc) {
			drop_links(t, links);
			t->n_hooks = hooks;
			return rc;
		}
		snprintf(h->source, sizeof(h->source), "%s %s%s", call_source_name(source), name,
			 source == SOURCE_FENTRY && t->fexit[i] ? ", with its end" : "");
		*ends = *ends && source == SOURCE_FENTRY && t->fexit[i];
		done++;
	}
	return done ? 0 : -ENOENT;
}

static bool may_use(const struct stalls_trace *t, enum call_source s)
{
	return t->opts.source == SOURCE_AUTO || t->opts.source == s;
}

/* By functions, if the kernel lets us. why: what stood against each source that was tried. */
static int group_by_functions(struct stalls_trace *t, enum call_group g, const char *what,
			      enum call_source *source, bool *ends, char *why, size_t len)
{
	size_t n = 0;
	int rc = -ENOENT;

	why[0] = '\0';
	for (*source = SOURCE_FENTRY; *source <= SOURCE_KPROBE; (*source)++) {
		char one[96] = "not tried";

		if (!may_use(t, *source))
			continue;
		if (*source == SOURCE_FENTRY && t->fentry_why[0])
			snprintf(one, sizeof(one), "%s", t->fentry_why);
		else if (*source == SOURCE_KPROBE && t->kprobe_why[0])
			snprintf(one, sizeof(one), "%s", t->kprobe_why);
		else
			rc = attach_group(t, g, *source, what, ends, one, sizeof(one));
		if (!rc || rc == -ENOMEM)
			return rc;
		n += (size_t)snprintf(why + n, len - n, "%s%s: %s", n ? "; " : "", call_source_name(*source),
				      one);
		if (n >= len)
			n = len - 1;
	}
	return rc;
}

static void set_hows(struct stalls_trace *t, enum call_group g, uint32_t flags)
{
	for (size_t i = 0; i < N_FOLLOWED; i++)
		if (followed[i].group == g)
			t->how[followed[i].nr] = followed[i].how | flags;
}

static void count_group(struct stalls_trace *t, enum call_group g)
{
	if (g != GROUP_CLOSE)
		t->n_calls++;
}

/* Ends first: a call whose beginning is seen and whose end is not would stay in the table. */
static int attach_tracepoints(struct stalls_trace *t)
{
	static const char *const names[] = {"on_exit", "on_enter"};
	size_t links = t->n_links;
	int rc = 0;

	for (size_t i = 0; !rc && i < 2; i++) {
		struct bpf_link *link = bpf_program__attach(program(t, names[i]));

		rc = link ? stalls_link_add(t, link) : -errno;
		if (!rc)
			t->link[t->n_links - 1].tracepoint = true;
	}
	if (rc)
		drop_links(t, links);
	return rc;
}

/* The tracepoints serve all groups that need them, by one pair of links. */
static int group_by_tracepoints(struct stalls_trace *t, enum call_group g, const char *why)
{
	struct hook *h =
		stalls_hook_add(t, groups[g].what, "tracepoints sys_enter, sys_exit: %s", groups[g].calls);

	if (!h)
		return -ENOMEM;
	h->busy = g == GROUP_RECV || g == GROUP_SEND;
	if (!t->tracepoints_tried)
		t->tracepoint_rc = attach_tracepoints(t);
	t->tracepoints_tried = true;
	snprintf(h->why, sizeof(h->why), "%s", t->tracepoint_rc ? strerror(-t->tracepoint_rc) : why);
	h->state = t->tracepoint_rc ? HOOK_FAILED : HOOK_ATTACHED;
	if (t->tracepoint_rc)
		return 0;
	set_hows(t, g, STALLS_HOW_BY_TRACEPOINT | STALLS_HOW_END_KNOWN);
	count_group(t, g);
	return 0;
}

static int attach_calls_of(struct stalls_trace *t, enum call_group g)
{
	enum call_source source;
	struct hook *h;
	char why[96];
	bool ends;
	int rc;

	if (t->opts.no_calls) {
		h = stalls_hook_add(t, groups[g].what, "%s", groups[g].calls);
		if (h)
			h->state = HOOK_NOT_USED;
		return h ? 0 : -ENOMEM;
	}
	rc = group_by_functions(t, g, groups[g].what, &source, &ends, why, sizeof(why));
	if (!rc) {
		set_hows(t, g, ends ? STALLS_HOW_END_KNOWN : 0);
		count_group(t, g);
		t->group_source[g] = source;
		t->group_ends[g] = ends;
		return 0;
	}
	if (rc == -ENOMEM)
		return rc;
	t->group_source[g] = SOURCE_TRACEPOINT;
	if (may_use(t, SOURCE_TRACEPOINT))
		return group_by_tracepoints(t, g, why);
	h = stalls_hook_add(t, groups[g].what, "%s: %s", call_source_name(t->opts.source), groups[g].calls);
	if (!h)
		return -ENOMEM;
	h->state = HOOK_FAILED;
	snprintf(h->why, sizeof(h->why), "%s", why);
	return 0;
}

/* A group that only completes others: nothing of it is not reported as missing. */
static int attach_more(struct stalls_trace *t, enum call_group g, const char *what)
{
	enum call_source source;
	char why[96];
	bool ends;
	int rc = group_by_functions(t, g, what, &source, &ends, why, sizeof(why));

	return rc == -ENOMEM ? rc : 0;
}

static int attach_resent(struct stalls_trace *t)
{
	enum call_source source;
	struct bpf_link *link;
	struct hook *h;
	char why[96];
	bool ends;
	int rc = t->opts.no_calls ? -ENOENT
				  : group_by_functions(t, GROUP_RESENT, "retransmits", &source, &ends, why,
						       sizeof(why));

	if (!rc || rc == -ENOMEM)
		return rc;
	h = stalls_hook_add(t, "retransmits", "raw tracepoint tcp_retransmit_skb");
	if (!h)
		return -ENOMEM;
	if (!may_use(t, SOURCE_TRACEPOINT)) {
		h->state = HOOK_NOT_USED;
		return 0;
	}
	link = bpf_program__attach(t->skel->progs.on_resent);
	rc = link ? stalls_link_add(t, link) : -errno;
	stalls_hook_result(h, rc);
	return 0;
}

int stalls_calls_attach(struct stalls_trace *t)
{
	bool ends_missing = false;
	int rc = 0;

	if (forced(FORCE_NOFENTRY))
		snprintf(t->fentry_why, sizeof(t->fentry_why), "not used (CULPRIT_FORCE)");
	if (forced(FORCE_NOKPROBE))
		snprintf(t->kprobe_why, sizeof(t->kprobe_why), "not used (CULPRIT_FORCE)");
	else if (access("/sys/bus/event_source/devices/kprobe", F_OK))
		snprintf(t->kprobe_why, sizeof(t->kprobe_why), "the kernel has none");
	/* without that list functions alone are tried: a kernel that hides it allows no kprobes either */
	if (!t->opts.no_calls && t->opts.source != SOURCE_TRACEPOINT)
		kernel_copies_read(&t->copies);
	for (enum call_group g = 0; !rc && g < GROUP_MAX; g++)
		rc = attach_calls_of(t, g);
	if (!rc && t->group_source[GROUP_POLL] != SOURCE_TRACEPOINT && !t->opts.no_calls)
		ends_missing = !t->group_ends[GROUP_POLL];
	if (!rc && ends_missing)
		rc = attach_more(t, GROUP_POLL_END, "end of poll, select");
	if (!rc)
		rc = attach_resent(t);
	return rc;
}

int stalls_calls_attach_bytes(struct stalls_trace *t)
{
	enum call_source source;
	char why[96];
	bool ends;

	return group_by_functions(t, GROUP_BYTES, "bytes received", &source, &ends, why, sizeof(why));
}

static unsigned drop_rows(struct stalls_trace *t, enum call_group g)
{
	unsigned n = 0;

	for (size_t i = 0; i < t->n_hooks; i++) {
		if (strcmp(t->hook[i].what, groups[g].what) != 0 || t->hook[i].state != HOOK_ATTACHED)
			continue;
		t->hook[i].state = HOOK_DROPPED;
		n++;
	}
	return n;
}

unsigned stalls_calls_drop_busy(struct stalls_trace *t)
{
	/* entries first: no call is begun any more whose end would not be seen */
	for (size_t i = t->n_links; i > 0; i--) {
		struct trace_link *l = &t->link[i - 1];

		if (!l->link || l->tracepoint || !t->hook[l->hook].busy)
			continue;
		bpf_link__destroy(l->link);
		l->link = NULL;
	}
	for (enum call_group g = GROUP_RECV; g <= GROUP_SEND; g++)
		for (size_t i = 0; i < N_FOLLOWED; i++)
			if (followed[i].group == g)
				t->how[followed[i].nr] = 0;
	stalls_calls_configure(t);
	return drop_rows(t, GROUP_RECV) + drop_rows(t, GROUP_SEND);
}

unsigned stalls_calls_drop_tracepoints(struct stalls_trace *t)
{
	unsigned n = 0;

	for (size_t i = t->n_links; i > 0; i--) {
		struct trace_link *l = &t->link[i - 1];

		if (!l->link || !l->tracepoint)
			continue;
		bpf_link__destroy(l->link);
		l->link = NULL;
		n++;
	}
	if (!n)
		return 0;
	n = 0;
	for (enum call_group g = 0; g < GROUP_MAX; g++) {
		if (t->group_source[g] != SOURCE_TRACEPOINT)
			continue;
		n += drop_rows(t, g);
		t->n_calls -= t->n_calls && g != GROUP_CLOSE;
	}
	return n;
}

int stalls_calls_configure(struct stalls_trace *t)
{
	int map = bpf_map__fd(t->skel->maps.hows), rc = 0;

	for (uint32_t nr = 0; !rc && nr < STALLS_NR_MAX; nr++)
		rc = bpf_map_update_elem(map, &nr, &t->how[nr], BPF_ANY) ? -errno : 0;
	return rc;
}
