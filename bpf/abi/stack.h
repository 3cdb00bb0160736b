/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A user stack as it leaves the kernel: registers in DWARF order and a bounded copy of the stack bytes above
 * the stack pointer. User space unwinds it with .eh_frame; nothing here depends on frame pointers.
 */
#ifndef CULPRIT_ABI_STACK_H
#define CULPRIT_ABI_STACK_H

#include "base.h"
#include "regs.h" /* of bpf/arch/MACHINE */

#define ABI_STACK_BYTES 16384

enum abi_stack_flags {
	ABI_STACK_TRUNCATED = 1, /* copied up to ABI_STACK_BYTES; the stack goes on */
	ABI_STACK_NONE = 2,	 /* not one byte could be read */
	ABI_STACK_SYSCALL = 4,	 /* registers are those saved at system call entry */
};

struct abi_stack {
	__u64 reg[ABI_REGS];
	__u32 len;   /* bytes valid in data[], from reg[ABI_REG_SP] upwards */
	__u32 flags; /* enum abi_stack_flags */
	__u8 data[ABI_STACK_BYTES];
};
_Static_assert(sizeof(struct abi_stack) == ABI_REGS * 8 + 8 + ABI_STACK_BYTES, "abi_stack");
#define ABI_STACK_HEAD ((__u32)(sizeof(struct abi_stack) - ABI_STACK_BYTES))

#endif
