// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dwarf/mentions.h"
#include "dwarf/unit_names.h"
#include "util/grow.h"

#define MAX_CODES  (1 << 20)
#define SEEN_BITS  12
#define NO_SIBLING UINT64_MAX

/* How the next bytes of an entry are passed over. */
enum step_kind {
	STEP_BYTES, /* arg of them */
	STEP_LEB,
	STEP_STRING,
	STEP_BLOCK, /* its length stands before it, in arg bytes; 0: as LEB128 */
	STEP_NAME,  /* an offset in .debug_str, of arg bytes */
	STEP_NAME_HERE,
	STEP_SIBLING, /* an offset in the unit, of arg bytes */
};

struct step {
	uint8_t kind, arg;
};

struct shape {		   /* an abbreviation */
	uint32_t first, n; /* steps */
	bool known, function;
};

struct reader {
	const uint8_t *p, *begin, *end; /* of the unit */
	unsigned off_size, addr_size, version;
	enum unit_names_kind kind;
	struct shape *shape; /* by code */
	size_t n_shape;
	struct step *step;
	size_t n_step;
	struct unit_names *out;
	uint32_t seen[1 << SEEN_BITS]; /* offsets that were added lately */
};

bool unit_uleb(const uint8_t **p, const uint8_t *end, uint64_t *v)
{
	*v = 0;
	for (unsigned shift = 0; *p < end; shift += 7) {
		uint8_t b = *(*p)++;

		if (shift < 64)
			*v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return true;
	}
	return false;
}

/* Of size 1, 2, 4 or 8; the file has the byte order of this machine. */
static bool number(const uint8_t **p, const uint8_t *end, unsigned size, uint64_t *v)
{
	*v = 0;
	if ((size_t)(end - *p) < size)
		return false;
	memcpy(v, *p, size);
	*p += size;
	return true;
}

/* false: not a form that is known here. */
static bool step_of(const struct reader *r, uint64_t form, struct step *s)
{
	switch (form) {
	case DW_FORM_flag_present:
	case DW_FORM_implicit_const:
		*s = (struct step){STEP_BYTES, 0};
		return true;
	case DW_FORM_data1:
	case DW_FORM_ref1:
	case DW_FORM_flag:
	case DW_FORM_addrx1:
		*s = (struct step){STEP_BYTES, 1};
		return true;
	case DW_FORM_data2:
	case DW_FORM_ref2:
	case DW_FORM_addrx2:
		*s = (struct step){STEP_BYTES, 2};
		return true;
	case DW_FORM_data4:
	case DW_FORM_ref4:
	case DW_FORM_addrx4:
		*s = (struct step){STEP_BYTES, 4};
		return true;
	case DW_FORM_data8:
	case DW_FORM_ref8:
		*s = (struct step){STEP_BYTES, 8};
		return true;
	case DW_FORM_data16:
		*s = (struct step){STEP_BYTES, 16};
		return true;
	case DW_FORM_addr:
		*s = (struct step){STEP_BYTES, (uint8_t)r->addr_size};
		return true;
	case DW_FORM_strp:
	case DW_FORM_line_strp:
	case DW_FORM_sec_offset:
		*s = (struct step){STEP_BYTES, (uint8_t)r->off_size};
		return true;
	case DW_FORM_sdata:
	case DW_FORM_udata:
	case DW_FORM_ref_udata:
	case DW_FORM_addrx:
	case DW_FORM_loclistx:
	case DW_FORM_rnglistx:
	case DW_FORM_GNU_addr_index:
		*s = (struct step){STEP_LEB, 0};
		return true;
	case DW_FORM_string:
		*s = (struct step){STEP_STRING, 0};
		return true;
	case DW_FORM_block1:
		*s = (struct step){STEP_BLOCK, 1};
		return true;
	case DW_FORM_block2:
		*s = (struct step){STEP_BLOCK, 2};
		return true;
	case DW_FORM_block4:
		*s = (struct step){STEP_BLOCK, 4};
		return true;
	case DW_FORM_block:
	case DW_FORM_exprloc:
		*s = (struct step){STEP_BLOCK, 0};
		return true;
	default:
		return false;
	}
}

