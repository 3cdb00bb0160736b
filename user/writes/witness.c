// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "writes/witness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "util/hash.h"

#define MAX_KNOWN_IPS 65536

/* Code whose stores to nodes of a type are known to be legitimate. */
struct known_ip {
	struct {
		uint64_t ip;
		uint64_t type;
	} key;
	UT_hash_handle hh;
};

struct held {
	struct engine_hit h;
	struct frames stack;
	char why[JUDGE_REASON_LEN];
};

struct witness {
	struct witness_cfg cfg;
	struct known_ip *known;
	struct held held[WITNESS_MAX_HELD];
	size_t n_held;
	uint64_t second; /* of the clock, to which `unwound` belongs */
	unsigned unwound;
	struct witness_stats stats;
};

int witness_create(struct witness **ret, const struct witness_cfg *cfg, struct err *err)
{
	struct witness *w = calloc(1, sizeof(*w));

	*ret = NULL;
	if (!w)
		return err_set(err, -ENOMEM, "out of memory");
	w->cfg = *cfg;
	*ret = w;
	return 0;
}

void witness_destroy(struct witness *w)
{
	struct known_ip *k, *tmp;

	if (!w)
		return;
	HASH_ITER (hh, w->known, k, tmp) {
		HASH_DEL(w->known, k);
		free(k);
	}
	for (size_t i = 0; i < w->n_held; i++)
		frames_deinit(&w->held[i].stack);
	free(w);
}

static struct known_ip *known_find(struct witness *w, uint64_t ip, uint16_t type)
{
	struct known_ip key = {0}, *k;

	key.key.ip = ip;
	key.key.type = type;
	HASH_FIND(hh, w->known, &key.key, sizeof(key.key), k);
	return k;
}

static void known_add(struct witness *w, uint64_t ip, uint16_t type)
{
	struct known_ip *k;

	if (HASH_COUNT(w->known) >= MAX_KNOWN_IPS || !(k = calloc(1, sizeof(*k))))
		return;
	k->key.ip = ip;
	k->key.type = type;
	HASH_ADD(hh, w->known, key, sizeof(k->key), k);
}

static void judge(struct witness *w, const struct watch_hit *h, const struct frames *st, const char *syscall,
		  struct judge_result *ret)
{
	const struct guard_field *g = plan_guard_field(w->cfg.plan, h->type, h->field);
	struct judge_ask ask = {
		.stack = st,
		.in_kernel = h->flags & WATCH_HIT_KERNEL,
		.syscall = syscall,
		.proto = g->proto,
		.kind = g->kind,
		.field = g->path,
	};
	bool kin = w->cfg.kin(w->cfg.kin_ctx, h->type, &ask);

	judge_write(&ask, ret);
	if (!kin && ret->verdict == JUDGE_NON_WRITER) {
		ret->verdict = JUDGE_UNKNOWN;
		snprintf(ret->reason, sizeof(ret->reason), "the relatives of %s could not be read", ask.type);
	}
}

/* False: more stacks than this second allows. */
static bool may_unwind(struct witness *w, uint64_t ts_ns)
{
	if (ts_ns / 1000000000 != w->second) {
		w->second = ts_ns / 1000000000;
		w->unwound = 0;
	}
	return w->unwound++ < WITNESS_PER_SECOND;
}

/* One system call stores piece by piece, and each piece traps: the pieces are one store. */
static bool hold_again(struct witness *w, const struct engine_hit *h)
{
	for (size_t i = w->n_held; h->in_kernel && i-- > 0;) {
		struct engine_hit *o = &w->held[i].h;

		if (!o->in_kernel || o->tid != h->tid || o->addr != h->addr || o->ip != h->ip)
			continue;
		if (h->ts_ns > o->ts_ns + WITNESS_ONE_CALL_NS)
			return false;
		o->ts_ns = h->ts_ns;
		o->value = h->value;
		return true;
	}
	return false;
}

static void hold(struct witness *w, const struct engine_hit *h, struct frames *stack, const char *why)
{
	struct held *k = &w->held[w->n_held];

	if (w->n_held == WITNESS_MAX_HELD) { /* the engine still hears of it */
		engine_hit(w->cfg.engine, h);
		frames_deinit(stack);
		return;
	}
	w->n_held++;
	k->h = *h;
	k->stack = *stack;
	snprintf(k->why, sizeof(k->why), "%s", why);
}

static struct engine_hit hit_of(const struct watch_hit *h, bool has_old, uint64_t old_value,
				const char *syscall)
{
	struct engine_hit e = {
		.ts_ns = h->hdr.ts_ns,
		.addr = h->addr,
		.value = h->value,
		.has_old = has_old,
		.old_value = old_value,
		.ip = h->flags & WATCH_HIT_KERNEL ? h->stack.reg[ABI_REG_IP] : h->ip,
		.node = h->node,
		.object = h->object,
		.object_id = h->object_id,
		.width = h->width,
		.type = h->type,
		.field = h->field,
		.tid = (pid_t)h->hdr.tid,
		.in_kernel = h->flags & WATCH_HIT_KERNEL,
		.syscall = syscall,
	};

	memcpy(e.comm, h->hdr.comm, sizeof(e.comm));
	e.comm[sizeof(e.comm) - 1] = '\0';
	return e;
}

