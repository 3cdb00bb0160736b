// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "writes/slots.h"
#include "util/grow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DAMAGED   64
#define MAX_DIRECTED  256 /* nodes of the directed object */
#define HOT_LIMIT     3
#define HOT_PAUSE_NS  2000000000ull /* doubles each time */
#define SUSPECT_SHARE 75	    /* per cent of the turns, when anything is suspected */
#define FRUITLESS     4		    /* turns of damaged words in a row */
#define TRIES	      16

struct place {
	struct slots_place p;
	bool directed, suspect, given_up;
	unsigned n_hot;
	uint64_t paused_until;
	double watched_ns, alive_ns;
	double damaged_watched_ns, damaged_alive_ns;
	uint64_t armings;
};

/* Random sample of a type's living nodes (reservoir), of the last whole walk and of the one going on. */
struct sample {
	struct slots_node *cur, *next;
	size_t n_cur, n_next;
	uint64_t seen;	/* by the walk going on */
	uint64_t alive; /* by the last whole one */
};

struct damaged {
	struct slots_word w;
	uint64_t since_ns, last_turn_ns;
	bool missing; /* from the walk going on, so far */
};

struct slot {
	bool armed, damaged;
	struct slots_word w;
	uint64_t since_ns, until_ns;
};

struct slots {
	struct slots_cfg cfg;
	uint64_t rng, min_turn_ns;
	struct place *place;
	size_t n_places;
	struct sample *type;
	size_t n_types;
	bool any_directed, any_suspect;
	uint64_t object; /* directed; 0 = none */
	struct slots_node dir_cur[MAX_DIRECTED], dir_next[MAX_DIRECTED];
	size_t n_dir_cur, n_dir_next;
	struct damaged damaged[MAX_DAMAGED];
	size_t n_damaged;
	unsigned fruitless; /* turns of damaged words in a row that saw no store */
	struct slot slot[SLOTS_MAX];
	uint64_t start_ns, walk_ns; /* first use; end of the last whole walk */
	uint64_t alive;
};

/* xorshift64* */
static uint64_t rnd(struct slots *s)
{
	s->rng ^= s->rng >> 12;
	s->rng ^= s->rng << 25;
	s->rng ^= s->rng >> 27;
	return s->rng * 0x2545f4914f6cdd1dull;
}

static uint64_t below(struct slots *s, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)rnd(s) * n) >> 64);
}

int slots_create(struct slots **ret, const struct slots_cfg *cfg, struct err *err)
{
	struct slots *s;

	*ret = NULL;
	if (!cfg->n_slots || cfg->n_slots > SLOTS_MAX)
		return err_set(err, -EINVAL, "%u watchpoints: 1 to %d are possible", cfg->n_slots, SLOTS_MAX);
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, -ENOMEM, "out of memory");
	s->cfg = *cfg;
	if (!s->cfg.turn_ns)
		s->cfg.turn_ns = 50000000;
	if (!s->cfg.suspect_turn_ns)
		s->cfg.suspect_turn_ns = 4 * s->cfg.turn_ns;
	if (!s->cfg.damaged_turn_ns)
		s->cfg.damaged_turn_ns = 40 * s->cfg.turn_ns;
	if (!s->cfg.sample)
		s->cfg.sample = 512;
	s->rng = cfg->seed | 1;
	*ret = s;
	return 0;
}

void slots_destroy(struct slots *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_types; i++) {
		free(s->type[i].cur);
		free(s->type[i].next);
	}
	free(s->type);
	free(s->place);
	free(s);
}

static int type_add(struct slots *s, uint16_t type)
{
	struct sample *v;

	if (type < s->n_types)
		return 0;
	v = realloc(s->type, (type + 1u) * sizeof(*v));
	if (!v)
		return -ENOMEM;
	s->type = v;
	while (s->n_types <= type) {
		struct sample t = {.cur = calloc(s->cfg.sample, sizeof(*t.cur)),
				   .next = calloc(s->cfg.sample, sizeof(*t.next))};

		if (!t.cur || !t.next) {
			free(t.cur);
			free(t.next);
			return -ENOMEM;
		}
		s->type[s->n_types++] = t;
	}
	return 0;
}

