/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Probes that do not look at an object: mutators and stores license changes, constructors forget what stood
 * there. */
#ifndef CULPRIT_LICENCE_BPF_H
#define CULPRIT_LICENCE_BPF_H

#include "hit.bpf.h"

/* When the memory of n was last known to equal its shadow. */
static __always_inline __u64 node_since(const struct wr_node *n)
{
	__u64 key = n->object;
	struct wr_object *o = bpf_map_lookup_elem(&objects, &key);

	if (!o || o->id != n->object_id)
		return n->shadow_ns;
	return wr_since(n, &o->digest[n->flags & WR_NODE_SUB ? WR_DIGEST_SUB : WR_DIGEST_TOP]);
}

static __always_inline void node_stored(__u64 addr, __u64 now, const struct wr_probe *p)
{
	struct wr_node *n = bpf_map_lookup_elem(&nodes, &addr);
	struct wr_cfg *g = cfg_get();

	if (!n || !g || n->type != p->type)
		return;
	if (n->store_ns + g->licence_ns < now && n->store_ns + g->licence_ns < node_since(n)) {
		/* what was licensed then has been seen by now */
		n->store_fields[0] = 0;
		n->store_fields[1] = 0;
	}
	n->store_fields[0] |= p->fields[0];
	n->store_fields[1] |= p->fields[1];
	n->store_ns = now;
	count(WR_C_STORES);
}

/* One instruction may store into fields of several types, or into several fields. */
static __always_inline void stored(struct pt_regs *ctx, __u64 now, struct wr_probe *p)
{
	for (int i = 0; i < WR_SITE_STORES; i++) {
		__u64 addr = arg_get(ctx, &p->arg);
		__u32 next = p->next;

		if (addr)
			node_stored(addr, now, p);
		if (!next)
			break;
		p = probe_of(&next, now);
		if (!p)
			break;
	}
}

static __always_inline void called(__u64 now, __u32 probe)
{
	__u64 key = bpf_get_current_pid_tgid() << 32 | probe;
	struct wr_touch t = {};

	touch_fill(&t, now, probe);
	bpf_map_update_elem(&calls, &key, &t, BPF_ANY);
}

/* Something is about to be built at addr: whatever was known there has gone. Returns true if it is an object
 * whose constructor has begun already. */
static __always_inline bool built_anew(__u64 addr, __u64 now)
{
	struct wr_object *o = bpf_map_lookup_elem(&objects, &addr);

	if (o && newborn(o, now))
		return true;
	wr_node_delete(addr);
	if (o && !bpf_map_delete_elem(&objects, &addr))
		count(WR_C_REPLACED);
	watch_release(addr);
	return false;
}

static __always_inline void object_born(__u64 addr, __u64 now, __u32 type)
{
	__u32 level = scratch_take();
	struct wr_scratch *s = scratch_at(level);
	struct wr_object *o;

	if (!s)
		return;
	o = &s->object_new;
	__builtin_memset(o, 0, sizeof(*o));
	o->id = (now << 8) | (bpf_get_smp_processor_id() & 0xff);
	o->since_ns = now;
	o->type = type;
	o->flags = WR_OBJ_BORN;
	if (bpf_map_update_elem(&objects, &addr, o, BPF_ANY)) {
		count(WR_C_OBJECTS_FULL);
		lost_add(ABI_LOST_MAP);
	} else {
		count(WR_C_INSERTED);
	}
	scratch_give(level);
}

/* One hit of a probe that licenses, forgets or notes. */
static __always_inline int node_probe(struct pt_regs *ctx)
{
	__u32 index = probe_index(ctx, WR_ON_NODE);
	__u64 now = bpf_ktime_get_ns(), addr;
	struct wr_probe *p = probe_of(&index, now);

	if (!p)
		return 0;
	if (p->role == WR_ROLE_TOUCH) {
		called(now, index);
		return 0;
	}
	if (p->role == WR_ROLE_STORE) {
		stored(ctx, now, p);
		return 0;
	}
	addr = arg_get(ctx, &p->arg);
	if (!addr)
		return 0;
	switch (p->role) {
	case WR_ROLE_CREATE:
		built_anew(addr, now);
		break;
	case WR_ROLE_BIRTH:
		if (built_anew(addr, now))
			break;
		if (p->arg2.used && arg_get(ctx, &p->arg2))
			count(WR_C_ON_ARENA);
		else
			object_born(addr, now, p->type);
		break;
	case WR_ROLE_MUTATE:
		node_mutated(addr, now, index);
		if (p->arg2.used) {
			addr = arg_get(ctx, &p->arg2);
			if (addr)
				node_mutated(addr, now, index);
		}
		break;
	}
	return 0;
}

#endif
