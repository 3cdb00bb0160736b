/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The last moment of the target: a signal that kills by default is delivered to one of its threads, with the
 * thread's registers and stack; and the guarded messages those lead to, as they are at that moment. Once the
 * process is gone nobody can read them any more.
 */
#ifndef CULPRIT_ABI_CRASH_H
#define CULPRIT_ABI_CRASH_H

#include "base.h"
#include "stack.h"
#include "writes.h"

#define CRASH_NODES 8	/* messages sent for one signal */
#define CRASH_WORDS 192 /* of the stack, looked at for addresses of messages */

enum crash_kind {
	CRASH_SIGNAL = ABI_KIND_CRASH, /* struct crash_signal */
	CRASH_NODE,		       /* struct crash_node; they come before their signal */
	CRASH_EXIT,		       /* struct crash_exit: the main thread is gone */
};

/* One-slot array map `crash_settings`. */
struct crash_cfg {
	__u32 tgid; /* as the host counts */
	__u32 pad;
};
_Static_assert(sizeof(struct crash_cfg) == 8, "crash_cfg");

struct crash_signal {
	struct abi_hdr hdr;
	__u32 signal;
	__s32 code;    /* si_code */
	__u64 addr;    /* si_addr of a fault; of others what stands in its place */
	__u64 handler; /* 0: SIG_DFL, so this is the end */
	__u32 n_nodes; /* records CRASH_NODE that were sent for it */
	__u32 pad;
	struct abi_stack stack; /* the record ends after stack.len bytes of stack.data */
};
_Static_assert(sizeof(struct crash_signal) == 48 + 32 + sizeof(struct abi_stack), "crash_signal");
#define CRASH_SIGNAL_HEAD ((__u32)(sizeof(struct crash_signal) - ABI_STACK_BYTES))

#define CRASH_FROM_STACK 32 /* crash_node.from: this + word of the stack; below: a register's number */
struct crash_node {
	struct abi_hdr hdr;
	__u64 addr;
	__u32 from; /* what led to it */
	__u32 len;  /* bytes read */
	struct wr_node node;
	__u8 bytes[WR_NODE_BYTES];
};
_Static_assert(sizeof(struct crash_node) == 64 + sizeof(struct wr_node) + WR_NODE_BYTES, "crash_node");

struct crash_exit {
	struct abi_hdr hdr;
	__u32 code; /* as wait(2) gives it */
	__u32 pad;
};
_Static_assert(sizeof(struct crash_exit) == 56, "crash_exit");

#endif
