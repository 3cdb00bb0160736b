// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "writes/nursery.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/hash.h"
#include "writes/rules.h"

struct child {
	uint64_t addr, id; /* of the object: an address may be another object's later */
	uint64_t due_ns, round;
	unsigned tries;
	bool adopted;
	UT_hash_handle hh;
};

struct item {
	uint64_t addr;
	uint16_t type;
	uint8_t depth;
	bool inserted;
	bool sub; /* behind a message pointer */
	struct wr_step step[WR_PATH_DEPTH];
};

struct nursery {
	const struct writes_plan *plan;
	struct engine_facts facts;
	struct nursery_source source;
	struct sweep *sweep;
	struct child *children;
	uint64_t round;
	struct nursery_stats stats;
	struct nursery_object v[NURSERY_BATCH];
	struct item q[WR_MAX_WALK];
	size_t n_q;
	uint8_t bytes[WR_NODE_BYTES]; /* of the node in hand */
};

int nursery_create(struct nursery **ret, const struct writes_plan *plan, const struct engine_facts *facts,
		   const struct nursery_source *source, struct sweep *sweep, struct err *err)
{
	struct nursery *n = calloc(1, sizeof(*n));

	*ret = n;
	if (!n)
		return err_set(err, -ENOMEM, "out of memory");
	n->plan = plan;
	n->facts = *facts;
	n->source = *source;
	n->sweep = sweep;
	return 0;
}

void nursery_destroy(struct nursery *n)
{
	struct child *c, *next;

	if (!n)
		return;
	HASH_ITER (hh, n->children, c, next) {
		HASH_DEL(n->children, c);
		free(c);
	}
	free(n);
}

/* Reads the node in hand. False: not readable, or no object of that type stands there. */
static bool node_read(struct nursery *n, const struct item *q)
{
	const struct wr_type *t = &n->plan->type[q->type];
	uint32_t len = t->size < WR_NODE_BYTES ? t->size : WR_NODE_BYTES;
	uint64_t vptr;

	memset(n->bytes, 0, sizeof(n->bytes));
	if (n->facts.read(n->facts.ctx, q->addr, n->bytes, len) != (ssize_t)len)
		return false;
	memcpy(&vptr, n->bytes, sizeof(vptr));
	for (uint32_t i = 0; i < t->n_vptrs; i++) {
		if (t->vptr[i] == vptr)
			return true;
	}
	return false;
}

static void push(struct nursery *n, const struct item *from, uint64_t addr, uint16_t type, unsigned field,
		 unsigned index, bool sub)
{
	struct item *q;

	if (!addr || type >= n->plan->n_types)
		return;
	if (n->n_q == WR_MAX_WALK || from->depth == WR_PATH_DEPTH) {
		n->stats.left++;
		return;
	}
	q = &n->q[n->n_q++];
	*q = *from;
	q->addr = addr;
	q->type = type;
	q->inserted = false;
	q->sub |= sub;
	q->step[q->depth++] = (struct wr_step){.field = (uint16_t)field, .index = (uint16_t)index};
}

static int32_t int_at(const uint8_t *bytes, unsigned off)
{
	int32_t v;

	memcpy(&v, bytes + off, sizeof(v));
	return v;
}

static void push_elements(struct nursery *n, const struct item *from, const struct wr_field *f,
			  unsigned field)
{
	int32_t count = int_at(n->bytes, f->off + f->current_off);
	uint64_t block, elem[WR_MAX_ELEMENTS];

	if (count <= 0 || count > int_at(n->bytes, f->off + f->total_off))
		return;
	if (count > WR_MAX_ELEMENTS) {
		n->stats.left++;
		count = WR_MAX_ELEMENTS;
	}
	memcpy(&block, n->bytes + f->off + f->rep_off, sizeof(block));
	if (n->facts.read(n->facts.ctx, block + f->rep_header, elem, 8u * (size_t)count) != 8 * count)
		return;
	for (int32_t i = 0; i < count; i++)
		push(n, from, elem[i], f->pointee, field, (unsigned)i, false);
}

static void push_children(struct nursery *n, const struct item *from)
{
	const struct wr_type *t = &n->plan->type[from->type];

	for (uint32_t c = 0; c < t->n_children; c++) {
		const struct wr_field *f = &n->plan->field[t->first_field + t->child[c]];

		if (f->kind == WR_F_MESSAGE)
			push(n, from, rule_field_value(f, n->bytes), f->pointee, t->child[c], 0, true);
		else if (f->off <= WR_NODE_BYTES - 24)
			push_elements(n, from, f, t->child[c]);
	}
}

