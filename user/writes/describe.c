// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What is known of a bad write, put into words. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "writes/engine_priv.h"
#include "story/near.h"
#include "writes/rules.h"

#define MAX_CALLS 64

static char *copy(const char *s)
{
	return s ? strdup(s) : NULL;
}

int frames_copy(struct frames *to, const struct frames *from)
{
	*to = (struct frames){0};
	if (!from || !from->n)
		return 0;
	to->v = calloc(from->n, sizeof(*to->v));
	if (!to->v)
		return -ENOMEM;
	to->truncated = from->truncated;
	for (size_t i = 0; i < from->n; i++) {
		struct frame *f = &to->v[to->n++];

		*f = from->v[i];
		f->module = copy(from->v[i].module);
		f->build_id = copy(from->v[i].build_id);
		f->symbol = copy(from->v[i].symbol);
		f->file = copy(from->v[i].file);
	}
	return 0;
}

static struct touch touch_of(const struct engine *e, const struct wr_touch *t)
{
	struct touch r = {.ts_ns = t->ts_ns, .tid = (pid_t)t->tid};

	memcpy(r.comm, t->comm, sizeof(r.comm));
	r.comm[sizeof(r.comm) - 1] = '\0';
	if (t->ts_ns && t->probe < e->plan->n_probes)
		r.function = copy(e->plan->probe[t->probe].function);
	return r;
}

static int by_time(const void *a, const void *b)
{
	const struct wr_touch *x = a, *y = b;

	return x->ts_ns < y->ts_ns ? -1 : x->ts_ns > y->ts_ns;
}

/*
 * The touch at which the node itself was last compared and found as the shadow has it. The object's last good
 * one may be later: not every touch looks at sub-messages.
 */
static struct wr_touch last_good_of(const struct wr_candidate *c)
{
	if (!c->shadow_ns || (c->flags & WR_CAND_FIRST_SIGHT) || c->last_good.ts_ns <= c->shadow_ns)
		return c->last_good;
	for (unsigned i = 0; i < WR_TOUCHES; i++) {
		if (c->touch[i].ts_ns == c->shadow_ns)
			return c->touch[i];
	}
	return (struct wr_touch){.ts_ns = c->shadow_ns, .probe = UINT32_MAX};
}

/* Who touched the object after it was last good, up to the moment it was found bad; each thread and function
 * once, its last time. */
static int window(const struct engine *e, const struct wr_candidate *c, uint64_t since_ns,
		  struct bad_write *w)
{
	struct wr_touch v[WR_TOUCHES + MAX_CALLS];
	size_t n = 0, kept = 0;

	for (unsigned i = 0; i < WR_TOUCHES; i++) {
		if (c->touch[i].ts_ns)
			v[n++] = c->touch[i];
	}
	if (e->facts.calls)
		n += e->facts.calls(e->facts.ctx, v + n, MAX_CALLS);
	qsort(v, n, sizeof(v[0]), by_time);
	w->touched_by = calloc(n + 1, sizeof(*w->touched_by));
	if (!w->touched_by)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		bool later = false;

		for (size_t k = i + 1; k < n && v[k].ts_ns <= c->hdr.ts_ns; k++)
			later |= v[k].tid == v[i].tid && v[k].probe == v[i].probe;
		if (!later && v[i].ts_ns > since_ns && v[i].ts_ns <= c->hdr.ts_ns)
			w->touched_by[kept++] = touch_of(e, &v[i]);
	}
	w->n_touched = kept;
	return 0;
}

static const char *field_name(const struct guard_field *g)
{
	return g ? g->path : "?";
}

static const char *field_owner(const struct writes_plan *p, unsigned type, const struct guard_field *g)
{
	return g ? g->owner : type < p->n_types ? p->info[type].guard->name : "?";
}

static const char *type_name(const struct writes_plan *p, unsigned type)
{
	return type < p->n_types ? p->info[type].guard->name : "?";
}

