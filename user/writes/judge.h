/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Was a store to a guarded word made by code that may write it? Decided from the store's symbolised stack
 * alone. A false alarm is a defect, so whatever leaves a doubt is JUDGE_UNKNOWN: the hit is then evidence for
 * a finding made otherwise, no finding.
 */
#ifndef CULPRIT_JUDGE_H
#define CULPRIT_JUDGE_H

#include <stdbool.h>
#include <stddef.h>

#include "layout/guard.h"
#include "report/finding.h"

enum judge_verdict {
	JUDGE_UNKNOWN,	  /* not judged; reason says why */
	JUDGE_WRITER,	  /* a member of the type, or protobuf on its behalf */
	JUDGE_ALLOCATOR,  /* malloc or free: the memory changes hands, the object is gone */
	JUDGE_NON_WRITER, /* code that has no business with the type */
};
const char *judge_verdict_name(enum judge_verdict v);

/* Does the function that holds this frame's code have inlined code of the type in it? 1 yes, 0 no, -1 not
 * known. */
typedef int (*judge_uses_fn)(void *ctx, const struct frame *f);

struct judge_ask {
	const struct frames
		*stack; /* innermost first; the first frame is the store's (or the system call's caller) */
	bool in_kernel;
	const char *syscall; /* its name; NULL: not known */
	bool proto;	     /* guard_field.proto */
	enum guard_kind kind;
	const char *field;	    /* to name it: "read_perf_" */
	const char *type;	    /* class that holds the field */
	const char *const *related; /* its bases and derived classes; members of these may write */
	size_t n_related;
	const char *const
		*knowing;   /* types that hold it or are held by it, and the cache's classes: code that */
	size_t n_knowing;   /* mentions one of them may have got hold of the object in a regular way */
	judge_uses_fn uses; /* may be NULL: not known */
	void *uses_ctx;
};

#define JUDGE_REASON_LEN 512
struct judge_result {
	enum judge_verdict verdict;
	bool by_ip;   /* the code at the store's ip decides, whoever called it: a writer stays one at the next
			 hit */
	size_t frame; /* index of the frame that was judged: library functions that only do as told are passed
			 over */
	char reason[JUDGE_REASON_LEN];
};
void judge_write(const struct judge_ask *ask, struct judge_result *ret);

/* Parts, public for their tests. symbol: demangled, with or without parameters, return type and clone suffix.
 */
bool judge_is_member(const char *symbol, const char *cls); /* A::B::f of A::B, also of what is nested in it */
bool judge_mentions(const char *symbol, const char *cls);  /* as a whole name, anywhere */
bool judge_is_allocator(const char *symbol);

#endif
