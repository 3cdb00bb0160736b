// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../bpf/abi/digest.h"
#include "util/grow.h"
#include "writes/engine_priv.h"
#include "writes/rules.h"
#include "writes/sweep.h"

#define LICENCE_NS 1000000000ull /* as the kernel's wr_cfg.licence_ns */
#define SPAN_BYTES (256u << 10)	 /* read at once */
#define GAP_BYTES  4096		 /* between two nodes, at most, if they are read at once */

struct swept {
	uint64_t addr;
	uint64_t digest; /* when it was last good; 0: not known */
	uint32_t type;
	bool gone;
};

struct sweep {
	const struct writes_plan *plan;
	struct engine_facts facts;
	struct sweep_source source;
	struct engine *engine;
	struct swept *v; /* by address */
	size_t n, at;	 /* at: where the round is */
	struct swept *fresh;
	size_t n_fresh;
	bool missed;
	struct sweep_stats stats;
	uint8_t *buf; /* SPAN_BYTES + WR_NODE_BYTES */
};

/* A changed node under the eye. */
struct look {
	const uint8_t *bytes;
	uint64_t addr, read_ns; /* before the bytes were read */
	struct wr_node node;
	struct wr_object object;
	bool has_object;
	uint64_t since, whole; /* with has_object */
	uint8_t shadow[WR_NODE_BYTES];
};

int sweep_create(struct sweep **ret, const struct writes_plan *plan, const struct engine_facts *facts,
		 const struct sweep_source *source, struct engine *engine, struct err *err)
{
	struct sweep *s = calloc(1, sizeof(*s));

	*ret = NULL;
	if (s)
		s->buf = calloc(1, SPAN_BYTES + WR_NODE_BYTES);
	if (!s || !s->buf) {
		sweep_destroy(s);
		return err_set(err, -ENOMEM, "out of memory");
	}
	s->plan = plan;
	s->facts = *facts;
	s->source = *source;
	s->engine = engine;
	*ret = s;
	return 0;
}

void sweep_destroy(struct sweep *s)
{
	if (!s)
		return;
	free(s->v);
	free(s->fresh);
	free(s->buf);
	free(s);
}

static void add(struct sweep *s, uint64_t addr, uint64_t type, uint64_t digest)
{
	if (addr % 8 || type >= s->plan->n_types)
		return;
	if (GROW(&s->fresh, s->n_fresh)) {
		s->missed = true;
		return;
	}
	s->fresh[s->n_fresh++] = (struct swept){.addr = addr, .type = (uint32_t)type, .digest = digest};
}

void sweep_record(struct sweep *s, const struct abi_hdr *rec)
{
	const struct wr_nodes_rec *r = (const struct wr_nodes_rec *)rec;

	if (rec->kind != WR_REC_NODES || rec->size < offsetof(struct wr_nodes_rec, node) ||
	    r->n > WR_MAX_WALK || rec->size < offsetof(struct wr_nodes_rec, node) + r->n * sizeof(r->node[0]))
		return;
	for (uint64_t i = 0; i < r->n; i++)
		add(s, r->node[i].addr, r->node[i].type, r->node[i].digest);
}

void sweep_missed(struct sweep *s)
{
	s->missed = true;
}

