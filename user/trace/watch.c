// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "trace/watch.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "proc/mem.h"
#include "trace/fit.h"
#include "trace/hwbp.h"
#include "trace/session.h"
#include "watch.skel.h"

#define RING_BYTES    (4u << 20) /* 250 records with a whole stack each */
#define WALK_BATCH    1024
#define WALK_PAUSE_NS 200000000ull
#define CPUS_CHECK_NS 1000000000ull
#define ARM_TRIES     8
#define PAST	      512 /* armings remembered */
#define MOVE_SHARE                                                                                           \
	100 /* a slot's turn is at least this many times what moving all slots costs: 1 % of one CPU */

struct armed {
	uint64_t arming; /* 0: none */
	uint64_t since_ns;
	struct slots_word word;
	bool has_value;
	uint64_t value; /* of the word after the last known store */
};

/* An arming that is over. */
struct past {
	uint64_t addr, from, to;
	uint32_t width;
};

struct watch_slot_state {
	struct hwbp *hw;
	bool on;
	struct armed now, before; /* records of the last arming may still be on their way */
	uint64_t hw_count;	  /* of hw when it was armed */
};

struct watch {
	struct watch_cfg cfg;
	struct slots *slots;
	struct watch_bpf *skel;
	int slots_fd;
	struct hwbp_cpus cpus;
	struct watch_slot_state slot[WATCH_SLOTS];
	unsigned n_slots, n_wanted;
	uint64_t armings, cpus_checked_ns;
	struct past past[PAST];
	size_t n_past; /* ever */
	struct slots_node batch[WALK_BATCH];
	bool walking;
	uint64_t walk_ns; /* end of the last round */
	double move_ns;	  /* mean cost of a move */
	/* for the account */
	struct {
		uint64_t moves, stores, records, foreign, late, missed, died, failed;
		unsigned proved, proofs; /* slot x CPU */
		unsigned cpu_changes;
	} n;
	char short_of[ERR_MSG_LEN]; /* why there are fewer slots than wanted */
};

static volatile uint64_t own_word; /* the self-test's */

static void slot_read(const struct watch *w, unsigned i, struct watch_slot *e)
{
	uint32_t key = i;

	if (bpf_map_lookup_elem(w->slots_fd, &key, e))
		*e = (struct watch_slot){0};
}

static void slot_write(const struct watch *w, unsigned i, const struct watch_slot *e)
{
	uint32_t key = i;

	bpf_map_update_elem(w->slots_fd, &key, e, BPF_ANY);
}

/* One store on each CPU we may run on must be counted once each. Returns how many were. */
static unsigned slot_prove(struct watch *w, unsigned i, struct err *err)
{
	struct watch_slot e = {.state = WATCH_ARMED,
			       .addr = (uintptr_t)&own_word,
			       .width = sizeof(own_word),
			       .budget = UINT32_MAX};
	cpu_set_t *old = CPU_ALLOC(CPU_SETSIZE), *one = CPU_ALLOC(CPU_SETSIZE);
	size_t size = CPU_ALLOC_SIZE(CPU_SETSIZE);
	unsigned done = 0;

	if (!old || !one || sched_getaffinity(0, size, old))
		goto out;
	slot_write(w, i, &e);
	if (hwbp_move(w->slot[i].hw, e.addr, e.width, err))
		goto out;
	for (size_t c = 0; c < w->cpus.n; c++) {
		uint64_t before;

		CPU_ZERO_S(size, one);
		CPU_SET_S((size_t)w->cpus.cpu[c], size, one);
		if (sched_setaffinity(0, size, one))
			continue;
		slot_read(w, i, &e);
		before = e.hits;
		own_word++;
		slot_read(w, i, &e);
		done += e.hits == before + 1;
	}
	sched_setaffinity(0, size, old);
	hwbp_off(w->slot[i].hw, NULL);
out:
	slot_write(w, i, &(struct watch_slot){0});
	CPU_FREE(old);
	CPU_FREE(one);
	return done;
}

static void slots_close(struct watch *w)
{
	for (unsigned i = 0; i < w->n_slots; i++) {
		hwbp_close(w->slot[i].hw);
		w->slot[i].hw = NULL;
	}
	w->n_slots = 0;
}

