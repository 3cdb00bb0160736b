/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copies of kernel functions that the compiler made for some or all callers, by their names in
 * /proc/kallsyms: do_sys_poll.isra.0, do_select.constprop.3, also both. What a copy gets as arguments is not
 * known; a hook that needs none serves on it, and has to be on all of them and on the function itself, if
 * that is still there. Pieces of a function (.part, .cold) are no copies.
 */
#ifndef CULPRIT_SYMBOL_COPIES_H
#define CULPRIT_SYMBOL_COPIES_H

#include <stddef.h>
#include <stdio.h>

struct kernel_copies {
	char **name;
	size_t n;
};

/* -errno of /proc/kallsyms, -ENOMEM. */
int kernel_copies_read(struct kernel_copies *ret);
int kernel_copies_parse(struct kernel_copies *ret, FILE *f);
/* Full name of the i-th copy of that function; NULL: there are not so many. */
const char *kernel_copies_of(const struct kernel_copies *k, const char *function, size_t i);
void kernel_copies_deinit(struct kernel_copies *k);

#endif
