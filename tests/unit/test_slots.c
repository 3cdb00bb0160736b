// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The slot scheduler, by simulation: objects are born and die, random single stores hit random words, slots
 * rotate. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "writes/slots.h"

#define MS   1000000ull
#define STEP (10 * MS)

static struct slots *make(unsigned n_slots, unsigned sample)
{
	struct slots_cfg cfg = {.n_slots = n_slots, .seed = 42, .sample = sample};
	struct slots *s;
	struct err e = {0};

	assert_int_equal(slots_create(&s, &cfg, &e), 0);
	return s;
}

static int place(struct slots *s, unsigned type, unsigned field, unsigned offset, unsigned width,
		 unsigned weight)
{
	struct slots_place p = {.type = (uint16_t)type,
				.field = (uint16_t)field,
				.offset = offset,
				.width = width,
				.weight = weight};

	return slots_add_place(s, &p);
}

static struct slots_node node(unsigned type, uint64_t addr, uint64_t id)
{
	return (struct slots_node){.node = addr, .object = addr, .object_id = id, .type = (uint16_t)type};
}

/* Runs one slot to its next word; true if it holds one afterwards. */
static bool turn(struct slots *s, unsigned slot, uint64_t now, struct slots_word *held)
{
	struct slots_word w;
	bool over;
	bool got = slots_next(s, slot, now, &w, &over);

	if (!over)
		return true;
	slots_disarmed(s, slot, SLOTS_END_TURN, 0, now);
	if (!got)
		return false;
	slots_armed(s, slot, &w, now);
	*held = w;
	return true;
}

struct sim {
	struct slots *s;
	struct slots_node node[64];
	unsigned n;
	struct slots_word held[SLOTS_MAX];
	bool holds[SLOTS_MAX];
	uint64_t hits[SLOTS_MAX]; /* since it was armed */
	uint64_t now, next_id;
	uint64_t stores, caught;
	unsigned long long rng;
};

static unsigned sim_rnd(struct sim *m, unsigned n)
{
	m->rng = m->rng * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)((m->rng >> 33) % n);
}

static void sim_walk(struct sim *m)
{
	slots_walk_begin(m->s);
	for (unsigned i = 0; i < m->n; i++)
		slots_offer(m->s, &m->node[i]);
	slots_walk_end(m->s, m->now);
}

static bool sim_alive(const struct sim *m, const struct slots_word *w)
{
	for (unsigned i = 0; i < m->n; i++) {
		if (m->node[i].object_id == w->node.object_id)
			return true;
	}
	return false;
}

/* As user/trace/watch.c: what has died since the walk is not armed. */
static void sim_rotate(struct sim *m)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		struct slots_word w;
		bool over, got;

		while ((got = slots_next(m->s, i, m->now, &w, &over)) && !sim_alive(m, &w))
			slots_gone(m->s, &w, m->now);
		if (!over)
			continue;
		slots_disarmed(m->s, i, SLOTS_END_TURN, m->hits[i], m->now);
		m->holds[i] = got;
		if (!got)
			continue;
		slots_armed(m->s, i, &w, m->now);
		m->held[i] = w;
		m->hits[i] = 0;
	}
}

/* Node i dies; another is born at the same address. */
static void sim_replace(struct sim *m, unsigned i)
{
	for (unsigned k = 0; k < SLOTS_MAX; k++) {
		if (m->holds[k] && m->held[k].node.object_id == m->node[i].object_id) {
			slots_disarmed(m->s, k, SLOTS_END_RELEASED, m->hits[k], m->now);
			m->holds[k] = false;
		}
	}
	m->node[i].object_id = m->next_id++;
}

static void sim_store(struct sim *m, size_t place_no, unsigned node_no)
{
	const struct slots_node *n = &m->node[node_no];
	uint64_t addr = n->node + slots_place_at(m->s, place_no)->offset;

	m->stores++;
	for (unsigned k = 0; k < SLOTS_MAX; k++) {
		bool hit =
			m->holds[k] && m->held[k].addr == addr && m->held[k].node.object_id == n->object_id;

		m->caught += hit;
		m->hits[k] += hit;
	}
}

static void sim_init(struct sim *m, unsigned n)
{
	*m = (struct sim){.s = make(SLOTS_MAX, 16), .n = n, .now = 1000 * MS, .next_id = 1, .rng = 7};
	for (unsigned f = 0; f < 5; f++)
		assert_int_equal(place(m->s, 0, f, 8 * f, 8, f == 1 ? 4 : 1), f);
	for (unsigned i = 0; i < n; i++)
		m->node[i] = node(0, 0x10000 + 0x100 * i, m->next_id++);
}

