// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "writes/places.h"

#define POINTER_WEIGHT 4 /* a wild pointer crashes the process; a wrong number may pass unseen */
#define STRING_WEIGHT  2
#define SCALAR_WEIGHT  1

static unsigned weight_of(const struct guard_field *f, bool asked_for)
{
	switch (f->kind) {
	case GUARD_OPAQUE:
	case GUARD_CACHED_SIZE:
	case GUARD_METADATA:
		return 0;
	case GUARD_VPTR:
		return SCALAR_WEIGHT;
	default:
		break;
	}
	if (!f->proto)
		return asked_for ? SCALAR_WEIGHT : 0;
	switch (f->kind) {
	case GUARD_MSG_PTR:
	case GUARD_REPEATED_PTR:
	case GUARD_REPEATED:
		return POINTER_WEIGHT;
	case GUARD_STRING_PTR:
	case GUARD_ARENA_STRING:
	case GUARD_STRING:
		return STRING_WEIGHT;
	default:
		return SCALAR_WEIGHT;
	}
}

static bool fits(const struct slots_place *p)
{
	return p->width && p->width <= 8 && !(p->width & (p->width - 1)) && p->offset % p->width == 0;
}

size_t places_of_field(const struct guard_field *f, uint16_t type, uint16_t field, bool asked_for,
		       struct slots_place out[PLACES_PER_FIELD])
{
	struct slots_place p = {.type = type, .field = field, .weight = weight_of(f, asked_for)};
	size_t n = 0;

	if (!p.weight)
		return 0;
	p.offset = f->offset;
	p.width = f->width;
	if (f->kind == GUARD_REPEATED_PTR || f->kind == GUARD_REPEATED) {
		/* the counts stand side by side: one word holds current and its neighbour */
		p.offset = (f->offset + (uint32_t)f->rep.current) & ~7u;
		p.width = 8;
		out[n++] = p;
		p.offset = f->offset + (uint32_t)f->rep.pointer;
	} else if (f->kind == GUARD_STRING) {
		p.width = 8; /* its first word is the pointer to the text */
	}
	if (fits(&p))
		out[n++] = p;
	return n;
}
