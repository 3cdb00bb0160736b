// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The lines of a profile that are entries of the debuginfo. */
#include <dwarf.h>
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "profile/read_priv.h"
#include "util/grow.h"

/* "1a2b3c" or "1a2b3c.1"; never 0. */
static int read_label(struct reader *r, uint64_t *label)
{
	uint64_t v = 0, copy = 0;
	int digits = 0;

	for (; digits < PROFILE_LABEL; digits++, r->p++) {
		char c = *r->p;

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint64_t)(c - 'a' + 10);
		else
			return reader_bad(r, "a label has %d hex digits", PROFILE_LABEL);
	}
	if (*r->p == '.') {
		r->p++;
		if (reader_number(r, &copy))
			return -EBADMSG;
		if (copy >= UINT32_MAX)
			return reader_bad(r, "this number is too large");
	}
	*label = v << 32 | (copy + 1);
	return 0;
}

static int read_range(struct reader *r, struct image_range *x)
{
	if (reader_number(r, &x->lo))
		return -EBADMSG;
	if (*r->p != '-')
		return reader_bad(r, "'-' and the end of the range is missing");
	r->p++;
	if (reader_number(r, &x->hi))
		return -EBADMSG;
	if (x->hi <= x->lo)
		return reader_bad(r, "an empty range");
	return 0;
}

static int read_ranges(struct reader *r, unsigned tag)
{
	size_t n = 0;

	for (;; r->p++) {
		if (GROW(&r->range, n))
			return err_set(r->err, -ENOMEM, "out of memory");
		if (read_range(r, &r->range[n++]))
			return -EBADMSG;
		if (*r->p != ',')
			break;
	}
	image_ranges(&r->im, tag, r->range, n);
	return 0;
}

static int read_expression(struct reader *r, struct image_place *x)
{
	const char *end = form_read_ops(r->p, x->op, sizeof(x->op) / sizeof(x->op[0]), &x->n_ops);

	if (!end)
		return reader_bad(r, "this is no location");
	r->p = end;
	return 0;
}

static int read_location(struct reader *r, unsigned attr)
{
	bool list = r->p[0] == '0';
	size_t n = 0;

	for (;; r->p++) {
		struct image_place *x;

		if (GROW(&r->place, n))
			return err_set(r->err, -ENOMEM, "out of memory");
		x = &r->place[n++];
		*x = (struct image_place){0};
		if (list) {
			if (read_range(r, &x->range))
				return -EBADMSG;
			if (*r->p != ':')
				return reader_bad(r, "':' and a location is missing");
			r->p++;
		}
		if (read_expression(r, x))
			return -EBADMSG;
		if (!list || *r->p != ',')
			break;
	}
	image_location(&r->im, attr, list, r->place, n);
	return 0;
}

static int read_number_attr(struct reader *r, unsigned code)
{
	bool negative = *r->p == '-';
	uint64_t v = 0;

	if (*r->p == '?' && code == DW_AT_data_member_location) {
		const struct image_place other = {.op = {{.kind = OP_OTHER}}, .n_ops = 1};

		r->p++;
		image_location(&r->im, code, false, &other, 1);
		return 0;
	}
	r->p += negative;
	if (reader_number(r, &v))
		return -EBADMSG;
	if (negative && (v > (uint64_t)INT64_MAX + 1 || !v))
		return reader_bad(r, "this number is too large");
	image_number(&r->im, code, negative ? v - 1 : v, negative);
	return 0;
}

