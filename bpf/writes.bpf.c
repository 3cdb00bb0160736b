// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Follows guarded objects through insert, check, remove and destroy, and checks them at every touch. One
 * probe table entry per site, found by the attach cookie. on_object does insert, check and remove, on_destroy
 * what ends an object or node, on_node what only licenses or forgets. Kernels that verify functions at each
 * call take bpf/writes_old.bpf.c.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "abi/writes.h"
#include "lib/licence.bpf.h"
#include "lib/own_stack.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* One hit of a probe with a checking role. */
int wr_object_hit(__u32 level, __u64 addr)
{
	struct wr_scratch *s = scratch_at(level);
	struct wr_object *o = NULL;
	enum wr_work work;

	if (!s)
		return 0;
	work = hit_begin(s, addr, &o);
	if (work == WR_WORK_NONE)
		return 0;
	if (work == WR_WORK_DIGEST) {
		if (!o)
			return 0;
		if (digest_holds(level, s, o, addr)) {
			hit_quick(s, o);
			return 0;
		}
		digest_begin(s, o);
		walk_begin(s, addr, o->type);
	}
	walk(level, s);
	hit_end(s);
	return 0;
}

static __always_inline void object_probe(void *ctx, __u64 addr, __u32 index, __u64 now)
{
	__u32 level = scratch_take();
	struct wr_scratch *s = scratch_at(level);

	if (!s)
		return;
	s->now = now;
	s->probe = index;
	s->news.n = 0;
	wr_object_hit(level, addr);
	emit_flush(ctx, level);
	news_send(ctx, s);
	scratch_give(level);
}

SEC("uprobe.multi")
int on_object(struct pt_regs *ctx)
{
	__u32 index = probe_index(ctx, WR_ON_OBJECT);
	__u64 now = bpf_ktime_get_ns(), addr;
	struct wr_probe *p = probe_of(&index, now);

	KEEP_OWN_STACK(ctx);
	if (!p)
		return 0;
	addr = arg_get(ctx, &p->arg);
	if (!addr)
		return 0;
	object_probe(ctx, addr, index, now);
	altered(ctx, addr, index, now);
	return 0;
}

SEC("uprobe.multi")
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

SEC("uprobe.multi")
int on_node(struct pt_regs *ctx)
{
	KEEP_OWN_STACK(ctx);
	return node_probe(ctx);
}
