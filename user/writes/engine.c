// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "writes/engine_priv.h"

/* A field that is bad at first sight in so many objects, and in most there are, tells about the layout, not
 * about the objects. */
#define DISTRUST_OBJECTS 8

int engine_create(struct engine **ret, const struct writes_plan *plan, const struct engine_facts *facts,
		  pid_t pid, struct err *err)
{
	struct engine *e = calloc(1, sizeof(*e));

	*ret = NULL;
	if (e) {
		e->pending = calloc(ENGINE_MAX_PENDING, sizeof(*e->pending));
		e->finding = calloc(ENGINE_MAX_FINDINGS, sizeof(*e->finding));
		e->trust = calloc(plan->n_fields + 1, sizeof(*e->trust));
	}
	if (!e || !e->pending || !e->finding || !e->trust) {
		engine_destroy(e);
		return err_set(err, -ENOMEM, "out of memory");
	}
	e->plan = plan;
	e->facts = *facts;
	e->pid = pid;
	*ret = e;
	return 0;
}

void engine_destroy(struct engine *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->n_findings; i++)
		bad_write_deinit(&e->finding[i].w);
	for (size_t i = 0; i < EVIDENCE; i++) {
		free(e->evidence[i].why);
		frames_deinit(&e->evidence[i].stack);
	}
	free(e->trust);
	free(e->finding);
	free(e->pending);
	free(e);
}

static struct trust *trust_of(struct engine *e, const struct wr_candidate *c)
{
	if (c->node_type >= e->plan->n_types || c->field >= e->plan->type[c->node_type].n_fields)
		return NULL;
	return &e->trust[e->plan->type[c->node_type].first_field + c->field];
}

static struct engine_finding *find(struct engine *e, uint64_t object_id, uint64_t addr, uint64_t value)
{
	for (size_t i = 0; i < e->n_findings; i++) {
		struct engine_finding *f = &e->finding[i];

		if (f->object_id == object_id && f->w.addr == addr && f->w.new_value == value)
			return f;
	}
	return NULL;
}

static bool overlap(uint64_t a, unsigned a_width, uint64_t b, unsigned b_width)
{
	return a < b + b_width && b < a + a_width;
}

/* Do the bytes both have in common agree? */
static bool same_bytes(uint64_t a, unsigned a_width, uint64_t a_value, uint64_t b, unsigned b_width,
		       uint64_t b_value)
{
	for (unsigned i = 0; i < a_width; i++) {
		uint64_t at = a + i;

		if (at < b || at >= b + b_width)
			continue;
		if ((uint8_t)(a_value >> (i * 8)) != (uint8_t)(b_value >> ((at - b) * 8)))
			return false;
	}
	return true;
}

static bool explains(const struct engine_hit *h, const struct engine_finding *f)
{
	return h->object_id == f->object_id && overlap(h->addr, h->width, f->w.addr, f->w.width) &&
	       same_bytes(h->addr, h->width, h->value, f->w.addr, f->w.width, f->w.new_value);
}

/* A finding made of a watchpoint hit alone that this candidate now explains. */
static struct engine_finding *find_hit(struct engine *e, const struct wr_candidate *c)
{
	for (size_t i = 0; i < e->n_findings; i++) {
		struct engine_finding *f = &e->finding[i];

		if (f->w.reason == WRITE_NON_WRITER && f->object_id == c->object_id &&
		    overlap(f->w.addr, f->w.width, c->word_addr, c->word_width) &&
		    same_bytes(f->w.addr, f->w.width, f->w.new_value, c->word_addr, c->word_width,
			       c->new_value))
			return f;
	}
	return NULL;
}

/* True: h is its first known writer. */
static bool take_writer(struct engine_finding *f, const struct engine_hit *h)
{
	if (f->w.has_writer || describe_writer(&f->w, h))
		return false;
	explain_writer(&f->w, h->why);
	return true;
}

/* The hit, of those kept, that wrote what f found. */
static void look_for_writer(struct engine *e, struct engine_finding *f)
{
	for (size_t i = e->n_evidence; i > 0 && e->n_evidence - i < EVIDENCE; i--) {
		struct evidence *v = &e->evidence[(i - 1) % EVIDENCE];

		if (explains(&v->h, f)) {
			f->w.hits++;
			take_writer(f, &v->h);
		}
	}
}