/* Which instruction it was. One that cannot have stored there names no writer. */
static void look_at_store(struct witness *w, const struct watch_hit *h, struct engine_hit *e,
			  struct judge_result *r)
{
	struct storing_code code;

	if (!w->cfg.code || w->cfg.code(w->cfg.unwind_ctx, h->ip, &code)) {
		snprintf(e->insn.why, sizeof(e->insn.why), "its code is in no file that can be read");
		return;
	}
	if (storing_find(&code, h->ip, h->stack.reg, h->addr, h->width, &e->insn) != STORING_NOT)
		return;
	w->stats.strange++;
	if (r->verdict == JUDGE_NON_WRITER) {
		r->verdict = JUDGE_UNKNOWN;
		snprintf(r->reason, sizeof(r->reason),
			 "the instruction before the trap (%s) does not store there", e->insn.text);
	}
}

void witness_store(struct witness *w, const struct watch_hit *h, bool has_old, uint64_t old_value)
{
	bool kernel = h->flags & WATCH_HIT_KERNEL;
	const char *syscall = kernel && h->syscall >= 0 ? w->cfg.syscall_name(h->syscall) : NULL;
	struct engine_hit e = hit_of(h, has_old, old_value, syscall);
	struct frames stack = {0};
	struct judge_result r;

	w->stats.stores++;
	if (!plan_guard_field(w->cfg.plan, h->type, h->field) || (h->flags & WATCH_HIT_NOREAD) ||
	    h->width > sizeof(h->value)) {
		w->stats.unjudged++;
		return;
	}
	if (!kernel && known_find(w, h->ip, h->type)) {
		w->stats.writers++;
		return;
	}
	if (!may_unwind(w, h->hdr.ts_ns) || w->cfg.unwind(w->cfg.unwind_ctx, &h->stack, true, &stack)) {
		w->stats.unjudged++;
		frames_deinit(&stack);
		return;
	}
	judge(w, h, &stack, syscall, &r);
	if (!kernel && (r.verdict == JUDGE_NON_WRITER || r.verdict == JUDGE_UNKNOWN))
		look_at_store(w, h, &e, &r);
	e.frame = r.frame;
	e.stack = &stack;
	e.why = r.reason;
	switch (r.verdict) {
	case JUDGE_WRITER:
		w->stats.writers++;
		if (r.by_ip)
			known_add(w, h->ip, h->type);
		break;
	case JUDGE_ALLOCATOR:
		w->stats.allocators++;
		break;
	case JUDGE_UNKNOWN:
		w->stats.unknown++;
		engine_hit(w->cfg.engine, &e);
		break;
	case JUDGE_NON_WRITER:
		if (hold_again(w, &e))
			break;
		w->stats.non_writers++;
		hold(w, &e, &stack, r.reason);
		return;
	}
	frames_deinit(&stack);
}

enum life { LIFE_YES, LIFE_ENDED, LIFE_LOST };

/* Is the node still what it was? LOST: in the table, but something else stands in its memory: its end was
 * missed. */
static enum life still_alive(const struct witness *w, const struct engine_hit *h)
{
	const struct wr_type *t = &w->cfg.plan->type[h->type];
	struct wr_node n;
	uint64_t vptr;

	if (!w->cfg.facts.node(w->cfg.facts.ctx, h->node, &n) || n.object_id != h->object_id)
		return LIFE_ENDED;
	if (w->cfg.facts.read(w->cfg.facts.ctx, h->node, &vptr, sizeof(vptr)) != (ssize_t)sizeof(vptr))
		return LIFE_ENDED;
	if (!t->n_vptrs)
		return LIFE_YES;
	for (uint32_t i = 0; i < t->n_vptrs && i < WR_MAX_VPTRS; i++) {
		if (t->vptr[i] == vptr)
			return LIFE_YES;
	}
	return LIFE_LOST;
}

static void release(struct witness *w, struct held *k, bool final)
{
	enum life life = final ? LIFE_ENDED : still_alive(w, &k->h);

	k->h.stack = &k->stack;
	k->h.why = k->why;
	k->h.non_writer = life == LIFE_YES;
	w->stats.vanished += life != LIFE_YES;
	if (life != LIFE_LOST)
		engine_hit(w->cfg.engine, &k->h);
	frames_deinit(&k->stack);
}

void witness_tick(struct witness *w, uint64_t now_ns, bool final)
{
	size_t kept = 0;

	for (size_t i = 0; i < w->n_held; i++) {
		struct held *k = &w->held[i];

		if (!final && now_ns < k->h.ts_ns + WITNESS_PAUSE_NS) {
			if (kept != i)
				w->held[kept] = *k;
			kept++;
			continue;
		}
		release(w, k, final && now_ns < k->h.ts_ns + WITNESS_PAUSE_NS);
	}
	w->n_held = kept;
}

void witness_stats(const struct witness *w, struct witness_stats *s)
{
	*s = w->stats;
}
