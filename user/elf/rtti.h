/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Classes of a module by their run-time type information, which no stripping takes away: typeinfo objects
 * name the class and point at those of its bases, vtables point at their class's typeinfo (Itanium C++
 * ABI, 2.5.2 and 2.9.5). All of it is held together by relocations; nothing is taken for a vtable or a
 * typeinfo by looks.
 */
#ifndef CULPRIT_ELF_RTTI_H
#define CULPRIT_ELF_RTTI_H

#include "elf/elf_file.h"

struct rtti_function {
	const char *cls; /* as in the typeinfo, mangled: the class nearest to the base whose vtable has it */
	uint64_t vaddr, size; /* by .eh_frame */
};

/*
 * The functions in entry `slot` of the vtables of all classes that derive from `base`, its parts in those
 * vtables meant. base: mangled as in the typeinfo, "N6google8protobuf10RpcChannelE". Each function once; pure
 * ones and those of other modules not. Virtual bases are not followed. fn returns non-zero to stop; that
 * value is returned. -ENOMEM.
 */
int rtti_functions(const struct elf_file *f, const char *base, unsigned slot,
		   int (*fn)(void *ctx, const struct rtti_function *fun), void *ctx);

#endif
