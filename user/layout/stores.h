/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The instructions of a function that write memory, by capstone. x86_64. */
#ifndef CULPRIT_STORES_H
#define CULPRIT_STORES_H

#include "dwarf/funcs.h"

#define STORE_NO_REG  0xff
#define STORE_REG_RDI 5
#define STORE_REG_RSP 7

struct store {
	uint64_t vaddr;
	uint8_t base;	 /* DWARF register number; STORE_NO_REG: absolute, relative to rip, or a string
			    instruction */
	bool indexed;	 /* an index register takes part: the object is not base + constant */
	bool bits_known; /* only `bits` of the word are set or cleared: what is done to has-bits */
	bool call;    /* no store but a call: rdi, the first argument, holds an address `disp` from register
			 `from` */
	uint8_t from; /* STORE_NO_REG: from a register that has changed since */
	uint32_t bits;
	bool string;	/* movs, stos, a call of memset() or the like: as many bytes as a register says */
	uint32_t width; /* bytes; 0 with string */
	int64_t disp;
	bool has_imm; /* a constant takes part: what is stored by mov, what is combined with by others */
	int64_t imm;
};

/* By capstone's number: instructions whose first operand, if in memory, is only read; and those that write
 * their own stack frame. */
bool stores_only_reads(unsigned id);
bool stores_is_string(unsigned id); /* movs and stos, but for movsd */

struct stores; /* cache over functions */

int stores_create(struct stores **ret, struct dbg *d, struct err *err);
void stores_destroy(struct stores *s); /* NULL is fine */
/*
 * Stores of the out-of-line function with this DIE, by address; owned by s. Pushes are left out: they write
 * their own frame. Calls are in the list where the first argument is known. -EILSEQ: some of the code could
 * not be read as instructions, so that the list may lack some.
 */
int stores_of(struct stores *s, uint64_t func_die, const struct store **ret, size_t *n);
/* The same of the code in [lo, hi), for free(); with -EILSEQ too, up to what could not be read. */
int stores_between(struct stores *s, uint64_t lo, uint64_t hi, struct store **ret, size_t *n);

#endif
