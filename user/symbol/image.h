/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The code of a live process: its modules, the symbols and inlined functions at an address, and unwinding of
 * a stack that was copied from it. Nothing is stopped or ptraced: mappings come from /proc/PID/maps, files
 * from /proc/PID/root and map_files.
 */
#ifndef CULPRIT_IMAGE_H
#define CULPRIT_IMAGE_H

#include <stdint.h>
#include <sys/types.h>

#include "../../bpf/abi/stack.h"
#include "report/finding.h"
#include "unwind/regs.h"
#include "util/err.h"

struct image;

/* debuginfo_dir may be NULL: then .gnu_debuglink, /usr/lib/debug and the build-id tree serve. */
int image_open(struct image **ret, pid_t pid, const char *debuginfo_dir, struct err *err);
void image_close(struct image *im); /* NULL is fine */
/* Reads the mappings again (dlopen, exec). Cheap if nothing changed. */
int image_refresh(struct image *im, struct err *err);
/*
 * Appends the frames at pc, innermost inlined first. is_return: pc is a return address (or the address after
 * the store of a watchpoint), so the instruction in question is the one before. Always adds at least one
 * frame.
 */
int image_symbolize(struct image *im, uint64_t pc, bool is_return, struct frames *out);
/*
 * Unwinds a copied stack into symbolised frames, outermost last. pc_is_return: reg[ABI_REG_IP] itself points
 * after the instruction in question (watchpoint hits). Memory outside the copy is read from the mapped files
 * or the live process. Returns 0 even if the unwind stops early (out->truncated).
 */
int image_unwind(struct image *im, const struct abi_stack *st, bool pc_is_return, struct frames *out);

/*
 * Unwinds a thread that is blocked now, reading its stack live. Where a register that is not known would be
 * needed, the unwind stops (out->truncated); sp and ip must be known (-EINVAL). If the thread runs meanwhile
 * the result is worthless: compare the registers or switch counts before and after.
 */
int image_unwind_live(struct image *im, const struct image_regs *regs, struct frames *out);

#define IMAGE_CODE_MAX	 65536 /* bytes of code read before an address */
#define IMAGE_CODE_AFTER 15    /* and after it: one instruction */
struct image_code {
	uint64_t start; /* address in the process of bytes[0], where an instruction begins */
	uint64_t bias;	/* address in the process - address in the file */
	size_t len;
	uint8_t bytes[IMAGE_CODE_MAX + IMAGE_CODE_AFTER];
};
/*
 * The code that ends at ip, from an instruction's beginning on, and a little after it, as the mapped file has
 * it. -ENODATA: no file, or no such beginning is known near enough.
 */
int image_code_before(struct image *im, uint64_t ip, struct image_code *ret);

/*
 * Value of a parameter (DWARF name, "this" too) of the function of frame `index` of the `out` of the last
 * image_unwind or image_unwind_live. -ENODATA unless it is exactly known there: no debuginfo, no such
 * parameter, optimised out, in a register that was clobbered, or not one word. -ESTALE: no such frame.
 */
int image_frame_param(struct image *im, size_t index, const char *name, uint64_t *value);

#endif