static bool is_named(uint64_t tag, enum unit_names_kind kind)
{
	switch (tag) {
	case DW_TAG_subprogram:
		return true;
	case DW_TAG_namespace:
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
	case DW_TAG_interface_type:
	case DW_TAG_enumeration_type:
	case DW_TAG_typedef:
		return kind == UNIT_NAMES;
	default:
		return false;
	}
}

static bool is_name(uint64_t at, enum unit_names_kind kind)
{
	return kind == UNIT_NAMES ? at == DW_AT_name
				  : at == DW_AT_linkage_name || at == DW_AT_MIPS_linkage_name;
}

/* Runs of bytes become one step. 0, -ENOMEM. */
static int add_step(struct reader *r, struct shape *sh, struct step s)
{
	struct step *last = sh->n ? &r->step[r->n_step - 1] : NULL;

	if (s.kind == STEP_BYTES && !s.arg)
		return 0;
	if (last && s.kind == STEP_BYTES && last->kind == STEP_BYTES && last->arg + s.arg <= UINT8_MAX) {
		last->arg = (uint8_t)(last->arg + s.arg);
		return 0;
	}
	if (GROW(&r->step, r->n_step))
		return -ENOMEM;
	r->step[r->n_step++] = s;
	sh->n++;
	return 0;
}

/* The attributes of an abbreviation. 1: all read, 0: not known. -ENOMEM. */
static int read_shape(struct reader *r, const uint8_t **p, const uint8_t *end, uint64_t tag, struct shape *sh)
{
	uint64_t at, form, ignored;
	struct step s;

	*sh = (struct shape){
		.first = (uint32_t)r->n_step, .known = true, .function = tag == DW_TAG_subprogram};
	for (;;) {
		if (!unit_uleb(p, end, &at) || !unit_uleb(p, end, &form))
			return 0;
		if (!at && !form)
			return 1;
		if ((form == DW_FORM_implicit_const && !unit_uleb(p, end, &ignored)) || !step_of(r, form, &s))
			return 0;
		if (is_named(tag, r->kind) && is_name(at, r->kind)) {
			if (form == DW_FORM_strp)
				s.kind = STEP_NAME;
			else if (form == DW_FORM_string)
				s.kind = STEP_NAME_HERE;
			else
				return 0;
		} else if (at == DW_AT_sibling && sh->function && s.kind == STEP_BYTES) {
			s.kind = STEP_SIBLING;
		}
		if (add_step(r, sh, s))
			return -ENOMEM;
	}
}

/* The table of abbreviations at p. As read_shape. */
static int read_shapes(struct reader *r, const uint8_t *p, const uint8_t *end)
{
	uint64_t code, tag;
	int rc;

	for (;;) {
		if (!unit_uleb(&p, end, &code))
			return 0;
		if (!code)
			return 1;
		if (code >= MAX_CODES || !unit_uleb(&p, end, &tag) || p++ >= end)
			return 0;
		while (r->n_shape <= code) {
			if (GROW(&r->shape, r->n_shape))
				return -ENOMEM;
			r->shape[r->n_shape++] = (struct shape){0};
		}
		rc = read_shape(r, &p, end, tag, &r->shape[code]);
		if (rc != 1)
			return rc;
	}
}

