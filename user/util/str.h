/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef CULPRIT_STR_H
#define CULPRIT_STR_H

#include <stddef.h>

/* Appends to the NUL-terminated text in buf; what does not fit into len bytes is cut. */
void str_append(char *buf, size_t len, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
