// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A framing as a spec describes it, key by key; and the description of baidu_std. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "framing/framing.h"
#include "util/grow.h"

/* A value while it is read. */
struct cursor {
	const char *start, *p, *end;
};

static void blanks(struct cursor *c)
{
	while (c->p < c->end && isspace((unsigned char)*c->p))
		c->p++;
}

static bool take(struct cursor *c, char what)
{
	blanks(c);
	if (c->p == c->end || *c->p != what)
		return false;
	c->p++;
	return true;
}

static bool at_end(struct cursor *c)
{
	blanks(c);
	return c->p == c->end;
}

static int digit(char ch, unsigned base)
{
	int v = ch >= '0' && ch <= '9'	 ? ch - '0'
		: ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
		: ch >= 'A' && ch <= 'F' ? ch - 'A' + 10
					 : 99;

	return v < (int)base ? v : -1;
}

/* Decimal, or hexadecimal with 0x. */
static bool take_number(struct cursor *c, uint64_t *out)
{
	unsigned base = 10;
	const char *from;

	blanks(c);
	if (c->end - c->p > 2 && c->p[0] == '0' && (c->p[1] | 0x20) == 'x') {
		base = 16;
		c->p += 2;
	}
	from = c->p;
	*out = 0;
	for (; c->p < c->end && digit(*c->p, base) >= 0; c->p++) {
		if (__builtin_mul_overflow(*out, base, out) ||
		    __builtin_add_overflow(*out, (uint64_t)digit(*c->p, base), out))
			return false;
	}
	return c->p > from;
}

static bool take_word(struct cursor *c, const char *word)
{
	size_t n = strlen(word);

	blanks(c);
	if ((size_t)(c->end - c->p) < n || memcmp(c->p, word, n) != 0)
		return false;
	c->p += n;
	return true;
}

static const char bad_field[] =
	"a field is OFFSET:TYPE (u8, u16le, u16be, u32le, u32be, u64le, u64be, textN) or "
	"pb:NUMBER[.NUMBER..]";

static const char *take_path(struct cursor *c, struct framing_field *f)
{
	uint64_t n;

	f->type = FRAMING_PB;
	f->n_path = 0;
	do {
		if (f->n_path == FRAMING_PATH || !take_number(c, &n) || !n || n >= 1u << 29)
			return "a path has at most four field numbers of protobuf, 1 to 536870911";
		f->path[f->n_path++] = (unsigned)n;
	} while (c->p < c->end && *c->p == '.' && c->p++);
	return NULL;
}

static const char *take_type(struct cursor *c, struct framing_field *f)
{
	static const struct {
		const char *name;
		unsigned width;
		bool big;
	} types[] = {{"u16le", 2, false}, {"u16be", 2, true}, {"u32le", 4, false}, {"u32be", 4, true},
		     {"u64le", 8, false}, {"u64be", 8, true}, {"u8", 1, false}};
	uint64_t n;

	if (take_word(c, "text")) {
		if (!take_number(c, &n) || !n || n >= FRAMING_METHOD_LEN)
			return "textN has 1 to 127 bytes";
		f->type = FRAMING_TEXT;
		f->width = (unsigned)n;
		return NULL;
	}
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (!take_word(c, types[i].name))
			continue;
		f->type = FRAMING_NUMBER;
		f->width = types[i].width;
		f->big = types[i].big;
		return NULL;
	}
	return bad_field;
}

static const char *take_field(struct cursor *c, struct framing_field *f)
{
	const char *why;
	uint64_t offset;

	*f = (struct framing_field){0};
	if (take_word(c, "pb:"))
		return take_path(c, f);
	if (!take_number(c, &offset) || !take(c, ':'))
		return bad_field;
	if (offset >= FRAMING_HEADER_MAX)
		return "a header has at most 256 bytes";
	f->offset = (unsigned)offset;
	why = take_type(c, f);
	return why || f->offset + f->width <= FRAMING_HEADER_MAX ? why : "a header has at most 256 bytes";
}

static const char *set_field(struct cursor *c, struct framing_field *f)
{
	const char *why = take_field(c, f);

	return why ? why : at_end(c) ? NULL : bad_field;
}

/* FIELD, or FIELD = VALUE */
static const char *set_mark(struct cursor *c, struct framing_mark *m)
{
	const char *why = take_field(c, &m->field);

	if (why)
		return why;
	m->has_value = take(c, '=');
	if (m->has_value && !take_number(c, &m->value))
		return "a number is expected after '='";
	if (!m->has_value && m->field.type != FRAMING_PB)
		return "FIELD=VALUE: only a field of a protobuf message can be there or not";
	return at_end(c) ? NULL : "FIELD=VALUE, or pb:PATH";
}

