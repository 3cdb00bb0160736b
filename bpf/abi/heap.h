/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who handed out and who freed the blocks of the sizes that guarded objects have: kept in the kernel's
 * tables, read by user space when a bad write is found. No record is sent.
 */
#ifndef CULPRIT_ABI_HEAP_H
#define CULPRIT_ABI_HEAP_H

#include "base.h"
#include "stack.h"

#define HEAP_EVENTS	 4     /* kept of one block, the newest; a power of 2 */
#define HEAP_BLOCKS	 32768 /* the least recently used give way */
#define HEAP_STACKS	 4096  /* different ones */
#define HEAP_STACK_BYTES 2048  /* copied of each */
#define HEAP_THREADS	 8192  /* between a function's entry and its return */
#define HEAP_SITES	 256
#define HEAP_TEXTS	 4
#define HEAP_UNIT	 8 /* sizes are told apart in steps of it */
#define HEAP_SIZE_MAX	 8192
#define HEAP_SIZE_WORDS	 (HEAP_SIZE_MAX / HEAP_UNIT / 64)

/* What a function of an allocator does, by its arguments. */
enum heap_kind {
	HEAP_NONE_KIND = 0,
	HEAP_ALLOC,	/* f(size, ..) */
	HEAP_ALLOC_N,	/* f(n, size) */
	HEAP_ALIGNED,	/* f(alignment, size) */
	HEAP_ALIGNED_P, /* f(void **, alignment, size) */
	HEAP_REALLOC,	/* f(block, size) */
	HEAP_RELEASE,	/* f(block, ..) */
	HEAP_RELEASE_N, /* f(block, size, ..) */
};

/* Map `heap_sites`, by the address of the probed instruction. */
struct heap_site {
	__u8 kind; /* enum heap_kind */
	__u8 allocator;
	__u8 tags; /* glibc's: the size of a block stands before it */
	__u8 pad;
	__u32 pushed; /* bytes by which the stack pointer is lower than at the function's entry */
};
_Static_assert(sizeof(struct heap_site) == 8, "heap_site");

struct heap_range {
	__u64 start, end;
};

/* One-slot array map `heap_settings`. */
struct heap_cfg {
	__u32 tgid;
	__u32 n_texts;
	__u64 deadline_ns;	      /* as wr_cfg's */
	__u64 sizes[HEAP_SIZE_WORDS]; /* bit n: blocks asked for with (n-1)*8+1..n*8 bytes are followed */
	struct heap_range text[HEAP_TEXTS]; /* where code stands */
};
_Static_assert(sizeof(struct heap_cfg) == 16 + 8 * HEAP_SIZE_WORDS + 16 * HEAP_TEXTS, "heap_cfg");

enum heap_what { HEAP_HANDED_OUT = 1, HEAP_FREED };

struct heap_event {
	__u64 ts_ns;
	__u64 stack;  /* key into heap_stacks; 0: not kept */
	__u64 caller; /* return address of the allocator's function */
	__u32 tid;
	__u32 size; /* asked for; 0: not known */
	__u8 what;  /* enum heap_what */
	__u8 allocator;
	__u8 pad[6];
	char comm[ABI_COMM_LEN];
};
_Static_assert(sizeof(struct heap_event) == 56, "heap_event");

/* Map `heap_blocks`, by the address of the block. */
struct heap_past {
	__u64 n; /* events ever; ev[(n - 1) % HEAP_EVENTS] is the newest */
	struct heap_event ev[HEAP_EVENTS];
};
_Static_assert(sizeof(struct heap_past) == 8 + 56 * HEAP_EVENTS, "heap_past");

/* Map `heap_stacks`: the first stack of those that have the same return addresses at the same places. */
struct heap_stack {
	__u64 reg[ABI_REGS];
	__u32 len;
	__u32 pad;
	__u8 data[HEAP_STACK_BYTES];
};
_Static_assert(sizeof(struct heap_stack) == 8 * ABI_REGS + 8 + HEAP_STACK_BYTES, "heap_stack");

/* Per-CPU counters, index into `heap_counters`. */
enum heap_counter {
	HEAP_C_HITS = 0, /* runs of the programs */
	HEAP_C_HANDED_OUT,
	HEAP_C_FREED,
	HEAP_C_OTHER_SIZE,   /* calls for blocks of sizes that are not followed */
	HEAP_C_UNKNOWN_SIZE, /* frees of blocks whose size is not known here: handed out before the session */
	HEAP_C_STACKS_FULL,  /* events without a stack: too many different ones */
	HEAP_C_NO_STACK,     /* events whose stack could not be read */
	HEAP_C_BUSY,	     /* events without a stack: all scratch in use by preempted threads */
	HEAP_C_LOST,	     /* events not kept: a table was full */
	HEAP_C_DEADLINE,     /* calls ignored: user space was held up */
	HEAP_C_MAX = 16,
};

#endif
