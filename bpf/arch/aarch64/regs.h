/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Registers as both sides number them, in DWARF's order. aarch64: "DWARF for the Arm 64-bit Architecture"
 * (aadwarf64, 4.1): x0..x30, 31 = sp, 32 = pc. The return address column of .eh_frame is 30, the link
 * register.
 */
#ifndef CULPRIT_ARCH_REGS_H
#define CULPRIT_ARCH_REGS_H

#define ARCH_SYSCALL "__arm64_sys_" /* of the kernel's functions behind system calls */

#define ABI_REGS   33
#define ABI_REG_BP 29
#define ABI_REG_SP 31
#define ABI_REG_IP 32

/* X(number, member of the kernel's struct pt_regs) */
#define ARCH_GENERAL_REGS(X)                                                                                 \
	X(0, regs[0])                                                                                        \
	X(1, regs[1])                                                                                        \
	X(2, regs[2])                                                                                        \
	X(3, regs[3])                                                                                        \
	X(4, regs[4])                                                                                        \
	X(5, regs[5])                                                                                        \
	X(6, regs[6])                                                                                        \
	X(7, regs[7])                                                                                        \
	X(8, regs[8])                                                                                        \
	X(9, regs[9])                                                                                        \
	X(10, regs[10])                                                                                      \
	X(11, regs[11])                                                                                      \
	X(12, regs[12])                                                                                      \
	X(13, regs[13])                                                                                      \
	X(14, regs[14])                                                                                      \
	X(15, regs[15])                                                                                      \
	X(16, regs[16])                                                                                      \
	X(17, regs[17])                                                                                      \
	X(18, regs[18])                                                                                      \
	X(19, regs[19])                                                                                      \
	X(20, regs[20])                                                                                      \
	X(21, regs[21])                                                                                      \
	X(22, regs[22])                                                                                      \
	X(23, regs[23])                                                                                      \
	X(24, regs[24])                                                                                      \
	X(25, regs[25])                                                                                      \
	X(26, regs[26])                                                                                      \
	X(27, regs[27])                                                                                      \
	X(28, regs[28])                                                                                      \
	X(29, regs[29])                                                                                      \
	X(30, regs[30])                                                                                      \
	X(31, sp)
#define ARCH_REGS(X) ARCH_GENERAL_REGS(X) X(32, pc)

#endif
