// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proc/holders.h"
#include "proc/process.h"
#include "sock/netlink.h"
#include "symbol/image.h"
#include "trace/neighbours.h"
#include "trace/session.h"
#include "trace/stalls.h"

struct neighbour {
	pid_t pid;
	uint64_t start; /* with the pid, the process for good */
	char comm[PROC_COMM_LEN];
	struct image *image;
	struct threads *threads;
	struct stalls_trace *trace; /* NULL: not followed */
	bool trace_tried;
	struct session_usage usage; /* of trace */
	bool shares;		    /* the target's table of sockets, being in its network namespace */
	bool dumped;		    /* its sockets, in this look */
	/* of this look */
	struct autopsy *autopsy;
	struct stalls_tables tables;
	uint64_t now_ns;
};

struct neighbours {
	struct neighbours_opts opts;
	struct neighbour v[CHAIN_MAX_PROCESSES];
	size_t n;
	unsigned followed, refused;
	uint64_t ended_ns;	     /* run time of programs for processes that have ended */
	struct proc_holders holders; /* of this look, if has_holders */
	bool has_holders;
};

int neighbours_open(struct neighbours **ret, const struct neighbours_opts *opts, struct err *err)
{
	struct neighbours *n = calloc(1, sizeof(*n));

	if (!n)
		return err_set(err, -ENOMEM, "out of memory");
	n->opts = *opts;
	*ret = n;
	return 0;
}

static void forget_look(struct neighbour *p)
{
	stalls_tables_deinit(&p->tables);
	autopsy_free(p->autopsy);
	p->autopsy = NULL;
	p->dumped = p->shares;
}

static uint64_t bpf_ns(const struct neighbour *p)
{
	uint64_t ns = 0, runs;

	return p->trace && session_usage_bpf(&p->usage, &ns, &runs) ? ns : 0;
}

static void neighbour_close(struct neighbour *p)
{
	forget_look(p);
	stalls_trace_close(p->trace);
	threads_close(p->threads);
	image_close(p->image);
}

void neighbours_close(struct neighbours *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->n; i++)
		neighbour_close(&n->v[i]);
	proc_holders_deinit(&n->holders);
	free(n);
}

/* Those that have ended make room. */
static void drop_dead(struct neighbours *n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n->n; i++) {
		uint64_t start;

		if (!proc_start_ticks(n->v[i].pid, &start) && start == n->v[i].start) {
			n->v[kept++] = n->v[i];
			continue;
		}
		n->followed -= n->v[i].trace != NULL;
		n->ended_ns += bpf_ns(&n->v[i]);
		neighbour_close(&n->v[i]);
	}
	n->n = kept;
}

void neighbours_forget(struct neighbours *n)
{
	drop_dead(n);
	for (size_t i = 0; i < n->n; i++)
		forget_look(&n->v[i]);
	proc_holders_deinit(&n->holders);
	n->has_holders = false;
}

static struct neighbour *neighbour_of(struct neighbours *n, pid_t pid)
{
	struct threads_opts to = {.pid = pid, .btf = n->opts.btf, .proc_only = n->opts.no_iter};
	struct proc_status st;
	struct neighbour *p;

	for (size_t i = 0; i < n->n; i++)
		if (n->v[i].pid == pid)
			return &n->v[i];
	if (n->n == CHAIN_MAX_PROCESSES)
		return NULL; /* those that have ended make room when the next look begins */
	p = &n->v[n->n];
	*p = (struct neighbour){.pid = pid};
	to.kin = n->opts.target;
	to.same_net = diag_same_net(pid, n->opts.pid);
	p->shares = p->dumped = to.same_net && threads_socks(n->opts.target);
	if (proc_start_ticks(pid, &p->start) || proc_status_read(&st, pid, NULL))
		return NULL;
	memcpy(p->comm, st.comm, sizeof(p->comm));
	if (image_open(&p->image, pid, n->opts.debuginfo, NULL))
		p->image = NULL;
	to.image = p->image;
	if (threads_open(&p->threads, &to, NULL)) {
		image_close(p->image);
		return NULL;
	}
	n->n++;
	return p;
}

/* Who sends and receives there, from now on. */
static void follow(struct neighbours *n, struct neighbour *p)
{
	struct stalls_trace_opts o = {
		.pid = p->pid, .btf = n->opts.btf, .source = SOURCE_TRACEPOINT, .no_calls = true};

	if (p->trace_tried || n->opts.no_follow)
		return;
	if (n->followed == NEIGHBOURS_FOLLOWED) {
		n->refused++;
		p->trace_tried = true;
		return;
	}
	p->trace_tried = true;
	if (stalls_trace_open(&p->trace, &o, NULL)) {
		p->trace = NULL;
		return;
	}
	if (stalls_trace_attach(p->trace, false, NULL) || !stalls_trace_follows_bytes(p->trace)) {
		stalls_trace_close(p->trace);
		p->trace = NULL;
		return;
	}
	session_usage_add(&p->usage, stalls_trace_object(p->trace));
	n->followed++;
}

