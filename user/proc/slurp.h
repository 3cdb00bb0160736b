/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whole files of /proc, whose size is not known beforehand. */
#ifndef CULPRIT_PROC_SLURP_H
#define CULPRIT_PROC_SLURP_H

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

/* Reads the file into a malloc'ed, zero-terminated string. -errno of open or read; -ENAMETOOLONG; -ENOMEM. */
int proc_slurp(char **ret, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Makes room for one more element in *v, which holds n. 0 or -ENOMEM; *v stays valid either way. */
#define PROC_GROW(v, n)                                                                                      \
	({                                                                                                   \
		void *more_ = proc_grow(*(v), (n), sizeof(__typeof__(**(v))));                               \
		if (more_)                                                                                   \
			*(v) = more_;                                                                        \
		more_ ? 0 : -ENOMEM;                                                                         \
	})
void *proc_grow(void *v, size_t n, size_t size);

#endif
