/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Debug information of one module (executable or library): an index of its scopes, made once when it is
 * opened, so that the lookups of types.h, funcs.h and inlines.h do not walk all units again.
 */
#ifndef CULPRIT_DBG_H
#define CULPRIT_DBG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "elf/elf_file.h"
#include "util/err.h"

struct dbg;

/*
 * Opens binary and its debuginfo (debuginfo: see elf_find_debug; may be NULL). -ENODATA with the places
 * looked at and a hint if there is no debuginfo, -EINVAL if it is damaged. binary as elf_file_open takes it.
 */
int dbg_open(struct dbg **ret, const char *binary, const char *debuginfo, struct err *err);
void dbg_close(struct dbg *d); /* NULL is fine */

const struct elf_file *dbg_binary(const struct dbg *d);
const struct elf_debug *dbg_debuginfo(const struct dbg *d);

/* Entry vaddr of a function symbol's or any other symbol by its mangled name, .symtab of the debuginfo
 * included. -ENOENT. */
int dbg_symbol(const struct dbg *d, const char *mangled, struct elf_sym *ret);
/* The function symbol that covers vaddr; NULL if none. Owned by d. */
const struct elf_sym *dbg_symbol_at(const struct dbg *d, uint64_t vaddr);
/* All symbols of the module, those of its debuginfo if it has any. fn as elf_for_each_symbol(). */
int dbg_for_each_symbol(const struct dbg *d, int (*fn)(void *ctx, const struct elf_sym *sym), void *ctx);
/* Of large debuginfo only the units are read that mention the names asked for; this reads all. -ENOMEM,
 * -EINVAL.
 */
int dbg_load_all(struct dbg *d);
/* C++ names are the same but for spaces. */
bool dbg_name_eq(const char *a, const char *b);
/* Text that lives as long as d; NULL on lack of memory. */
const char *dbg_string(struct dbg *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Demangled name of a symbol, cut to fit; the name itself if it is not mangled. Returns buf. */
char *dbg_demangle(const char *mangled, char *buf, size_t len);

#endif