int slots_add_place(struct slots *s, const struct slots_place *p)
{
	if (!p->width || p->width > 8 || (p->width & (p->width - 1)) || p->offset % p->width)
		return -EINVAL;
	if (GROW(&s->place, s->n_places) || type_add(s, p->type))
		return -ENOMEM;
	s->place[s->n_places] = (struct place){.p = *p};
	return (int)s->n_places++;
}

size_t slots_n_places(const struct slots *s)
{
	return s->n_places;
}

const struct slots_place *slots_place_at(const struct slots *s, size_t i)
{
	return &s->place[i].p;
}

int slots_direct_field(struct slots *s, uint16_t type, uint16_t field)
{
	int ret = -ENOENT;

	for (size_t i = 0; i < s->n_places; i++) {
		if (s->place[i].p.type != type || s->place[i].p.field != field || !s->place[i].p.weight)
			continue;
		s->place[i].directed = true;
		s->any_directed = true;
		ret = 0;
	}
	return ret;
}

void slots_direct_object(struct slots *s, uint64_t object)
{
	s->object = object;
}

static double span(uint64_t from, uint64_t to)
{
	return to > from ? (double)(to - from) : 0;
}

static void damaged_drop(struct slots *s, struct damaged *d, uint64_t now_ns)
{
	s->place[d->w.place].damaged_alive_ns += span(d->since_ns, now_ns);
	memmove(d, d + 1, (size_t)(&s->damaged[s->n_damaged--] - (d + 1)) * sizeof(*d));
}

void slots_walk_begin(struct slots *s)
{
	for (size_t i = 0; i < s->n_types; i++)
		s->type[i].seen = s->type[i].n_next = 0;
	for (size_t i = 0; i < s->n_damaged; i++)
		s->damaged[i].missing = true;
	s->n_dir_next = 0;
}

void slots_offer(struct slots *s, const struct slots_node *n)
{
	struct sample *t;

	if (n->type >= s->n_types)
		return;
	t = &s->type[n->type];
	t->seen++;
	for (size_t i = 0; i < s->n_damaged; i++)
		s->damaged[i].missing &= s->damaged[i].w.node.object_id != n->object_id;
	if (s->object && n->object == s->object && s->n_dir_next < MAX_DIRECTED)
		s->dir_next[s->n_dir_next++] = *n;
	if (t->n_next < s->cfg.sample) {
		t->next[t->n_next++] = *n;
		return;
	}
	uint64_t at = below(s, t->seen);

	if (at < s->cfg.sample)
		t->next[at] = *n;
}

/* Living word-time of a place since the last walk; n words lived all that time. */
static double alive_since(const struct slots *s, uint64_t now_ns, double n)
{
	uint64_t from = s->walk_ns ? s->walk_ns : s->start_ns;

	return from && now_ns > from ? n * (double)(now_ns - from) : 0;
}

void slots_walk_end(struct slots *s, uint64_t now_ns)
{
	bool first = !s->walk_ns;

	if (!s->start_ns)
		s->start_ns = now_ns;
	for (size_t i = 0; i < s->n_places; i++) {
		const struct sample *t = &s->type[s->place[i].p.type];
		double n = first ? (double)t->seen : ((double)t->alive + (double)t->seen) / 2;

		s->place[i].alive_ns += alive_since(s, now_ns, n);
	}
	for (size_t i = s->n_damaged; i--;) {
		if (s->damaged[i].missing)
			damaged_drop(s, &s->damaged[i], now_ns);
	}
	s->walk_ns = now_ns;
	s->alive = 0;
	for (size_t i = 0; i < s->n_types; i++) {
		struct sample *t = &s->type[i];
		struct slots_node *spare = t->cur;

		t->cur = t->next;
		t->n_cur = t->n_next;
		t->next = spare;
		t->n_next = 0;
		t->alive = t->seen;
		t->seen = 0;
		s->alive += t->alive;
	}
	memcpy(s->dir_cur, s->dir_next, s->n_dir_next * sizeof(s->dir_cur[0]));
	s->n_dir_cur = s->n_dir_next;
}

