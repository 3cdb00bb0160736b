/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `culprit layout --writers` as text and JSON Lines. */
#ifndef CULPRIT_REPORT_WHO_H
#define CULPRIT_REPORT_WHO_H

#include <stdio.h>

#include "layout/who.h"

void text_who(FILE *f, const struct who *w);
/* 0 or -errno. */
int json_who(FILE *f, const struct who *w);

#endif