static char *explain(const struct engine *e, const struct wr_candidate *c, const struct guard_field *g)
{
	char *s = NULL;
	size_t len;
	FILE *f = open_memstream(&s, &len);

	if (!f)
		return NULL;
	rule_explain(f, c->reason, g, type_name(e->plan, c->node_type), c->new_value, c->pointee);
	if (c->flags & WR_CAND_FIRST_SIGHT)
		fprintf(f, "; it was so when the object was first seen, so the store was made before");
	else if (c->reason != WR_BAD_UNEXPLAINED && !(c->flags & WR_CAND_LICENSED))
		fprintf(f, "; no known writer of the type was called on this object since it was last good");
	else if (c->flags & WR_CAND_LICENSED)
		fprintf(f, "; a known writer of the type was called on this object in the window too, so it "
			   "may have been its work");
	if (c->flags & WR_CAND_DESTROY)
		fprintf(f, "; found when the object was being destroyed");
	if (c->flags & WR_CAND_LAST)
		fprintf(f, "; so it stood when the process died");
	return fclose(f) ? NULL : s;
}

/* What is common to findings by a check and by a watchpoint. */
static int describe_place(const struct engine *e, struct bad_write *w, unsigned root, unsigned type,
			  unsigned field)
{
	const struct guard_field *g = plan_guard_field(e->plan, type, field);

	w->pid = e->pid;
	w->object_type = copy(type_name(e->plan, root));
	w->cache = root < e->plan->n_types ? copy(e->plan->info[root].cache) : NULL;
	w->node_type = copy(field_owner(e->plan, type, g));
	w->field = copy(field_name(g));
	if (asprintf(&w->next,
		     "culprit writes ... --field %s::%s gives this field all watchpoints, so that the next "
		     "store names its writer",
		     field_owner(e->plan, type, g), field_name(g)) < 0)
		w->next = NULL;
	return w->object_type && w->node_type && w->field && w->next ? 0 : -ENOMEM;
}

_Static_assert(WR_NEAR_BYTES == STORY_BYTES && WR_NEAR_SIDE == STORY_SIDE, "neighbourhood");

/* The bytes around the word: as the kernel saw them when it found the damage, else as they are now. */
static int surround(const struct engine *e, struct bad_write *w, const struct wr_candidate *c, unsigned type,
		    uint64_t node)
{
	struct neighbourhood *n = &w->story.near;

	if (c && c->near_len == STORY_BYTES && c->near_start == near_start(w->addr)) {
		n->start = c->near_start;
		n->len = STORY_BYTES;
		memcpy(n->bytes, c->near, STORY_BYTES);
	} else {
		near_read(n, w->addr, e->facts.read, e->facts.ctx);
	}
	if (!n->len || type >= e->plan->n_types)
		return 0;
	return near_decode(n, e->plan->info[type].guard, node, w->addr, w->width);
}

int describe_candidate(const struct engine *e, const struct wr_candidate *c, struct bad_write *w)
{
	const struct guard_field *g = plan_guard_field(e->plan, c->node_type, c->field);
	struct wr_touch found = {.ts_ns = c->hdr.ts_ns, .tid = c->hdr.tid, .probe = c->probe};
	struct wr_touch good = last_good_of(c);
	bool element = c->word_addr < c->node || c->word_addr >= c->node + e->plan->type[c->node_type].size;
	int ret;

	*w = (struct bad_write){.reason = rule_reason(c->reason),
				.object_addr = c->object,
				.addr = c->word_addr,
				.object_since_ns = c->object_since_ns,
				.width = c->word_width,
				.new_value = c->new_value,
				.old_value = c->old_value,
				.has_old = !(c->flags & WR_CAND_FIRST_SIGHT)};
	w->confidence = c->reason == WR_BAD_UNEXPLAINED ? CONF_LIKELY : CONF_CERTAIN;
	/* it could not be looked at a second time: a writer may have been at work on it */
	if ((c->flags & WR_CAND_LAST) && (c->flags & WR_CAND_LICENSED) && c->probe == ENGINE_SWEEP)
		w->confidence = CONF_POSSIBLE;
	memcpy(found.comm, c->hdr.comm, sizeof(found.comm));
	w->last_good = touch_of(e, &good);
	w->found = touch_of(e, &found);
	if (c->probe == ENGINE_SWEEP)
		w->found.function = copy("sweep");
	w->path = plan_path(e->plan, c->object_type, c->step, c->depth, c->node_type, c->field,
			    element ? c->index : -1);
	w->explanation = explain(e, c, g);
	ret = describe_place(e, w, c->object_type, c->node_type, c->field);
	if (!ret)
		ret = window(e, c, good.ts_ns, w);
	if (!ret)
		ret = surround(e, w, c, c->node_type, c->node);
	if (!ret && (!w->path || !w->explanation))
		ret = -ENOMEM;
	if (ret)
		bad_write_deinit(w);
	return ret;
}

