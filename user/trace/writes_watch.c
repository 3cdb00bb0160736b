// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proc/task.h"
#include "trace/session.h"
#include "trace/watch.h"
#include "trace/watch_nodes.h"
#include "trace/writes_watch.h"
#include "writes/kin.h"
#include "writes/places.h"
#include "writes/witness.h"

struct writes_watch {
	struct writes_watch_cfg cfg;
	struct slots *slots;
	struct watch_nodes *nodes;
	struct watch *watch;
	struct kin *kin;
	struct witness *witness;
	char name[512]; /* of a place */
};

/* The words that may be watched; a field asked for by name even if it would not be worth it. */
static int plan_places(struct slots *s, const struct writes_watch_cfg *cfg)
{
	const struct writes_plan *p = cfg->plan;

	for (unsigned t = 0; t < p->n_types; t++) {
		for (unsigned f = 0; f < p->type[t].n_fields; f++) {
			bool asked = cfg->has_field && cfg->field_type == t && cfg->field == f;
			struct slots_place v[PLACES_PER_FIELD];
			size_t n = places_of_field(plan_guard_field(p, t, f), (uint16_t)t, (uint16_t)f, asked,
						   v);

			for (size_t i = 0; i < n; i++) {
				int ret = slots_add_place(s, &v[i]);

				if (ret < 0)
					return ret;
			}
		}
	}
	return 0;
}

static int unwind(void *ctx, const struct abi_stack *st, bool pc_is_return, struct frames *out)
{
	struct image *image = ctx;

	image_refresh(image, NULL);
	return image_unwind(image, st, pc_is_return, out);
}

static int code(void *ctx, uint64_t ip, struct storing_code *ret)
{
	static struct image_code c; /* too large for the stack; one session, one thread */
	int r = image_code_before(ctx, ip, &c);

	*ret = (struct storing_code){.start = c.start, .bias = c.bias, .bytes = c.bytes, .len = c.len};
	return r;
}

static int open_witness(struct writes_watch *w, struct err *err)
{
	const struct writes_watch_cfg *cfg = &w->cfg;
	struct witness_cfg wc = {.plan = cfg->plan,
				 .engine = cfg->engine,
				 .facts = *cfg->facts,
				 .kin = kin_ask,
				 .unwind = unwind,
				 .unwind_ctx = cfg->image,
				 .code = code,
				 .syscall_name = proc_syscall_name};
	int ret = kin_create(&w->kin, cfg->plan, cfg->dbg, err);

	if (ret)
		return ret;
	for (unsigned t = 0; t < cfg->plan->n_types; t++) { /* takes a while: before anything is armed */
		struct judge_ask ask;

		kin_ask(w->kin, (uint16_t)t, &ask);
	}
	wc.kin_ctx = w->kin;
	return witness_create(&w->witness, &wc, err);
}

int writes_watch_open(struct writes_watch **ret, const struct writes_watch_cfg *cfg, struct err *err)
{
	struct slots_cfg sc = {.n_slots = cfg->max_slots ? cfg->max_slots : SLOTS_MAX, .seed = mono_now_ns()};
	struct watch_cfg wc = {.tgid = (uint32_t)cfg->pid,
			       .pid = cfg->pid,
			       .max_slots = cfg->max_slots,
			       .allow_vm = cfg->allow_vm,
			       .btf = cfg->btf};
	struct writes_watch *w = calloc(1, sizeof(*w));
	int r;

	*ret = NULL;
	if (!w)
		return err_set(err, -ENOMEM, "out of memory");
	w->cfg = *cfg;
	r = open_witness(w, err);
	if (!r)
		r = slots_create(&w->slots, &sc, err);
	if (!r && plan_places(w->slots, cfg))
		r = err_set(err, -ENOMEM, "out of memory");
	if (!r && cfg->has_field && slots_direct_field(w->slots, cfg->field_type, cfg->field))
		r = err_set(err, -ENOENT, "the field cannot be watched");
	if (!r && cfg->object)
		slots_direct_object(w->slots, cfg->object);
	if (!r)
		r = watch_nodes_create(&w->nodes, writes_trace_map_fd(cfg->trace, "nodes"),
				       writes_trace_map_fd(cfg->trace, "objects"), cfg->plan->type,
				       cfg->plan->n_types, err);
	if (!r) {
		wc.slots_fd = writes_trace_map_fd(cfg->trace, "watch_slots");
		wc.source = watch_nodes_source(w->nodes);
		r = watch_open(&w->watch, &wc, w->slots, cfg->transport, err);
	}
	if (r)
		writes_watch_close(w);
	else
		*ret = w;
	return r;
}

void writes_watch_close(struct writes_watch *w)
{
	if (!w)
		return;
	watch_close(w->watch);
	watch_nodes_destroy(w->nodes);
	slots_destroy(w->slots);
	witness_destroy(w->witness);
	kin_destroy(w->kin);
	free(w);
}

void writes_watch_record(struct writes_watch *w, const struct abi_hdr *rec)
{
	struct watch_store store;

	if (watch_record(w->watch, rec, &store))
		witness_store(w->witness, store.hit, store.has_old, store.old_value);
}

int writes_watch_tick(struct writes_watch *w, uint64_t now_ns, struct err *err)
{
	witness_tick(w->witness, now_ns, false);
	return watch_tick(w->watch, now_ns, err);
}

void writes_watch_damaged(struct writes_watch *w, const struct engine_finding *f, uint64_t now_ns)
{
	struct slots_node n = {
		.node = f->node, .object = f->w.object_addr, .object_id = f->object_id, .type = f->type};

	slots_damaged(w->slots, &n, f->field, f->w.addr, f->w.width, now_ns);
}

enum watch_cover writes_watch_covered(const struct writes_watch *w, uint64_t addr, unsigned width,
				      uint64_t from, uint64_t to)
{
	return watch_covered(w->watch, addr, width, from, to);
}

void writes_watch_stop(struct writes_watch *w, uint64_t now_ns)
{
	watch_stop(w->watch, now_ns);
	witness_tick(w->witness, now_ns, true);
}

static const char *place_name(void *ctx, const struct slots_place *p)
{
	struct writes_watch *w = ctx;
	const struct guard_field *g = plan_guard_field(w->cfg.plan, p->type, p->field);

	snprintf(w->name, sizeof(w->name), "%s::%s", g ? g->owner : "?", g ? g->path : "?");
	return w->name;
}

void writes_watch_account(struct writes_watch *w, uint64_t now_ns, struct summary *s)
{
	struct witness_stats st;

	watch_account(w->watch, now_ns, place_name, w, s);
	witness_stats(w->witness, &st);
	if (st.strange)
		summary_note(
			s, false,
			"%llu traps came after an instruction that does not store to the watched word: they "
			"name no writer",
			(unsigned long long)st.strange);
	if (st.unjudged)
		summary_note(
			s, true,
			"%llu stores caught by watchpoints were not judged: too many at once, or no stack",
			(unsigned long long)st.unjudged);
}
