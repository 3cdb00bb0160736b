/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What differs between machines, for the one that this program is built for. user/arch/MACHINE holds the
 * definitions, and what reads or chooses instructions: plan/site.h, layout/stores.h, writes/storing.h.
 */
#ifndef CULPRIT_ARCH_H
#define CULPRIT_ARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "unwind/regs.h"

#define ARCH_MAX_ARGS	  8
#define ARCH_SYSCALL_ARGS 6

struct unwind_mem;

extern const struct arch {
	const char *name; /* as `uname -m` says it */
	uint16_t machine; /* e_machine of ELF files */
	/* General registers, in DWARF's order from 0 on; the stack pointer is one of them. */
	uint8_t n_general;
	/* Integer arguments of a function: how many there are in registers, and in which (DWARF's numbers).
	 */
	uint8_t n_args;
	uint8_t arg[ARCH_MAX_ARGS];
	uint8_t syscall_arg[ARCH_SYSCALL_ARGS];
	bool aapcs; /* calls go by the Arm 64-bit procedure call standard, else by System V's for AMD64 */
	/* Why `writes`, watchpoints and the lists of stores are refused; NULL: they are not. */
	const char *no_writes, *no_stores;
} arch;

/* Name of a general register by DWARF's number, "?" for any other. Static. */
const char *arch_reg_name(unsigned reg);
/* Number of the argument that comes in this register, -1: none does. */
int arch_arg_number(unsigned reg);
/* A code address without the bits that a signed return address carries in it. */
uint64_t arch_code_address(uint64_t v);
/*
 * The registers of the code that a signal interrupted, from what the kernel saved on the stack, sp being that
 * of the frame that the handler returns to. false: .eh_frame of that frame says it (or it cannot be read).
 */
bool arch_signal_regs(uint64_t sp, const struct unwind_mem *mem, struct image_regs *ret);
/* Does the CPU, or what the firmware tells, say that a hypervisor is below? */
bool arch_under_hypervisor(void);

#endif
