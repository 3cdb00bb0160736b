// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>

#include "stalls/lock.h"

/* __owner stands 8 bytes after __lock (glibc, struct_mutex.h of every 64-bit architecture). */
static pid_t mutex_owner(uint64_t futex, const struct autopsy_ops *target)
{
	int32_t owner;

	return target->read_mem(target->ctx, futex + 8, &owner, sizeof(owner)) ? 0 : owner;
}

#define RW_WORDS 7
#define WRPHASE	 1 /* of __readers, pthread_rwlock_common.c: writers' turn, */
#define WRLOCKED 2 /* and one has it */

/*
 * Both layouts that glibc has had on 64-bit architectures keep the two words that threads wait for 8 and 12
 * bytes from the start, which is aligned to 8, and the writer's tid 24 bytes from it: up to 2.24 {__lock,
 * __nr_readers, __readers_wakeup, __writer_wakeup, __nr_readers_queued, __nr_writers_queued, __writer}, since
 * 2.25 {__readers, __writers, __wrphase_futex, __writers_futex, __pad3, __pad4, __cur_writer}. A tid counts
 * only if the other words say that a writer has the lock.
 */
static pid_t rwlock_writer(uint64_t futex, const struct autopsy_ops *target)
{
	uint64_t lock = futex & 4 ? futex - 12 : futex - 8;
	uint32_t w[RW_WORDS];
	bool writes;

	if (futex & 3 || target->read_mem(target->ctx, lock, w, sizeof(w)))
		return 0;
	writes = (w[0] & (WRPHASE | WRLOCKED)) == (WRPHASE | WRLOCKED) || (w[0] <= 2 && !w[1]);
	return writes ? (pid_t)w[6] : 0;
}

struct lock_wait lock_waited_for(struct autopsy *a, const struct thread_facts *t, const struct rpc_stack *st,
				 const struct autopsy_ops *target)
{
	struct lock_wait l = {0};

	if (t->class != CALL_FUTEX || !st->lock || !t->futex_addr)
		return l;
	l.kind = st->lock;
	if (l.kind == RPC_LOCK_MUTEX)
		l.owner = mutex_owner(t->futex_addr, target);
	else if (l.kind == RPC_LOCK_RW)
		l.owner = rwlock_writer(t->futex_addr, target);
	/* other locks of glibc's own have something else there */
	if (!autopsy_thread(a, l.owner))
		l.owner = 0;
	return l;
}

const char *lock_no_owner(enum rpc_lock kind)
{
	switch (kind) {
	case RPC_LOCK_MUTEX:
		return "the mutex tells no owner: it is being handed over, or is of a kind that keeps none";
	case RPC_LOCK_RW:
		return "no writer holds the read/write lock for certain; readers leave no name in it: who "
		       "holds it "
		       "cannot be known";
	case RPC_LOCK_COND:
		return "a condition variable has no owner: who should signal it cannot be known";
	default:
		return NULL;
	}
}
