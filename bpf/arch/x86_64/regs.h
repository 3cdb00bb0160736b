/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Registers as both sides number them, in DWARF's order. x86-64: System V psABI (figure 3.36): rax rdx rcx
 * rbx rsi rdi rbp rsp r8..r15, and 16 = return address column, used here for rip.
 */
#ifndef CULPRIT_ARCH_REGS_H
#define CULPRIT_ARCH_REGS_H

#define ARCH_SYSCALL "__x64_sys_" /* of the kernel's functions behind system calls */

#define ABI_REGS   17
#define ABI_REG_BP 6
#define ABI_REG_SP 7
#define ABI_REG_IP 16

/* X(number, member of the kernel's struct pt_regs) */
#define ARCH_GENERAL_REGS(X)                                                                                 \
	X(0, ax)                                                                                             \
	X(1, dx)                                                                                             \
	X(2, cx)                                                                                             \
	X(3, bx)                                                                                             \
	X(4, si)                                                                                             \
	X(5, di)                                                                                             \
	X(6, bp)                                                                                             \
	X(7, sp)                                                                                             \
	X(8, r8)                                                                                             \
	X(9, r9)                                                                                             \
	X(10, r10)                                                                                           \
	X(11, r11)                                                                                           \
	X(12, r12)                                                                                           \
	X(13, r13)                                                                                           \
	X(14, r14)                                                                                           \
	X(15, r15)
#define ARCH_REGS(X) ARCH_GENERAL_REGS(X) X(16, ip)

#endif
