// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/pages.h"

uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

void pages_forget(const void *from, const void *to)
{
	uintptr_t page = page_size(), a = ((uintptr_t)from + page - 1) & -page, b = (uintptr_t)to & -page;

	if (a < b)
		madvise((void *)a, b - a, MADV_DONTNEED);
}
