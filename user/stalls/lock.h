/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who holds the pthread lock that a thread waits for, where glibc keeps that. */
#ifndef CULPRIT_STALLS_LOCK_H
#define CULPRIT_STALLS_LOCK_H

#include "stalls/autopsy.h"
#include "stalls/rpc.h"

struct lock_wait {
	enum rpc_lock kind;
	pid_t owner; /* a thread of the process; 0: nobody, or not known */
};

/* st: of the thread's user stack. */
struct lock_wait lock_waited_for(struct autopsy *a, const struct thread_facts *t, const struct rpc_stack *st,
				 const struct autopsy_ops *target);
/* Why no owner is told, for a lock without one; NULL for no lock at all. Static. */
const char *lock_no_owner(enum rpc_lock kind);

#endif
