/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which word each hardware watchpoint holds, and for how long. There are four, and 100,000 objects: they
 * rotate over a random sample, damaged words and suspected fields get more and longer turns, and an account
 * of watched against living word-seconds says what the chance was to see one particular store. Pure: no
 * clock, no I/O; times are nanoseconds of one monotonic clock, given by the caller.
 *
 * A `place` is a word inside every node of a type: (type, field, offset). A `word` is a place in one living
 * node.
 */
#ifndef CULPRIT_SLOTS_H
#define CULPRIT_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"

#define SLOTS_MAX 4

struct slots_cfg {
	unsigned n_slots;	  /* 1..SLOTS_MAX */
	uint64_t turn_ns;	  /* 0 = 50 ms */
	uint64_t suspect_turn_ns; /* of a place seen damaged; 0 = 4 turns */
	uint64_t damaged_turn_ns; /* of a damaged word itself; 0 = 40 turns */
	unsigned sample;	  /* nodes remembered per type between two walks; 0 = 512 */
	uint64_t seed;		  /* of the random choice; any value */
};

struct slots_place {
	uint16_t type, field;
	uint32_t offset; /* in the node */
	uint32_t width;	 /* 1, 2, 4 or 8; offset is a multiple of it */
	unsigned weight; /* relative chance of a turn; 0 = never watched (reference counts, cached sizes) */
};

struct slots_node {
	uint64_t node;	    /* address */
	uint64_t object;    /* address of the object it belongs to */
	uint64_t object_id; /* generation: never reused */
	uint16_t type;
};

struct slots_word {
	uint64_t addr;
	uint32_t width;
	uint32_t place; /* index, in order of slots_add_place */
	struct slots_node node;
};

struct slots;
int slots_create(struct slots **ret, const struct slots_cfg *cfg, struct err *err);
void slots_destroy(struct slots *s); /* NULL is fine */

/* Before the first walk. Returns the place's index; -EINVAL: width or offset is not possible; -ENOMEM. */
int slots_add_place(struct slots *s, const struct slots_place *p);
size_t slots_n_places(const struct slots *s);
const struct slots_place *slots_place_at(const struct slots *s, size_t i);
/* Only these fields, or only this object's words, get turns (damaged words still come first). -ENOENT: no
 * such place. */
int slots_direct_field(struct slots *s, uint16_t type, uint16_t field);
void slots_direct_object(struct slots *s, uint64_t object);

/* A round over all living nodes; between begin and end every node is offered once, in any order, over any
 * time. */
void slots_walk_begin(struct slots *s);
void slots_offer(struct slots *s, const struct slots_node *n);
void slots_walk_end(struct slots *s, uint64_t now_ns);
/* Nodes counted by the last whole walk. */
uint64_t slots_alive(const struct slots *s);

/* Bytes [addr, addr + width) of node were seen damaged: the word gets a slot first, its place more turns in
 * other nodes. */
void slots_damaged(struct slots *s, const struct slots_node *n, uint16_t field, uint64_t addr, unsigned width,
		   uint64_t now_ns);

/*
 * The word that slot should hold from now on and until when. False: leave it as it is (the turn is not over)
 * or nothing is there to watch; *over says which: true means disarm. May return the word it holds already.
 */
bool slots_next(struct slots *s, unsigned slot, uint64_t now_ns, struct slots_word *out, bool *over);

enum slots_end {
	SLOTS_END_TURN,
	SLOTS_END_RELEASED, /* the node was destroyed */
	SLOTS_END_HOT,	  /* more hits than its budget: the place pauses, at the third time it is given up */
	SLOTS_END_FAILED, /* could not be armed, or the node had gone before it was */
};
void slots_armed(struct slots *s, unsigned slot, const struct slots_word *w, uint64_t now_ns);
/*
 * at_ns: when it stopped watching; hits: stores it saw. Damaged words hold all slots but one while stores
 * come back to them; when several of their turns in a row saw none, the fault goes elsewhere each time: one
 * slot stays at them, the others look at the same field of other objects.
 */
void slots_disarmed(struct slots *s, unsigned slot, enum slots_end why, uint64_t hits, uint64_t at_ns);
void slots_gone(struct slots *s, const struct slots_word *w,
		uint64_t now_ns); /* chosen by slots_next, but dead by then */
/* Turns at least this long (what a move costs on this machine is known to the caller only). */
void slots_set_min_turn(struct slots *s, uint64_t turn_ns);

struct slots_account {
	double watched_ws; /* word-seconds held by a slot */
	double alive_ws;   /* word-seconds of all living words */
	double damaged_watched_ws,
		damaged_alive_ws; /* the part of both that belongs to words damaged already */
	uint64_t armings;
	uint64_t hot;  /* armings ended as SLOTS_END_HOT */
	bool given_up; /* hot three times: not watched any more */
	bool suspect;
	bool directed;
};
/* Of one place up to now. watched_ws / alive_ws is the chance that one store at a random time to a random
 * word of it is seen; likewise for the damaged words alone, and for the others by the differences. */
void slots_account_place(const struct slots *s, size_t place, uint64_t now_ns, struct slots_account *a);
/* Of all places that may be watched. */
void slots_account_all(const struct slots *s, uint64_t now_ns, struct slots_account *a);

#endif
