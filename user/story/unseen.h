/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Damage without a hit: what the store can have been, by what is known of the watchpoints and of the process.
 * Pure. */
#ifndef CULPRIT_STORY_UNSEEN_H
#define CULPRIT_STORY_UNSEEN_H

#include <stdbool.h>
#include <stddef.h>

#include "report/story.h"

/* Did a watchpoint stand on the word from its last good to its first bad sight? */
enum watch_cover { COVER_NONE, COVER_PART, COVER_WHOLE };

struct unseen_facts {
	bool before_session;  /* the word was bad when it was first seen */
	const char *no_watch; /* why there were no watchpoints; NULL: there were */
	enum watch_cover cover;
	bool hits_lost;		/* some records of hits were lost */
	bool map_known, shared; /* the word's mapping, and whether other processes may have it too */
	const char *map_name;
	bool files_known;
	const char *const *direct; /* "fd 12 (/var/lib/x)": files open for direct I/O */
	size_t n_direct;
	const char *const
		*device; /* "fd 9 (/dev/infiniband/uverbs0)": devices that store into memory themselves */
	size_t n_device;
};

void unseen_clear(struct unseen *u);
/* Most likely first. 0 or -ENOMEM; what was in out is freed. */
int unseen_explain(struct unseen *out, const struct unseen_facts *f);

#endif
