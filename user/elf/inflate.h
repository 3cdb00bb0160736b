/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Compressed debug sections (SHF_COMPRESSED: zlib or zstd; ELF gABI, "Section Compression"), inflated side by
 * side by as many threads as there are CPUs into an image in memory, which libdw reads like a file. libdw
 * would inflate them by itself, one after the other, all of them, and about half as fast.
 */
#ifndef CULPRIT_ELF_INFLATE_H
#define CULPRIT_ELF_INFLATE_H

#include "elf/elf_file.h"

struct inflated;

/*
 * *ret NULL: not needed (nothing is compressed), or not to be done like this (relocatable files, and those
 * with a .gnu_debugaltlink, which is relative to the file): then the file's own Elf serves. -EBADMSG: a
 * section is damaged or claims more than its bytes can hold; the message names it and its offset. -ENOTSUP:
 * another compression. -ENOMEM. f must stay open as long.
 */
int inflate_open(struct inflated **ret, const struct elf_file *f, struct err *err);
void inflate_close(struct inflated *in); /* NULL is fine; after dwarf_end() */

/* The image: the debug sections alone. Owned by in. */
Elf *inflate_elf(const struct inflated *in);

/* .debug_line is large and seldom asked for: it is empty (zeros) before this. NULL is fine. Errors as above.
 */
int inflate_lines(struct inflated *in, struct err *err);

#endif
