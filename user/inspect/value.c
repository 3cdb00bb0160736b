// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Values of single fields: what their bytes mean. */
#include <stdlib.h>
#include <string.h>

#include "inspect/object_priv.h"

static int64_t sign_extend(uint64_t v, uint32_t width)
{
	unsigned shift = width < 8 ? 64 - 8 * width : 0;

	return (int64_t)(v << shift) >> shift;
}

void value_scalar(const struct reading *r, struct object_value *v, const struct guard_field *g,
		  const uint8_t *bytes, uint32_t width)
{
	float f;

	v->word = 0;
	memcpy(&v->word, bytes, width < 8 ? width : 8);
	v->i = sign_extend(v->word, width);
	switch (g->kind) {
	case GUARD_BOOL:
		v->kind = VALUE_BOOL;
		break;
	case GUARD_ENUM:
		v->kind = VALUE_ENUM;
		v->name = dbg_enumerator(r->k->dbg, g->type, v->i);
		break;
	case GUARD_INT:
	case GUARD_CACHED_SIZE:
		v->kind = VALUE_INT;
		break;
	case GUARD_UINT:
		v->kind = VALUE_UINT;
		break;
	case GUARD_HAS_BITS:
		v->kind = VALUE_BITS;
		break;
	case GUARD_FLOAT:
		v->kind = width == 4 || width == 8 ? VALUE_FLOAT : VALUE_NONE;
		memcpy(&f, bytes, sizeof(f));
		if (width == 4)
			v->f = (double)f;
		else if (width == 8)
			memcpy(&v->f, bytes, sizeof(v->f));
		break;
	case GUARD_PTR:
	case GUARD_MSG_PTR:
	case GUARD_VPTR:
		v->kind = VALUE_PTR;
		break;
	default:
		v->kind = VALUE_NONE;
	}
}

/* What kind of scalar a repeated field's elements are: as a field of that kind. */
void value_element(const struct reading *r, struct object_value *v, struct dbg_type elem,
		   const uint8_t *bytes, uint32_t width)
{
	struct guard_field g = {.kind = GUARD_OPAQUE, .type = elem};
	struct dbg_type_info i;

	if (elem.die && !dbg_type_info(r->k->dbg, elem, &i)) {
		switch (i.kind) {
		case DBG_BOOL:
			g.kind = GUARD_BOOL;
			break;
		case DBG_INT:
			g.kind = GUARD_INT;
			break;
		case DBG_UINT:
			g.kind = GUARD_UINT;
			break;
		case DBG_FLOAT:
			g.kind = GUARD_FLOAT;
			break;
		case DBG_ENUM:
			g.kind = GUARD_ENUM;
			break;
		default:
			break;
		}
	}
	value_scalar(r, v, &g, bytes, width);
}

static void take_text(const struct reading *r, struct object_value *v, uint64_t at, uint64_t len)
{
	size_t want = len < OBJECT_MAX_TEXT ? (size_t)len : OBJECT_MAX_TEXT;
	char *text = malloc(want + 1);
	ssize_t n = text ? r->m->read(r->m->ctx, at, text, want) : -1;

	if (!text || (want && n != (ssize_t)want)) {
		free(text);
		return;
	}
	text[want] = '\0';
	v->text = text;
	v->text_len = len;
}

/*
 * A std::string at p. Its first word points to the text in both ABIs of libstdc++; the length stands behind
 * the pointer (GCC 5 and later: the text may be inside of the string itself) or 24 bytes before the text
 * (before: reference counted, size of the object 8).
 */
void value_string(const struct reading *r, struct object_value *v, uint64_t p)
{
	uint64_t head[2], text, len;

	v->kind = VALUE_TEXT;
	if (r->m->read(r->m->ctx, p, &text, 8) != 8)
		return;
	if (r->k->string_size == 8) {
		if (r->m->read(r->m->ctx, text - 24, &len, 8) == 8)
			take_text(r, v, text, len);
	} else if (r->k->string_size &&
		   r->m->read(r->m->ctx, p, head, sizeof(head)) == (ssize_t)sizeof(head)) {
		take_text(r, v, text, head[1]);
	}
}
