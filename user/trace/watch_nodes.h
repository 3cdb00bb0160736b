/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The living nodes as bpf/writes.bpf.c keeps them, for the watchpoints: a struct watch_source over its
 * tables. */
#ifndef CULPRIT_WATCH_NODES_H
#define CULPRIT_WATCH_NODES_H

#include "../../bpf/abi/writes.h"
#include "trace/watch.h"

struct watch_nodes;
/* Map descriptors are kept, not owned. types: the session's table of n_types, kept. */
int watch_nodes_create(struct watch_nodes **ret, int nodes_fd, int objects_fd, const struct wr_type *types,
		       size_t n_types, struct err *err);
void watch_nodes_destroy(struct watch_nodes *n); /* NULL is fine */
struct watch_source watch_nodes_source(struct watch_nodes *n);

#endif
