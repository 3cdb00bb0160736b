/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whole files of /proc, whose size is not known beforehand. */
#ifndef CULPRIT_PROC_SLURP_H
#define CULPRIT_PROC_SLURP_H

/* Reads the file into a malloc'ed, zero-terminated string. -errno of open or read; -ENAMETOOLONG; -ENOMEM. */
int proc_slurp(char **ret, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
