/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Looks at every thread of a live process, without stopping it: by the BPF task iterator, or by /proc where
 * that is refused. Brings the real readers for user/stalls/autopsy.h. Used once (`culprit threads`) or again
 * and again (`culprit stalls`).
 */
#ifndef CULPRIT_TRACE_THREADS_H
#define CULPRIT_TRACE_THREADS_H

#include <sys/types.h>

#include "proc/holders.h"
#include "sock/sock.h"
#include "stalls/autopsy.h"
#include "stalls/tables.h"
#include "symbol/image.h"
#include "util/err.h"

struct threads;

struct threads_opts {
	pid_t pid;
	struct image *image; /* for user stacks; borrowed, may be NULL: then no user stacks */
	const char *btf;     /* --btf FILE, NULL = the kernel's own */
	bool proc_only;	     /* do not try the iterator */
	struct threads *kin; /* of another process, outlives this one; borrowed, NULL: none. It has the
				symbols of the kernel */
	bool same_net; /* kin is in the same network namespace: its sockets serve, which it alone dumps */
};

/* Never fails because the iterator is refused: threads_source says what serves, and why. */
int threads_open(struct threads **ret, const struct threads_opts *opts, struct err *err);
void threads_close(struct threads *t); /* NULL is fine */
enum autopsy_source threads_source(const struct threads *t);
const char *threads_source_why(const struct threads *t); /* why not the iterator; NULL with it */
const char *
threads_socks_why(const struct threads *t); /* why sockets, or some, cannot be told; NULL if they can */
/* The raw look: one record per thread; brief leaves out stacks and poll tables. *out is freed with
 * thread_raw_free. */
int threads_look(struct threads *t, bool brief, struct thread_raw **out, size_t *n, struct err *err);
/* Look, dump sockets once, build, look again, confirm. *ret is freed with autopsy_free. */
int threads_autopsy(struct threads *t, struct autopsy **ret, struct err *err);
/* The readers, for autopsy_stacks and for the stall engine. Valid until threads_close. */
const struct autopsy_ops *threads_ops(struct threads *t);
struct sock_table *threads_socks(struct threads *t); /* NULL: see threads_socks_why */
/* Reads its descriptors anew, as threads_autopsy does; for threads_open_socks. */
int threads_look_files(struct threads *t, struct err *err);
/*
 * Its descriptors that are sockets, as of the last threads_look_files, with their facts as of the last dump;
 * *v for free(). A process that is ending has none. -ENOMEM.
 */
int threads_open_socks(struct threads *t, struct open_sock **v, size_t *n);
/* Who has which socket, on the whole machine. As proc_holders_read, and at once where there is an iterator.
 */
int threads_holders(struct threads *t, struct proc_holders *ret);

#endif
