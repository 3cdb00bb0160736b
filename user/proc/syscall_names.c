// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <sys/syscall.h>

#include "proc/task.h"

/* Generated from the kernel headers of the build: one X(name) per __NR_name. */
static const char *const name[] = {
#define X(n) [__NR_##n] = #n,
#include "syscall_names.inc"
#undef X
};

const char *proc_syscall_name(long nr)
{
	return nr >= 0 && (unsigned long)nr < sizeof(name) / sizeof(name[0]) ? name[nr] : NULL;
}
