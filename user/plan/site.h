/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where to put the entry probe of a function, by machine: user/arch/MACHINE/site.c. What follows is said of
 * x86-64; on aarch64 it is always the first instruction. The kernel emulates a few instructions at a probe
 * and single-steps all others, which costs a multiple (a debug exception). So the cheapest instruction of the
 * prologue is taken at which the arguments are still in their registers and the object has not been written
 * yet.
 *
 * Emulated on all kernels since 4.18: push of a register, the one-byte nop, with or without 0x66, and
 * relative jumps and calls (push_setup_xol_ops and branch_setup_xol_ops in arch/x86/kernel/uprobes.c). The
 * first jump or call ends the prologue, but may itself be the place.
 */
#ifndef CULPRIT_SITE_H
#define CULPRIT_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct site {
	uint32_t offset; /* of the probe, from the start of the function */
	uint32_t pushed; /* bytes by which the stack pointer is lower there than at the first instruction */
	uint32_t ra;	 /* for STALLS_COOKIE: where the function's return address stands while it runs */
	bool stepped;	 /* no emulated instruction serves: the probe is single-stepped */
	bool looped;	 /* the function jumps back to offset: it may be hit more than once per call */
};

/*
 * Chooses in the function whose whole code is code[0..size). Every general argument register (rdi rsi rdx rcx
 * r8 r9) holds its value at the site, rsp + pushed points to the return address, and nothing but the
 * function's own part of the stack was written. -EINVAL: size is 0; -ENOTSUP: no disassembler for this
 * machine; -ENOMEM.
 */
int site_choose(const uint8_t *code, size_t size, struct site *ret);

/* Would a probe on the instruction that begins code[0..size) be single-stepped? */
bool site_stepped(const uint8_t *code, size_t size);

#endif
