/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The invariants of guarded fields in user space: the same as bpf/lib/guard.bpf.h has for the kernel, on the
 * same fields. Used by the sweep, by the second look at a candidate, and by `inspect`.
 */
#ifndef CULPRIT_RULES_H
#define CULPRIT_RULES_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "../../bpf/abi/writes.h"
#include "layout/guard.h"
#include "report/finding.h"

/* The target's memory, and which vtables a type may have. */
struct rule_mem {
	void *ctx;
	ssize_t (*read)(void *ctx, uint64_t addr, void *buf, size_t len); /* as proc_mem_read() */
	bool (*vptr_ok)(void *ctx, unsigned type, uint64_t vptr);	  /* true also if it is not known */
};

/* Value of a field, zero-extended; of one wider than 8 bytes the first word. node: bytes of the object. */
uint64_t rule_field_value(const struct wr_field *f, const void *node);
/* What the value alone tells: enum wr_reason. Pointers are never bad by their value alone. */
unsigned rule_value(const struct wr_field *f, uint64_t v);
/*
 * A pointer to a message or string and what it points to: enum wr_reason, WR_BAD_NONE for other kinds.
 * *pointee gets the word behind it: a vptr, a string's text; 0 if unreadable. type: whose field it is
 * (vptrs).
 */
unsigned rule_pointer(const struct rule_mem *m, const struct wr_field *f, unsigned type, uint64_t v,
		      uint64_t *pointee);
/* Counts and block of a repeated field. *off, *width: which of its words is wrong, from the start of the
 * object. */
unsigned rule_repeated(const struct rule_mem *m, const struct wr_field *f, const void *node, uint32_t *off,
		       uint32_t *width);

enum write_reason rule_reason(unsigned wr_reason);
/* The sentence on what is wrong with a value. type: the node's; g may be NULL. */
void rule_explain(FILE *f, unsigned wr_reason, const struct guard_field *g, const char *type, uint64_t v,
		  uint64_t pointee);

#endif
