// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <string.h>

#include "writes/rules.h"

uint64_t rule_field_value(const struct wr_field *f, const void *node)
{
	uint64_t v = 0;

	memcpy(&v, (const char *)node + f->off, f->width < 8 ? f->width : 8);
	return v;
}

unsigned rule_value(const struct wr_field *f, uint64_t v)
{
	bool bad = false;

	switch (f->kind) {
	case WR_F_BOOL:
		bad = v > 1;
		break;
	case WR_F_ENUM:
		bad = (int32_t)v < f->min || (int32_t)v > f->max;
		break;
	case WR_F_ENUM_SET:
		bad = v > 63 || !((uint64_t)f->max >> v & 1);
		break;
	case WR_F_HASBITS:
		bad = (v & ~(uint64_t)f->max) != 0;
		break;
	case WR_F_RANGE:
		if (f->width == 4)
			v = (uint64_t)(int64_t)(int32_t)v;
		bad = (int64_t)v < f->min || (int64_t)v > f->max;
		break;
	}
	return bad ? WR_BAD_VALUE : WR_BAD_NONE;
}

static bool readable(const struct rule_mem *m, uint64_t addr)
{
	char c;

	return m->read(m->ctx, addr, &c, 1) == 1;
}

static unsigned behind(const struct rule_mem *m, uint64_t p, uint64_t *word)
{
	if (m->read(m->ctx, p, word, 8) == 8)
		return WR_BAD_NONE;
	*word = 0;
	return WR_BAD_POINTER;
}

static unsigned string_pointer(const struct rule_mem *m, uint64_t p, uint64_t *text)
{
	if (behind(m, p, text))
		return WR_BAD_POINTER;
	return readable(m, *text) ? WR_BAD_NONE : WR_BAD_POINTEE;
}

unsigned rule_pointer(const struct rule_mem *m, const struct wr_field *f, unsigned type, uint64_t v,
		      uint64_t *pointee)
{
	*pointee = 0;
	switch (f->kind) {
	case WR_F_VPTR:
		return m->vptr_ok(m->ctx, type, v) ? WR_BAD_NONE : WR_BAD_VPTR;
	case WR_F_MESSAGE:
		if (!v)
			return WR_BAD_NONE;
		if (behind(m, v, pointee))
			return WR_BAD_POINTER;
		return m->vptr_ok(m->ctx, f->pointee, *pointee) ? WR_BAD_NONE : WR_BAD_POINTEE;
	case WR_F_STRING_PTR:
		return string_pointer(m, v, pointee);
	case WR_F_STRING_TAGGED:
		return string_pointer(m, v & ~(uint64_t)f->max, pointee);
	case WR_F_STRING:
		return readable(m, v) ? WR_BAD_NONE : WR_BAD_POINTER;
	}
	return WR_BAD_NONE;
}

static int32_t count_at(const void *node, uint32_t off)
{
	int32_t v;

	memcpy(&v, (const char *)node + off, sizeof(v));
	return v;
}

unsigned rule_repeated(const struct rule_mem *m, const struct wr_field *f, const void *node, uint32_t *off,
		       uint32_t *width)
{
	int32_t current = count_at(node, f->off + f->current_off),
		total = count_at(node, f->off + f->total_off), allocated = total;
	uint64_t block;

	memcpy(&block, (const char *)node + f->off + f->rep_off, sizeof(block));
	*width = 4;
	*off = f->off + f->total_off;
	if (total < 0 || total > WR_MAX_COUNT)
		return WR_BAD_REPEATED;
	*off = f->off + f->current_off;
	if (current < 0 || current > total)
		return WR_BAD_REPEATED;
	if (f->alloc_off != 0xff) {
		*off = f->off + f->alloc_off;
		allocated = count_at(node, *off);
	}
	if (total > 0) {
		if (f->block_alloc_off != 0xff &&
		    m->read(m->ctx, block + f->block_alloc_off, &allocated, 4) != 4)
			allocated = -1;
		if (!readable(m, block)) {
			*off = f->off + f->rep_off;
			*width = 8;
			return WR_BAD_POINTER;
		}
	}
	return allocated < current || allocated > total ? WR_BAD_REPEATED : WR_BAD_NONE;
}

enum write_reason rule_reason(unsigned wr_reason)
{
	switch (wr_reason) {
	case WR_BAD_VPTR:
		return WRITE_BAD_VTABLE;
	case WR_BAD_POINTER:
	case WR_BAD_POINTEE:
		return WRITE_WILD_POINTER;
	case WR_BAD_REPEATED:
		return WRITE_BAD_REPEATED;
	case WR_BAD_VALUE:
		return WRITE_BAD_VALUE;
	default:
		return WRITE_UNEXPLAINED;
	}
}

void rule_explain(FILE *f, unsigned wr_reason, const struct guard_field *g, const char *type, uint64_t v,
		  uint64_t pointee)
{
	switch (wr_reason) {
	case WR_BAD_VPTR:
		fprintf(f, "0x%" PRIx64 " is not a vtable of %s", v, type);
		break;
	case WR_BAD_POINTER:
		fprintf(f, "0x%" PRIx64 " is not a mapped address", v);
		break;
	case WR_BAD_POINTEE:
		fprintf(f,
			"0x%" PRIx64 " is mapped, but there is no %s there (its first word is 0x%" PRIx64 ")",
			v,
			g && (g->kind == GUARD_MSG_PTR ||
			      (g->kind == GUARD_REPEATED_PTR && g->elem != GUARD_NONE))
				? "message of the field's type"
				: "string",
			pointee);
		break;
	case WR_BAD_REPEATED:
		fprintf(f,
			"the counts of the repeated field contradict each other (0 <= current <= allocated "
			"<= total): this one is %d",
			(int)(uint32_t)v);
		break;
	case WR_BAD_VALUE:
		if (g && g->kind == GUARD_HAS_BITS)
			fprintf(f, "has-bits 0x%" PRIx64 " belong to no field", v & ~(uint64_t)g->has_mask);
		else
			fprintf(f, "%d is no value of this %s", (int)(int32_t)v,
				g && g->kind == GUARD_BOOL   ? "bool"
				: g && g->kind == GUARD_ENUM ? "enum"
							     : "field");
		break;
	default:
		fprintf(f, "the value changed, and none of the type's known writers (mutators and setters, "
			   "all of them probed) was "
			   "called on this object");
	}
}