static struct engine_finding *finding_new(struct engine *e)
{
	if (e->n_findings == ENGINE_MAX_FINDINGS) {
		if (!e->finding[0].told) {
			e->stats.overflow++;
			return NULL;
		}
		/* the oldest has been written out: it makes room */
		bad_write_deinit(&e->finding[0].w);
		memmove(&e->finding[0], &e->finding[1], (ENGINE_MAX_FINDINGS - 1) * sizeof(e->finding[0]));
		e->n_findings--;
		e->n_forgotten++;
	}
	return &e->finding[e->n_findings];
}

static void confirm(struct engine *e, const struct wr_candidate *c)
{
	struct engine_finding *f = find_hit(e, c);
	bool upgrade = f != NULL;
	struct bad_write w;

	if (!f && find(e, c->object_id, c->word_addr, c->new_value))
		return;
	if (!f)
		f = finding_new(e);
	if (!f || describe_candidate(e, c, &w))
		return;
	if (upgrade) { /* a watchpoint saw it first: keep the writer, take the rest from the check */
		w.has_writer = f->w.has_writer;
		w.writer = f->w.writer;
		w.hits = f->w.hits;
		memset(&f->w.writer, 0, sizeof(f->w.writer));
		explain_writer(&w, f->w.explanation);
		w.story.elsewhere = f->w.story.elsewhere; /* gathered since it was announced */
		memset(&f->w.story.elsewhere, 0, sizeof(f->w.story.elsewhere));
		w.heap = f->w.heap;
		memset(&f->w.heap, 0, sizeof(f->w.heap));
		bad_write_deinit(&f->w);
		f->w = w;
		return;
	}
	*f = (struct engine_finding){.w = w,
				     .object_id = c->object_id,
				     .node = c->node,
				     .type = c->node_type,
				     .field = c->field,
				     .lives = !(c->flags & WR_CAND_DESTROY),
				     .found_ns = c->hdr.ts_ns};
	e->n_findings++;
	e->stats.confirmed++;
	look_for_writer(e, f);
}

/* Forgets what was found in a field that turns out not to be what the debuginfo says. */
static void distrust(struct engine *e, const struct wr_candidate *c, struct trust *t)
{
	size_t kept = 0;

	t->distrusted = true;
	e->stats.distrusted_fields++;
	for (size_t i = 0; i < e->n_findings; i++) {
		struct engine_finding *f = &e->finding[i];

		if (f->type == c->node_type && f->field == c->field && !f->w.has_old && !f->w.has_writer) {
			bad_write_deinit(&f->w);
			e->stats.distrusted++;
			continue;
		}
		if (kept != i)
			e->finding[kept] = *f;
		kept++;
	}
	e->n_findings = kept;
}

/* Counts first sights. True: the candidate is to be dropped. */
static bool distrusted(struct engine *e, const struct wr_candidate *c)
{
	struct trust *t = trust_of(e, c);

	if (!t)
		return true;
	if (!(c->flags & WR_CAND_FIRST_SIGHT) && !t->distrusted)
		return false;
	if (!t->distrusted && t->last_object_id != c->object_id) {
		t->last_object_id = c->object_id;
		t->bad++;
		if (t->bad >= DISTRUST_OBJECTS && (uint64_t)t->bad * 2 > e->facts.n_objects(e->facts.ctx))
			distrust(e, c, t);
	}
	if (t->distrusted)
		e->stats.distrusted++;
	return t->distrusted;
}

static bool is_width(unsigned w)
{
	return w == 1 || w == 2 || w == 4 || w == 8;
}

/* Of this plan: no index beyond its tables. */
static bool well_formed(const struct engine *e, const struct wr_candidate *c)
{
	return plan_guard_field(e->plan, c->node_type, c->field) && c->object_type < e->plan->n_types &&
	       c->depth <= WR_PATH_DEPTH && is_width(c->word_width);
}

/*
 * A message that is destroyed while its object lives has left it, when it cannot be told: swapped into
 * another one, whose functions may have changed it since with a licence for that one.
 */
static bool ends_alone(const struct engine *e, const struct wr_candidate *c)
{
	return (c->flags & WR_CAND_DESTROY) && c->depth && c->probe < e->plan->n_probes &&
	       e->plan->probe[c->probe].wire.type != c->object_type;
}

