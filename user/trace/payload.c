// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "../../bpf/abi/payload.h"
#include "trace/fit.h"
#include "trace/force.h"
#include "trace/payload.h"

#include "payload.skel.h"

#define N_HOOKS 4

/* System calls that are followed, and where their arguments name what they move. */
static const struct {
	long nr;
	uint32_t how;
} calls[] = {
	{SYS_read, PAYLOAD_BUF + 1},
	{SYS_recvfrom, (PAYLOAD_BUF + 1) | PAYLOAD_FLAGS_ARG(3)},
	{SYS_write, (PAYLOAD_BUF + 1) | PAYLOAD_SENDS},
	{SYS_sendto, (PAYLOAD_BUF + 1) | PAYLOAD_SENDS},
	{SYS_readv, PAYLOAD_IOV + 1},
	{SYS_writev, (PAYLOAD_IOV + 1) | PAYLOAD_SENDS},
	{SYS_recvmsg, (PAYLOAD_MSG + 1) | PAYLOAD_FLAGS_ARG(2)},
	{SYS_sendmsg, (PAYLOAD_MSG + 1) | PAYLOAD_SENDS},
	{SYS_close, PAYLOAD_CLOSES},
};
#define N_CALLS (sizeof(calls) / sizeof(calls[0]))

struct payload {
	struct payload_bpf *skel;
	struct payload_opts opts;
	struct bpf_link *link[N_HOOKS];
	struct hook hook[N_HOOKS];
	size_t n_hooks;
	bool by_sock; /* the tracepoints of sockets tell, not those of all system calls */
};

/* The kernel has the tracepoints, by the types of their programs. */
static bool sock_tracepoints(const struct payload_opts *o)
{
	struct btf *btf = forced(FORCE_NOSOCKTP) || o->no_sock_tp ? NULL
			  : o->btf				  ? btf__parse(o->btf, NULL)
								  : btf__load_vmlinux_btf();
	bool has = btf && btf__find_by_name_kind(btf, "btf_trace_sock_send_length", BTF_KIND_TYPEDEF) > 0;

	btf__free(btf);
	return has;
}

static void choose(struct payload *p)
{
	struct bpf_program *const by_sock[] = {p->skel->progs.payload_sent, p->skel->progs.payload_received,
					       p->skel->progs.payload_state};
	struct bpf_program *const by_call[] = {p->skel->progs.payload_enter, p->skel->progs.payload_exit,
					       p->skel->progs.payload_thread_exit};

	for (size_t i = 0; i < sizeof(by_sock) / sizeof(by_sock[0]); i++) {
		bpf_program__set_autoload(by_sock[i], p->by_sock);
		bpf_program__set_autoload(by_call[i], !p->by_sock);
	}
}

int payload_open(struct payload **ret, const struct payload_opts *opts, struct err *err)
{
	LIBBPF_OPTS(bpf_object_open_opts, o, .btf_custom_path = opts->btf);
	struct payload *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return err_set(err, -ENOMEM, "out of memory");
	p->opts = *opts;
	if (!p->opts.capture || p->opts.capture > PAYLOAD_MAX)
		p->opts.capture = PAYLOAD_MAX;
	p->skel = payload_bpf__open_opts(&o);
	rc = p->skel ? fit_object(p->skel->obj, opts->btf, err) : -errno;
	if (!rc) {
		p->by_sock = sock_tracepoints(opts);
		choose(p);
		rc = payload_bpf__load(p->skel);
	}
	if (rc) {
		err_set(err, rc, "the kernel refuses the programs that read RPC frames: %s", strerror(-rc));
		payload_close(p);
		return rc;
	}
	*ret = p;
	return 0;
}

void payload_close(struct payload *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_hooks; i++)
		bpf_link__destroy(p->link[i]);
	payload_bpf__destroy(p->skel);
	free(p);
}

static void attach(struct payload *p, const char *what, const char *name, struct bpf_program *prog)
{
	struct hook *h = &p->hook[p->n_hooks];

	*h = (struct hook){.what = what};
	snprintf(h->source, sizeof(h->source), "raw tracepoint %s", name);
	p->link[p->n_hooks] = bpf_program__attach_raw_tracepoint(prog, name);
	h->state = p->link[p->n_hooks] ? HOOK_ATTACHED : HOOK_FAILED;
	if (h->state == HOOK_FAILED)
		snprintf(h->why, sizeof(h->why), "%s", strerror(errno));
	p->n_hooks++;
}

