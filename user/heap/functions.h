/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The functions of an allocator in a module, and where their probes stand. Pure. */
#ifndef CULPRIT_HEAP_FUNCTIONS_H
#define CULPRIT_HEAP_FUNCTIONS_H

#include "../../bpf/abi/heap.h"
#include "elf/elf_file.h"

struct heap_func {
	const char *name; /* static */
	enum heap_kind kind;
	bool throws;		/* may leave by an exception, which no return probe survives */
	uint64_t vaddr, offset; /* of the probe */
	uint32_t pushed;
	bool stepped;
};

/*
 * Those that f defines itself; symbols: where its names are (f, or its debuginfo if it is stripped). A module
 * without malloc() has none: its operator new calls another's. Each address once. *ret for free(). -ENOMEM.
 */
int heap_functions(const struct elf_file *f, const struct elf_file *symbols, struct heap_func **ret,
		   size_t *n);
/* By name: what it does; HEAP_NONE_KIND: it is no function of an allocator. */
enum heap_kind heap_function_kind(const char *name, bool *throws);
/* "malloc", "operator new(unsigned long)": is a frame of this symbol the allocator's, and not its user's? */
bool heap_function_shown(const char *symbol);
/* Which allocator, by the names its module defines: "glibc", "tcmalloc", "jemalloc", "another". Static. */
const char *heap_allocator_name(const struct elf_file *symbols, const char *path);

/* Bit per step of HEAP_UNIT of the sizes that share blocks with an object of `size` bytes. tags: only glibc's
 * allocator is there. */
void heap_sizes_add(__u64 sizes[HEAP_SIZE_WORDS], uint64_t size, bool glibc_only);

#endif