/* A change of a field that was judged when the kernel saw it, but is not any more. */
static bool unjudged(const struct engine *e, const struct wr_candidate *c)
{
	return c->reason == WR_BAD_UNEXPLAINED &&
	       !e->facts.judged(e->facts.ctx, c->node_type, c->field, c->shadow_ns);
}

void engine_record(struct engine *e, const struct abi_hdr *rec)
{
	const struct wr_candidate *c = (const struct wr_candidate *)rec;

	if (rec->kind != WR_REC_CANDIDATE || rec->size < sizeof(*c))
		return;
	e->stats.candidates++;
	if (!well_formed(e, c)) {
		e->stats.overflow++;
		return;
	}
	if (distrusted(e, c))
		return;
	if (c->reason == WR_BAD_UNEXPLAINED && ends_alone(e, c)) {
		e->stats.vanished++;
		return;
	}
	if (c->flags & (WR_CAND_DESTROY | WR_CAND_LAST)) {
		if (!unjudged(e, c) && verify_still_bad(e, c, c->new_value))
			confirm(e, c);
		else
			e->stats.transient++;
		return;
	}
	for (size_t i = 0; i < e->n_pending; i++) {
		struct wr_candidate *o = &e->pending[i].c;

		if (o->object_id == c->object_id && o->word_addr == c->word_addr &&
		    o->new_value == c->new_value)
			return;
	}
	if (e->n_pending == ENGINE_MAX_PENDING) {
		e->stats.overflow++;
		return;
	}
	e->pending[e->n_pending++] = (struct pending){.c = *c, .first_ns = c->hdr.ts_ns};
}

/* A mutator that entered between the shadow's reading and a moment after the change was seen explains it. */
static bool explained(const struct engine *e, const struct wr_candidate *c, const struct wr_node *n)
{
	if (c->reason != WR_BAD_UNEXPLAINED)
		return false;
	return unjudged(e, c) ||
	       (n->mutate_seq != c->mutate_seq && n->mutate_ns <= c->hdr.ts_ns + ENGINE_LATE_NS);
}

/* 1: ripe and judged; 0: not yet. */
static int judge(struct engine *e, const struct pending *p, uint64_t now_ns)
{
	const struct wr_candidate *c = &p->c;
	uint64_t last = p->first_ns, v = 0;
	struct wr_object o;
	struct wr_node n;

	if (now_ns < last + ENGINE_QUIET_NS)
		return 0;
	if (!e->facts.object(e->facts.ctx, c->object, &o) || o.id != c->object_id) {
		e->stats.vanished++; /* its destruction would have confirmed it */
		return 1;
	}
	if (e->facts.node(e->facts.ctx, c->node, &n)) {
		if (explained(e, c, &n)) {
			e->stats.transient++;
			return 1;
		}
		if (n.mutate_ns > last)
			last = n.mutate_ns;
		if (n.store_ns > last)
			last = n.store_ns;
	}
	if (now_ns < last + ENGINE_QUIET_NS && now_ns < p->first_ns + ENGINE_PATIENCE_NS)
		return 0;
	if (e->facts.read(e->facts.ctx, c->word_addr, &v, c->word_width) != (ssize_t)c->word_width ||
	    v != c->new_value || !verify_still_bad(e, c, v)) {
		e->stats.transient++;
		return 1;
	}
	/* looked at again: it may have been destroyed and its memory reused meanwhile, or an element may have
	 * left its field */
	if (!verify_reachable(e, c) || !e->facts.object(e->facts.ctx, c->object, &o) || o.id != c->object_id)
		e->stats.vanished++;
	else
		confirm(e, c);
	return 1;
}

void engine_tick(struct engine *e, uint64_t now_ns, bool final)
{
	size_t kept = 0;

	for (size_t i = 0; i < e->n_pending; i++) {
		if (judge(e, &e->pending[i], now_ns))
			continue;
		if (kept != i)
			e->pending[kept] = e->pending[i];
		kept++;
	}
	e->n_pending = kept;
	if (final) {
		e->stats.transient += e->n_pending;
		e->n_pending = 0;
	}
}

