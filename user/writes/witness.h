/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From watchpoint hits to what the engine hears of them: unwinds the store's stack, has it judged, and holds
 * back a store by a non-writer until its object is seen alive once more, for memory that was freed behind our
 * back must raise no alarm. Stores by known writers go no further. Pure: what it asks of the target comes
 * through struct engine_facts.
 */
#ifndef CULPRIT_WITNESS_H
#define CULPRIT_WITNESS_H

#include "../../bpf/abi/watch.h"
#include "plan/writes.h"
#include "writes/engine.h"
#include "writes/judge.h"
#include "writes/storing.h"

#define WITNESS_PAUSE_NS    20000000ull /* before a non-writer's store is believed */
#define WITNESS_ONE_CALL_NS 1000000ull	/* between two pieces of one system call's store */
#define WITNESS_MAX_HELD    64
#define WITNESS_PER_SECOND  400 /* stacks unwound; the others are counted */

struct witness_cfg {
	const struct writes_plan *plan;
	struct engine *engine;
	struct engine_facts facts; /* read and node are used */
	/* Fills type, related, knowing and uses; false: relatives not known (kin_ask). */
	bool (*kin)(void *ctx, uint16_t type, struct judge_ask *ask);
	void *kin_ctx;
	/* As image_unwind; out is empty before. */
	int (*unwind)(void *ctx, const struct abi_stack *st, bool pc_is_return, struct frames *out);
	void *unwind_ctx;
	/* Code that ends at ip, from an instruction's beginning on; NULL or non-zero: there is none. ctx as
	 * unwind's. */
	int (*code)(void *ctx, uint64_t ip, struct storing_code *ret);
	const char *(*syscall_name)(long nr);
};

struct witness_stats {
	uint64_t stores;
	uint64_t writers, allocators, non_writers, unknown; /* verdicts */
	uint64_t unjudged;				    /* too many at once, or no stack */
	uint64_t strange;				    /* no store to the word precedes the trap */
	uint64_t vanished; /* non-writers' stores whose object was not seen alive afterwards: evidence only */
};

struct witness;
int witness_create(struct witness **ret, const struct witness_cfg *cfg, struct err *err);
void witness_destroy(struct witness *w); /* NULL is fine */

/* h as it came; old_value is known if has_old. */
void witness_store(struct witness *w, const struct watch_hit *h, bool has_old, uint64_t old_value);
/* final: the session ends; what is still held is evidence only. */
void witness_tick(struct witness *w, uint64_t now_ns, bool final);
void witness_stats(const struct witness *w, struct witness_stats *s);

#endif
