/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One hit of a probe: which probe it is, what it means for the object at its argument, and how it ends. What
 * lies between, the walk, is made in one piece by bpf/writes.bpf.c and in steps by bpf/writes_old.bpf.c.
 */
#ifndef CULPRIT_HIT_BPF_H
#define CULPRIT_HIT_BPF_H

#include "args.bpf.h"
#include "object.bpf.h"

static __always_inline __u32 probe_index(struct pt_regs *ctx, enum wr_program program)
{
	__u64 key;
	__u32 *index;

	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_attach_cookie))
		return (__u32)bpf_get_attach_cookie(ctx);
	key = WR_SITE_KEY(PT_REGS_IP(ctx), program);
	index = bpf_map_lookup_elem(&sites, &key);
	return index ? *index : (__u32)-1;
}

/* The probe of this hit, or NULL if the hit is not to be looked at. */
static __always_inline struct wr_probe *probe_of(__u32 *index, __u64 now)
{
	struct wr_cfg *g = cfg_get();
	__u64 *n;

	if (!g || !g->tgid || (__u32)(bpf_get_current_pid_tgid() >> 32) != g->tgid)
		return NULL;
	if (now > g->deadline_ns) {
		count(WR_C_DEADLINE);
		return NULL;
	}
	n = bpf_map_lookup_elem(&hits, index);
	if (n)
		*n += 1;
	return bpf_map_lookup_elem(&probes, index);
}

static __always_inline void touch_fill(struct wr_touch *t, __u64 now, __u32 probe)
{
	t->ts_ns = now;
	t->tid = (__u32)bpf_get_current_pid_tgid();
	t->probe = probe;
	bpf_get_current_comm(t->comm, sizeof(t->comm));
}

/* Remembers the touch; a check that found nothing is the last good one. */
static __always_inline void object_touched(struct wr_object *o, __u64 now, __u32 probe, bool good)
{
	struct wr_touch *t;

	t = &o->touch[o->n_touches++ % WR_TOUCHES];
	touch_fill(t, now, probe);
	if (good)
		o->last_good = *t;
}

/* Takes addr into the table as a new object. Returns false if it is none, or the table is full. */
static __always_inline bool object_new(struct wr_scratch *s, __u64 addr, __u32 type, __u32 flags)
{
	struct wr_object *o = &s->object_new;
	__u64 vptr = 0;

	if (bpf_probe_read_user(&vptr, 8, (void *)addr)) {
		count(WR_C_READ_FAILED);
		return false;
	}
	struct wr_type *t = type_get(type);

	if (!t || !t->n_vptrs || !wr_vptr_ok(type, vptr)) {
		count(WR_C_NOT_ADOPTED);
		return false;
	}
	__builtin_memset(o, 0, sizeof(*o));
	o->id = (s->now << 8) | (bpf_get_smp_processor_id() & 0xff);
	o->since_ns = s->now;
	o->type = type;
	o->flags = flags;
	if (bpf_map_update_elem(&objects, &addr, o, BPF_ANY)) {
		count(WR_C_OBJECTS_FULL);
		lost_add(ABI_LOST_MAP);
		return false;
	}
	count(flags & WR_OBJ_ADOPTED ? WR_C_ADOPTED : WR_C_INSERTED);
	s->object_id = o->id;
	return true;
}

/* An object that was born a moment ago and has not been looked at: its bases' constructors run. */
static __always_inline bool newborn(const struct wr_object *o, __u64 now)
{
	struct wr_cfg *g = cfg_get();

	return g && (o->flags & WR_OBJ_BORN) && !o->n_touches && now - o->since_ns < g->licence_ns;
}

/* May object o be looked at: it has been before, or it is built by now? */
static __always_inline bool object_built(const struct wr_object *o, __u64 addr)
{
	struct wr_node *n;
	__u64 vptr = 0;

	if (!(o->flags & WR_OBJ_BORN))
		return true;
	n = bpf_map_lookup_elem(&nodes, &addr);
	if (n && n->object_id == o->id)
		return true;
	return !bpf_probe_read_user(&vptr, 8, (void *)addr) && wr_vptr_ok(o->type, vptr);
}

/* Words of the node or object at addr that a watchpoint holds are of no interest any more. */
static __always_inline void watch_release(__u64 addr)
{
	if (slots_release(addr))
		count(WR_C_SLOTS_RELEASED);
}

static __always_inline void node_mutated(__u64 addr, __u64 now, __u32 probe)
{
	struct wr_node *n = bpf_map_lookup_elem(&nodes, &addr);
	struct wr_object *o;
	__u64 key;

	if (!n)
		return;
	__sync_fetch_and_add(&n->mutate_seq, 1);
	n->mutate_ns = now;
	count(WR_C_MUTATIONS);
	key = n->object;
	o = bpf_map_lookup_elem(&objects, &key);
	if (o)
		object_touched(o, now, probe, false);
}

static __always_inline void altered(struct pt_regs *ctx, __u64 addr, __u32 index, __u64 now)
{
	struct wr_probe *p = bpf_map_lookup_elem(&probes, &index);

	if (!p || p->role != WR_ROLE_ALTER)
		return;
	node_mutated(addr, now, index);
	if (!p->arg2.used)
		return;
	addr = arg_get(ctx, &p->arg2);
	if (addr)
		node_mutated(addr, now, index);
}

