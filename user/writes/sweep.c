// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "writes/engine_priv.h"
#include "writes/rules.h"
#include "writes/sweep.h"

#define LICENCE_NS 1000000000ull /* as the kernel's wr_cfg.licence_ns */

struct sweep {
	const struct writes_plan *plan;
	struct engine_facts facts;
	struct sweep_source source;
	struct engine *engine;
	uint64_t suspects;
	struct sweep_node v[SWEEP_BATCH];
	uint32_t len[SWEEP_BATCH];
};

int sweep_create(struct sweep **ret, const struct writes_plan *plan, const struct engine_facts *facts,
		 const struct sweep_source *source, struct engine *engine, struct err *err)
{
	struct sweep *s = calloc(1, sizeof(*s));

	*ret = s;
	if (!s)
		return err_set(err, -ENOMEM, "out of memory");
	s->plan = plan;
	s->facts = *facts;
	s->source = *source;
	s->engine = engine;
	return 0;
}

void sweep_destroy(struct sweep *s)
{
	free(s);
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

/* own: the node as it is now. whole: last mutation of it or what holds it. */
static bool licensed(const struct wr_node *own, uint64_t whole, unsigned field)
{
	if (whole && whole + LICENCE_NS >= own->shadow_ns)
		return true;
	return own->store_ns + LICENCE_NS >= own->shadow_ns &&
	       (own->store_fields[field / 64] >> (field % 64) & 1);
}

static void suspect(struct sweep *s, const struct sweep_node *v, const struct wr_object *o, unsigned field,
		    unsigned reason, unsigned flags, uint64_t now_ns)
{
	const struct wr_field *f = &s->plan->field[s->plan->type[v->node.type].first_field + field];
	struct wr_candidate c = {
		.hdr = {.kind = WR_REC_CANDIDATE, .size = sizeof(c), .ts_ns = now_ns},
		.object = v->node.object,
		.object_id = v->node.object_id,
		.object_since_ns = o->since_ns,
		.node = v->addr,
		.old_value = rule_field_value(f, v->node.shadow),
		.new_value = rule_field_value(f, v->bytes),
		.word_addr = v->addr + f->off,
		.shadow_ns = v->node.shadow_ns,
		.mutate_seq = v->node.mutate_seq,
		.mutate_ns = v->node.mutate_ns,
		.probe = ENGINE_SWEEP,
		.object_type = (uint16_t)o->type,
		.node_type = v->node.type,
		.field = (uint16_t)field,
		.reason = (uint16_t)reason,
		.depth = v->node.depth,
		.flags = (uint8_t)flags,
		.word_width = f->width < 8 ? f->width : 8,
		.last_good = o->last_good,
		.n_touches = o->n_touches,
		.object_flags = o->flags,
	};

	memcpy(c.step, v->node.step, sizeof(c.step));
	memcpy(c.touch, o->touch, sizeof(c.touch));
	if (!verify_still_bad(s->engine, &c, c.new_value))
		return;
	s->suspects++;
	engine_record(s->engine, &c.hdr);
}

/* One node whose memory differs from its shadow in guarded bytes. */
static void judge_node(struct sweep *s, const struct sweep_node *v, unsigned flags, uint64_t now_ns)
{
	const struct wr_type *t = &s->plan->type[v->node.type];
	struct wr_object o;
	struct wr_node again;
	uint64_t whole;

	/* A destruction takes the node out of the table first: if it is still there, what was read was alive.
	 */
	if (!s->facts.node(s->facts.ctx, v->addr, &again) || again.object_id != v->node.object_id ||
	    again.shadow_ns != v->node.shadow_ns || !s->facts.object(s->facts.ctx, v->node.object, &o) ||
	    o.id != v->node.object_id)
		return;
	whole = verify_mutate_ns(s->engine, v->node.object, o.type, v->node.step, v->node.depth);
	for (unsigned i = 0; i < t->n_fields; i++) {
		const struct wr_field *f = &s->plan->field[t->first_field + i];
		uint64_t old = rule_field_value(f, v->node.shadow), now = rule_field_value(f, v->bytes);
		unsigned reason;

		if (old == now || f->kind == WR_F_REPEATED || f->kind == WR_F_REPEATED_PTR ||
		    f->kind == WR_F_VPTR)
			continue;
		reason = suspicion(f, now);
		if (!reason && s->facts.judged(s->facts.ctx, v->node.type, i, again.shadow_ns) &&
		    !licensed(&again, whole, i))
			reason = WR_BAD_UNEXPLAINED;
		if (reason)
			suspect(s, v, &o, i, reason,
				flags | (flags && licensed(&again, whole, i) ? WR_CAND_LICENSED : 0), now_ns);
	}
}

void sweep_first_sight(struct sweep *s, const struct sweep_node *v, const struct wr_object *o,
		       uint64_t now_ns)
{
	const struct wr_type *t = &s->plan->type[v->node.type];

	for (unsigned i = 0; i < t->n_fields; i++) {
		const struct wr_field *f = &s->plan->field[t->first_field + i];
		unsigned reason;

		if (f->kind == WR_F_REPEATED || f->kind == WR_F_REPEATED_PTR || f->kind == WR_F_VPTR)
			continue;
		reason = suspicion(f, rule_field_value(f, v->bytes));
		if (reason)
			suspect(s, v, o, i, reason, WR_CAND_FIRST_SIGHT, now_ns);
	}
}

static bool differs(const struct sweep *s, const struct sweep_node *v)
{
	const struct wr_type *t = &s->plan->type[v->node.type];

	for (uint32_t w = 0; w < WR_NODE_WORDS && w * 8 < t->size; w++) {
		uint64_t now;

		memcpy(&now, v->bytes + w * 8, 8);
		if ((now ^ v->node.shadow[w]) & t->mask[w])
			return true;
	}
	return false;
}

size_t sweep_step(struct sweep *s, uint64_t now_ns, size_t max, bool *end)
{
	size_t done = 0;

	*end = false;
	while (done < max && !*end) {
		int n = s->source.walk(s->source.ctx, s->v, SWEEP_BATCH, end);

		if (n <= 0)
			break;
		for (int i = 0; i < n; i++) {
			const struct wr_node *node = &s->v[i].node;
			uint32_t size = node->type < s->plan->n_types ? s->plan->type[node->type].size : 0;

			s->len[i] = size < WR_NODE_BYTES ? size : WR_NODE_BYTES;
			memset(s->v[i].bytes, 0, sizeof(s->v[i].bytes));
		}
		for (int i = 0; i < n; i++)
			s->v[i].read = false;
		s->source.read(s->source.ctx, s->v, s->len, (size_t)n);
		for (int i = 0; i < n; i++) {
			if (s->len[i] && s->v[i].read && differs(s, &s->v[i]))
				judge_node(s, &s->v[i], 0, now_ns);
		}
		done += (size_t)n;
	}
	return done;
}

void sweep_last_sight(struct sweep *s, const struct sweep_node *v, uint64_t ts_ns)
{
	if (v->node.type < s->plan->n_types && v->read && differs(s, v))
		judge_node(s, v, WR_CAND_LAST, ts_ns);
}

uint64_t sweep_suspects(const struct sweep *s)
{
	return s->suspects;
}
