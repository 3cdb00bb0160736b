/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The walk of an object in steps, for verifiers that follow every way through a program with all it calls
 * (before 5.6) and give up after a million instructions. What a step needs to know stands in the scratch and
 * not in registers, so that all ways through a step end in the same state for the verifier, and a program of
 * many steps is as long as its steps together. A program makes some steps and calls itself again by a tail
 * call, of which one hit has 32.
 */
#ifndef CULPRIT_STEPS_BPF_H
#define CULPRIT_STEPS_BPF_H

#include "hit.bpf.h"

#define WR_DIGEST_STEPS	     16 /* of one run of a program */
#define WR_WALK_STEPS	     4
#define WR_FIELDS_PER_STEP   3 /* that are judged */
#define WR_MESSAGES_PER_STEP 4
#define WR_FIELD_STEPS	     8	/* looked at until one has changed */
#define WR_MAX_RUNS	     30 /* the end of the hit takes a tail call too */

/* What the next step does; in wr_scratch.phase. */
enum wr_phase {
	WR_PHASE_VISIT,	   /* takes the next node in hand */
	WR_PHASE_FIELDS,   /* judges one field of it */
	WR_PHASE_SAVE,	   /* its fields have been judged */
	WR_PHASE_CHILDREN, /* queues what one of its children leads to */
	WR_PHASE_DONE,
	WR_PHASE_CHANGED, /* of the digest: it does not hold */
};

/* The scratch that this thread's hit has taken, in an earlier program. */
static __always_inline struct wr_scratch *scratch_mine(void)
{
	__u64 me = bpf_get_current_pid_tgid();

	for (__u32 level = 0; level < WR_LEVELS; level++) {
		struct wr_scratch *s = scratch_at(level);

		if (!s)
			break;
		if (s->owner == me)
			return s;
	}
	return NULL;
}

static __always_inline void phase_begin(struct wr_scratch *s, enum wr_phase phase)
{
	s->phase = phase;
	s->cursor = 0;
}

/* One step of the digest: a node, and one of its children. */
static __always_inline void digest_step(__u32 level, struct wr_scratch *s)
{
	struct wr_light *l;
	struct wr_type *t;

	l = s->head < s->tail ? light_at(s, s->head) : NULL;
	if (!l) {
		s->phase = WR_PHASE_DONE;
		return;
	}
	t = type_get(l->type);
	if (!t) {
		s->phase = WR_PHASE_CHANGED;
		return;
	}
	if (s->phase == WR_PHASE_VISIT)
		phase_begin(s, light_add(s, l, t) ? WR_PHASE_CHILDREN : WR_PHASE_CHANGED);
	if (s->phase != WR_PHASE_CHILDREN)
		return;
	if (s->cursor >= light_children(s, t)) {
		s->head++;
		s->phase = WR_PHASE_VISIT;
		return;
	}
	if (!light_child(level, s, t, s->head, l->depth, s->cursor))
		s->phase = WR_PHASE_CHANGED;
	s->cursor++;
}

static __always_inline void step_visit(__u32 level, struct wr_scratch *s)
{
	if (s->head >= s->tail) {
		s->phase = WR_PHASE_DONE;
		return;
	}
	if (visit_begin(level, s))
		phase_begin(s, s->changed ? WR_PHASE_FIELDS : WR_PHASE_SAVE);
}

static __always_inline void step_fields(__u32 level, struct wr_scratch *s, const struct wr_type *t)
{
	__u32 i;

	for (__u32 k = 0; k < WR_FIELD_STEPS; k++) {
		struct wr_field *f;

		i = s->cursor;
		f = i < t->n_fields ? field_get(t, i) : NULL;
		if (!f || !f->width) {
			s->phase = WR_PHASE_SAVE;
			return;
		}
		if (field_changed(s, f))
			break;
		s->cursor = i + 1;
	}
	i = s->cursor;
	s->cursor = i + 1;
	if (i < t->n_fields) /* where the search ended */
		wr_check_field(level, i);
}

static __always_inline void step_save(__u32 level, struct wr_scratch *s, const struct wr_type *t)
{
	__u64 key = s->it.addr;
	struct wr_node *n = bpf_map_lookup_elem(&nodes, &key);

	if (!n) {
		s->phase = WR_PHASE_VISIT;
		return;
	}
	visit_end(level, s, t, n);
	phase_begin(s, WR_PHASE_CHILDREN);
}

/* Some messages, or the elements of one repeated field. */
static __always_inline void step_children(__u32 level, struct wr_scratch *s, const struct wr_type *t)
{
	for (__u32 k = 0; k < WR_MESSAGES_PER_STEP; k++) {
		struct wr_field *f;
		__u32 i;

		if (s->cursor >= t->n_children) {
			s->phase = WR_PHASE_VISIT;
			return;
		}
		i = child_at(t, s->cursor);
		f = field_get(t, i);
		if (!f || f->kind != WR_F_MESSAGE)
			break;
		push_message(s, f, i);
		s->cursor++;
	}
	if (s->cursor >= t->n_children)
		return;
	push_child(level, s, t, s->cursor);
	s->cursor++;
}

/* One step of the walk: what can be done of a node, from the phase that it is in. */
static __always_inline void walk_step(__u32 level, struct wr_scratch *s)
{
	struct wr_type *t;

	if (s->phase == WR_PHASE_VISIT)
		step_visit(level, s);
	t = type_get(s->it.type);
	if (!t)
		return;
	for (int i = 0; i < WR_FIELDS_PER_STEP; i++) {
		if (s->phase == WR_PHASE_FIELDS)
			step_fields(level, s, t);
	}
	if (s->phase == WR_PHASE_SAVE)
		step_save(level, s, t);
	if (s->phase == WR_PHASE_CHILDREN)
		step_children(level, s, t);
}

#endif