/* As many as there are; short_of says why not all. */
static int slots_open(struct watch *w, struct err *err)
{
	w->n.proved = w->n.proofs = 0;
	w->short_of[0] = 0;
	while (w->n_slots < w->n_wanted) {
		struct watch_slot_state *s = &w->slot[w->n_slots];
		int code = hwbp_open(&s->hw, &w->cpus, bpf_program__fd(w->skel->progs.watch_trap), err);

		if (code) {
			if (!w->n_slots)
				return code;
			memcpy(w->short_of, err->msg, sizeof(w->short_of));
			break;
		}
		w->n.proofs += (unsigned)w->cpus.n;
		w->n.proved += slot_prove(w, w->n_slots, err);
		w->n_slots++;
	}
	if (w->n.proved)
		return 0;
	slots_close(w);
	err_set(err, -EIO, "watchpoints can be opened, but a store of our own did not trap");
	err_hint(err,
		 "the hypervisor does not pass debug registers on; bad writes are still found by checks");
	return -EIO;
}

static int object_load(struct watch *w, struct transport *t, struct err *err)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = w->cfg.btf);
	int code = 0;

	w->skel = watch_bpf__open_opts(&opts);
	if (!w->skel)
		return err_set(err, -errno, "cannot open the watch program: %s", strerror(errno));
	bpf_map__set_max_entries(w->skel->maps.events, RING_BYTES);
	if (w->cfg.slots_fd >= 0)
		code = bpf_map__reuse_fd(w->skel->maps.watch_slots, w->cfg.slots_fd);
	if (!code)
		code = fit_object(w->skel->obj, w->cfg.btf, err);
	if (!code)
		code = watch_bpf__load(w->skel);
	if (code)
		return err_set(err, code, "cannot load the watch program: %s", strerror(-code));
	w->slots_fd = bpf_map__fd(w->skel->maps.watch_slots);
	return transport_add(t, bpf_map__fd(w->skel->maps.events), bpf_map__fd(w->skel->maps.lost), err);
}

int watch_open(struct watch **ret, const struct watch_cfg *cfg, struct slots *s, struct transport *t,
	       struct err *err)
{
	struct watch *w;
	int code;

	*ret = NULL;
	if (!cfg->allow_vm && hwbp_under_hypervisor()) {
		err_set(err, -EOPNOTSUPP, "watchpoints are off under a hypervisor");
		err_hint(err, "a debug trap lost there kills the target (SIGTRAP); --allow-vm-watchpoints "
			      "takes the risk");
		return -EOPNOTSUPP;
	}
	w = calloc(1, sizeof(*w));
	if (!w)
		return err_set(err, -ENOMEM, "out of memory");
	w->cfg = *cfg;
	w->slots = s;
	w->n_wanted = cfg->max_slots && cfg->max_slots < WATCH_SLOTS ? cfg->max_slots : WATCH_SLOTS;
	if (!w->cfg.budget)
		w->cfg.budget = 16;
	code = hwbp_cpus_online(&w->cpus, err);
	if (!code)
		code = object_load(w, t, err);
	if (!code)
		code = slots_open(w, err);
	if (code) {
		watch_close(w);
		return code;
	}
	*ret = w;
	return 0;
}

void watch_close(struct watch *w)
{
	if (!w)
		return;
	slots_close(w);
	hwbp_cpus_deinit(&w->cpus);
	watch_bpf__destroy(w->skel);
	free(w);
}

static bool word_read(const struct watch *w, const struct slots_word *word, uint64_t *value)
{
	*value = 0;
	return proc_mem_read(w->cfg.pid, word->addr, value, word->width) == (ssize_t)word->width;
}

