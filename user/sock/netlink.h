/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A NETLINK_SOCK_DIAG socket in the network namespace of a process: requests out, messages in. */
#ifndef CULPRIT_SOCK_NETLINK_H
#define CULPRIT_SOCK_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/err.h"

/* The process is in another network namespace than this one: diag_open() needs CAP_SYS_ADMIN for it. */
bool diag_elsewhere(pid_t pid);
/* Both processes are in the same network namespace. false where that cannot be read. */
bool diag_same_net(pid_t a, pid_t b);
/* A file descriptor, or -errno and err. */
int diag_open(pid_t pid, struct err *err);
/* Called with the body of each answer. Negative ends the exchange with that error. */
typedef int (*diag_sink)(void *ctx, const void *body, size_t len);
/*
 * Sends one SOCK_DIAG_BY_FAMILY request and hands all answers to the sink. The kernel's own error is returned
 * as it is
 * (-ENOENT: no such socket, or no such family in this kernel; -ESTALE: another socket has these addresses
 * now). -ETIMEDOUT.
 */
int diag_request(int fd, bool dump, const void *req, size_t len, diag_sink sink, void *ctx);

#endif
