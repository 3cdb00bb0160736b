/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A session that was killed while it wrote leaves a journal beside its file, by which what was half done is
 * taken back. That changes the file, so it is done to a copy: the file itself may be evidence, or on a medium
 * that cannot be written.
 */
#ifndef CULPRIT_STORE_SPARE_H
#define CULPRIT_STORE_SPARE_H

#include <stdbool.h>

#include "util/err.h"

struct spare {
	char *dir, *file; /* NULL: none was made */
};

/* Whether there is a journal that is not empty. */
bool spare_needed(const char *path);
/* Copies file and journal into a new directory below $TMPDIR or /tmp that only we can read. For
 * spare_remove() in any case. */
int spare_make(struct spare *s, const char *path, struct err *err);
void spare_remove(struct spare *s);

#endif