static struct sock_table *socks_of(struct neighbours *n, pid_t pid)
{
	struct neighbour *p;
	struct sock_table *t;

	if (pid == n->opts.pid)
		return threads_socks(n->opts.target);
	p = neighbour_of(n, pid);
	t = p ? threads_socks(p->threads) : NULL;
	if (!t || p->dumped || !sock_table_dump(t, NULL)) {
		if (p)
			p->dumped = true;
		return t;
	}
	return NULL;
}

static bool holders(struct neighbours *n)
{
	if (!n->has_holders)
		n->has_holders = !threads_holders(n->opts.target, &n->holders);
	return n->has_holders;
}

static bool peer_of(struct neighbours *n, pid_t of, const struct sock_facts *s, struct chain_peer *out)
{
	struct sock_table *socks = socks_of(n, of);
	const struct proc_holder *h;
	enum sock_peer found;

	*out = (struct chain_peer){.state = PEER_ELSEWHERE};
	if (!socks)
		return false;
	found = sock_table_peer(socks, s, &out->sock);
	if (found == SOCK_PEER_NONE)
		return true;
	if (!holders(n))
		return false;
	h = proc_holders_find(&n->holders, out->sock.inode, &out->n_holders);
	out->unreadable = n->holders.unreadable;
	out->state = !h				? PEER_UNHELD
		     : out->n_holders > 1	? PEER_SHARED
		     : found == SOCK_PEER_FOUND ? PEER_HELD
						: PEER_QUEUED;
	if (h && out->n_holders == 1) {
		out->pid = h->pid;
		out->fd = h->fd;
	}
	return true;
}

bool neighbours_peer(void *neighbours, pid_t of, const struct sock_facts *s, struct chain_peer *out)
{
	struct sock_table *socks = socks_of(neighbours, of);
	struct sock_facts now;

	if (!peer_of(neighbours, of, s, out))
		return false;
	/* the table may be older than what else is known of that process */
	if (out->state == PEER_HELD && socks && !sock_table_query(socks, out->sock.inode, &now, NULL))
		out->sock = now;
	return true;
}

/* Of the descriptors as they were read last. */
static int take_tables(struct neighbour *p)
{
	int rc;

	if (p->trace)
		return stalls_trace_tables(p->trace, p->threads, &p->tables, NULL);
	rc = threads_open_socks(p->threads, &p->tables.open, &p->tables.n_open);
	return rc ? rc : stalls_tables_sort(&p->tables);
}

bool neighbours_place(void *neighbours, pid_t pid, struct chain_place *out)
{
	struct neighbours *n = neighbours;
	struct neighbour *p = neighbour_of(n, pid);

	if (!p)
		return false;
	if (!p->autopsy) {
		if (p->image)
			image_refresh(p->image, NULL);
		if (threads_autopsy(p->threads, &p->autopsy, NULL)) {
			p->autopsy = NULL;
			return false;
		}
		p->dumped = true;
		p->now_ns = mono_now_ns();
		if (take_tables(p)) {
			forget_look(p);
			return false;
		}
	}
	*out = (struct chain_place){.pid = pid,
				    .now_ns = p->now_ns,
				    .autopsy = p->autopsy,
				    .tables = &p->tables,
				    .target = threads_ops(p->threads)};
	memcpy(out->comm, p->comm, sizeof(out->comm));
	return true;
}

/* The processes at the other ends of what this one has asked. */
static void follow_peers_of(struct neighbours *n, pid_t pid, const struct stalls_tables *t)
{
	for (size_t i = 0; i < t->n_open; i++) {
		const struct sock_facts *s = &t->open[i].facts;
		struct chain_peer peer;
		struct neighbour *p;

		if (!s->known || s->accepted || !s->remote[0] || !strcmp(s->state, "LISTEN") ||
		    !peer_of(n, pid, s, &peer) || peer.state != PEER_HELD || peer.pid == n->opts.pid)
			continue;
		p = neighbour_of(n, peer.pid);
		if (p)
			follow(n, p);
	}
}

void neighbours_find(struct neighbours *n)
{
	struct stalls_tables target = {0};

	neighbours_forget(n);
	if (!threads_open_socks(n->opts.target, &target.open, &target.n_open))
		follow_peers_of(n, n->opts.pid, &target);
	stalls_tables_deinit(&target);
	/* grows meanwhile: those that these ask in turn */
	for (size_t i = 0; i < n->n; i++) {
		struct neighbour *p = &n->v[i];

		if (!socks_of(n, p->pid) || threads_look_files(p->threads, NULL) || take_tables(p))
			continue;
		follow_peers_of(n, p->pid, &p->tables);
		if (p->trace)
			stalls_trace_forget(p->trace, &p->tables, mono_now_ns());
	}
	neighbours_forget(n);
}

struct neighbours_account neighbours_account(const struct neighbours *n)
{
	struct neighbours_account a = {.followed = n->followed, .refused = n->refused, .bpf_ns = n->ended_ns};

	for (size_t i = 0; i < n->n; i++)
		a.bpf_ns += bpf_ns(&n->v[i]);
	return a;
}