uint64_t slots_alive(const struct slots *s)
{
	return s->alive;
}

static struct slots_word word_of(const struct slots *s, size_t place, const struct slots_node *n)
{
	const struct slots_place *p = &s->place[place].p;

	return (struct slots_word){
		.addr = n->node + p->offset, .width = p->width, .place = (uint32_t)place, .node = *n};
}

static bool same_word(const struct slots_word *a, const struct slots_word *b)
{
	return a->addr == b->addr && a->node.object_id == b->node.object_id;
}

void slots_damaged(struct slots *s, const struct slots_node *n, uint16_t field, uint64_t addr, unsigned width,
		   uint64_t now_ns)
{
	for (size_t i = 0; i < s->n_places; i++) {
		struct place *pl = &s->place[i];
		struct slots_word w = word_of(s, i, n);
		size_t at = 0;

		if (pl->p.type != n->type || pl->p.field != field || !pl->p.weight)
			continue;
		pl->suspect = true;
		s->any_suspect = true;
		/* damage elsewhere (an element of a repeated field) says nothing of this word */
		if (w.addr >= addr + width || addr >= w.addr + w.width || w.addr % w.width)
			continue;
		while (at < s->n_damaged && !same_word(&s->damaged[at].w, &w))
			at++;
		if (at < s->n_damaged)
			continue;
		if (s->n_damaged == MAX_DAMAGED) /* the oldest makes room */
			damaged_drop(s, s->damaged, now_ns);
		s->damaged[s->n_damaged++] = (struct damaged){.w = w, .since_ns = now_ns};
	}
	if (!s->start_ns)
		s->start_ns = now_ns;
}

static bool held_by_other(const struct slots *s, unsigned slot, const struct slots_word *w)
{
	for (unsigned i = 0; i < s->cfg.n_slots; i++) {
		const struct slot *o = &s->slot[i];

		/* overlapping words would make one store two hits */
		if (i != slot && o->armed && w->addr < o->w.addr + o->w.width &&
		    o->w.addr < w->addr + w->width)
			return true;
	}
	return false;
}

static bool usable(const struct place *pl, uint64_t now_ns)
{
	return pl->p.weight && !pl->given_up && pl->paused_until <= now_ns;
}

/* The damaged word whose last turn is longest ago. */
static struct damaged *pick_damaged(struct slots *s, unsigned slot, uint64_t now_ns)
{
	unsigned others = 0, most = s->fruitless < FRUITLESS ? s->cfg.n_slots - 1 : 1;
	struct damaged *best = NULL;

	for (unsigned i = 0; i < s->cfg.n_slots; i++)
		others += i != slot && s->slot[i].armed && s->slot[i].damaged;
	if (others && others >= most)
		return NULL;
	for (size_t i = 0; i < s->n_damaged; i++) {
		struct damaged *d = &s->damaged[i];

		if (!usable(&s->place[d->w.place], now_ns) || held_by_other(s, slot, &d->w))
			continue;
		if (!best || d->last_turn_ns < best->last_turn_ns)
			best = d;
	}
	return best;
}

static struct damaged *damaged_find(struct slots *s, const struct slots_word *w)
{
	for (size_t i = 0; i < s->n_damaged; i++) {
		if (same_word(&s->damaged[i].w, w))
			return &s->damaged[i];
	}
	return NULL;
}

enum pool { POOL_ANY, POOL_DIRECTED, POOL_SUSPECT };