static int by_addr(const void *a, const void *b)
{
	const struct swept *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* Appends to a sorted list; the same address again: one of them is out of date, so the kernel is asked. */
static void append(struct swept *v, size_t *n, const struct swept *x)
{
	if (*n && v[*n - 1].addr == x->addr) {
		v[*n - 1].digest = 0;
		return;
	}
	v[(*n)++] = *x;
}

/* The list of the next round: what is left of this one's, and what is new. */
static void merge(struct sweep *s)
{
	struct swept *v = malloc((s->n + s->n_fresh + 1) * sizeof(*v));
	size_t n = 0, i = 0, k = 0;

	if (!v)
		return; /* the new ones wait */
	if (s->n_fresh)
		qsort(s->fresh, s->n_fresh, sizeof(*s->fresh), by_addr);
	while (i < s->n || k < s->n_fresh) {
		if (k == s->n_fresh || (i < s->n && s->v[i].addr <= s->fresh[k].addr)) {
			if (!s->v[i].gone)
				append(v, &n, &s->v[i]);
			i++;
		} else {
			append(v, &n, &s->fresh[k++]);
		}
	}
	free(s->v);
	s->v = v;
	s->n = n;
	s->n_fresh = 0;
}

/* What the value alone tells; a pointer is only suspected, the engine looks where it leads. */
static unsigned suspicion(const struct wr_field *f, uint64_t v)
{
	switch (f->kind) {
	case WR_F_MESSAGE:
		return v ? WR_BAD_POINTER : WR_BAD_NONE;
	case WR_F_STRING_PTR:
	case WR_F_STRING_TAGGED:
	case WR_F_STRING:
		return WR_BAD_POINTER;
	default:
		return rule_value(f, v);
	}
}

static bool look_object(struct sweep *s, struct look *k)
{
	const struct wr_node *n = &k->node;

	if (k->has_object)
		return true;
	if (!s->facts.object(s->facts.ctx, n->object, &k->object) || k->object.id != n->object_id)
		return false;
	k->since = wr_since(n, &k->object.digest[n->flags & WR_NODE_SUB ? WR_DIGEST_SUB : WR_DIGEST_TOP]);
	k->whole = verify_mutate_ns(s->engine, n->object, k->object.type, n->step, n->depth);
	if (n->mutate_ns > k->whole)
		k->whole = n->mutate_ns;
	k->has_object = true;
	return true;
}

/* True also if the object has gone: then nothing is judged. */
static bool licensed(struct sweep *s, struct look *k, unsigned field)
{
	const struct wr_node *n = &k->node;

	/* for sure, and without another look into the kernel's tables */
	if (n->mutate_ns && n->mutate_ns + LICENCE_NS >= k->read_ns)
		return true;
	if (!look_object(s, k) || !s->facts.judged(s->facts.ctx, n->type, field, k->since))
		return true;
	if (k->whole && k->whole + LICENCE_NS >= k->since)
		return true;
	return n->store_ns + LICENCE_NS >= k->since && (n->store_fields[field / 64] >> (field % 64) & 1);
}

/* Has the kernel looked at the node since its bytes were read, or has it gone? Then they prove nothing. */
static bool outdated(const struct sweep *s, const struct look *k)
{
	struct wr_node again;

	return k->node.shadow_ns > k->read_ns || !s->facts.node(s->facts.ctx, k->addr, &again) ||
	       again.object_id != k->node.object_id || again.shadow_ns != k->node.shadow_ns;
}

enum seen { SEEN_GOOD, SEEN_SUSPECT, SEEN_OUTDATED };

/* Hands field of a node to the engine, if it is as suspected. k->since is known. */
static enum seen suspect(struct sweep *s, const struct look *k, unsigned field, unsigned reason,
			 unsigned flags)
{
	const struct wr_node *n = &k->node;
	const struct wr_field *f = &s->plan->field[s->plan->type[n->type].first_field + field];
	const struct wr_object *o = &k->object;
	struct wr_candidate c = {
		.hdr = {.kind = WR_REC_CANDIDATE, .size = sizeof(c), .ts_ns = k->read_ns},
		.object = n->object,
		.object_id = n->object_id,
		.object_since_ns = o->since_ns,
		.node = k->addr,
		.old_value = rule_field_value(f, k->shadow),
		.new_value = rule_field_value(f, k->bytes),
		.word_addr = k->addr + f->off,
		.shadow_ns = k->since,
		.mutate_seq = n->mutate_seq,
		.mutate_ns = n->mutate_ns,
		.probe = ENGINE_SWEEP,
		.object_type = (uint16_t)o->type,
		.node_type = n->type,
		.field = (uint16_t)field,
		.reason = (uint16_t)reason,
		.depth = n->depth,
		.flags = (uint8_t)flags,
		.word_width = f->width < 8 ? f->width : 8,
		.last_good = o->last_good,
		.n_touches = o->n_touches,
		.object_flags = o->flags,
	};

	memcpy(c.step, n->step, sizeof(c.step));
	memcpy(c.touch, o->touch, sizeof(c.touch));
	if (!verify_still_bad(s->engine, &c, c.new_value))
		return SEEN_GOOD;
	s->stats.suspects++;
	engine_record(s->engine, &c.hdr);
	return SEEN_SUSPECT;
}

/* The sweep does not look at these. */
static bool passed_over(const struct wr_field *f)
{
	return f->kind == WR_F_REPEATED || f->kind == WR_F_REPEATED_PTR || f->kind == WR_F_VPTR;
}

void sweep_first_sight(struct sweep *s, uint64_t addr, const struct wr_node *n, const struct wr_object *o,
		       const uint8_t bytes[WR_NODE_BYTES])
{
	const struct wr_type *t = &s->plan->type[n->type];
	struct look k = {.bytes = bytes,
			 .addr = addr,
			 .read_ns = n->shadow_ns,
			 .node = *n,
			 .object = *o,
			 .has_object = true,
			 .since = n->shadow_ns};

	memcpy(k.shadow, bytes, sizeof(k.shadow));
	for (unsigned i = 0; i < t->n_fields; i++) {
		const struct wr_field *f = &s->plan->field[t->first_field + i];
		unsigned reason = passed_over(f) ? WR_BAD_NONE : suspicion(f, rule_field_value(f, bytes));

		if (reason)
			suspect(s, &k, i, reason, WR_CAND_FIRST_SIGHT);
	}
	add(s, addr, n->type, 0);
}

/*
 * Messages on an arena end with it, without a destructor: what stands there now may be something else.
 * protobuf 3 keeps the arena in MessageLite's word behind the vptr, which is no field of the message itself;
 * its lower bits are a tag, of which 1 says that it points to a pair of arena and unknown fields instead.
 */
static bool on_arena(const struct sweep *s, const struct look *k)
{
	const struct guard_type *g = s->plan->info[k->node.type].guard;
	uint64_t word, arena = 0;

	if (!g || !g->message || g->size < 16 || guard_field_at(g, 8) != GUARD_NONE)
		return false;
	memcpy(&word, k->shadow + 8, sizeof(word));
	if (!(word & 1))
		return (word & ~3ull) != 0;
	return s->facts.read(s->facts.ctx, word & ~3ull, &arena, sizeof(arena)) != sizeof(arena) || arena;
}

/* A node whose memory differs from its shadow in guarded bytes. */
static enum seen judge(struct sweep *s, struct look *k, unsigned flags)
{
	const struct wr_type *t = &s->plan->type[k->node.type];
	enum seen worst = SEEN_GOOD;

	for (unsigned i = 0; i < t->n_fields; i++) {
		const struct wr_field *f = &s->plan->field[t->first_field + i];
		uint64_t old = rule_field_value(f, k->shadow), now = rule_field_value(f, k->bytes);
		bool unexplained;
		unsigned reason;
		enum seen seen = SEEN_GOOD;

		if (old == now || passed_over(f))
			continue;
		reason = suspicion(f, now);
		unexplained = (f->flags & WR_FF_SHADOW) && !licensed(s, k, i);
		if (!reason && !unexplained)
			continue;
		if (on_arena(s, k)) {
			s->stats.on_arena++;
			return SEEN_GOOD;
		}
		if (outdated(s, k) || !look_object(s, k))
			return SEEN_OUTDATED;
		if (flags && licensed(s, k, i))
			flags |= WR_CAND_LICENSED;
		if (reason)
			seen = suspect(s, k, i, reason, flags);
		if (seen == SEEN_GOOD && unexplained)
			seen = suspect(s, k, i, WR_BAD_UNEXPLAINED, flags);
		flags &= ~(unsigned)WR_CAND_LICENSED;
		worst = seen > worst ? seen : worst;
	}
	return worst;
}

static bool differs(const struct wr_type *t, const uint8_t *bytes, const uint8_t *shadow)
{
	for (uint32_t w = 0; w < WR_NODE_WORDS && w * 8 < t->size; w++) {
		uint64_t a, b;

		memcpy(&a, bytes + w * 8, 8);
		memcpy(&b, shadow + w * 8, 8);
		if ((a ^ b) & t->mask[w])
			return true;
	}
	return false;
}

/* A node whose digest is not what it was. */
static void changed(struct sweep *s, struct swept *x, const uint8_t *bytes, uint64_t digest, uint64_t read_ns)
{
	struct look k = {.bytes = bytes, .addr = x->addr, .read_ns = read_ns};
	const struct wr_type *t;

	s->stats.changed++;
	if (!s->facts.node(s->facts.ctx, x->addr, &k.node) || k.node.type >= s->plan->n_types) {
		x->gone = true;
		return;
	}
	if (k.node.type != x->type) { /* another one since: the digest is of no use */
		x->type = k.node.type;
		x->digest = 0;
		return;
	}
	t = &s->plan->type[x->type];
	if (!s->facts.shadow(s->facts.ctx, x->addr, &k.node, t->size, k.shadow))
		return; /* it goes just now */
	if (!differs(t, bytes, k.shadow) || judge(s, &k, 0) == SEEN_GOOD)
		x->digest = digest;
}

void sweep_last_sight(struct sweep *s, uint64_t addr, const struct wr_node *n,
		      const uint8_t bytes[WR_NODE_BYTES], uint64_t ts_ns)
{
	struct look k = {.bytes = bytes, .addr = addr, .read_ns = ts_ns, .node = *n};
	const struct wr_type *t;

	if (n->type >= s->plan->n_types)
		return;
	t = &s->plan->type[n->type];
	if (s->facts.shadow(s->facts.ctx, addr, n, t->size, k.shadow) && differs(t, bytes, k.shadow))
		judge(s, &k, WR_CAND_LAST);
}

static uint32_t bytes_of(const struct sweep *s, const struct swept *x)
{
	uint32_t size = s->plan->type[x->type].size;

	return size < WR_NODE_BYTES ? size : WR_NODE_BYTES;
}

/* Reads the node at s->at and those after it that lie near, and compares them. Goes on to the first that was
 * not read. */
static void span(struct sweep *s)
{
	uint64_t start = s->v[s->at].addr, end = start + bytes_of(s, &s->v[s->at]), read_ns, digest;
	size_t to = s->at + 1;
	struct wr_node n;
	ssize_t got;

	for (; to < s->n && s->v[to].addr <= end + GAP_BYTES; to++) {
		uint64_t e = s->v[to].addr + bytes_of(s, &s->v[to]);

		if (e - start > SPAN_BYTES)
			break;
		end = e > end ? e : end;
	}
	read_ns = s->source.clock(s->source.ctx);
	got = s->facts.read(s->facts.ctx, start, s->buf, end - start);
	if (got < (ssize_t)bytes_of(s, &s->v[s->at])) { /* not even the first */
		s->v[s->at].gone = !s->facts.node(s->facts.ctx, start, &n);
		s->at++;
		return;
	}
	for (; s->at < to; s->at++) {
		struct swept *x = &s->v[s->at];
		const uint8_t *bytes = s->buf + (x->addr - start);

		if (x->addr + bytes_of(s, x) > start + (uint64_t)got)
			return;
		digest = wr_digest(x->addr, x->type, &s->plan->type[x->type], bytes);
		if (digest != x->digest || !digest)
			changed(s, x, bytes, digest, read_ns);
	}
}

/* All nodes of the kernel's table, for the next round's list. */
static void look_through(struct sweep *s)
{
	struct sweep_key v[SWEEP_BATCH];
	bool end = false;

	s->missed = false;
	while (!end) {
		int n = s->source.walk(s->source.ctx, v, SWEEP_BATCH, &end);

		if (n < 0)
			return;
		for (int i = 0; i < n; i++)
			add(s, v[i].addr, v[i].type, 0);
	}
}

size_t sweep_step(struct sweep *s, size_t max, bool *end)
{
	size_t from = s->at;

	if (s->at == 0) {
		if (s->missed)
			look_through(s);
		merge(s);
	}
	while (s->at < s->n && s->at - from < max)
		span(s);
	*end = s->at >= s->n;
	from = s->at - from;
	if (*end)
		s->at = 0;
	return from;
}

void sweep_stats(const struct sweep *s, struct sweep_stats *ret)
{
	*ret = s->stats;
	ret->nodes = s->n + s->n_fresh;
}
