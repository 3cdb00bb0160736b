/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which instruction made a store that a watchpoint trapped. The trap comes when the instruction is done
 * (Intel SDM vol. 3, 17.2.4: data breakpoints are traps), so it is the one that ends at ip; instructions have
 * no fixed length, so the code is decoded from a known beginning on. A repeated string instruction traps
 * between two rounds, then ip is its own address. Its operand is computed from the registers at the trap and
 * compared with the watched word. Pure. x86_64.
 */
#ifndef CULPRIT_STORING_H
#define CULPRIT_STORING_H

#include <stddef.h>
#include <stdint.h>

#include "../../bpf/abi/stack.h"
#include "report/finding.h"

struct storing_code {
	uint64_t start; /* address of bytes[0] in the process; an instruction begins there */
	uint64_t bias;	/* address in the process - address in the file */
	const uint8_t *bytes;
	size_t len;
};

enum storing {
	STORING_UNKNOWN, /* could not be decoded, or its operand is not known: not verified */
	STORING_HIT,	 /* it stores to the word */
	STORING_NOT,	 /* it does not */
};

/* reg: DWARF order, as they are at the trap. The word: width bytes at addr. *ret says the same in full. */
enum storing storing_find(const struct storing_code *code, uint64_t ip, const __u64 reg[ABI_REGS],
			  uint64_t addr, unsigned width, struct store_insn *ret);

#endif