static bool in_pool(const struct place *pl, enum pool pool)
{
	return pool == POOL_ANY || (pool == POOL_DIRECTED ? pl->directed : pl->suspect);
}

/* How many nodes of a type may be chosen from, and one of them at random. */
static uint64_t nodes_of(const struct slots *s, uint16_t type)
{
	uint64_t n = 0;

	if (!s->object)
		return s->type[type].n_cur ? s->type[type].alive : 0;
	for (size_t i = 0; i < s->n_dir_cur; i++)
		n += s->dir_cur[i].type == type;
	return n;
}

static const struct slots_node *node_of(struct slots *s, uint16_t type, uint64_t n)
{
	if (!s->object)
		return &s->type[type].cur[below(s, s->type[type].n_cur)];
	uint64_t skip = below(s, n);

	for (size_t i = 0;; i++) {
		if (s->dir_cur[i].type == type && !skip--)
			return &s->dir_cur[i];
	}
}

/* A random place by weight and number of living words, then a random node; damaged words have turns of their
 * own and are chosen only if there is nothing else. */
static bool pick_random(struct slots *s, unsigned slot, uint64_t now_ns, enum pool pool,
			struct slots_word *out)
{
	uint64_t total = 0;

	for (size_t i = 0; i < s->n_places; i++) {
		if (usable(&s->place[i], now_ns) && in_pool(&s->place[i], pool))
			total += s->place[i].p.weight * nodes_of(s, s->place[i].p.type);
	}
	for (int try = 0; total && try < TRIES; try++) {
		uint64_t at = below(s, total);

		for (size_t i = 0; i < s->n_places; i++) {
			const struct place *pl = &s->place[i];
			uint64_t n, share;

			if (!usable(pl, now_ns) || !in_pool(pl, pool))
				continue;
			n = nodes_of(s, pl->p.type);
			share = pl->p.weight * n;
			if (at >= share) {
				at -= share;
				continue;
			}
			*out = word_of(s, i, node_of(s, pl->p.type, n));
			if (out->addr % out->width == 0 && !held_by_other(s, slot, out) &&
			    (try >= TRIES / 2 || !damaged_find(s, out)))
				return true;
			break;
		}
	}
	return false;
}

