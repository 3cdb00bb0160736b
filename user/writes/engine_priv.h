/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Between the engine's parts. */
#ifndef CULPRIT_WRITES_ENGINE_PRIV_H
#define CULPRIT_WRITES_ENGINE_PRIV_H

#include "writes/engine.h"

#define EVIDENCE 64

struct pending {
	struct wr_candidate c;
	uint64_t first_ns;
};

/* A hit kept until a check finds what it did. */
struct evidence {
	struct engine_hit h;
	char *why;
	struct frames stack;
};

/* How a field does at first sight, over all objects. */
struct trust {
	uint32_t bad; /* objects in which it was bad when they were first seen */
	uint64_t last_object_id;
	bool distrusted;
};

struct engine {
	const struct writes_plan *plan;
	struct engine_facts facts;
	pid_t pid;
	struct pending *pending;
	size_t n_pending;
	struct engine_finding *finding;
	size_t n_findings;
	size_t n_forgotten; /* findings told and no longer kept */
	struct evidence evidence[EVIDENCE];
	size_t n_evidence;   /* ever */
	struct trust *trust; /* per field of the kernel's table */
	struct engine_stats stats;
};

/* Does the candidate's field still break its invariant with value v, as far as can be told from user space?
 */
bool verify_still_bad(const struct engine *e, const struct wr_candidate *c, uint64_t v);
/* Time of the last mutation of the node that steps lead to from the object, or of a node on the way; 0 =
 * none. */
uint64_t verify_mutate_ns(const struct engine *e, uint64_t object, unsigned type, const struct wr_step *step,
			  unsigned depth);
/* Is the candidate's node still what its path from the object leads to? */
bool verify_reachable(const struct engine *e, const struct wr_candidate *c);
/* Fills everything but the writer. 0 or -ENOMEM. */
int describe_candidate(const struct engine *e, const struct wr_candidate *c, struct bad_write *w);
int describe_hit(const struct engine *e, const struct engine_hit *h, struct bad_write *w);
/* Puts the hit's thread and stack into w. 0 or -ENOMEM. */
int describe_writer(struct bad_write *w, const struct engine_hit *h);
/* The explanation of a check's finding, now that its writer is known. why: what the judge said of it. */
void explain_writer(struct bad_write *w, const char *why);
int frames_copy(struct frames *to, const struct frames *from);

#endif
