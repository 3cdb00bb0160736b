/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef CULPRIT_PAGES_H
#define CULPRIT_PAGES_H

#include <stdint.h>

/* Bytes in a page of the running kernel: 4 KiB on x86-64, 4, 16 or 64 KiB on aarch64. */
uint64_t page_size(void);

/* Gives back the pages that lie between from and to, of a file's mapping that nobody writes to: they count as
 * ours while they are there, and come back when they are read again. */
void pages_forget(const void *from, const void *to);

#endif