static void simulate(struct sim *m, unsigned steps, int field, bool churn)
{
	for (unsigned t = 0; t < steps; t++, m->now += STEP) {
		if (t % 50 == 0)
			sim_walk(m);
		sim_rotate(m);
		if (churn && t % 10 == 0)
			sim_replace(m, sim_rnd(m, m->n));
		sim_store(m, field < 0 ? sim_rnd(m, 5) : (size_t)field, sim_rnd(m, m->n));
	}
}

static void check_rate(struct sim *m, const struct slots_account *a)
{
	double predicted = a->watched_ws / a->alive_ws, rate = (double)m->caught / (double)m->stores;

	assert_true(m->caught > 1000);
	assert_true(predicted > 0.9 * rate && predicted < 1.1 * rate);
}

static void test_account_predicts_rate(void **state)
{
	struct slots_account a;
	struct sim m;

	(void)state;
	sim_init(&m, 24);
	simulate(&m, 60000, -1, false);
	slots_account_all(m.s, m.now, &a);
	check_rate(&m, &a);
	/* four words of 120 all the time */
	assert_true(a.watched_ws / a.alive_ws > 0.031 && a.watched_ws / a.alive_ws < 0.035);
	slots_destroy(m.s);
}

static void test_account_predicts_rate_per_place(void **state)
{
	for (int f = 0; f < 2; f++) {
		struct slots_account a;
		struct sim m;

		sim_init(&m, 12);
		simulate(&m, 60000, f, false);
		slots_account_place(m.s, (size_t)f, m.now, &a);
		check_rate(&m, &a);
		slots_destroy(m.s);
	}
	(void)state;
}

static void test_account_with_short_lives(void **state)
{
	struct slots_account a;
	struct sim m;

	(void)state;
	sim_init(&m, 24);
	simulate(&m, 120000, -1, true);
	slots_account_all(m.s, m.now, &a);
	check_rate(&m, &a);
	slots_destroy(m.s);
}

static void test_weight_shares(void **state)
{
	struct slots_account heavy, light;
	struct sim m;

	(void)state;
	sim_init(&m, 40);
	simulate(&m, 20000, -1, false);
	slots_account_place(m.s, 1, m.now, &heavy);
	slots_account_place(m.s, 2, m.now, &light);
	assert_true(heavy.watched_ws > 3.3 * light.watched_ws && heavy.watched_ws < 4.7 * light.watched_ws);
	slots_destroy(m.s);
}

static void test_refused_places(void **state)
{
	struct slots *s = make(1, 0);
	struct slots_word w;
	struct slots_node n = node(0, 0x1000, 1);

	(void)state;
	assert_int_equal(place(s, 0, 0, 4, 8, 1), -EINVAL);
	assert_int_equal(place(s, 0, 0, 0, 3, 1), -EINVAL);
	assert_int_equal(place(s, 0, 0, 0, 16, 1), -EINVAL);
	assert_int_equal(place(s, 0, 0, 8, 4, 0), 0); /* a reference count */
	slots_walk_begin(s);
	slots_offer(s, &n);
	slots_walk_end(s, MS);
	slots_damaged(s, &n, 0, 0x1008, 4, MS);
	assert_false(turn(s, 0, 2 * MS, &w));
	assert_int_equal(slots_direct_field(s, 0, 0), -ENOENT);
	slots_destroy(s);
}

static void test_damaged_word_first(void **state)
{
	struct slots *s = make(2, 64);
	struct slots_word w[2];
	uint64_t now = 1000 * MS;
	unsigned suspect = 0;

	(void)state;
	for (unsigned f = 0; f < 8; f++)
		place(s, 0, f, 8 * f, 8, 1);
	slots_walk_begin(s);
	for (unsigned i = 0; i < 50; i++) {
		struct slots_node n = node(0, 0x1000 + 0x100 * i, i + 1);

		slots_offer(s, &n);
	}
	slots_walk_end(s, now);
	assert_true(turn(s, 0, now, &w[0]));
	assert_true(turn(s, 1, now, &w[1]));

	struct slots_node bad = node(0, 0x1000 + 0x100 * 7, 8);

	slots_damaged(s, &bad, 3, bad.node + 24, 8, now + MS);
	/* at once, although the turn is not over */
	assert_true(turn(s, 0, now + 2 * MS, &w[0]));
	assert_int_equal(w[0].addr, bad.node + 24);
	assert_int_equal(w[0].node.object_id, 8);
	/* the other slot goes on, and prefers the same field of other objects */
	for (unsigned t = 1; t < 30; t++) {
		assert_true(turn(s, 1, now + t * 200 * MS, &w[1]));
		assert_int_not_equal(w[1].addr, w[0].addr);
		suspect += slots_place_at(s, w[1].place)->field == 3;
	}
	assert_in_range(suspect, 16, 28);
	/* it keeps its slot for its long turn, then again */
	assert_true(turn(s, 0, now + 1900 * MS, &w[0]));
	assert_int_equal(w[0].addr, bad.node + 24);
	assert_true(turn(s, 0, now + 2100 * MS, &w[0]));
	assert_int_equal(w[0].addr, bad.node + 24);
	/* until its object dies */
	slots_disarmed(s, 0, SLOTS_END_RELEASED, 0, now + 2200 * MS);
	for (unsigned t = 0; t < 200; t++) {
		assert_true(turn(s, 0, now + (3000 + t * 210) * MS, &w[0]));
		assert_false(w[0].addr == bad.node + 24 && w[0].node.object_id == 8);
	}
	slots_destroy(s);
}