/* Most messages that end are in no guarded object. */
static __always_inline bool known(__u64 addr)
{
	return bpf_map_lookup_elem(&nodes, &addr) || bpf_map_lookup_elem(&objects, &addr);
}

/* What is to be done about an object after hit_begin. */
enum wr_work {
	WR_WORK_NONE,
	WR_WORK_DIGEST, /* look whether its digest holds; walk if not */
	WR_WORK_WALK,
};

/* A node that is no object of its own is destroyed with all it holds: an element that leaves a repeated
 * field, say. */
static __always_inline enum wr_work node_ending(struct wr_scratch *s, __u64 addr, __u32 type)
{
	struct wr_node *n = bpf_map_lookup_elem(&nodes, &addr);
	struct wr_item *q = &s->q[0];
	struct wr_object *o;
	__u64 key;

	if (!n)
		return WR_WORK_NONE;
	if (n->type != type || (n->flags & WR_NODE_ROOT)) {
		wr_node_delete(addr); /* of something that stood here before */
		return WR_WORK_NONE;
	}
	key = n->object;
	o = bpf_map_lookup_elem(&objects, &key);
	if (!o || o->id != n->object_id) {
		wr_node_delete(addr);
		return WR_WORK_NONE;
	}
	__builtin_memcpy(s->seen, o->digest, sizeof(s->seen));
	walk_begin(s, addr, n->type);
	q->depth = n->depth;
	q->part = n->flags & WR_NODE_SUB ? WR_DIGEST_SUB : WR_DIGEST_TOP;
	__builtin_memcpy(q->step, n->step, sizeof(q->step));
	s->object = n->object;
	s->object_id = n->object_id;
	s->node_ending = 1;
	return WR_WORK_WALK;
}

/* The object at addr, by the probe s->probe. *ret: in the table, if there is work other than for a node. */
static __always_inline enum wr_work hit_begin(struct wr_scratch *s, __u64 addr, struct wr_object **ret)
{
	__u32 key = s->probe, role, type;
	struct wr_object *o;
	struct wr_probe *p;
	bool check;

	p = bpf_map_lookup_elem(&probes, &key);
	if (!p)
		return WR_WORK_NONE;
	role = p->role;
	type = p->type;
	check = role == WR_ROLE_CHECK || role == WR_ROLE_ALTER;
	o = bpf_map_lookup_elem(&objects, &addr);
	if (o && o->type != type) { /* its end was missed, and something else stands there now */
		bpf_map_delete_elem(&objects, &addr);
		count(WR_C_REPLACED);
		o = NULL;
	}
	if (o && role != WR_ROLE_INSERT && !object_built(o, addr)) {
		if (role == WR_ROLE_DESTROY) { /* of a class that was not known to be derived from the type */
			bpf_map_delete_elem(&objects, &addr);
			count(WR_C_DESTROYED);
		}
		count(WR_C_NOT_ADOPTED);
		return WR_WORK_NONE;
	}
	s->object = addr;
	s->bad = 0;
	s->destroying = role == WR_ROLE_DESTROY;
	s->ending = role == WR_ROLE_DESTROY || role == WR_ROLE_REMOVE;
	s->node_ending = 0;
	s->deep = 1;
	if (o && role != WR_ROLE_INSERT) {
		s->deep = !check || s->now > o->deep_ns + WR_DEEP_NS;
		s->object_id = o->id;
	} else if (role == WR_ROLE_DESTROY) {
		return node_ending(s, addr, type);
	} else {
		if (o)
			count(WR_C_REPLACED);
		if (!object_new(s, addr, type, role == WR_ROLE_INSERT ? 0 : WR_OBJ_ADOPTED))
			return WR_WORK_NONE;
		o = bpf_map_lookup_elem(&objects, &addr);
		if (!o)
			return WR_WORK_NONE;
	}
	count(WR_C_CHECKS);
	*ret = o;
	if (check)
		return WR_WORK_DIGEST;
	digest_begin(s, o);
	walk_begin(s, addr, type);
	return WR_WORK_WALK;
}

/* The digest of object o holds. */
static __always_inline void hit_quick(struct wr_scratch *s, struct wr_object *o)
{
	count(WR_C_QUICK);
	object_touched(o, s->now, s->probe, true);
}

/* After the walk. */
static __always_inline void hit_end(struct wr_scratch *s)
{
	__u64 addr = s->object;
	struct wr_object *o;

	if (s->ending) /* nothing of it is followed any more */
		nodes_forget(s);
	if (s->node_ending) {
		for (__u32 i = 0; i < WR_MAX_WALK && i < s->tail; i++)
			watch_release(s->q[i].addr);
		return;
	}
	if (s->ending) {
		bpf_map_delete_elem(&objects, &addr);
		watch_release(addr);
		count(s->destroying ? WR_C_DESTROYED : WR_C_REMOVED);
		return;
	}
	o = bpf_map_lookup_elem(&objects, &addr);
	if (!o || o->id != s->object_id)
		return;
	o->n_nodes = s->tail;
	digest_keep(s, o);
	object_touched(o, s->now, s->probe, !s->bad);
}

#endif
