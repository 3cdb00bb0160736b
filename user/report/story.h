/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What surrounds a bad write: the bytes beside it, where else its value stands, who owned the block before,
 * and, if nobody saw the store, what it can have been. Plain values, freed by story_deinit. Each part may be
 * missing.
 */
#ifndef CULPRIT_REPORT_STORY_H
#define CULPRIT_REPORT_STORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define STORY_SIDE  64			 /* bytes shown on each side of the damaged word */
#define STORY_BYTES (2 * STORY_SIDE + 8) /* from a multiple of 8 */
#define STORY_SHOWN 12			 /* places of the value that are kept */

/* A field of the damaged object, or a part of it, that lies in the bytes. */
struct near_field {
	uint64_t addr;
	uint32_t width; /* of the part that lies in the bytes */
	uint64_t value; /* its first 8 bytes, zero-extended */
	bool damaged;
	char *name;
};

struct neighbourhood {
	uint64_t start;
	size_t len; /* 0: could not be read */
	uint8_t bytes[STORY_BYTES];
	struct near_field *v; /* by address */
	size_t n;
};

struct place {
	uint64_t addr;
	const char *kind; /* static: "code", "data", "stack", "heap", "anon" */
	char *where;	  /* "LSM::StartIO+82", "stack of thread 7 (io)", "block 0x.. of 64 bytes, +24" */
};

struct elsewhere {
	bool known;
	uint64_t value;
	unsigned width; /* bytes looked for */
	uint64_t total; /* places, the damaged word not counted; outside of code only multiples of width */
	struct place v[STORY_SHOWN]; /* code first, then data, heap, the rest */
	size_t n;
	bool complete; /* all of the memory could be read, and all places counted */
	char *why_not; /* why it was not looked for; NULL if it was, or if that was not tried */
};

/* A way in which the store can have been made without being seen. */
struct unseen_cause {
	const char *cause; /* static: "not-watched", "direct-io", ... (docs/json.md) */
	char *text;
};
#define UNSEEN_CAUSES 8
struct unseen {
	struct unseen_cause v[UNSEEN_CAUSES];
	size_t n; /* 0: the writer is known, or it was not asked */
};

struct write_story {
	struct neighbourhood near;
	struct elsewhere elsewhere;
	struct unseen unseen;
};
void story_deinit(struct write_story *s);

#endif
