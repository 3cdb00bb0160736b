// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The second look at a candidate. */
#include <errno.h>

#include "writes/engine_priv.h"
#include "writes/rules.h"

static bool read_word(const struct engine *e, uint64_t addr, uint64_t *v)
{
	*v = 0;
	return e->facts.read(e->facts.ctx, addr, v, sizeof(*v)) == (ssize_t)sizeof(*v);
}

static bool readable(const struct engine *e, uint64_t addr)
{
	char c;
	ssize_t n = e->facts.read(e->facts.ctx, addr, &c, 1);

	/* of a process that is gone, nothing can be read: then it is what it had mapped that counts */
	if (n == -ESRCH)
		return e->facts.mapped && e->facts.mapped(e->facts.ctx, addr);
	return n == 1;
}

static ssize_t rule_read(void *ctx, uint64_t addr, void *buf, size_t len)
{
	const struct engine *e = ctx;

	return e->facts.read(e->facts.ctx, addr, buf, len);
}

static bool rule_vptr_ok(void *ctx, unsigned type, uint64_t v)
{
	const struct engine *e = ctx;
	const struct wr_type *t;

	if (type >= e->plan->n_types)
		return true;
	t = &e->plan->type[type];
	if (!t->n_vptrs)
		return true;
	for (uint32_t i = 0; i < t->n_vptrs; i++) {
		if (t->vptr[i] == v)
			return true;
	}
	return false;
}

/* After the destruction what it points to may be gone: what was seen behind the pointer then still counts. */
static bool destroyed_bad(const struct engine *e, const struct wr_candidate *c, const struct wr_field *f,
			  uint64_t v)
{
	switch (f->kind) {
	case WR_F_MESSAGE:
		return v && (c->reason == WR_BAD_POINTEE || !readable(e, v));
	case WR_F_STRING_PTR:
		return !readable(e, c->reason == WR_BAD_POINTEE ? c->pointee : v);
	case WR_F_STRING_TAGGED:
		return !readable(e, c->reason == WR_BAD_POINTEE ? c->pointee : v & ~(uint64_t)f->max);
	default:
		return !readable(e, v);
	}
}

bool verify_still_bad(const struct engine *e, const struct wr_candidate *c, uint64_t v)
{
	const struct rule_mem mem = {.ctx = (void *)e, .read = rule_read, .vptr_ok = rule_vptr_ok};
	const struct wr_field *f = NULL;
	uint64_t pointee;

	if (c->node_type < e->plan->n_types && c->field < e->plan->type[c->node_type].n_fields)
		f = &e->plan->field[e->plan->type[c->node_type].first_field + c->field];
	if (!f)
		return false;
	if (c->reason != WR_BAD_POINTER && c->reason != WR_BAD_POINTEE)
		return true; /* a matter of the value alone, which has been compared */
	if (c->flags & (WR_CAND_DESTROY | WR_CAND_LAST))
		return destroyed_bad(e, c, f, v);
	if (f->kind == WR_F_REPEATED || f->kind == WR_F_REPEATED_PTR)
		return !readable(e, v);
	return rule_pointer(&mem, f, c->node_type, v, &pointee) != WR_BAD_NONE;
}

/* One step from node *at of type *type; false: it cannot be made. */
static bool follow(const struct engine *e, const struct wr_step *step, uint64_t *at, unsigned *type)
{
	const struct writes_plan *p = e->plan;
	const struct wr_field *f;
	uint64_t from, block;

	if (*type >= p->n_types || step->field >= p->type[*type].n_fields)
		return false;
	f = &p->field[p->type[*type].first_field + step->field];
	from = *at + f->off;
	if (f->kind == WR_F_REPEATED_PTR) {
		if (!read_word(e, from + f->rep_off, &block))
			return false;
		from = block + f->rep_header + 8ull * step->index;
	}
	*type = f->pointee;
	return read_word(e, from, at);
}

bool verify_reachable(const struct engine *e, const struct wr_candidate *c)
{
	unsigned type = c->object_type;
	uint64_t at = c->object;

	for (unsigned d = 0; d < c->depth && d < WR_PATH_DEPTH; d++) {
		if (!follow(e, &c->step[d], &at, &type))
			return false;
	}
	return at == c->node;
}

uint64_t verify_mutate_ns(const struct engine *e, uint64_t object, unsigned type, const struct wr_step *step,
			  unsigned depth)
{
	uint64_t last = 0;
	struct wr_node n;

	for (unsigned d = 0;; d++) {
		if (e->facts.node(e->facts.ctx, object, &n) && n.mutate_ns > last)
			last = n.mutate_ns;
		if (d >= depth || d >= WR_PATH_DEPTH || !follow(e, &step[d], &object, &type))
			return last;
	}
}