#define PLACES 30
#define PINNED 10 /* damaged objects that live on */

/* The same field of another object each time; the last damaged ones stay, so that they compete for slots.
 * promoted: the damage is seen. */
static void random_faults(struct sim *m, bool promoted)
{
	unsigned pinned[PINNED];

	sim_init(m, 60);
	for (unsigned f = 5; f < PLACES; f++)
		assert_int_equal(place(m->s, 0, f, 8 * f, 8, 1), f);
	memset(pinned, 0xff, sizeof(pinned));
	for (unsigned t = 0; t < 600000; t++, m->now += STEP) {
		if (t % 50 == 0)
			sim_walk(m);
		sim_rotate(m);
		if (t % 20)
			continue;
		unsigned i = sim_rnd(m, m->n), *oldest = &pinned[t / 20 % PINNED];
		bool again = false;

		for (unsigned k = 0; k < PINNED; k++)
			again |= pinned[k] == i;
		if (again)
			continue;
		sim_store(m, 3, i);
		if (promoted)
			slots_damaged(m->s, &m->node[i], 3, m->node[i].node + 24, 8, m->now);
		if (*oldest < m->n)
			sim_replace(m, *oldest);
		*oldest = i;
	}
}

static void test_promoted_field_is_caught_tenfold(void **state)
{
	struct slots_account a;
	double rate[2];
	struct sim m;

	(void)state;
	for (int promoted = 0; promoted < 2; promoted++) {
		random_faults(&m, promoted);
		slots_account_place(m.s, 3, m.now, &a);
		rate[promoted] = (double)m.caught / (double)m.stores;
		/* as often as the account says of words that were not damaged yet */
		assert_true(fabs(rate[promoted] / ((a.watched_ws - a.damaged_watched_ws) /
						   (a.alive_ws - a.damaged_alive_ws)) -
				 1) < (promoted ? 0.1 : 0.3)); /* a few dozen were caught unpromoted */
		slots_destroy(m.s);
	}
	assert_true(rate[1] > 10 * rate[0]);
}

static void test_damage_elsewhere_is_no_word(void **state)
{
	struct slots *s = make(1, 64);
	struct slots_word w;
	struct slots_node n = node(0, 0x1000, 1);
	struct slots_account a;

	(void)state;
	place(s, 0, 0, 16, 8, 1);
	/* element of a repeated field: the word is not in the node */
	slots_damaged(s, &n, 0, 0x777000, 8, MS);
	assert_false(turn(s, 0, 2 * MS, &w));
	slots_account_place(s, 0, 2 * MS, &a);
	assert_true(a.suspect);
	/* one byte inside */
	slots_damaged(s, &n, 0, 0x1013, 1, MS);
	assert_true(turn(s, 0, 2 * MS, &w));
	assert_int_equal(w.addr, 0x1010);
	slots_destroy(s);
}

static void test_hot_pauses_then_gives_up(void **state)
{
	struct slots *s = make(1, 64);
	struct slots_node n = node(0, 0x1000, 1);
	struct slots_account a;
	struct slots_word w;
	uint64_t now = 0;
	unsigned armed = 0;

	(void)state;
	place(s, 0, 0, 8, 8, 1);
	slots_walk_begin(s);
	slots_offer(s, &n);
	slots_walk_end(s, MS);
	for (now = 2 * MS; now < 60000 * MS; now += 50 * MS) {
		if (!turn(s, 0, now, &w))
			continue;
		armed++;
		slots_disarmed(s, 0, SLOTS_END_HOT, 99, now + MS);
		assert_false(turn(s, 0, now + 50 * MS, &w)); /* pauses */
	}
	assert_int_equal(armed, 3);
	slots_account_place(s, 0, now, &a);
	assert_true(a.given_up);
	assert_int_equal(a.hot, 3);
	slots_destroy(s);
}