static uint64_t longer(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

bool slots_next(struct slots *s, unsigned slot, uint64_t now_ns, struct slots_word *out, bool *over)
{
	struct slot *sl = &s->slot[slot];
	struct damaged *d = pick_damaged(s, slot, now_ns);
	enum pool pool = s->any_directed ? POOL_DIRECTED : POOL_ANY;

	*over = false;
	if (!s->start_ns)
		s->start_ns = now_ns;
	/* a fresh damaged word does not wait for the end of another word's turn */
	if (sl->armed && now_ns < sl->until_ns && (sl->damaged || !d || d->last_turn_ns))
		return false;
	*over = true;
	if (d) {
		d->last_turn_ns = now_ns;
		*out = d->w;
		return true;
	}
	if (s->any_suspect && below(s, 100) < SUSPECT_SHARE &&
	    pick_random(s, slot, now_ns, POOL_SUSPECT, out))
		return true;
	return pick_random(s, slot, now_ns, pool, out);
}

void slots_armed(struct slots *s, unsigned slot, const struct slots_word *w, uint64_t now_ns)
{
	struct slot *sl = &s->slot[slot];
	const struct place *pl = &s->place[w->place];
	uint64_t turn = s->cfg.turn_ns;

	sl->armed = true;
	sl->w = *w;
	sl->damaged = damaged_find(s, w) != NULL;
	sl->since_ns = now_ns;
	if (sl->damaged)
		turn = s->cfg.damaged_turn_ns;
	else if (pl->suspect)
		turn = s->cfg.suspect_turn_ns;
	sl->until_ns = now_ns + longer(turn, s->min_turn_ns);
	s->place[w->place].armings++;
}

void slots_gone(struct slots *s, const struct slots_word *w, uint64_t now_ns)
{
	struct damaged *d = damaged_find(s, w);
	struct sample *t = &s->type[w->node.type];

	if (d)
		damaged_drop(s, d, now_ns);
	for (size_t i = 0; i < t->n_cur; i++) {
		if (t->cur[i].node == w->node.node && t->cur[i].object_id == w->node.object_id)
			t->cur[i--] = t->cur[--t->n_cur];
	}
	for (size_t i = 0; i < s->n_dir_cur; i++) {
		if (s->dir_cur[i].node == w->node.node && s->dir_cur[i].object_id == w->node.object_id)
			s->dir_cur[i--] = s->dir_cur[--s->n_dir_cur];
	}
}

void slots_disarmed(struct slots *s, unsigned slot, enum slots_end why, uint64_t hits, uint64_t at_ns)
{
	struct slot *sl = &s->slot[slot];
	double watched = span(sl->since_ns, at_ns);
	struct place *pl;

	if (!sl->armed)
		return;
	sl->armed = false;
	pl = &s->place[sl->w.place];
	pl->watched_ns += watched;
	if (sl->damaged) {
		pl->damaged_watched_ns += watched;
		s->fruitless = hits ? 0 : s->fruitless + (why != SLOTS_END_FAILED);
	}
	if (why == SLOTS_END_RELEASED || why == SLOTS_END_FAILED)
		slots_gone(s, &sl->w, at_ns);
	if (why != SLOTS_END_HOT)
		return;
	pl->paused_until = at_ns + (HOT_PAUSE_NS << pl->n_hot);
	if (++pl->n_hot >= HOT_LIMIT)
		pl->given_up = true;
}

void slots_set_min_turn(struct slots *s, uint64_t turn_ns)
{
	s->min_turn_ns = turn_ns;
}

void slots_account_place(const struct slots *s, size_t place, uint64_t now_ns, struct slots_account *a)
{
	const struct place *pl = &s->place[place];
	double watched = pl->watched_ns, damaged = pl->damaged_watched_ns, lived = pl->damaged_alive_ns;

	for (unsigned i = 0; i < s->cfg.n_slots; i++) {
		const struct slot *sl = &s->slot[i];

		if (!sl->armed || sl->w.place != place)
			continue;
		watched += span(sl->since_ns, now_ns);
		damaged += sl->damaged ? span(sl->since_ns, now_ns) : 0;
	}
	for (size_t i = 0; i < s->n_damaged; i++)
		lived += s->damaged[i].w.place == place ? span(s->damaged[i].since_ns, now_ns) : 0;
	*a = (struct slots_account){
		.watched_ws = watched / 1e9,
		.alive_ws = (pl->alive_ns + alive_since(s, now_ns, (double)s->type[pl->p.type].alive)) / 1e9,
		.damaged_watched_ws = damaged / 1e9,
		.damaged_alive_ws = lived / 1e9,
		.armings = pl->armings,
		.hot = pl->n_hot,
		.given_up = pl->given_up,
		.suspect = pl->suspect,
		.directed = pl->directed,
	};
}

void slots_account_all(const struct slots *s, uint64_t now_ns, struct slots_account *a)
{
	*a = (struct slots_account){0};
	for (size_t i = 0; i < s->n_places; i++) {
		struct slots_account p;

		if (!s->place[i].p.weight)
			continue;
		slots_account_place(s, i, now_ns, &p);
		a->watched_ws += p.watched_ws;
		a->damaged_watched_ws += p.damaged_watched_ws;
		a->damaged_alive_ws += p.damaged_alive_ws;
		a->alive_ws += p.alive_ws;
		a->armings += p.armings;
		a->hot += p.hot;
		a->given_up |= p.given_up;
		a->suspect |= p.suspect;
		a->directed |= p.directed;
	}
}