/* Off, and the slot's counters into the account. ended_ns: 0 = now. */
static void slot_off(struct watch *w, unsigned i, enum slots_end why, uint64_t now_ns)
{
	struct watch_slot_state *s = &w->slot[i];
	uint64_t counted, at = now_ns;
	struct watch_slot e;

	if (!s->on)
		return;
	s->on = false;
	hwbp_off(s->hw, NULL);
	slot_read(w, i, &e);
	slot_write(w, i, &(struct watch_slot){0});
	/* it may have ended since the caller looked */
	if (e.state == WATCH_RELEASED)
		why = SLOTS_END_RELEASED;
	else if (e.state == WATCH_HOT)
		why = SLOTS_END_HOT;
	if (e.state == WATCH_RELEASED || e.state == WATCH_HOT)
		at = e.ended_ns;
	counted = hwbp_count(s->hw) - s->hw_count;
	w->n.stores += e.hits;
	w->n.foreign += e.foreign;
	w->n.late += e.late;
	w->n.died += why == SLOTS_END_RELEASED;
	if (counted > e.calls)
		w->n.missed += counted - e.calls;
	w->past[w->n_past++ % PAST] = (struct past){
		.addr = s->now.word.addr, .width = s->now.word.width, .from = s->now.since_ns, .to = at};
	s->before = s->now;
	s->now.arming = 0;
	slots_disarmed(w->slots, i, why, e.hits, at);
}

/* What must hold of the word's node before it is watched. *vptr: 0 if there is none to compare at a hit. */
static bool word_usable(const struct watch *w, const struct slots_word *word, uint64_t *vptr)
{
	const struct watch_source *src = &w->cfg.source;
	bool has = false;

	*vptr = 0;
	if (!src->alive(src->ctx, &word->node) ||
	    proc_mem_read(w->cfg.pid, word->node.node, vptr, sizeof(*vptr)) != (ssize_t)sizeof(*vptr) ||
	    !src->vptr_ok(src->ctx, &word->node, *vptr, &has))
		return false;
	if (!has || word->addr == word->node.node)
		*vptr = 0;
	return true;
}

/* Arms slot i, which is off. False: the word's node has gone, or it cannot be watched. */
static bool slot_arm(struct watch *w, unsigned i, const struct slots_word *word)
{
	const struct slots_place *p = slots_place_at(w->slots, word->place);
	struct watch_slot_state *s = &w->slot[i];
	struct watch_slot e = {
		.state = WATCH_ARMED,
		.width = word->width,
		.addr = word->addr,
		.node = word->node.node,
		.object = word->node.object,
		.object_id = word->node.object_id,
		.arming = ++w->armings,
		.tgid = w->cfg.tgid,
		.budget = w->cfg.budget,
		.type = p->type,
		.field = p->field,
	};
	uint64_t began, before, after, vptr;
	bool known;

	if (!word_usable(w, word, &vptr))
		return false;
	e.vptr = vptr;
	known = word_read(w, word, &before);
	s->hw_count = hwbp_count(s->hw);
	slot_write(w, i, &e);
	began = mono_now_ns();
	s->on = true;
	slots_armed(w->slots, i, word, began);
	s->now = (struct armed){.arming = e.arming,
				.since_ns = UINT64_MAX,
				.word = *word,
				.has_value = known,
				.value = before};
	if (hwbp_move(s->hw, word->addr, word->width, NULL)) {
		w->n.failed++;
		slot_off(w, i, SLOTS_END_FAILED, began);
		return false;
	}
	w->n.moves++;
	s->now.since_ns = mono_now_ns(); /* from here on it traps */
	w->move_ns +=
		((double)(mono_now_ns() - began) - w->move_ns) / (w->n.moves < 32 ? (double)w->n.moves : 32);
	/* whoever destroyed it before the entry was written found no slot to release */
	if (!w->cfg.source.alive(w->cfg.source.ctx, &word->node)) {
		slot_off(w, i, SLOTS_END_RELEASED, began);
		return false;
	}
	/* a store between the reading and the arming */
	if (known && word_read(w, word, &after) && after != before) {
		slot_read(w, i, &e);
		if (!e.hits)
			s->now.value = after;
	}
	return true;
}

