/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Files that a process has mapped from their start, as libraries are: what is new or elsewhere since the last
 * look at its mappings. */
#ifndef CULPRIT_PROC_LOADED_H
#define CULPRIT_PROC_LOADED_H

#include <stdbool.h>
#include <stdint.h>

#include "proc/maps.h"

struct loaded;

struct loaded_change {
	const struct proc_map *map; /* of the file's start, in the new mappings */
	uint64_t from;		    /* where it was before; 0: it is new */
	uint64_t size;		    /* from its start to its last mapping's end */
};

/* What maps holds is known already. -ENOMEM. */
int loaded_create(struct loaded **ret, const struct proc_maps *maps);
void loaded_free(struct loaded *l); /* NULL is fine */
/*
 * Tells of each file of maps that was not known, and with moves of each that is no longer where it was, once.
 * Without moves, those are left for a later look. -ENOMEM: not all was told, the next look does.
 */
int loaded_compare(struct loaded *l, const struct proc_maps *maps, bool moves,
		   void (*fn)(void *ctx, const struct loaded_change *c), void *ctx);

#endif
