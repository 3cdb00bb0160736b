/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Hardware watchpoints that rotate over living words: opens them, moves them as the scheduler
 * (user/writes/slots.h) says, and turns trap records into stores with old and new value. Who may store there
 * is for user/writes/judge.h to say.
 *
 *   watch_open; per tick: watch_tick; per record: watch_record; at the end: watch_account, watch_close.
 */
#ifndef CULPRIT_WATCH_H
#define CULPRIT_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../bpf/abi/watch.h"
#include "report/finding.h"
#include "story/unseen.h"
#include "trace/transport.h"
#include "util/err.h"
#include "writes/slots.h"

/* What lives in the target. user/trace/watch_nodes.h fills it from the tables of bpf/writes.bpf.c. */
struct watch_source {
	/*
	 * Up to max nodes, going on where the last call ended. *end: the round is over, the next call starts
	 * anew. Returns their number or -errno.
	 */
	int (*walk)(void *ctx, struct slots_node *out, size_t max, bool *end);
	/* Is it still in the table, as the same object? */
	bool (*alive)(void *ctx, const struct slots_node *n);
	/* Is vptr what stands at the start of such a node? *has: the type has one at all. */
	bool (*vptr_ok)(void *ctx, const struct slots_node *n, uint64_t vptr, bool *has);
	void *ctx;
};

struct watch_cfg {
	uint32_t tgid;	    /* as the host counts: whose stores count */
	pid_t pid;	    /* as our /proc counts: whose memory is read */
	bool allow_vm;	    /* also under a hypervisor */
	unsigned max_slots; /* 0 = 4 */
	uint32_t budget;    /* records per arming; 0 = 16. One more store and the word is disarmed */
	const char *btf;    /* --btf, NULL: the kernel's own */
	int slots_fd;	    /* watch_slots of the loaded bpf/writes.bpf.o; -1: none is loaded */
	struct watch_source source;
};

struct watch;
/*
 * Opens as many watchpoints as there are (at least one), proves each on each CPU with a store of our own, and
 * adds the records to t. -EOPNOTSUPP: under a hypervisor and not allow_vm; -ENOSPC: all in use; -EPERM,
 * -ENOENT: not here. In each case with message and hint, and nothing is left open. s (kept, not owned) must
 * have as many slots as max_slots.
 */
int watch_open(struct watch **ret, const struct watch_cfg *cfg, struct slots *s, struct transport *t,
	       struct err *err);
void watch_close(struct watch *w); /* NULL is fine; nothing is watched when it returns */

/* Disarms what was destroyed, ends turns, arms the next words, walks on. Call it about every turn (50 ms). */
int watch_tick(struct watch *w, uint64_t now_ns, struct err *err);

/* A store to a watched word of a living object. */
struct watch_store {
	const struct watch_hit *hit; /* as long as the record */
	struct slots_word word;
	bool has_old;
	uint64_t old_value; /* before this store, as far as the hits of this arming tell */
};
/* Takes records of enum watch_kind; others are left alone. True: *ret is a store. Disarms a word that is hit
 * too often. */
bool watch_record(struct watch *w, const struct abi_hdr *rec, struct watch_store *ret);

/* Stood a watchpoint on these bytes from `from` to `to`? Of the last armings only: older ones count as none.
 */
enum watch_cover watch_covered(const struct watch *w, uint64_t addr, unsigned width, uint64_t from,
			       uint64_t to);

/* Watches no more, keeps the account: for the time between the target's end and the report. */
void watch_stop(struct watch *w, uint64_t now_ns);
/*
 * Counters and notes for the footer: watchpoints proved, moves, hits, what was given up, and the chance that
 * one store to a guarded word was seen. name_of gives a place's name ("zbs::Chunk::read_perf_"), valid until
 * the next call.
 */
void watch_account(struct watch *w, uint64_t now_ns,
		   const char *(*name_of)(void *ctx, const struct slots_place *p), void *ctx,
		   struct summary *sum);

#endif
