/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The target's death, in a session of `culprit writes`. */
#ifndef CULPRIT_CMD_WRITES_CRASH_H
#define CULPRIT_CMD_WRITES_CRASH_H

#include "cmd/writes_report.h"

/* Before anything is attached. An error only with --until-crash; else the summary says why. */
int death_arm(struct run *r, struct err *err);
void death_disarm(struct run *r);
void death_record(struct run *r, const struct abi_hdr *rec);
/* Before the engine's tick. True: the target is dying and what can be known of it is known. */
bool death_tick(struct run *r, uint64_t now_ns);
/* Once a second: what is mapped, for the time when it cannot be asked any more. */
void death_each_second(struct run *r);
/* fact: as engine_facts.mapped. */
bool death_mapped(const struct run *r, uint64_t addr);
/* The story of the crash to stdout, if there was one. */
void death_report(struct run *r, uint64_t now_ns);
void death_note(const struct run *r, struct summary *s);

#endif