/*
 * The node in hand, if the kernel does not have it. Whoever is at work on it since before cannot have got a
 * licence, so it gets one for now.
 */
static void adopt(struct nursery *n, struct item *q, const struct nursery_object *v, uint64_t now_ns)
{
	struct wr_node w;

	if (n->facts.node(n->facts.ctx, q->addr, &w) && w.object_id == v->o.id && w.type == q->type)
		return;
	w = (struct wr_node){.object = v->addr,
			     .object_id = v->o.id,
			     .type = q->type,
			     .depth = q->depth,
			     .flags = (q->depth ? 0 : WR_NODE_ROOT) | (q->sub ? WR_NODE_SUB : 0),
			     .shadow_ns = now_ns,
			     .mutate_ns = now_ns};
	memcpy(w.step, q->step, sizeof(w.step));
	memcpy(w.shadow, n->bytes, sizeof(w.shadow));
	q->inserted = n->source.insert(n->source.ctx, q->addr, &w, n->bytes);
	if (q->inserted)
		sweep_first_sight(n->sweep, q->addr, &w, &v->o, n->bytes);
}

/* Everything the object leads to. False: it is not built yet, or none of the type. */
static bool visit(struct nursery *n, const struct nursery_object *v, uint64_t now_ns)
{
	struct wr_object o;

	n->q[0] = (struct item){.addr = v->addr, .type = (uint16_t)v->o.type};
	n->n_q = 1;
	for (size_t i = 0; i < n->n_q; i++) {
		if (!node_read(n, &n->q[i])) {
			if (!i)
				return false;
			continue; /* the field that leads there is judged for itself */
		}
		adopt(n, &n->q[i], v, now_ns);
		push_children(n, &n->q[i]);
	}
	/* A destructor takes the object out before its nodes: if it is still there, the nodes will go with
	 * it. */
	if (!n->facts.object(n->facts.ctx, v->addr, &o) || o.id != v->o.id) {
		for (size_t i = 0; i < n->n_q; i++) {
			if (n->q[i].inserted)
				n->source.drop(n->source.ctx, n->q[i].addr, v->o.id);
		}
	}
	return true;
}

static struct child *child_of(struct nursery *n, const struct nursery_object *v)
{
	struct child *c;

	HASH_FIND(hh, n->children, &v->addr, sizeof(v->addr), c);
	if (!c) {
		c = calloc(1, sizeof(*c));
		if (!c)
			return NULL;
		c->addr = v->addr;
		HASH_ADD(hh, n->children, addr, sizeof(c->addr), c);
	}
	if (c->id != v->o.id) {
		c->id = v->o.id;
		c->due_ns = v->o.since_ns + NURSERY_BUILD_NS;
		c->tries = 0;
		c->adopted = false;
	}
	c->round = n->round;
	return c;
}

static void look_at(struct nursery *n, const struct nursery_object *v, uint64_t now_ns)
{
	struct child *c = child_of(n, v);

	if (!c || now_ns < c->due_ns || c->tries == NURSERY_TRIES)
		return;
	if (!visit(n, v, now_ns)) {
		c->due_ns = now_ns + NURSERY_BUILD_NS;
		if (++c->tries == NURSERY_TRIES)
			n->stats.strange += !c->adopted;
		return;
	}
	n->stats.adopted += !c->adopted;
	c->adopted = true;
	c->tries = 0;
	c->due_ns = now_ns + NURSERY_AGAIN_NS;
}

/* Those that this round did not meet have gone. */
static void forget(struct nursery *n)
{
	struct child *c, *next;

	HASH_ITER (hh, n->children, c, next) {
		if (c->round == n->round)
			continue;
		HASH_DEL(n->children, c);
		free(c);
	}
	n->round++;
}

size_t nursery_step(struct nursery *n, uint64_t now_ns, bool *end)
{
	int got;

	*end = false;
	got = n->source.walk(n->source.ctx, n->v, NURSERY_BATCH, end);
	for (int i = 0; i < got; i++) {
		if ((n->v[i].o.flags & WR_OBJ_BORN) && n->v[i].o.type < n->plan->n_types)
			look_at(n, &n->v[i], now_ns);
	}
	if (*end)
		forget(n);
	return got > 0 ? (size_t)got : 0;
}

void nursery_stats(const struct nursery *n, struct nursery_stats *s)
{
	*s = n->stats;
}
