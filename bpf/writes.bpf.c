// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Follows guarded objects through insert, check, remove and destroy, and checks them at every touch. One
 * probe table entry per site, found by the attach cookie. on_object does insert, check and remove, on_destroy
 * what ends an object or node, on_node what only licenses or forgets.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "abi/writes.h"
#include "lib/object.bpf.h"
#include "lib/own_stack.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/*
 * One load of the context at a constant offset. In assembler, because the compiler would turn the switch
 * below into one load at a variable offset, which the verifier refuses.
 */
#define REG_LOAD(n, field)                                                                                   \
	case n:                                                                                              \
		asm volatile("%0 = *(u64 *)(%1 + %2)"                                                        \
			     : "=r"(v)                                                                       \
			     : "r"(r), "i"(offsetof(struct pt_regs, field)));                                \
		break

/* Registers by DWARF number. */
static __always_inline __u64 reg_get(struct pt_regs *r, __u32 n)
{
	__u64 v = 0;

	switch (n) {
		REG_LOAD(0, ax);
		REG_LOAD(1, dx);
		REG_LOAD(2, cx);
		REG_LOAD(3, bx);
		REG_LOAD(4, si);
		REG_LOAD(5, di);
		REG_LOAD(6, bp);
		REG_LOAD(7, sp);
		REG_LOAD(8, r8);
		REG_LOAD(9, r9);
		REG_LOAD(10, r10);
		REG_LOAD(11, r11);
		REG_LOAD(12, r12);
		REG_LOAD(13, r13);
		REG_LOAD(14, r14);
		REG_LOAD(15, r15);
	}
	return v;
}

/* 0: there is no object (a NULL on the way) or it cannot be read, which is counted. */
static __always_inline __u64 arg_get(struct pt_regs *r, const struct wr_arg *a)
{
	__u64 v = reg_get(r, a->reg);

	for (int i = 0; i < WR_MAX_DEREF; i++) {
		if (i >= a->n_deref)
			break;
		if (!v)
			return 0;
		if (bpf_probe_read_user(&v, sizeof(v), (void *)(v + a->off[i]))) {
			count(WR_C_ARG_FAILED);
			return 0;
		}
	}
	if (!v)
		return 0;
	return v + a->off[a->n_deref & WR_MAX_DEREF];
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

/* A node that is no object of its own is destroyed with all it holds: an element that leaves a repeated
 * field, say. */
static __always_inline void node_destroyed(__u32 level, struct wr_scratch *s, __u64 addr, __u32 type)
{
	struct wr_node *n = bpf_map_lookup_elem(&nodes, &addr);
	struct wr_item *q = &s->q[0];
	struct wr_object *o;
	__u64 key;

	if (!n)
		return;
	if (n->type != type || (n->flags & WR_NODE_ROOT)) {
		wr_node_delete(addr); /* of something that stood here before */
		return;
	}
	key = n->object;
	o = bpf_map_lookup_elem(&objects, &key);
	if (!o || o->id != n->object_id) {
		wr_node_delete(addr);
		return;
	}
	__builtin_memcpy(s->seen, o->digest, sizeof(s->seen));
	__builtin_memset(q, 0, sizeof(*q));
	q->addr = addr;
	q->type = n->type;
	q->depth = n->depth;
	q->part = n->flags & WR_NODE_SUB ? WR_DIGEST_SUB : WR_DIGEST_TOP;
	__builtin_memcpy(q->step, n->step, sizeof(q->step));
	s->object = n->object;
	s->object_id = n->object_id;
	s->head = 0;
	s->tail = 1;
	walk(level, s);
	nodes_forget(s);
	for (__u32 i = 0; i < WR_MAX_WALK && i < s->tail; i++)
		watch_release(s->q[i].addr);
}

/* After its last walk: nothing of it is followed any more. */
static __always_inline void object_ended(struct wr_scratch *s, __u64 addr, __u32 role)
{
	nodes_forget(s);
	bpf_map_delete_elem(&objects, &addr);
	watch_release(addr);
	count(role == WR_ROLE_DESTROY ? WR_C_DESTROYED : WR_C_REMOVED);
}

/* One hit of a probe with a checking role. */
int wr_object_hit(__u32 level, __u64 addr)
{
	struct wr_scratch *s = scratch_at(level);
	struct wr_object *o;
	struct wr_probe *p;
	__u32 role, type;
	bool check;

	if (!s)
		return 0;
	__u32 key = s->probe;

	p = bpf_map_lookup_elem(&probes, &key);
	if (!p)
		return 0;
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
		return 0;
	}
	s->object = addr;
	s->bad = 0;
	s->destroying = role == WR_ROLE_DESTROY;
	s->deep = 1;
	if (o && role != WR_ROLE_INSERT) {
		s->deep = !check || s->now > o->deep_ns + WR_DEEP_NS;
		s->object_id = o->id;
	} else if (role == WR_ROLE_DESTROY) {
		node_destroyed(level, s, addr, type);
		return 0;
	} else {
		if (o)
			count(WR_C_REPLACED);
		if (!object_new(s, addr, type, role == WR_ROLE_INSERT ? 0 : WR_OBJ_ADOPTED))
			return 0;
		o = bpf_map_lookup_elem(&objects, &addr);
		if (!o)
			return 0;
	}
	count(WR_C_CHECKS);
	if (check && digest_holds(level, s, o, addr)) {
		count(WR_C_QUICK);
		object_touched(o, s->now, s->probe, true);
		return 0;
	}
	digest_begin(s, o);
	walk_from(level, s, addr, type);
	if (role == WR_ROLE_DESTROY || role == WR_ROLE_REMOVE) {
		object_ended(s, addr, role);
		return 0;
	}
	o->n_nodes = s->tail;
	digest_keep(s, o);
	object_touched(o, s->now, s->probe, !s->bad);
	return 0;
}

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
	/* most messages that end are in no guarded object */
	if (addr && (bpf_map_lookup_elem(&nodes, &addr) || bpf_map_lookup_elem(&objects, &addr)))
		object_probe(ctx, addr, index, now);
	return 0;
}

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

SEC("uprobe.multi")
int on_node(struct pt_regs *ctx)
{
	__u32 index = probe_index(ctx, WR_ON_NODE);
	__u64 now = bpf_ktime_get_ns(), addr;
	struct wr_probe *p = probe_of(&index, now);

	KEEP_OWN_STACK(ctx);
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