/* As read_shape: the unit's head and its abbreviations; r->p is then at its first entry. */
static int read_head(struct reader *r, const struct section *abbrev)
{
	uint64_t len, version, type = DW_UT_compile, addr_size, at;
	bool ok;

	r->off_size = 4;
	ok = number(&r->p, r->end, 4, &len);
	if (ok && len == UINT32_MAX) {
		r->off_size = 8;
		ok = number(&r->p, r->end, 8, &len);
	}
	ok = ok && number(&r->p, r->end, 2, &version) && version >= 2 && version <= 5;
	if (ok && version == 5)
		ok = number(&r->p, r->end, 1, &type) && number(&r->p, r->end, 1, &addr_size) &&
		     number(&r->p, r->end, r->off_size, &at);
	else if (ok)
		ok = number(&r->p, r->end, r->off_size, &at) && number(&r->p, r->end, 1, &addr_size);
	if (!ok || type != DW_UT_compile || (addr_size != 4 && addr_size != 8) || at >= abbrev->size)
		return 0;
	r->version = (unsigned)version;
	r->addr_size = (unsigned)addr_size;
	return read_shapes(r, abbrev->p + at, abbrev->p + abbrev->size);
}

static int add_name(struct reader *r, uint64_t off)
{
	uint32_t *seen = &r->seen[off & ((1 << SEEN_BITS) - 1)];

	if (off > UINT32_MAX || *seen == (uint32_t)off + 1)
		return 0;
	if (GROW(&r->out->off, r->out->n))
		return -ENOMEM;
	r->out->off[r->out->n++] = (uint32_t)off;
	*seen = (uint32_t)off + 1;
	return 0;
}

/* One entry after its code. As read_shape. */
static int read_entry(struct reader *r, const struct shape *sh)
{
	const struct step *s = r->step + sh->first, *last = s + sh->n;
	uint64_t v, sibling = NO_SIBLING;
	const uint8_t *nul;

	for (; s < last; s++) {
		switch ((enum step_kind)s->kind) {
		case STEP_BYTES:
			v = s->arg;
			break;
		case STEP_LEB:
			if (!unit_uleb(&r->p, r->end, &v))
				return 0;
			continue;
		case STEP_STRING:
		case STEP_NAME_HERE:
			nul = memchr(r->p, 0, (size_t)(r->end - r->p));
			if (!nul || (s->kind == STEP_NAME_HERE && nul - r->p >= MENTION_MIN))
				return 0;
			v = (uint64_t)(nul + 1 - r->p);
			break;
		case STEP_BLOCK:
			if (s->arg ? !number(&r->p, r->end, s->arg, &v) : !unit_uleb(&r->p, r->end, &v))
				return 0;
			break;
		case STEP_NAME:
		case STEP_SIBLING:
			if (!number(&r->p, r->end, s->arg, &v))
				return 0;
			if (s->kind == STEP_NAME && add_name(r, v))
				return -ENOMEM;
			if (s->kind == STEP_SIBLING)
				sibling = v;
			continue;
		}
		if (v > (uint64_t)(r->end - r->p))
			return 0;
		r->p += v;
	}
	if (sibling == NO_SIBLING)
		return 1;
	if (sibling > (uint64_t)(r->end - r->begin) || r->begin + sibling < r->p)
		return 0;
	r->p = r->begin + sibling;
	return 1;
}

static int read_entries(struct reader *r)
{
	uint64_t code;
	int rc = 1;

	while (r->p < r->end && rc == 1) {
		if (!unit_uleb(&r->p, r->end, &code))
			return 0;
		if (!code)
			continue;
		if (code >= r->n_shape || !r->shape[code].known)
			return 0;
		rc = read_entry(r, &r->shape[code]);
	}
	return rc;
}

int unit_names_read(struct unit_names *ret, const struct section *info, const struct section *abbrev,
		    uint64_t start, uint64_t end, enum unit_names_kind kind)
{
	struct reader *r = calloc(1, sizeof(*r));
	int rc;

	*ret = (struct unit_names){0};
	if (!r)
		return -ENOMEM;
	rc = start <= end && end <= info->size;
	r->kind = kind;
	r->out = ret;
	if (rc) {
		r->begin = r->p = info->p + start;
		r->end = info->p + end;
		rc = read_head(r, abbrev);
	}
	if (rc == 1)
		rc = read_entries(r);
	ret->any = !rc;
	free(r->shape);
	free(r->step);
	free(r);
	return rc < 0 ? rc : 0;
}
