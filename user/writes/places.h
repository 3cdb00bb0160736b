/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The words of guarded fields that are worth a watchpoint, and how much. Pure. */
#ifndef CULPRIT_PLACES_H
#define CULPRIT_PLACES_H

#include "layout/guard.h"
#include "writes/slots.h"

#define PLACES_PER_FIELD 2

/*
 * Words of field f of the kernel's type and field number, into out; returns how many. Fields that code writes
 * all the time or that nothing can be said about have none: cached sizes, unknown fields, opaque ones, plain
 * C++ members (every function that has the object may write these) unless the user asked for them.
 */
size_t places_of_field(const struct guard_field *f, uint16_t type, uint16_t field, bool asked_for,
		       struct slots_place out[PLACES_PER_FIELD]);

#endif
