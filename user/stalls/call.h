/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Arguments of the system calls that threads block in: numbers of the build's machine, kernel ABI structures
 * read from the target's memory. */
#ifndef CULPRIT_CALL_H
#define CULPRIT_CALL_H

#include "stalls/autopsy.h"

/* A descriptor of a poll or select set, and what is waited for. */
struct call_fd {
	int fd;
	uint32_t events;
};

struct call_set {
	struct call_fd *v;
	size_t n;
};

enum call_class call_classify(int64_t nr);
const char *call_class_name(enum call_class c);
/* Static name; "syscall_NNN" for a number without a name. */
const char *call_name(int64_t nr);
/*
 * Decodes t->nr with t->arg: class, timeout, fd, futex address, and the descriptors into *set (to be freed by
 * the caller). What cannot be read sets args_unread. now: for deadlines.
 */
int call_decode(struct thread_facts *t, const struct autopsy_ops *ops, const struct report_clock *now,
		struct call_set *set);

#endif