static void test_directed(void **state)
{
	struct slots *s = make(4, 8);
	struct slots_word w;

	(void)state;
	place(s, 0, 0, 8, 8, 1);
	place(s, 1, 4, 16, 4, 1);
	place(s, 1, 5, 20, 4, 1);
	assert_int_equal(slots_direct_field(s, 1, 9), -ENOENT);
	assert_int_equal(slots_direct_field(s, 1, 5), 0);
	slots_direct_object(s, 0x5000);
	slots_walk_begin(s);
	for (unsigned i = 0; i < 1000; i++) { /* far more than the sample keeps */
		struct slots_node n = node(i & 1, 0x100000 + 0x100 * i, i + 1);

		if (i == 500)
			n = (struct slots_node){
				.node = 0x5100, .object = 0x5000, .object_id = 9999, .type = 1};
		slots_offer(s, &n);
	}
	slots_walk_end(s, MS);
	assert_true(turn(s, 0, 2 * MS, &w));
	assert_int_equal(w.addr, 0x5100 + 20);
	assert_int_equal(w.node.object_id, 9999);
	/* no second slot on the same word */
	assert_false(turn(s, 1, 2 * MS, &w));
	slots_destroy(s);
}

static void test_sample_is_uniform(void **state)
{
	struct slots *s = make(1, 64);
	unsigned hits[100] = {0}, min = ~0u, max = 0;

	(void)state;
	place(s, 0, 0, 8, 8, 1);
	for (unsigned round = 0; round < 4000; round++) {
		struct slots_word w;

		slots_walk_begin(s);
		for (unsigned i = 0; i < 10000; i++) {
			struct slots_node n = node(0, 0x100000 + 0x100 * i, i + 1);

			slots_offer(s, &n);
		}
		slots_walk_end(s, round * 100 * MS + MS);
		assert_true(turn(s, 0, round * 100 * MS + 2 * MS, &w));
		hits[(w.node.object_id - 1) / 100]++;
	}
	for (unsigned i = 0; i < 100; i++) {
		min = hits[i] < min ? hits[i] : min;
		max = hits[i] > max ? hits[i] : max;
	}
	/* 40 expected, standard deviation 6.3 */
	assert_in_range(min, 17, 40);
	assert_in_range(max, 40, 66);
	assert_int_equal(slots_alive(s), 10000);
	slots_destroy(s);
}

static void test_gone_is_not_chosen_again(void **state)
{
	struct slots *s = make(1, 64);
	struct slots_word w;
	bool over;
	struct slots_node n[2] = {node(0, 0x1000, 1), node(0, 0x2000, 2)};

	(void)state;
	place(s, 0, 0, 8, 8, 1);
	slots_walk_begin(s);
	slots_offer(s, &n[0]);
	slots_offer(s, &n[1]);
	slots_walk_end(s, MS);
	assert_true(slots_next(s, 0, 2 * MS, &w, &over));
	uint64_t dead = w.node.object_id;

	slots_gone(s, &w, 2 * MS);
	for (int i = 0; i < 20; i++) {
		assert_true(slots_next(s, 0, 3 * MS, &w, &over));
		assert_int_not_equal(w.node.object_id, dead);
	}
	slots_gone(s, &w, 2 * MS);
	assert_false(slots_next(s, 0, 4 * MS, &w, &over));
	assert_true(over);
	slots_destroy(s);
}

static void test_min_turn(void **state)
{
	struct slots *s = make(1, 64);
	struct slots_node n[2] = {node(0, 0x1000, 1), node(0, 0x2000, 2)};
	struct slots_word w;
	bool over;

	(void)state;
	place(s, 0, 0, 8, 8, 1);
	slots_walk_begin(s);
	slots_offer(s, &n[0]);
	slots_offer(s, &n[1]);
	slots_walk_end(s, MS);
	slots_set_min_turn(s, 800 * MS);
	assert_true(turn(s, 0, 2 * MS, &w));
	assert_false(slots_next(s, 0, 700 * MS, &w, &over));
	assert_false(over);
	slots_next(s, 0, 803 * MS, &w, &over);
	assert_true(over);
	slots_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_account_predicts_rate),
		cmocka_unit_test(test_account_predicts_rate_per_place),
		cmocka_unit_test(test_account_with_short_lives),
		cmocka_unit_test(test_weight_shares),
		cmocka_unit_test(test_refused_places),
		cmocka_unit_test(test_damaged_word_first),
		cmocka_unit_test(test_promoted_field_is_caught_tenfold),
		cmocka_unit_test(test_damage_elsewhere_is_no_word),
		cmocka_unit_test(test_hot_pauses_then_gives_up),
		cmocka_unit_test(test_directed),
		cmocka_unit_test(test_sample_is_uniform),
		cmocka_unit_test(test_gone_is_not_chosen_again),
		cmocka_unit_test(test_min_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
