/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names of symbols as people write them. */
#ifndef CULPRIT_SYMBOL_NAMES_H
#define CULPRIT_SYMBOL_NAMES_H

/* Demangled without parameter list, or the name itself; malloc'ed, NULL without memory. */
char *symbol_name(const char *mangled);
/* In place: std::string and the like as they are usually written. */
void symbol_shorten(char *name);
/* In place: without what gcc adds to the name of a copy or part of a C function. */
void symbol_cut_clone(char *name);

#endif
