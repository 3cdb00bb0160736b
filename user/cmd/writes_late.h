/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Libraries that a process loads while it is guarded: noticed, planned by a thread of their own, followed. */
#ifndef CULPRIT_CMD_WRITES_LATE_H
#define CULPRIT_CMD_WRITES_LATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "report/report.h"

struct run;
struct late;

/* r's prep and trace stand. -ENOMEM. */
int late_create(struct late **ret, struct run *r);
/* Waits for what is being read. False: it takes too long, and what r was made of must be left alone. */
bool late_destroy(struct late *l); /* NULL is fine */
/* Looks for new libraries, if the last look is long enough ago for what it costs. From now on no change and
 * no object's end is taken for known if there is one that has to do with the spec. */
void late_look(struct late *l, uint64_t now_ns);
/* The same at least once a second; follows what has been read. */
void late_tick(struct late *l, uint64_t now_ns);
/* Is some library's code not followed (yet)? */
bool late_holds(const struct late *l);
void late_note(const struct late *l, struct summary *s);
/* Appends a row for each of them to v. */
void late_json(const struct late *l, json_t *v);

#endif
