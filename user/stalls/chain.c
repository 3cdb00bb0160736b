// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * For whom a stuck thread waits, for whom that one waits, and so on to the end: a lock's owner, the thread at
 * the other end of a connection within this process, and in the end a peer, a disk, or a thread that is just
 * not done; or one of the threads before, and then none of them will ever go on.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stalls/engine_priv.h"
#include "stalls/explain.h"
#include "util/grow.h"

#define MAX_STEPS 16

/* Where a thread's wait leads. */
struct lead {
	pid_t tid; /* 0: to no thread of this process */
	char what[STEP_LEN];
};

/* Kernel functions in which a thread waits for a disk or a file system, as far as their names begin so. */
static bool waits_for_disk(const struct thread_facts *t)
{
	static const char *const begins[] = {
		"io_schedule",	      "blk_",	      "bio_",		"submit_bio_wait",  "wait_on_page",
		"folio_wait",	      "jbd2_",	      "xfs_log",	"xfs_buf_iowait",   "wait_on_buffer",
		"nfs_wait",	      "rpc_wait_bit", "sb_start_write", "__sb_start_write", "fuse_get_req",
		"request_wait_answer"};

	for (size_t i = 0; i < t->n_kernel; i++)
		for (size_t k = 0; k < sizeof(begins) / sizeof(begins[0]); k++)
			if (!strncmp(t->kernel_stack[i], begins[k], strlen(begins[k])))
				return true;
	return false;
}

/* The file it reads or writes, where that is what keeps it from being interrupted; NULL: none. */
static const char *slow_file(const struct look *l, const struct thread_facts *t)
{
	const struct fd_facts *f = t->n_wait == 1 ? &l->autopsy->fd[t->wait[0].fd] : NULL;

	return t->state == 'D' && f && f->target && f->target[0] == '/' ? f->target : NULL;
}

pid_t chain_mutex_owner(struct stall_engine *e, const struct thread_facts *t, const struct rpc_stack *st)
{
	int32_t owner;

	if (t->class != CALL_FUTEX || !st->mutex || !t->futex_addr)
		return 0;
	/* __owner stands 8 bytes after __lock (glibc, struct_mutex.h of every 64-bit architecture) */
	if (e->ops.target->read_mem(e->ops.target->ctx, t->futex_addr + 8, &owner, sizeof(owner)))
		return 0;
	return owner;
}

/* The connection that the thread waits for, if it is but one. */
static const struct open_sock *connection_of(const struct look *l, const struct thread_facts *t)
{
	const struct stalls_rpc *r = tables_rpc(l->tables, t->tid);
	const struct fd_facts *f = t->n_wait == 1 ? &l->autopsy->fd[t->wait[0].fd] : NULL;

	if (t->class != CALL_POLL && t->class != CALL_SELECT && t->class != CALL_READ &&
	    t->class != CALL_WRITE && t->class != CALL_CONNECT)
		return NULL;
	if (f && f->kind == PROC_FD_SOCKET)
		return open_by_inode(l->tables, f->inode);
	return r && r->inode && !r->last_recv_ns ? open_by_inode(l->tables, r->inode) : NULL;
}

/* The thread of this process that used the other end of the connection last. */
static pid_t other_end_user(const struct look *l, const struct sock_facts *s)
{
	const struct stalls_tables *t = l->tables;

	for (size_t i = 0; i < t->n_open; i++) {
		const struct sock_facts *o = &t->open[i].facts;
		const struct stalls_sock *flow;

		if (!o->known || !verdict_is_tcp(o) || strcmp(o->local, s->remote) != 0 ||
		    strcmp(o->remote, s->local) != 0)
			continue;
		flow = tables_sock(t, t->open[i].inode);
		return flow ? (pid_t)flow->recv_tid : 0;
	}
	return 0;
}

static struct lead lead_of(struct stall_engine *e, const struct look *l, struct thread_facts *t)
{
	struct lead d = {0};
	const struct open_sock *o;
	struct rpc_stack st = {0};

	if (!t->in_call || t->moved) {
		snprintf(d.what, sizeof(d.what), "%s",
			 t->state == 'R' || !t->in_call ? "is running" : "goes on");
		return d;
	}
	autopsy_stacks(t, e->ops.target);
	rpc_read_stack(e->cfg.names, &t->user_stack, &st);
	d.tid = chain_mutex_owner(e, t, &st);
	o = connection_of(l, t);
	if (d.tid > 0) {
		snprintf(d.what, sizeof(d.what), "waits for a lock held by");
	} else if (o && o->facts.known && o->facts.remote[0]) {
		d.tid = other_end_user(l, &o->facts);
		snprintf(d.what, sizeof(d.what), d.tid ? "waits for an answer on %s from" : "waits for %s",
			 o->facts.remote);
	} else if (slow_file(l, t)) {
		snprintf(d.what, sizeof(d.what), "waits for a disk or file system in %s of %s", t->syscall,
			 slow_file(l, t));
	} else if (waits_for_disk(t)) {
		snprintf(d.what, sizeof(d.what), "waits for a disk or file system in %s", t->syscall);
	} else if (t->class == CALL_SLEEP) {
		snprintf(d.what, sizeof(d.what), "sleeps in %s", t->syscall);
	} else {
		snprintf(d.what, sizeof(d.what), "is in %s", t->syscall);
	}
	return d;
}

static bool seen_before(struct stall *st, pid_t tid)
{
	for (size_t i = 0; i < st->n_chain; i++)
		if (st->chain[i].tid == tid)
			return true;
	return false;
}

int chain_follow(struct stall_engine *e, struct stall *st, const struct subject *s)
{
	struct thread_facts *t = s->t;

	while (t && st->n_chain < MAX_STEPS) {
		struct lead d = lead_of(e, s->l, t);
		struct stall_step *step;

		if (GROW(&st->chain, st->n_chain))
			return -ENOMEM;
		step = &st->chain[st->n_chain++];
		*step = (struct stall_step){.tid = t->tid, .doing = explain_doing(t)};
		memcpy(step->comm, t->comm, sizeof(step->comm));
		memcpy(step->what, d.what, sizeof(step->what));
		st->cycle = d.tid > 0 && seen_before(st, d.tid);
		step->next = d.tid;
		if (d.tid <= 0 || st->cycle)
			break;
		t = autopsy_thread(s->l->autopsy, d.tid);
	}
	return 0;
}