static const char *set_length(struct cursor *c, struct framing_field *f, int64_t *plus)
{
	const char *why = take_field(c, f);
	bool minus;
	uint64_t n;

	if (why)
		return why;
	if (f->type != FRAMING_NUMBER)
		return "the length is a number in the header";
	minus = take(c, '-');
	if (minus || take(c, '+')) {
		if (!take_number(c, &n) || n > FRAMING_HEADER_MAX)
			return "what is added to the length is at most 256";
		*plus = minus ? -(int64_t)n : (int64_t)n;
	}
	return at_end(c) ? NULL : "FIELD, FIELD+N or FIELD-N";
}

/* OFFSET:"TEXT", OFFSET:0xHEX in the order of the wire */
static const char *set_magic(struct cursor *c, struct framing *f)
{
	static const char form[] = "magic is OFFSET:\"TEXT\" or OFFSET:0xBYTES, in the order of the wire";
	struct framing_magic *m = &f->magic[f->n_magic];
	uint64_t offset;
	bool quoted;

	if (f->n_magic == FRAMING_MAGICS)
		return "at most four magics";
	*m = (struct framing_magic){0};
	if (!take_number(c, &offset) || !take(c, ':') || offset >= FRAMING_HEADER_MAX)
		return form;
	m->offset = (unsigned)offset;
	quoted = take(c, '"');
	if (!quoted && !take_word(c, "0x"))
		return form;
	for (; c->p < c->end && (quoted ? *c->p != '"' : digit(*c->p, 16) >= 0); c->p++) {
		if (m->n == sizeof(m->bytes))
			return "a magic has at most 16 bytes";
		m->bytes[m->n] = (uint8_t)*c->p;
		if (!quoted) {
			if (c->end - c->p < 2 || digit(c->p[1], 16) < 0)
				return form;
			m->bytes[m->n] = (uint8_t)(digit(c->p[0], 16) << 4 | digit(c->p[1], 16));
			c->p++;
		}
		m->n++;
	}
	if ((quoted && !take(c, '"')) || !m->n || !at_end(c) || m->offset + m->n > FRAMING_HEADER_MAX)
		return form;
	f->n_magic++;
	return NULL;
}

static const char *set_number(struct cursor *c, uint64_t max, uint64_t *out)
{
	return take_number(c, out) && *out && *out <= max && at_end(c) ? NULL
								       : "a number in its range is expected";
}

/* NUMBER NAME */
static int add_name(struct cursor *c, struct framing *f, const char **why)
{
	struct framing_name *n;
	uint64_t number;

	*why = "method_name is NUMBER NAME";
	if (!take_number(c, &number) || c->p == c->end || !isspace((unsigned char)*c->p) || at_end(c))
		return -EINVAL;
	if (c->end - c->p >= FRAMING_METHOD_LEN) {
		*why = "a method's name has at most 127 bytes";
		return -EINVAL;
	}
	if (GROW(&f->number, f->n_numbers))
		return -ENOMEM;
	n = &f->number[f->n_numbers];
	*n = (struct framing_name){.number = number, .name = strndup(c->p, (size_t)(c->end - c->p))};
	if (!n->name)
		return -ENOMEM;
	f->n_numbers++;
	*why = NULL;
	return 0;
}

static int add_longpoll(struct cursor *c, struct framing *f)
{
	char *s = strndup(c->p, (size_t)(c->end - c->p));

	if (!s || GROW(&f->longpoll, f->n_longpoll)) {
		free(s);
		return -ENOMEM;
	}
	f->longpoll[f->n_longpoll++] = s;
	return 0;
}

/* https://github.com/apache/brpc: docs/en/baidu_std.md, src/brpc/policy/baidu_rpc_meta.proto; ERPCTIMEDOUT of
 * errno.proto */
static const char *const baidu_std[][2] = {
	{"magic", "0:\"PRPC\""}, {"header", "12"},     {"length", "4:u32be"}, {"meta", "8:u32be"},
	{"id", "pb:4"},		 {"method", "pb:1.1"}, {"method", "pb:1.2"},  {"request", "pb:1"},
	{"response", "pb:2"},	 {"error", "pb:2.1"},  {"timeout", "pb:1.8"}, {"timed_out", "1008"},
};

static int set_builtin(struct framing *f, struct cursor *c, const char **why)
{
	size_t bad;
	int rc = 0;

	*why = "built-in framings are baidu_std and grpc";
	if (f->kind != FRAMING_NONE)
		return -EEXIST;
	if (take_word(c, "grpc") && at_end(c)) {
		f->kind = FRAMING_GRPC;
		*why = NULL;
		return 0;
	}
	if (!take_word(c, "baidu_std") || !at_end(c))
		return -EINVAL;
	*why = NULL;
	for (size_t i = 0; !rc && i < sizeof(baidu_std) / sizeof(baidu_std[0]); i++)
		rc = framing_set(f, baidu_std[i][0], strlen(baidu_std[i][0]), baidu_std[i][1],
				 strlen(baidu_std[i][1]), &bad, why);
	return rc;
}

static bool key_is(const char *key, size_t n, const char *name)
{
	return strlen(name) == n && !memcmp(key, name, n);
}