static void slot_tick(struct watch *w, unsigned i, uint64_t now_ns)
{
	struct watch_slot_state *s = &w->slot[i];
	struct slots_word word;
	struct watch_slot e;
	bool over, got;

	if (s->on) {
		slot_read(w, i, &e);
		if (e.state != WATCH_ARMED)
			slot_off(w, i, SLOTS_END_RELEASED, now_ns);
	}
	for (int try = 0; try < ARM_TRIES; try++) {
		got = slots_next(w->slots, i, now_ns, &word, &over);
		if (!over)
			return;
		slot_off(w, i, SLOTS_END_TURN, now_ns);
		if (!got || slot_arm(w, i, &word))
			return;
		slots_gone(w->slots, &word, now_ns);
	}
}

static int walk_tick(struct watch *w, uint64_t now_ns, struct err *err)
{
	const struct watch_source *src = &w->cfg.source;
	bool end = false;
	int n;

	if (!w->walking && w->walk_ns && now_ns - w->walk_ns < WALK_PAUSE_NS)
		return 0;
	if (!w->walking)
		slots_walk_begin(w->slots);
	w->walking = true;
	n = src->walk(src->ctx, w->batch, WALK_BATCH, &end);
	if (n < 0)
		return err_set(err, n, "cannot read the table of objects: %s", strerror(-n));
	for (int i = 0; i < n; i++)
		slots_offer(w->slots, &w->batch[i]);
	if (!end)
		return 0;
	slots_walk_end(w->slots, now_ns);
	w->walking = false;
	w->walk_ns = now_ns;
	return 0;
}

/* CPUs that came have no watchpoint: all are opened again. */
static int cpus_tick(struct watch *w, uint64_t now_ns, struct err *err)
{
	struct hwbp_cpus cpus;
	int code;

	if (now_ns - w->cpus_checked_ns < CPUS_CHECK_NS)
		return 0;
	w->cpus_checked_ns = now_ns;
	code = hwbp_cpus_online(&cpus, err);
	if (code || hwbp_cpus_equal(&cpus, &w->cpus)) {
		hwbp_cpus_deinit(&cpus);
		return code;
	}
	watch_stop(w, now_ns);
	slots_close(w);
	hwbp_cpus_deinit(&w->cpus);
	w->cpus = cpus;
	w->n.cpu_changes++;
	return slots_open(w, err);
}

int watch_tick(struct watch *w, uint64_t now_ns, struct err *err)
{
	int code = cpus_tick(w, now_ns, err);

	if (!code)
		code = walk_tick(w, now_ns, err);
	slots_set_min_turn(w->slots, (uint64_t)(w->move_ns * MOVE_SHARE * w->n_slots));
	for (unsigned i = 0; !code && i < w->n_slots; i++)
		slot_tick(w, i, now_ns);
	return code;
}

bool watch_record(struct watch *w, const struct abi_hdr *rec, struct watch_store *ret)
{
	const struct watch_hit *h = (const void *)rec;
	struct armed *a;

	if ((rec->kind != WATCH_KIND_HIT && rec->kind != WATCH_KIND_HOT) || rec->size < WATCH_HIT_HEAD ||
	    h->slot >= w->n_slots || h->stack.len > rec->size - WATCH_HIT_HEAD)
		return false;
	a = h->arming == w->slot[h->slot].now.arming ? &w->slot[h->slot].now : &w->slot[h->slot].before;
	if (!h->arming || a->arming != h->arming)
		return false;
	if (rec->kind == WATCH_KIND_HOT) { /* each further store costs the target a trap */
		if (a == &w->slot[h->slot].now)
			slot_off(w, h->slot, SLOTS_END_HOT, rec->ts_ns);
		return false;
	}
	w->n.records++;
	*ret = (struct watch_store){
		.hit = h, .word = a->word, .has_old = a->has_value, .old_value = a->value};
	a->has_value = !(h->flags & WATCH_HIT_NOREAD);
	a->value = h->value;
	return true;
}

/* What one arming, [from, to), has of the time asked for. */
static enum watch_cover covers(const struct past *p, uint64_t addr, unsigned width, uint64_t from,
			       uint64_t to)
{
	if (addr < p->addr || addr + width > p->addr + p->width || p->from >= to || p->to <= from)
		return COVER_NONE;
	return p->from <= from && p->to >= to ? COVER_WHOLE : COVER_PART;
}

