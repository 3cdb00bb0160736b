/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a process shares with the one that started it, and with those it started. */
#ifndef CULPRIT_PROC_KIN_H
#define CULPRIT_PROC_KIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Whether the parent of a process, or a child of its main thread, has this socket open, too: a connection
 * that came with fork. True also where /proc does not tell for certain (no list of children in this kernel,
 * files of a relative not readable).
 */
bool proc_kin_has_socket(pid_t pid, uint64_t inode);

#endif
