// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/syscalls.h"
#include "stalls/autopsy.h"
#include "stalls/call.h"
#include "stalls/fds.h"
#include "util/grow.h"

#define STACK_TRIES 3 /* of a thread that keeps running */

const char *autopsy_source_name(enum autopsy_source s)
{
	return s == AUTOPSY_ITERATOR ? "BPF task iterator" : "/proc";
}

void thread_raw_from_rec(struct thread_raw *raw)
{
	raw->known = raw->rec.flags & THREADS_REGS ? IMAGE_REGS_ALL : 0;
	for (int i = 0; i < ARCH_SYSCALL_ARGS; i++)
		raw->arg[i] = raw->rec.reg[arch.syscall_arg[i]];
	if (raw->rec.n_kstack > THREADS_KSTACK)
		raw->rec.n_kstack = THREADS_KSTACK;
	if (raw->rec.n_polled > THREADS_POLLED) {
		raw->rec.n_polled = THREADS_POLLED;
		raw->rec.flags |= THREADS_POLLED_MORE;
	}
}

void thread_raw_free(struct thread_raw *raw, size_t n)
{
	for (size_t i = 0; raw && i < n; i++)
		proc_kstack_deinit(&raw[i].kstack);
	free(raw);
}

/* Bits of include/linux/sched.h, as fs/proc/array.c turns them into letters. */
static char state_letter(uint32_t state)
{
	static const struct {
		uint32_t bit;
		char letter;
	} letters[] = {{0x20, 'Z'}, {0x10, 'X'}, {0x02, 'D'}, {0x01, 'S'},
		       {0x04, 'T'}, {0x08, 't'}, {0x40, 'P'}};

	if ((state & 0x402) == 0x402)
		return 'I';
	for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++) {
		if (state & letters[i].bit)
			return letters[i].letter;
	}
	return 'R';
}

/*
 * restart_syscall continues a call that a signal or a debugger interrupted; which one, the kernel function
 * that will continue it tells. Only poll keeps its arguments where they can be had.
 */
static void undo_restart(struct thread_facts *t, const struct autopsy_ops *ops)
{
	const struct threads_rec *r = &t->raw->rec;
	const char *fn = r->restart_fn ? ops->ksym(ops->ctx, r->restart_fn) : NULL;

	if (!fn)
		return;
	memset(t->arg, 0, sizeof(t->arg));
	if (!strcmp(fn, "do_restart_poll")) {
		t->nr = SYS_poll;
		t->arg[0] = r->restart_ufds;
		t->arg[1] = r->restart_nfds;
		t->arg[2] = (uint64_t)-1;
	} else if (!strcmp(fn, "hrtimer_nanosleep_restart")) {
		t->nr = SYS_nanosleep;
	} else if (!strcmp(fn, "futex_wait_restart")) {
		t->nr = SYS_futex;
	}
}

static void restart_deadline(struct thread_facts *t, const struct report_clock *now)
{
	const struct threads_rec *r = &t->raw->rec;

	if (t->nr != SYS_poll || !r->restart_has_timeout)
		return;
	t->timeout_left = true;
	t->timeout_ms = r->restart_until_ns > now->mono_ns
				? (int64_t)(r->restart_until_ns - now->mono_ns) / 1000000
				: 0;
}

static int take_waits(struct thread_facts *t, const struct call_set *set, struct fds *fds)
{
	int err = 0;

	if (!set->n)
		return 0;
	t->wait = calloc(set->n, sizeof(*t->wait));
	if (!t->wait)
		return -ENOMEM;
	for (size_t i = 0; !err && i < set->n; i++) {
		t->wait[i].events = set->v[i].events;
		err = fds_index(fds, set->v[i].fd, &t->wait[i].fd);
		t->n_wait = err ? i : i + 1;
	}
	return err;
}

static int by_tid(const void *a, const void *b)
{
	const struct thread_raw *x = a, *y = b;

	return (x->rec.h.tid > y->rec.h.tid) - (x->rec.h.tid < y->rec.h.tid);
}