/* Keys whose value is one field. NULL: not one of them. */
static struct framing_field *field_of(struct framing *f, const char *key, size_t n)
{
	if (key_is(key, n, "id"))
		return &f->id;
	if (key_is(key, n, "meta"))
		return &f->meta;
	if (key_is(key, n, "error"))
		return &f->error;
	if (key_is(key, n, "timeout"))
		return &f->timeout;
	return key_is(key, n, "method") && f->n_method < FRAMING_PARTS ? &f->method[f->n_method] : NULL;
}

static struct framing_mark *mark_of(struct framing *f, const char *key, size_t n)
{
	return key_is(key, n, "request") ? &f->request : key_is(key, n, "response") ? &f->response : NULL;
}

/* The keys of a description. */
static int set_described(struct framing *f, const char *key, size_t n, struct cursor *c, const char **why)
{
	struct framing_field *field = field_of(f, key, n);
	struct framing_mark *mark = mark_of(f, key, n);
	uint64_t v = 0;

	if (field || mark) {
		if ((field ? field->type : mark->field.type) != FRAMING_UNSET)
			return -EEXIST;
		*why = field ? set_field(c, field) : set_mark(c, mark);
		if (field && field == &f->method[f->n_method] && !*why)
			f->n_method++;
	} else if (key_is(key, n, "magic")) {
		*why = set_magic(c, f);
	} else if (key_is(key, n, "length")) {
		if (f->length.type)
			return -EEXIST;
		*why = set_length(c, &f->length, &f->length_add);
	} else if (key_is(key, n, "header")) {
		if (f->header)
			return -EEXIST;
		*why = set_number(c, FRAMING_HEADER_MAX, &v);
		f->header = (unsigned)v;
	} else if (key_is(key, n, "timed_out")) {
		if (f->has_timed_out)
			return -EEXIST;
		*why = set_number(c, UINT64_MAX, &f->timed_out);
		f->has_timed_out = true;
	} else {
		return -ENOENT;
	}
	if (f->kind == FRAMING_NONE)
		f->kind = FRAMING_DESCRIBED;
	return *why ? -EINVAL : 0;
}

int framing_set(struct framing *f, const char *key, size_t key_len, const char *value, size_t len,
		size_t *bad, const char **why)
{
	struct cursor c = {value, value, value + len};
	uint64_t v = 0;
	int rc;

	*why = NULL;
	*bad = 0;
	if (key_is(key, key_len, "framing")) {
		rc = set_builtin(f, &c, why);
	} else if (key_is(key, key_len, "method_name")) {
		rc = add_name(&c, f, why);
	} else if (key_is(key, key_len, "longpoll")) {
		rc = add_longpoll(&c, f);
	} else if (key_is(key, key_len, "capture")) {
		if (f->capture)
			return -EEXIST;
		*why = set_number(&c, FRAMING_CAPTURE_MAX, &v);
		f->capture = (unsigned)v;
		rc = *why ? -EINVAL : 0;
	} else {
		rc = set_described(f, key, key_len, &c, why);
	}
	*bad = (size_t)(c.p - c.start);
	return rc;
}

/* What uses the header must be inside it. */
static bool fits(const struct framing *f, const struct framing_field *x)
{
	return (x->type != FRAMING_NUMBER && x->type != FRAMING_TEXT) || x->offset + x->width <= f->header;
}

const char *framing_check(const struct framing *f)
{
	bool inside = fits(f, &f->length) && fits(f, &f->meta) && fits(f, &f->id) && fits(f, &f->error) &&
		      fits(f, &f->timeout) && fits(f, &f->request.field) && fits(f, &f->response.field);

	if (f->kind == FRAMING_NONE)
		return f->n_numbers || f->n_longpoll || f->capture
			       ? "method_name, longpoll and capture belong to a framing, and there is none"
			       : NULL;
	if (f->kind == FRAMING_GRPC)
		return NULL;
	if (!f->n_magic || !f->header || !f->length.type)
		return "a framing needs magic, header and length";
	if (!f->id.type || !f->n_method)
		return "a framing needs id and method";
	for (unsigned i = 0; i < f->n_magic; i++)
		inside = inside && f->magic[i].offset + f->magic[i].n <= f->header;
	for (unsigned i = 0; i < f->n_method; i++)
		inside = inside && fits(f, &f->method[i]);
	if (!inside)
		return "a field ends after the header";
	if (f->meta.type && f->meta.type != FRAMING_NUMBER)
		return "meta is a number in the header";
	if (f->id.type == FRAMING_TEXT)
		return "id is a number";
	return NULL;
}

void framing_deinit(struct framing *f)
{
	for (size_t i = 0; i < f->n_numbers; i++)
		free(f->number[i].name);
	free(f->number);
	for (size_t i = 0; i < f->n_longpoll; i++)
		free(f->longpoll[i]);
	free(f->longpoll);
	*f = (struct framing){0};
}

bool framing_is_longpoll(const struct framing *f, const char *method)
{
	for (size_t i = 0; i < f->n_longpoll; i++)
		if (!strcmp(f->longpoll[i], method))
			return true;
	return false;
}