enum watch_cover watch_covered(const struct watch *w, uint64_t addr, unsigned width, uint64_t from,
			       uint64_t to)
{
	enum watch_cover best = COVER_NONE, c;

	for (size_t i = 0; i < PAST && i < w->n_past; i++) {
		c = covers(&w->past[i], addr, width, from, to);
		best = c > best ? c : best;
	}
	for (unsigned i = 0; i < w->n_slots; i++) {
		const struct armed *a = &w->slot[i].now;
		struct past p = {
			.addr = a->word.addr, .width = a->word.width, .from = a->since_ns, .to = UINT64_MAX};

		c = w->slot[i].on ? covers(&p, addr, width, from, to) : COVER_NONE;
		best = c > best ? c : best;
	}
	return best;
}

void watch_stop(struct watch *w, uint64_t now_ns)
{
	for (unsigned i = 0; i < w->n_slots; i++)
		slot_off(w, i, SLOTS_END_TURN, now_ns);
}

static void account_place(const char *name, const struct slots_account *a, struct summary *sum)
{
	char damaged[96] = "";

	if (a->damaged_alive_ws > 0)
		snprintf(damaged, sizeof(damaged),
			 "; of that %.1f of %.1f (%.3g %%) at words damaged already", a->damaged_watched_ws,
			 a->damaged_alive_ws, 100 * a->damaged_watched_ws / a->damaged_alive_ws);
	summary_note(sum, false, "%s%s: watched %.1f of %.1f word-seconds (%.3g %%)%s", name,
		     a->suspect ? ", seen damaged" : "", a->watched_ws, a->alive_ws,
		     100 * a->watched_ws / a->alive_ws, damaged);
}

static void account_places(struct watch *w, uint64_t now_ns,
			   const char *(*name_of)(void *ctx, const struct slots_place *p), void *ctx,
			   struct summary *sum)
{
	for (size_t i = 0; i < slots_n_places(w->slots); i++) {
		const struct slots_place *p = slots_place_at(w->slots, i);
		struct slots_account a;

		slots_account_place(w->slots, i, now_ns, &a);
		if (a.given_up)
			summary_note(sum, false, "%s is written too often to be watched: given up",
				     name_of(ctx, p));
		else if ((a.suspect || a.directed) && a.alive_ws > 0)
			account_place(name_of(ctx, p), &a, sum);
	}
}

void watch_account(struct watch *w, uint64_t now_ns,
		   const char *(*name_of)(void *ctx, const struct slots_place *p), void *ctx,
		   struct summary *sum)
{
	struct slots_account a;

	slots_account_all(w->slots, now_ns, &a);
	summary_count(sum, "watchpoints", w->n_slots);
	summary_count(sum, "watch_moves", w->n.moves);
	summary_count(sum, "watch_stores", w->n.stores);
	summary_count(sum, "watch_stores_late", w->n.late);
	summary_count(sum, "watch_stores_other_processes", w->n.foreign);
	summary_note(
		sum, w->n.proved < w->n.proofs,
		"%u of %u watchpoints, over all threads; self-test: %u of %u stores trapped on %zu CPUs; "
		"a move takes %.0f us",
		w->n_slots, w->n_wanted, w->n.proved, w->n.proofs, w->cpus.n, w->move_ns / 1e3);
	if (w->short_of[0])
		summary_note(sum, false, "fewer watchpoints: %s", w->short_of);
	if (a.alive_ws > 0)
		summary_note(sum, false,
			     "watched %.1f of %.1f word-seconds: the chance to see one store to a random "
			     "guarded word "
			     "was %.3g %%",
			     a.watched_ws, a.alive_ws, 100 * a.watched_ws / a.alive_ws);
	if (w->n.missed)
		summary_note(sum, true,
			     "%" PRIu64 " traps were counted by the kernel but not seen by the program",
			     w->n.missed);
	if (w->n.failed)
		summary_note(sum, false, "%" PRIu64 " times a watchpoint could not be moved", w->n.failed);
	if (w->n.cpu_changes)
		summary_note(sum, false, "CPUs came or went %u times: watchpoints were opened again",
			     w->n.cpu_changes);
	account_places(w, now_ns, name_of, ctx, sum);
}