void engine_last_sight(struct engine *e, uint64_t node, const void *bytes, size_t len)
{
	for (size_t i = 0; i < e->n_pending; i++) {
		struct wr_candidate *c = &e->pending[i].c;
		uint64_t off = c->word_addr - node, v = 0;
		struct wr_node n;

		if (c->node != node || off + c->word_width > len)
			continue;
		memcpy(&v, (const char *)bytes + off, c->word_width);
		if (v != c->new_value || !verify_still_bad(e, c, v) ||
		    (e->facts.node(e->facts.ctx, node, &n) && explained(e, c, &n)))
			continue;
		c->flags |= WR_CAND_LAST;
		confirm(e, c);
	}
}

static void keep_evidence(struct engine *e, const struct engine_hit *h)
{
	struct evidence *v = &e->evidence[e->n_evidence % EVIDENCE];

	free(v->why);
	frames_deinit(&v->stack);
	*v = (struct evidence){.h = *h};
	if (frames_copy(&v->stack, h->stack))
		return;
	v->why = h->why ? strdup(h->why) : NULL;
	v->h.stack = &v->stack;
	v->h.why = v->why;
	e->n_evidence++;
}

void engine_hit(struct engine *e, const struct engine_hit *h)
{
	struct engine_finding *f = NULL;

	e->stats.hits++;
	for (size_t i = 0; i < e->n_findings; i++) {
		if (!explains(h, &e->finding[i]))
			continue;
		f = &e->finding[i];
		f->w.hits++;
		if (!take_writer(f, h))
			continue;
		f->again = f->told;
		f->told = false;
	}
	if (f)
		return;
	keep_evidence(e, h);
	if (!h->non_writer)
		return;
	f = finding_new(e);
	if (!f)
		return;
	*f = (struct engine_finding){.object_id = h->object_id,
				     .node = h->node,
				     .type = h->type,
				     .field = h->field,
				     .lives = true,
				     .found_ns = h->ts_ns};
	if (describe_hit(e, h, &f->w))
		return;
	f->w.hits = 1;
	e->n_findings++;
}

struct engine_finding *engine_announce(struct engine *e)
{
	for (size_t i = 0; i < e->n_findings; i++) {
		if (!e->finding[i].announced) {
			e->finding[i].announced = true;
			return &e->finding[i];
		}
	}
	return NULL;
}

static bool ripe(const struct engine_finding *f, uint64_t now_ns, bool watching)
{
	bool hope = (watching && f->lives && !f->w.has_writer) || !f->w.has_old;

	return now_ns >= f->found_ns + (hope ? ENGINE_HOPE_NS : ENGINE_RIPE_NS);
}

struct engine_finding *engine_tell(struct engine *e, uint64_t now_ns, bool watching, bool final)
{
	for (size_t i = 0; i < e->n_findings; i++) {
		struct engine_finding *f = &e->finding[i];

		if (f->told || (!final && !ripe(f, now_ns, watching)))
			continue;
		f->told = true;
		return f;
	}
	return NULL;
}

void engine_tell_again(struct engine *e, const struct bad_write *w)
{
	for (size_t i = 0; i < e->n_findings; i++) {
		struct engine_finding *f = &e->finding[i];

		if (&f->w == w && f->told) {
			f->told = false;
			f->again = true;
		}
	}
}

size_t engine_n_pending(const struct engine *e)
{
	return e->n_pending;
}

size_t engine_n_findings(const struct engine *e)
{
	return e->n_findings;
}

size_t engine_n_forgotten(const struct engine *e)
{
	return e->n_forgotten;
}

const struct engine_finding *engine_finding(const struct engine *e, size_t i)
{
	return i < e->n_findings ? &e->finding[i] : NULL;
}

void engine_stats(const struct engine *e, struct engine_stats *s)
{
	*s = e->stats;
}

const char *engine_distrust(const struct engine *e, size_t i, char *buf, size_t len)
{
	buf[0] = '\0';
	for (unsigned t = 0; t < e->plan->n_types; t++) {
		for (unsigned f = 0; f < e->plan->type[t].n_fields; f++) {
			const struct trust *tr = &e->trust[e->plan->type[t].first_field + f];
			const struct guard_field *g = plan_guard_field(e->plan, t, f);

			if (!tr->distrusted || i--)
				continue;
			snprintf(buf, len,
				 "%s::%s is not guarded: its invariant did not hold in %u objects when they "
				 "were first seen",
				 g->owner, g->path, tr->bad);
			return buf;
		}
	}
	return buf;
}
