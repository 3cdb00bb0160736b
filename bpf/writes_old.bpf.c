// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bpf/writes.bpf.c for kernels whose verifier does not look at functions alone (before 5.6, among them el8.2,
 * 4.18.0-193): the same probes, tables and judgements, but each program is in one piece, and the walk of an
 * object goes through tail calls. A chain of tail calls keeps the context only; what it works on is found by
 * the thread.
 */
#define WR_FUNCTION static __always_inline int

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "abi/writes.h"
#include "lib/licence.bpf.h"
#include "lib/own_stack.bpf.h"
#include "lib/steps.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Filled by user space (user/trace/writes.c). */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, WR_TAILS);
	__type(key, __u32);
	__type(value, __u32);
} tails SEC(".maps");

/* The hit has been dealt with. */
static __always_inline void hit_over(struct pt_regs *ctx, struct wr_scratch *s)
{
	__u64 addr = s->object, now = s->now;
	__u32 index = s->probe;

	s->owner = 0;
	__sync_fetch_and_add(&s->busy, -1);
	altered(ctx, addr, index, now);
}

/* Goes on in the programs below, and does not come back, if there is something to be done. */
static __always_inline void object_probe(struct pt_regs *ctx, __u64 addr, __u32 index, __u64 now)
{
	__u32 level = scratch_take();
	struct wr_scratch *s = scratch_at(level);
	struct wr_object *o = NULL;
	enum wr_work work;

	if (!s)
		return;
	s->owner = bpf_get_current_pid_tgid();
	s->level = level;
	s->runs = 0;
	s->now = now;
	s->probe = index;
	s->object = addr;
	s->news.n = 0;
	work = hit_begin(s, addr, &o);
	phase_begin(s, WR_PHASE_VISIT);
	if (work == WR_WORK_DIGEST && o) {
		s->head = 0;
		if (light_begin(s, o, addr)) {
			bpf_tail_call(ctx, &tails, WR_TAIL_DIGEST);
		} else {
			digest_begin(s, o);
			walk_begin(s, addr, o->type);
			bpf_tail_call(ctx, &tails, WR_TAIL_WALK);
		}
	} else if (work == WR_WORK_WALK) {
		bpf_tail_call(ctx, &tails, WR_TAIL_WALK);
	}
	hit_over(ctx, s);
}

SEC("uprobe")
int on_object(struct pt_regs *ctx)
{
	__u32 index = probe_index(ctx, WR_ON_OBJECT);
	__u64 now = bpf_ktime_get_ns(), addr;
	struct wr_probe *p = probe_of(&index, now);

	KEEP_OWN_STACK(ctx);
	if (!p)
		return 0;
	addr = arg_get(ctx, &p->arg);
	if (addr)
		object_probe(ctx, addr, index, now);
	return 0;
}

SEC("uprobe")
int on_destroy(struct pt_regs *ctx)
{
	__u32 index = probe_index(ctx, WR_ON_DESTROY);
	__u64 now = bpf_ktime_get_ns(), addr;
	struct wr_probe *p = probe_of(&index, now);

	KEEP_OWN_STACK(ctx);
	if (!p)
		return 0;
	addr = arg_get(ctx, &p->arg);
	if (addr && known(addr))
		object_probe(ctx, addr, index, now);
	return 0;
}

SEC("uprobe")
int on_node(struct pt_regs *ctx)
{
	KEEP_OWN_STACK(ctx);
	return node_probe(ctx);
}

SEC("uprobe")
int tail_digest(struct pt_regs *ctx)
{
	struct wr_scratch *s = scratch_mine();
	struct wr_object *o;
	__u64 addr;

	KEEP_OWN_STACK(ctx);
	if (!s)
		return 0;
	for (int i = 0; i < WR_DIGEST_STEPS; i++) {
		if (s->phase >= WR_PHASE_DONE)
			break;
		digest_step(s->level, s);
	}
	if (s->phase < WR_PHASE_DONE && s->runs++ < WR_MAX_RUNS)
		bpf_tail_call(ctx, &tails, WR_TAIL_DIGEST);
	addr = s->object;
	o = bpf_map_lookup_elem(&objects, &addr);
	if (o && o->id == s->object_id) {
		if (s->phase == WR_PHASE_DONE && light_end(s, o)) {
			hit_quick(s, o);
		} else {
			digest_begin(s, o);
			walk_begin(s, addr, o->type);
			phase_begin(s, WR_PHASE_VISIT);
			bpf_tail_call(ctx, &tails, WR_TAIL_WALK);
		}
	}
	hit_over(ctx, s);
	return 0;
}

SEC("uprobe")
int tail_walk(struct pt_regs *ctx)
{
	struct wr_scratch *s = scratch_mine();

	KEEP_OWN_STACK(ctx);
	if (!s)
		return 0;
	for (int i = 0; i < WR_WALK_STEPS; i++) {
		if (s->phase >= WR_PHASE_DONE)
			break;
		walk_step(s->level, s);
	}
	if (s->phase < WR_PHASE_DONE) {
		if (s->runs++ < WR_MAX_RUNS)
			bpf_tail_call(ctx, &tails, WR_TAIL_WALK);
		count(WR_C_WALK_BOUND);
		s->alone = 0; /* what was walked is no digest of the object */
	}
	bpf_tail_call(ctx, &tails, WR_TAIL_END);
	return 0;
}

SEC("uprobe")
int tail_end(struct pt_regs *ctx)
{
	struct wr_scratch *s = scratch_mine();

	KEEP_OWN_STACK(ctx);
	if (!s)
		return 0;
	hit_end(s);
	emit_flush(ctx, s->level);
	news_send(ctx, s);
	hit_over(ctx, s);
	return 0;
}
