/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names of addresses in files, without a process: for frames that were stored as build-id and offset. */
#ifndef CULPRIT_SYMBOL_OFFLINE_H
#define CULPRIT_SYMBOL_OFFLINE_H

#include "symbol/image.h"

/*
 * The file with this build-id (hex): a debuginfo file or the binary itself. Places in this order: in
 * `debuginfo` (as in elf_find_debug(): a file, or a directory with a build-id tree or the files themselves;
 * several with ':' between them), `module` on this machine, with its debuginfo. Then
 * image_symbolize(*ret, offset, false, ..) names what stands at an offset (ELF vaddr) of it, and is all that
 * may be called besides image_close(). -ENOENT: there is none.
 */
int image_open_build(struct image **ret, const char *build_id, const char *module, const char *debuginfo,
		     struct err *err);

#endif
