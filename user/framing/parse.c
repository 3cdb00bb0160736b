// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The head of one described frame. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "framing/framing.h"

/* A value that was found: a number, or bytes. */
struct value {
	bool found;
	uint64_t number;
	const uint8_t *bytes; /* NULL: a number */
	size_t len;
	bool cut; /* bytes that go on beyond what is given */
};

static uint64_t number_at(const uint8_t *p, unsigned width, bool big)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < width; i++)
		v |= (uint64_t)p[i] << 8 * (big ? width - 1 - i : i);
	return v;
}

/* Base-128 varint; false: it ends after the bytes given, or is none. */
static bool varint(const uint8_t **p, const uint8_t *end, uint64_t *out)
{
	*out = 0;
	for (unsigned shift = 0; *p < end && shift < 64; shift += 7) {
		uint8_t b = *(*p)++;

		*out |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return true;
	}
	return false;
}

/*
 * The value of one field of a protobuf message of which the first bytes are given. false: it is not among
 * them, or these are no protobuf message.
 */
static bool pb_field(const uint8_t *p, const uint8_t *end, unsigned field, struct value *out)
{
	uint64_t tag, n;

	while (p < end && varint(&p, end, &tag)) {
		*out = (struct value){.found = true};
		switch (tag & 7) {
		case 0:
			if (!varint(&p, end, &out->number))
				return false;
			break;
		case 1:
		case 5:
			n = (tag & 7) == 1 ? 8 : 4;
			if ((uint64_t)(end - p) < n)
				return false;
			out->number = number_at(p, (unsigned)n, false);
			p += n;
			break;
		case 2:
			if (!varint(&p, end, &n))
				return false;
			out->bytes = p;
			out->cut = n > (uint64_t)(end - p);
			out->len = out->cut ? (size_t)(end - p) : (size_t)n;
			if (tag >> 3 != field && out->cut)
				return false;
			p += out->len;
			break;
		default: /* groups, and what there is not */
			return false;
		}
		if (tag >> 3 == field)
			return true;
	}
	return false;
}

static struct value pb_value(const uint8_t *p, size_t len, const struct framing_field *f)
{
	struct value v = {.found = true, .bytes = p, .len = len};

	for (unsigned i = 0; i < f->n_path; i++) {
		const uint8_t *at = v.bytes;

		if (!at || !pb_field(at, at + v.len, f->path[i], &v))
			return (struct value){0};
	}
	return v;
}

/* meta: the bytes given of the protobuf message. */
static struct value value_of(const struct framing_field *f, const uint8_t *head, const uint8_t *meta,
			     size_t n_meta)
{
	switch (f->type) {
	case FRAMING_NUMBER:
		return (struct value){.found = true, .number = number_at(head + f->offset, f->width, f->big)};
	case FRAMING_TEXT:
		return (struct value){.found = true,
				      .bytes = head + f->offset,
				      .len = strnlen((const char *)head + f->offset, f->width)};
	case FRAMING_PB:
		return pb_value(meta, n_meta, f);
	case FRAMING_UNSET:
		break;
	}
	return (struct value){0};
}

static uint64_t number_of(const struct framing_field *f, const uint8_t *head)
{
	return value_of(f, head, NULL, 0).number;
}

static bool magic_fits(const struct framing *f, const uint8_t *data, size_t len)
{
	for (unsigned i = 0; i < f->n_magic; i++) {
		const struct framing_magic *m = &f->magic[i];

		for (unsigned k = 0; k < m->n && m->offset + k < len; k++)
			if (data[m->offset + k] != m->bytes[k])
				return false;
	}
	return true;
}

/* Payload bytes by the header; false: no length that can be. */
static bool payload_of(const struct framing *f, const uint8_t *head, uint64_t *payload)
{
	uint64_t v = number_of(&f->length, head);

	if (v > FRAMING_LENGTH_MAX || (f->length_add < 0 && v < (uint64_t)-f->length_add))
		return false;
	*payload = v + (uint64_t)f->length_add;
	return true;
}