int describe_hit(const struct engine *e, const struct engine_hit *h, struct bad_write *w)
{
	struct wr_object o = {0};
	struct wr_node n = {0};
	bool known = e->facts.object(e->facts.ctx, h->object, &o) && o.id == h->object_id;
	bool node = e->facts.node(e->facts.ctx, h->node, &n) && n.object_id == h->object_id;
	uint64_t off = h->addr - h->node;
	uint8_t shadow[WR_NODE_BYTES] = {0};
	int ret;

	*w = (struct bad_write){.reason = WRITE_NON_WRITER,
				.confidence = CONF_CERTAIN,
				.object_addr = h->object,
				.object_since_ns = o.since_ns,
				.addr = h->addr,
				.width = h->width,
				.new_value = h->value};
	if (h->has_old) {
		w->has_old = true;
		w->old_value = h->old_value;
	} else if (node && off + h->width <= WR_NODE_BYTES && n.type < e->plan->n_types &&
		   e->facts.shadow(e->facts.ctx, h->node, &n, e->plan->type[n.type].size, shadow)) {
		memcpy(&w->old_value, shadow + off, h->width > 8 ? 8 : h->width);
		w->has_old = w->old_value != h->value; /* else a check has seen the new value already */
	}
	if (known)
		w->last_good = touch_of(e, &o.last_good);
	w->found = (struct touch){.ts_ns = h->ts_ns, .tid = h->tid};
	memcpy(w->found.comm, h->comm, sizeof(w->found.comm));
	if (h->stack && h->frame < h->stack->n)
		w->found.function = copy(h->stack->v[h->frame].symbol);
	w->path = plan_path(e->plan, known ? o.type : h->type, n.step, node ? n.depth : 0, h->type, h->field,
			    -1);
	w->explanation = copy(h->why ? h->why : "the store was not made by a writer of the type");
	ret = describe_place(e, w, known ? o.type : h->type, h->type, h->field);
	free(w->next); /* the writer is known */
	w->next = NULL;
	if (!ret)
		ret = surround(e, w, NULL, h->type, h->node);
	if (!ret)
		ret = describe_writer(w, h);
	if (!ret && (!w->path || !w->explanation))
		ret = -ENOMEM;
	if (ret)
		bad_write_deinit(w);
	return ret;
}

int describe_writer(struct bad_write *w, const struct engine_hit *h)
{
	if (frames_copy(&w->writer.stack, h->stack))
		return -ENOMEM;
	w->has_writer = true;
	w->writer.tid = h->tid;
	memcpy(w->writer.comm, h->comm, sizeof(w->writer.comm));
	w->writer.ts_ns = h->ts_ns;
	w->writer.ip = h->ip;
	w->writer.insn = h->insn;
	w->writer.in_kernel = h->in_kernel;
	w->writer.syscall = copy(h->syscall);
	w->writer.frame = h->frame;
	return 0;
}

void explain_writer(struct bad_write *w, const char *why)
{
	/* what is wrong with the value stays; who may have stored it is no longer a question */
	int len = w->explanation ? (int)strcspn(w->explanation, ";") : 0;
	char *s;

	if (asprintf(&s, "%.*s%s%s", len, w->explanation ? w->explanation : "", len ? "; " : "",
		     why ? why : "a watchpoint saw the store") < 0)
		return;
	free(w->explanation);
	w->explanation = s;
	free(w->next);
	w->next = NULL;
}
