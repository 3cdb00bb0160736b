/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Candidates from the kernel and watchpoint hits -> bad writes. A candidate counts when it lasts: the word is
 * read again after a pause without a mutator of its node, and what its pointer leads to is looked at from
 * user space, which sees memory that is not resident too. At a destruction, nobody else may touch the object,
 * so a candidate counts at once. Pure.
 */
#ifndef CULPRIT_WRITES_ENGINE_H
#define CULPRIT_WRITES_ENGINE_H

#include <sys/types.h>

#include "../../bpf/abi/writes.h"
#include "plan/writes.h"
#include "report/finding.h"

#define ENGINE_QUIET_NS 20000000ull /* no mutator of the node for so long, then the word is read again */
#define ENGINE_LATE_NS	1000000ull  /* a mutator's probe may be a few instructions behind its first store */
#define ENGINE_PATIENCE_NS                                                                                   \
	1000000000ull /* under constant mutation: a legitimate state in between does not last so long */
#define ENGINE_SWEEP                                                                                         \
	UINT32_MAX /* wr_candidate.probe of what user space saw (writes/sweep.h): found by no thread of the  \
		      target */
#define ENGINE_RIPE_NS 2000000000ull /* a finding is told after so long, if nothing may complete it */
#define ENGINE_HOPE_NS                                                                                       \
	15000000000ull /* so long a watchpoint may still name its writer, or show that its field is not      \
			  trusted */
#define ENGINE_MAX_PENDING  1024
#define ENGINE_MAX_FINDINGS 256

/* What the engine asks for. All about the live target; false or negative: gone or unreadable. */
struct engine_facts {
	void *ctx;
	/* as proc_mem_read; -ESRCH: the process is gone */
	ssize_t (*read)(void *ctx, uint64_t addr, void *buf, size_t len);
	/* Was the address mapped when the process was last looked at? Asked when it is gone; NULL: not known.
	 */
	bool (*mapped)(void *ctx, uint64_t addr);
	bool (*object)(void *ctx, uint64_t addr, struct wr_object *o);
	bool (*node)(void *ctx, uint64_t addr, struct wr_node *n);
	/* Shadow of a node of size bytes, just looked up. */
	bool (*shadow)(void *ctx, uint64_t addr, const struct wr_node *n, uint32_t size,
		       uint8_t shadow[WR_NODE_BYTES]);
	size_t (*calls)(void *ctx, struct wr_touch *v, size_t max); /* of touch functions */
	uint64_t (*n_objects)(void *ctx);			    /* in the table now */
	/* Is a change of the field since a shadow of that time judged: did all its writers have probes all
	 * the time? */
	bool (*judged)(void *ctx, unsigned type, unsigned field, uint64_t shadow_ns);
};

/* A watchpoint hit, judged (user/writes/judge.h). */
struct engine_hit {
	uint64_t ts_ns, addr, value, ip;
	bool has_old;
	uint64_t old_value; /* before the store, if has_old */
	uint64_t node, object, object_id;
	unsigned width;
	uint16_t type, field;
	pid_t tid;
	char comm[FINDING_COMM_LEN];
	bool in_kernel;
	struct store_insn insn; /* nothing if in_kernel */
	const char *syscall;	/* NULL unless in_kernel */
	bool non_writer; /* judged to have no business there; else only evidence for what a check finds */
	const char *why; /* the judge's reason */
	const struct frames *stack; /* copied */
	size_t frame;		    /* of stack: the function to name */
};

struct engine_stats {
	uint64_t candidates, transient, vanished, confirmed, distrusted, overflow;
	unsigned distrusted_fields;
	uint64_t hits; /* watchpoint hits taken as evidence */
};

struct engine_finding {
	struct bad_write w;
	uint64_t object_id, node;
	uint16_t type, field; /* of the kernel's tables */
	bool lives;	      /* the object was alive when it was found: its word may be watched */
	uint64_t found_ns;
	bool announced, told; /* engine_announce, engine_tell */
	bool again;	      /* told before, and its writer has become known since */
};

struct engine;
/* plan and facts are kept. */
int engine_create(struct engine **ret, const struct writes_plan *plan, const struct engine_facts *facts,
		  pid_t pid, struct err *err);
void engine_destroy(struct engine *e); /* NULL is fine */

/* rec: any record; those of other engines are ignored. */
void engine_record(struct engine *e, const struct abi_hdr *rec);
void engine_hit(struct engine *e, const struct engine_hit *hit);
/* Judges what is ripe. final: the session ends; what could not be confirmed is dropped. */
void engine_tick(struct engine *e, uint64_t now_ns, bool final);

/*
 * The target is dying, and this is what stands in a node: what a check suspected there and nobody has
 * explained since is confirmed by it.
 */
void engine_last_sight(struct engine *e, uint64_t node, const void *bytes, size_t len);

/* A finding that was told is told once more. */
void engine_tell_again(struct engine *e, const struct bad_write *w);

size_t engine_n_pending(const struct engine *e); /* candidates that are not judged yet */
size_t engine_n_findings(const struct engine *e);
/* Those that were told and made room for newer ones. */
size_t engine_n_forgotten(const struct engine *e);
const struct engine_finding *engine_finding(const struct engine *e, size_t i); /* in order of discovery */
/* The next new finding, each once; NULL: none. */
struct engine_finding *engine_announce(struct engine *e);
/*
 * The next finding that is ripe for the report, each once, and once more if its writer becomes known
 * afterwards. Ripe: it is not expected to be taken back or completed any more. watching: watchpoints may
 * still name its writer. final: all are ripe.
 */
struct engine_finding *engine_tell(struct engine *e, uint64_t now_ns, bool watching, bool final);
void engine_stats(const struct engine *e, struct engine_stats *s);
/* Notes on fields whose invariants hold in hardly any object: the layout is not what the debuginfo says. ""
 * when i is the end. */
const char *engine_distrust(const struct engine *e, size_t i, char *buf, size_t len);

#endif
