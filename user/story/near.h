/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The bytes around a damaged word, decoded as the fields they belong to. Pure. */
#ifndef CULPRIT_STORY_NEAR_H
#define CULPRIT_STORY_NEAR_H

#include "layout/guard.h"
#include "report/story.h"

/* First address of the bytes around addr. */
uint64_t near_start(uint64_t addr);

typedef ssize_t (*near_read_fn)(void *ctx, uint64_t addr, void *buf, size_t len); /* as proc_mem_read */
/* Reads them; what lies beyond an unreadable page is left out (n->len 0: the word itself is unreadable). */
void near_read(struct neighbourhood *n, uint64_t addr, near_read_fn read, void *ctx);
/* Names the fields of the object of class g at node, of which [addr, addr + width) is damaged. 0 or -ENOMEM.
 */
int near_decode(struct neighbourhood *n, const struct guard_type *g, uint64_t node, uint64_t addr,
		unsigned width);

#endif