static int configure(struct payload *p)
{
	struct payload_cfg cfg = {.tgid = (uint32_t)p->opts.pid, .capture = p->opts.capture};
	int forms = bpf_map__fd(p->skel->maps.forms);
	uint32_t zero = 0;

	for (size_t i = 0; i < N_CALLS; i++) {
		uint32_t nr = (uint32_t)calls[i].nr;

		if (bpf_map_update_elem(forms, &nr, &calls[i].how, BPF_ANY))
			return -errno;
	}
	return bpf_map_update_elem(bpf_map__fd(p->skel->maps.settings), &zero, &cfg, BPF_ANY) ? -errno : 0;
}

/* Exits first: a call whose begin is seen and whose end is not would be taken for the next one's. */
int payload_attach(struct payload *p, bool try_only, struct err *err)
{
	int rc;

	if (p->by_sock) {
		attach(p, "RPC frames sent", "sock_send_length", p->skel->progs.payload_sent);
		attach(p, "RPC frames received", "sock_recv_length", p->skel->progs.payload_received);
		attach(p, "end of connections", "inet_sock_set_state", p->skel->progs.payload_state);
	} else {
		attach(p, "end of threads", "sched_process_exit", p->skel->progs.payload_thread_exit);
		attach(p, "RPC frames", "sys_exit", p->skel->progs.payload_exit);
		attach(p, "RPC frames", "sys_enter", p->skel->progs.payload_enter);
	}
	for (size_t i = 0; try_only && i < p->n_hooks; i++) {
		bpf_link__destroy(p->link[i]);
		p->link[i] = NULL;
	}
	rc = try_only ? 0 : configure(p);
	return rc ? err_set(err, rc, "cannot configure the BPF programs: %s", strerror(-rc)) : 0;
}

bool payload_machine_pays(const struct payload *p)
{
	return !p->by_sock;
}

const struct hook *payload_hooks(const struct payload *p, size_t *n)
{
	*n = p->n_hooks;
	return p->hook;
}

const struct bpf_object *payload_object(const struct payload *p)
{
	return p->skel->obj;
}

int payload_add_to(const struct payload *p, struct transport *to, struct err *err)
{
	return transport_add(to, bpf_map__fd(p->skel->maps.events), bpf_map__fd(p->skel->maps.lost), err);
}

/* What the call's arguments are; false: not one that moves bytes. */
static bool form_of(int64_t nr, struct payload_op *op)
{
	for (size_t i = 0; i < N_CALLS; i++) {
		if (calls[i].nr != nr || (calls[i].how & PAYLOAD_CLOSES))
			continue;
		op->form = (uint16_t)PAYLOAD_FORM(calls[i].how);
		op->sent = (calls[i].how & PAYLOAD_SENDS) != 0;
		return true;
	}
	return false;
}

void payload_seed(struct payload *p, const struct autopsy *a)
{
	int map = bpf_map__fd(p->skel->maps.ops);

	for (size_t i = 0; !p->by_sock && i < a->n_threads; i++) {
		const struct thread_facts *t = &a->thread[i];
		struct payload_op op = {.entry_ns = 1};
		uint32_t tid = (uint32_t)t->tid;

		if (!t->in_call || t->moved || !form_of(t->nr, &op))
			continue;
		op.fd = (int32_t)t->arg[0];
		op.addr = t->arg[1];
		op.len = t->arg[2];
		/* a thread that has made another call since has its own already */
		bpf_map_update_elem(map, &tid, &op, BPF_NOEXIST);
	}
}

void payload_ignore(struct payload *p, uint64_t inode)
{
	struct payload_stream off = {.off = 1};

	bpf_map_update_elem(bpf_map__fd(p->skel->maps.streams), &inode, &off, BPF_EXIST);
}

void payload_forget(struct payload *p, bool (*open)(void *ctx, uint64_t inode), void *ctx)
{
	int map = bpf_map__fd(p->skel->maps.streams);
	uint64_t key, next, *prev = NULL;
	uint64_t gone[256];
	size_t n = 0;

	while (n < sizeof(gone) / sizeof(gone[0]) && !bpf_map_get_next_key(map, prev, &next)) {
		key = next;
		prev = &key;
		if (!open(ctx, key))
			gone[n++] = key;
	}
	for (size_t i = 0; i < n; i++)
		bpf_map_delete_elem(map, &gone[i]);
}
