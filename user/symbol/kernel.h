/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names of kernel functions, from /proc/kallsyms. */
#ifndef CULPRIT_SYMBOL_KERNEL_H
#define CULPRIT_SYMBOL_KERNEL_H

#include <stdint.h>
#include <stdio.h>

#include "util/err.h"

struct kernel_syms;

/* -EPERM: the kernel hides its addresses (kptr_restrict). */
int kernel_syms_open(struct kernel_syms **ret, struct err *err);
int kernel_syms_parse(struct kernel_syms **ret, FILE *f, struct err *err);
/* The function that holds addr, without offset; NULL if below the first. Valid until kernel_syms_close. */
const char *kernel_syms_find(const struct kernel_syms *k, uint64_t addr);
void kernel_syms_close(struct kernel_syms *k); /* NULL is fine */

#endif
