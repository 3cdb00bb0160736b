// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "../../bpf/abi/payload.h"
#include "trace/fit.h"
#include "trace/payload.h"
#include "trace/tracefs.h"

#include "payload.skel.h"

enum which { READ, RECVFROM, WRITE, READV, WRITEV, RECVMSG, SENDMSG, N_CALLS };
#define N_HOOKS (2 * N_CALLS + 4)

/* sendto takes what write takes; the end is the same for all. */
static const struct {
	const char *name;
	enum which prog;
} calls[] = {{"read", READ},   {"recvfrom", RECVFROM}, {"write", WRITE},     {"sendto", WRITE},
	     {"readv", READV}, {"writev", WRITEV},     {"recvmsg", RECVMSG}, {"sendmsg", SENDMSG}};

#define N_FOLLOWED (sizeof(calls) / sizeof(calls[0]))

struct payload {
	struct payload_bpf *skel;
	struct payload_opts opts;
	struct bpf_link *link[N_HOOKS];
	struct hook hook[N_HOOKS];
	size_t n_hooks;
};
_Static_assert(N_HOOKS >= 2 * N_FOLLOWED + 2, "room for every hook");

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
	if (!rc)
		rc = payload_bpf__load(p->skel);
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

static struct bpf_program *program(const struct payload *p, enum which w)
{
	struct bpf_program *const progs[N_CALLS] = {
		[READ] = p->skel->progs.payload_read,	    [RECVFROM] = p->skel->progs.payload_recvfrom,
		[WRITE] = p->skel->progs.payload_write,	    [READV] = p->skel->progs.payload_readv,
		[WRITEV] = p->skel->progs.payload_writev,   [RECVMSG] = p->skel->progs.payload_recvmsg,
		[SENDMSG] = p->skel->progs.payload_sendmsg,
	};

	return progs[w];
}

static void attach(struct payload *p, const struct tracefs *fs, const char *prefix, const char *name,
		   struct bpf_program *prog)
{
	struct hook *h = &p->hook[p->n_hooks];
	char event[64];
	int rc;

	*h = (struct hook){.what = "RPC frames"};
	snprintf(event, sizeof(event), "%s%s", prefix, name);
	snprintf(h->source, sizeof(h->source), "tracepoint syscalls:%s", event);
	rc = fs->dir < 0 ? -EOPNOTSUPP : tracefs_attach(fs, "syscalls", event, prog, &p->link[p->n_hooks]);
	p->n_hooks++;
	h->state = !rc ? HOOK_ATTACHED : rc == -ENOENT ? HOOK_ABSENT : HOOK_FAILED;
	if (rc && rc != -ENOENT)
		snprintf(h->why, sizeof(h->why), "%s", strerror(-rc));
}

static void attach_exit(struct payload *p)
{
	struct hook *h = &p->hook[p->n_hooks];

	*h = (struct hook){.what = "end of threads", .source = "raw tracepoint sched_process_exit"};
	p->link[p->n_hooks] =
		bpf_program__attach_raw_tracepoint(p->skel->progs.payload_thread_exit, "sched_process_exit");
	h->state = p->link[p->n_hooks] ? HOOK_ATTACHED : HOOK_FAILED;
	if (h->state == HOOK_FAILED)
		snprintf(h->why, sizeof(h->why), "%s", strerror(errno));
	p->n_hooks++;
}

/* Exits first: a call whose begin is seen and whose end is not would be taken for the next one's. */
int payload_attach(struct payload *p, bool try_only, struct err *err)
{
	struct payload_cfg cfg = {.tgid = (uint32_t)p->opts.pid, .capture = p->opts.capture};
	struct tracefs fs;
	uint32_t zero = 0;

	tracefs_open(&fs, NULL); /* without it every row says so */
	attach_exit(p);
	for (size_t i = 0; i < N_FOLLOWED; i++)
		attach(p, &fs, "sys_exit_", calls[i].name, p->skel->progs.payload_exit);
	attach(p, &fs, "sys_enter_", "close", p->skel->progs.payload_close);
	for (size_t i = 0; i < N_FOLLOWED; i++)
		attach(p, &fs, "sys_enter_", calls[i].name, program(p, calls[i].prog));
	tracefs_close(&fs);
	for (size_t i = 0; try_only && i < p->n_hooks; i++) {
		bpf_link__destroy(p->link[i]);
		p->link[i] = NULL;
	}
	if (!try_only && bpf_map_update_elem(bpf_map__fd(p->skel->maps.settings), &zero, &cfg, BPF_ANY))
		return err_set(err, -errno, "cannot configure the BPF programs: %s", strerror(errno));
	return 0;
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

/* What the call's arguments are; false: not one that is followed. */
static bool form_of(int64_t nr, struct payload_op *op)
{
	static const struct {
		long nr;
		enum payload_form form;
		bool sent;
	} forms[] = {
		{SYS_read, PAYLOAD_BUF, false},	   {SYS_recvfrom, PAYLOAD_BUF, false},
		{SYS_write, PAYLOAD_BUF, true},	   {SYS_sendto, PAYLOAD_BUF, true},
		{SYS_readv, PAYLOAD_IOV, false},   {SYS_writev, PAYLOAD_IOV, true},
		{SYS_recvmsg, PAYLOAD_MSG, false}, {SYS_sendmsg, PAYLOAD_MSG, true},
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (forms[i].nr != nr)
			continue;
		op->form = (uint16_t)forms[i].form;
		op->sent = forms[i].sent;
		return true;
	}
	return false;
}

void payload_seed(struct payload *p, const struct autopsy *a)
{
	int map = bpf_map__fd(p->skel->maps.ops);

	for (size_t i = 0; i < a->n_threads; i++) {
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