static int take_thread(struct thread_facts *t, const struct thread_raw *raw, const struct report_clock *now,
		       const struct autopsy_ops *ops, struct fds *fds)
{
	const struct threads_rec *r = &raw->rec;
	struct call_set set;
	int err;

	t->raw = raw;
	t->tid = (pid_t)r->h.tid;
	memcpy(t->comm, r->h.comm, sizeof(t->comm));
	t->comm[sizeof(t->comm) - 1] = '\0';
	t->state = state_letter(r->state);
	t->switches = r->nvcsw + r->nivcsw;
	t->start_ns = r->start_ns;
	t->blocked_known = r->state && r->blocked_ns != THREADS_UNKNOWN;
	t->blocked_ns = t->blocked_known ? r->blocked_ns : 0;
	t->blocked_max_ns = t->blocked_ns;
	if (t->blocked_known && r->blocked_max_ns != THREADS_UNKNOWN && r->blocked_max_ns > t->blocked_ns)
		t->blocked_max_ns = r->blocked_max_ns;
	t->nr = r->state ? r->nr : -1;
	t->fd = -1;
	t->timeout_ms = -2;
	if (t->nr < 0)
		return 0;
	t->in_call = true;
	memcpy(t->arg, raw->arg, sizeof(t->arg));
	if (t->nr == SYS_restart_syscall)
		undo_restart(t, ops);
	t->syscall = call_name(t->nr);
	err = call_decode(t, ops, now, &set);
	if (r->nr == SYS_restart_syscall)
		restart_deadline(t, now);
	if (!err)
		err = take_waits(t, &set, fds);
	free(set.v);
	return err;
}

/* A file the call holds that is behind none of its descriptors now. */
static const struct threads_polled *unexplained(const struct thread_facts *t, const uint64_t *file, size_t *n)
{
	const struct threads_rec *r = &t->raw->rec;
	const struct threads_polled *found = NULL;

	*n = 0;
	for (uint32_t i = 0; i < r->n_polled; i++) {
		bool known = false;

		for (size_t k = 0; k < t->n_wait; k++)
			known |= file[k] == r->polled[i].file;
		for (uint32_t k = 0; k < i; k++) /* a file may stand in the table more than once */
			known |= r->polled[k].file == r->polled[i].file;
		if (known)
			continue;
		found = &r->polled[i];
		(*n)++;
	}
	return found;
}

static bool holds(const struct threads_rec *r, uint64_t file)
{
	for (uint32_t i = 0; i < r->n_polled; i++) {
		if (r->polled[i].file == file)
			return true;
	}
	return false;
}

/*
 * A descriptor is dead if the call holds a file that none of its numbers means any more, and that number's
 * file is not held. Both are asked for, because a file may be pollable without standing in the table under
 * its own name.
 */
static void judge_dead(struct thread_facts *t, struct fds *fds, const struct autopsy_ops *ops)
{
	const struct threads_rec *r = &t->raw->rec;
	const struct threads_polled *lost;
	uint64_t file[THREADS_POLLED * 4];
	size_t n_lost;

	if (!(r->flags & THREADS_POLLED_TAKEN) || (r->flags & THREADS_POLLED_MORE) || t->args_unread ||
	    t->n_wait > sizeof(file) / sizeof(file[0]))
		return;
	for (size_t i = 0; i < t->n_wait; i++) {
		const struct fd_facts *d = fds_at(fds, t->wait[i].fd);

		file[i] = ops->file(ops->ctx, d->fd);
		if (d->open != (file[i] != 0))
			return; /* opened or closed between the two readings, or files are not known */
	}
	lost = unexplained(t, file, &n_lost);
	for (size_t i = 0; lost && i < t->n_wait; i++) {
		const struct fd_facts *d = fds_at(fds, t->wait[i].fd);
		struct thread_wait *w = &t->wait[i];

		if (holds(r, file[i]) || (d->open && d->kind == PROC_FD_FILE))
			continue;
		w->dead = true;
		if (n_lost == 1) {
			w->held_inode = lost->inode;
			ops->sock(ops->ctx, lost->inode, &w->held_sock);
		}
	}
}

int autopsy_build(struct autopsy **ret, pid_t pid, struct thread_raw *raw, size_t n,
		  const struct report_clock *taken, const struct autopsy_ops *ops, struct err *err)
{
	struct autopsy *a = calloc(1, sizeof(*a));
	struct fds *fds = NULL;
	int rc = -ENOMEM;

	if (!a) {
		thread_raw_free(raw, n);
		return err_set(err, rc, "out of memory");
	}
	if (n)
		qsort(raw, n, sizeof(*raw), by_tid);
	a->pid = pid;
	a->taken = *taken;
	a->raw = raw;
	a->n_raw = n;
	a->thread = calloc(n ? n : 1, sizeof(*a->thread));
	if (a->thread)
		rc = fds_create(&fds, ops);
	for (size_t i = 0; !rc && i < n; i++) {
		rc = take_thread(&a->thread[i], &raw[i], taken, ops, fds);
		a->n_threads = i + 1;
	}
	if (!rc)
		rc = fds_resolve_epolls(fds);
	for (size_t i = 0; !rc && i < a->n_threads; i++)
		judge_dead(&a->thread[i], fds, ops);
	if (fds)
		fds_finish(fds, &a->fd, &a->n_fds);
	if (rc) {
		autopsy_free(a);
		return err_set(err, rc, "autopsy of %d: %s", (int)pid, strerror(-rc));
	}
	*ret = a;
	return 0;
}