static bool uses_pb(const struct framing *f)
{
	bool uses = f->id.type == FRAMING_PB || f->error.type == FRAMING_PB ||
		    f->timeout.type == FRAMING_PB || f->request.field.type == FRAMING_PB ||
		    f->response.field.type == FRAMING_PB;

	for (unsigned i = 0; i < f->n_method; i++)
		uses = uses || f->method[i].type == FRAMING_PB;
	return uses;
}

static uint64_t meta_of(const struct framing *f, const uint8_t *head, uint64_t payload)
{
	return f->meta.type ? number_of(&f->meta, head) : payload;
}

size_t framing_need(const struct framing *f, const uint8_t *data, size_t len)
{
	uint64_t payload, meta;

	if (!magic_fits(f, data, len))
		return 0;
	if (len < f->header)
		return f->header;
	if (!payload_of(f, data, &payload))
		return 0;
	meta = meta_of(f, data, payload);
	if (meta > payload)
		return 0;
	if (!uses_pb(f))
		return f->header;
	return f->header + (size_t)(meta < FRAMING_META_MAX ? meta : FRAMING_META_MAX);
}

static bool mark_fits(const struct framing_mark *m, const uint8_t *head, const uint8_t *meta, size_t n_meta)
{
	struct value v = value_of(&m->field, head, meta, n_meta);

	return v.found && (!m->has_value || (!v.bytes && v.number == m->value));
}

/* What stands for a method is shown: anything that is not text makes it unknown. */
static bool add_part(char *buf, const struct value *v)
{
	size_t n = strlen(buf), at = n ? n + 1 : 0;

	if (!v->len || at + v->len >= FRAMING_METHOD_LEN)
		return false;
	for (size_t i = 0; i < v->len; i++)
		if (v->bytes[i] < 0x21 || v->bytes[i] > 0x7e)
			return false;
	if (n)
		buf[n] = '.';
	memcpy(buf + at, v->bytes, v->len);
	buf[at + v->len] = '\0';
	return true;
}

static void number_name(const struct framing *f, uint64_t number, char *buf)
{
	for (size_t i = 0; i < f->n_numbers; i++) {
		if (f->number[i].number == number) {
			snprintf(buf, FRAMING_METHOD_LEN, "%s", f->number[i].name);
			return;
		}
	}
	snprintf(buf, FRAMING_METHOD_LEN, "method 0x%" PRIx64, number);
}

static void read_method(const struct framing *f, const uint8_t *head, const uint8_t *meta, size_t n_meta,
			char *buf)
{
	buf[0] = '\0';
	for (unsigned i = 0; i < f->n_method; i++) {
		struct value v = value_of(&f->method[i], head, meta, n_meta);

		if (v.found && !v.bytes && f->n_method == 1) {
			number_name(f, v.number, buf);
			return;
		}
		if (!v.found || !v.bytes || v.cut || !add_part(buf, &v)) {
			buf[0] = '\0';
			return;
		}
	}
}

uint64_t framing_parse(const struct framing *f, const uint8_t *data, size_t len, struct framing_head *out)
{
	size_t need = framing_need(f, data, len), n_meta;
	uint64_t payload;
	struct value v;

	*out = (struct framing_head){.timeout_ms = -1};
	if (!need || len < f->header || !payload_of(f, data, &payload))
		return 0;
	n_meta = (len < need ? len : need) - f->header;
	out->request = f->request.field.type && mark_fits(&f->request, data, data + f->header, n_meta);
	out->response = f->response.field.type && mark_fits(&f->response, data, data + f->header, n_meta);
	if (f->request.field.type && f->response.field.type && out->request == out->response)
		return 0; /* neither, or both: not of this protocol */
	v = value_of(&f->id, data, data + f->header, n_meta);
	out->has_id = v.found && !v.bytes;
	out->id = v.number;
	if (!out->response)
		read_method(f, data, data + f->header, n_meta, out->method);
	v = value_of(&f->error, data, data + f->header, n_meta);
	out->error = v.found && !v.bytes && v.number;
	out->timed_out = out->error && f->has_timed_out && v.number == f->timed_out;
	v = value_of(&f->timeout, data, data + f->header, n_meta);
	if (v.found && !v.bytes && v.number <= INT32_MAX)
		out->timeout_ms = (int64_t)v.number;
	return f->header + payload;
}
