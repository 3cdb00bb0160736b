/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a pattern stands in a space, and what is there: mapping, symbol, stack, heap block, known object and
 * field. */
#ifndef CULPRIT_FIND_H
#define CULPRIT_FIND_H

#include "find/pattern.h"
#include "space/heap.h"
#include "space/space.h"

#define FIND_MAX_HITS (1u << 20) /* kept and named; all are counted */

/* What a hit lies in. */
enum find_place {
	FIND_CODE, /* executable mapping */
	FIND_DATA, /* of a mapped file, and .bss */
	FIND_STACK,
	FIND_HEAP, /* a block of malloc, or the mapping [heap] */
	FIND_ANON,
};
const char *find_place_name(enum find_place p);

struct find_hit {
	uint64_t addr;
	const struct proc_map *map;
	enum find_place place;
	const char *linkage; /* mangled symbol; owned by the space; NULL = none */
	char *symbol;	     /* the same as people write it */
	uint64_t symbol_off;
	const struct space_thread *thread; /* FIND_STACK */
	struct heap_block block;	   /* state HEAP_NONE: not known */
	/* Set by the caller that knows objects. */
	const char *object_type; /* NULL: in none */
	uint64_t object;
	char *path; /* of the field, from the object */
};

struct find_result {
	struct find_hit *hit; /* ascending */
	size_t n_hits;	      /* at most the limit */
	uint64_t total;
	struct space_walked walked;
	uint64_t mapped;  /* bytes of the mappings looked at */
	double seconds;	  /* of search */
	char *unsearched; /* mappings whose bytes are not in the core nor in a file: their names; NULL = none
			   */
};

/* A mapping is looked at if it is readable and matches: NULL = all; a glob or part of its name; "heap",
 * "stack", "anon", "code". */
bool find_map_chosen(const struct space *s, const struct proc_map *m, const char *choice);
/* The name to show: path, "[heap]", "[stack]" or "anon". */
const char *find_map_name(const struct proc_map *m);

/*
 * limit: hits kept (0 = FIND_MAX_HITS). -ENOENT: no mapping matches `choice`. -ESRCH: the process has gone
 * meanwhile. *ret for find_free().
 */
int find_run(struct find_result **ret, struct space *s, const struct pattern *p, const char *choice,
	     size_t limit, struct err *err);
/* Bytes a second that the same memory can be read with, nothing being looked for: what the search's rate is
 * to be compared with. */
double find_read_alone(const struct space *s, const char *choice);
void find_free(struct find_result *r); /* NULL is fine */

#endif