void thread_stacks_deinit(struct thread_facts *t)
{
	frames_deinit(&t->user_stack);
	for (size_t i = 0; i < t->n_kernel; i++)
		free(t->kernel_stack[i]);
	free(t->kernel_stack);
}

static void thread_deinit(struct thread_facts *t)
{
	free(t->wait);
	thread_stacks_deinit(t);
}

static void mark_moved(struct thread_facts *t)
{
	t->moved = true;
	for (size_t i = 0; i < t->n_wait; i++) {
		t->wait[i].dead = false;
		t->wait[i].held_inode = 0;
		t->wait[i].held_sock = (struct sock_facts){0};
	}
}

void autopsy_confirm(struct autopsy *a, struct thread_raw *again, size_t n)
{
	size_t kept = 0;

	if (n)
		qsort(again, n, sizeof(*again), by_tid);
	for (size_t i = 0; i < a->n_threads; i++) {
		struct thread_facts *t = &a->thread[i];
		const struct thread_raw key = {.rec.h.tid = (uint32_t)t->tid}, *now;

		now = n ? bsearch(&key, again, n, sizeof(*again), by_tid) : NULL;
		if (!now || now->rec.start_ns != t->start_ns) {
			thread_deinit(t);
			a->n_skipped++;
			continue;
		}
		if (now->rec.nvcsw + now->rec.nivcsw != t->switches || (t->state != 'R' && !now->rec.state))
			mark_moved(t);
		a->n_moved += t->moved;
		a->thread[kept++] = *t;
	}
	a->n_threads = kept;
}

static int push(char ***v, size_t *n, const char *s)
{
	char *copy;

	if (GROW(v, *n))
		return -ENOMEM;
	copy = strdup(s);
	if (!copy)
		return -ENOMEM;
	(*v)[(*n)++] = copy;
	return 0;
}

/* The stack as of one moment; false: the thread ran meanwhile. */
static bool stack_of(struct thread_facts *t, const struct autopsy_ops *ops, const struct image_regs *regs,
		     uint64_t switches, int *err)
{
	*err = ops->unwind(ops->ctx, regs, &t->user_stack);
	if (!ops->stays || ops->stays(ops->ctx, t->tid, switches))
		return true;
	frames_deinit(&t->user_stack);
	return false;
}

static int take_user_stack(struct thread_facts *t, const struct autopsy_ops *ops)
{
	struct image_regs regs = {.known = t->raw->known};
	uint64_t switches;
	int err = 0;

	for (int i = 0; i < ABI_REGS; i++)
		regs.reg[i] = t->raw->rec.reg[i];
	if (!t->moved && stack_of(t, ops, &regs, t->switches, &err))
		return err;
	for (int i = 0; i < STACK_TRIES && ops->regs_now; i++) {
		regs = (struct image_regs){0};
		if (ops->regs_now(ops->ctx, t, &regs, &switches) && stack_of(t, ops, &regs, switches, &err))
			return err;
	}
	t->user_stack = (struct frames){.truncated = true};
	return 0;
}

int autopsy_stacks(struct thread_facts *t, const struct autopsy_ops *ops)
{
	const struct thread_raw *raw = t->raw;
	int err = 0;

	if (t->stacks_taken)
		return 0;
	t->stacks_taken = true;
	for (size_t i = 0; !err && i < raw->kstack.n; i++)
		err = push(&t->kernel_stack, &t->n_kernel, raw->kstack.v[i]);
	for (uint32_t i = 0; !err && i < raw->rec.n_kstack; i++) {
		const char *name = ops->ksym(ops->ctx, raw->rec.kstack[i]);

		err = push(&t->kernel_stack, &t->n_kernel, name ? name : "?");
	}
	if (err || !ops->unwind || (raw->known & IMAGE_REGS_SP_IP) != IMAGE_REGS_SP_IP)
		return err;
	return take_user_stack(t, ops);
}

static int by_thread(const void *a, const void *b)
{
	const struct thread_facts *x = a, *y = b;

	return (x->tid > y->tid) - (x->tid < y->tid);
}

struct thread_facts *autopsy_thread(struct autopsy *a, pid_t tid)
{
	const struct thread_facts key = {.tid = tid};

	return a->n_threads ? bsearch(&key, a->thread, a->n_threads, sizeof(key), by_thread) : NULL;
}

void autopsy_free(struct autopsy *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->n_threads; i++)
		thread_deinit(&a->thread[i]);
	free(a->thread);
	fd_facts_free(a->fd, a->n_fds);
	thread_raw_free(a->raw, a->n_raw);
	free(a->source_why);
	free(a);
}
