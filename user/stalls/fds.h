/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Descriptors of one autopsy: each number looked up once, epoll sets resolved to their members. */
#ifndef CULPRIT_STALLS_FDS_H
#define CULPRIT_STALLS_FDS_H

#include "stalls/autopsy.h"

struct fds;

int fds_create(struct fds **ret, const struct autopsy_ops *ops);
/* Index of fd's facts; looks it up the first time. -ENOMEM. */
int fds_index(struct fds *f, int fd, size_t *ret);
/* Reads the members of every epoll descriptor met so far, and of those in them. -ENOMEM. */
int fds_resolve_epolls(struct fds *f);
/* Hands the array over and frees the rest. */
void fds_finish(struct fds *f, struct fd_facts **v, size_t *n);
struct fd_facts *fds_at(struct fds *f, size_t index); /* valid until the next fds_index */
void fd_facts_free(struct fd_facts *v, size_t n);

#endif
