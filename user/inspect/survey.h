/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* All objects of one class checked: which are damaged. */
#ifndef CULPRIT_SURVEY_H
#define CULPRIT_SURVEY_H

#include "inspect/census.h"

/* A damaged object. */
struct survey_item {
	const struct census_object *o;
	struct object *object;
	struct object_break *b;
	size_t n;
	bool alive; /* by its state: else what is wrong may be wrong because it is dead */
};

struct survey {
	uint32_t type;
	const struct census_object **all; /* of the class or one derived from it, by address */
	size_t n_all;			  /* dead ones left out */
	size_t n_dead;
	struct survey_item *v; /* damaged ones, alive first, then by address */
	size_t n;
	size_t n_alive;
	uint64_t n_unreadable; /* could not be read in whole */
	char *distrusted; /* fields that are broken in so many objects that it is the debuginfo's word that is
			     wrong; NULL = none */
};

/* Checks every object of type `type` (index into k->type), what it leads to `depth` levels down. *ret for
 * survey_free(). */
int survey_take(struct survey **ret, const struct space *s, const struct known *k, const struct census *c,
		uint32_t type, unsigned depth, struct err *err);
/* The second look at a live process: drops what is no longer so. */
int survey_confirm(struct survey *v, const struct space *s, const struct known *k, unsigned depth,
		   struct err *err);
void survey_free(struct survey *v); /* NULL is fine */

#endif
