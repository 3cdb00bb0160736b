/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Hardware watchpoints: the slot table that user space arms and bpf/writes.bpf.c releases, and the records of
 * a hit.
 *
 * Life of a slot: user space writes the entry (ARMED), then switches the CPU's debug registers on, then looks
 * the node up again and disarms if it has gone. The destroy hook first deletes the node from its table and
 * then calls slots_release() (bpf/lib/slots.bpf.h). So an address that was freed is never reported as its
 * next owner's write.
 */
#ifndef CULPRIT_ABI_WATCH_H
#define CULPRIT_ABI_WATCH_H

#include "base.h"
#include "stack.h"

#define WATCH_SLOTS 4 /* debug registers of x86 */

enum watch_kind {
	WATCH_KIND_HIT = ABI_KIND_WATCH, /* struct watch_hit, with a stack */
	WATCH_KIND_HOT, /* struct watch_hit without one: the budget is used up, disarm at once */
};

enum watch_state {
	WATCH_IDLE = 0,
	WATCH_ARMED,
	WATCH_RELEASED, /* by the destroy hook: hits are counted as late, never reported */
	WATCH_HOT,	/* by the hit handler: more than `budget` hits */
};

/* One entry of the array map watch_slots. Written by user space while the slot's events are disabled. */
struct watch_slot {
	__u32 state; /* enum watch_state */
	__u32 width; /* 1, 2, 4 or 8; addr is a multiple of it */
	__u64 addr;
	__u64 node;	  /* start of the (sub)object that holds the word */
	__u64 object;	  /* the cached object */
	__u64 object_id;  /* wr_node.object_id when it was armed */
	__u64 vptr;	  /* expected at node, 0: the type has none, or the word is the vptr itself */
	__u64 arming;	  /* number of this arming, so that a late record is told from the slot's next word */
	__u32 tgid;	  /* host pid of the process whose stores count; 0: any, counted without records */
	__u32 budget;	  /* records per arming */
	__u16 type;	  /* of the node; index as in bpf/abi/writes.h */
	__u16 field;	  /* of that type */
	__u32 charged;	  /* hits that count against the budget: a system call's pieces are one */
	__u32 kernel_tid; /* thread of the last store by a system call, and when */
	__u32 pad;
	__u64 kernel_ns;
	__u64 ended_ns; /* when it became RELEASED or HOT */
	__u64 hits;	/* stores of that process while ARMED */
	__u64 foreign;	/* stores of other processes to the same address: ignored */
	__u64 late;	/* stores after the slot was released, or to a node whose vptr was gone: ignored */
	__u64 calls;	/* all runs of the program for this slot */
};
_Static_assert(sizeof(struct watch_slot) == 128, "watch_slot");

enum watch_hit_flags {
	WATCH_HIT_KERNEL = 1, /* the store was made by a system call; stack is that of its caller */
	WATCH_HIT_NOREAD = 2, /* the new value could not be read */
	WATCH_HIT_SHARED = 4, /* by a process that shares the target's memory (vfork) */
};

struct watch_hit {
	struct abi_hdr hdr;
	__u64 addr;
	__u64 node;
	__u64 object;
	__u64 object_id;
	__u64 arming;
	__u64 hits;  /* of this arming, this one included */
	__u64 value; /* after the store, zero-extended */
	__u64 ip;    /* of the trap: user space: the instruction after the store; kernel: an address in the
			kernel */
	__u32 slot;
	__u32 width;
	__u32 flags;   /* enum watch_hit_flags */
	__s32 syscall; /* number, -1 unless WATCH_HIT_KERNEL */
	__u16 type;    /* of the node */
	__u16 field;   /* of that type */
	__u32 pad;
	struct abi_stack stack; /* the record ends after stack.len bytes of stack.data */
};
_Static_assert(sizeof(struct watch_hit) == 48 + 88 + sizeof(struct abi_stack), "watch_hit");
#define WATCH_HIT_HEAD ((__u32)(sizeof(struct watch_hit) - ABI_STACK_BYTES))

#endif