static int read_value(struct reader *r, unsigned tag, const struct form_attr *fa)
{
	unsigned line = r->line_no, col = (unsigned)(r->p - r->line) + 1;
	uint64_t v = 0;

	switch (fa->kind) {
	case FORM_STRING:
		if (reader_string(r))
			return -EBADMSG;
		image_string(&r->im, fa->code, r->string, r->string_len);
		return 0;
	case FORM_NUMBER:
		return read_number_attr(r, fa->code);
	case FORM_ADDRESS:
		if (reader_number(r, &v))
			return -EBADMSG;
		image_address(&r->im, fa->code, v);
		return 0;
	case FORM_REF:
		if (*r->p != '@')
			return reader_bad(r, "'@' and a label is missing");
		r->p++;
		if (read_label(r, &v))
			return -EBADMSG;
		image_reference(&r->im, fa->code, v, line, col);
		return 0;
	case FORM_RANGES:
		return read_ranges(r, tag);
	case FORM_LOCATION:
		return read_location(r, fa->code);
	case FORM_FLAG:
		break;
	}
	return reader_bad(r, "%s takes no value", fa->name);
}

/* " name=value" or " flag", each once. */
static int read_attrs(struct reader *r, unsigned tag)
{
	uint64_t seen = 0;

	while (*r->p != '\n') {
		const struct form_attr *fa;
		size_t len;
		int rc;

		if (reader_space(r))
			return -EBADMSG;
		len = reader_word(r);
		fa = form_attr_named(r->p, len);
		if (!fa)
			return reader_bad(r, "no attribute is called '%.*s'", (int)(len < 40 ? len : 40),
					  r->p);
		if (seen & 1ULL << (fa - form_attrs))
			return reader_bad(r, "%s is given twice", fa->name);
		seen |= 1ULL << (fa - form_attrs);
		r->p += len;
		if (fa->kind == FORM_FLAG && *r->p != '=') {
			image_flag(&r->im, fa->code);
			continue;
		}
		if (*r->p != '=')
			return reader_bad(r, "%s has no value", fa->name);
		r->p++;
		rc = read_value(r, tag, fa);
		if (rc)
			return rc;
	}
	return 0;
}

/* How deep the next line with an entry stands; 0: there is none. */
static int next_depth(const struct reader *r)
{
	const char *p = r->p;

	while (p < r->end) {
		const char *start = ++p; /* from the end of one line to the start of the next */

		while (*p == ' ')
			p++;
		if (*p != '#' && *p != '\n')
			return (int)((p - start) / PROFILE_INDENT > PROFILE_MAX_DEPTH
					     ? PROFILE_MAX_DEPTH
					     : (p - start) / PROFILE_INDENT);
		while (*p != '\n')
			p++;
		if (p + 1 >= r->end)
			break;
	}
	return 0;
}

static int enter(struct reader *r, unsigned tag, int depth)
{
	if (depth >= PROFILE_MAX_DEPTH)
		return reader_bad(r, "deeper than %d levels", PROFILE_MAX_DEPTH);
	if ((depth == 0) != (tag == DW_TAG_compile_unit))
		return reader_bad(r, depth ? "a unit stands in nothing" : "this stands outside of a unit");
	if (depth > r->depth)
		return reader_bad(r, "indented by more than one level");
	for (; r->depth > depth; r->depth--)
		image_children_end(&r->im);
	if (!depth)
		image_unit_end(&r->im);
	r->depth = depth;
	return 0;
}

int reader_entry(struct reader *r)
{
	int depth = (int)((r->p - r->line) / PROFILE_INDENT), rc;
	size_t len = reader_word(r);
	unsigned tag = form_tag_named(r->p, len);
	const char *at = r->p;
	uint64_t label = 0;
	bool children;

	if (!tag)
		return reader_bad(r, "no entry is called '%.*s'", (int)(len < 40 ? len : 40), r->p);
	rc = enter(r, tag, depth);
	if (rc)
		return rc;
	image_entry_begin(&r->im, tag);
	r->p += len;
	if (r->p[0] == ' ' && r->p[1] == '#') {
		r->p += 2;
		if (read_label(r, &label))
			return -EBADMSG;
	}
	rc = read_attrs(r, tag);
	if (rc)
		return rc;
	children = next_depth(r) > depth;
	if (!image_entry_end(&r->im, tag, children, label)) {
		r->p = at;
		return reader_bad(r, "its label is another's");
	}
	if (children)
		r->depth = depth + 1;
	return 0;
}
