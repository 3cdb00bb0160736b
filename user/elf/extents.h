/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where functions begin and end, by .eh_frame, which stripping leaves in place. */
#ifndef CULPRIT_ELF_EXTENTS_H
#define CULPRIT_ELF_EXTENTS_H

#include "elf/elf_file.h"

struct elf_extent {
	uint64_t vaddr, size;
};

struct elf_extents {
	struct elf_extent *v; /* by vaddr */
	size_t n;
};

/* None if there is no .eh_frame, or none that is understood. -ENOMEM. */
int elf_extents_read(struct elf_extents *ret, const struct elf_file *f);
void elf_extents_deinit(struct elf_extents *e);
/* The one that begins at vaddr. NULL: none does. */
const struct elf_extent *elf_extent_at(const struct elf_extents *e, uint64_t vaddr);

#endif
