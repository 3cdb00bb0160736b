/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Numbers of system calls, of the machine that this program is built for. Calls that it does not have (the
 * kernel's generic table, which aarch64 uses, has only their successors) get a number that no thread is in.
 */
#ifndef CULPRIT_ARCH_SYSCALLS_H
#define CULPRIT_ARCH_SYSCALLS_H

#include <sys/syscall.h>

#ifndef SYS_poll
#define SYS_poll 1001
#endif
#ifndef SYS_select
#define SYS_select 1002
#endif
#ifndef SYS_epoll_wait
#define SYS_epoll_wait 1003
#endif

#endif
