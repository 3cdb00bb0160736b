// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <stdio.h>

#include "report/write.h"

static json_t *bytes(const struct neighbourhood *n)
{
	char hex[2 * STORY_BYTES + 1];

	for (size_t i = 0; i < n->len; i++)
		snprintf(hex + 2 * i, 3, "%02x", n->bytes[i]);
	hex[2 * n->len] = '\0';
	return json_string(hex);
}

static json_t *near(const struct neighbourhood *n)
{
	json_t *v = json_array();

	if (!n->len) {
		json_decref(v);
		return json_null();
	}
	for (size_t i = 0; i < n->n; i++) {
		const struct near_field *f = &n->v[i];

		json_array_append_new(v, json_pack("{s:o, s:o, s:i, s:o, s:b}", "field", json_str(f->name),
						   "addr", json_hex(f->addr), "width", (int)f->width, "value",
						   json_hex(f->value), "damaged", f->damaged));
	}
	return json_pack("{s:o, s:o, s:o}", "addr", json_hex(n->start), "bytes", bytes(n), "fields", v);
}

static json_t *elsewhere(const struct elsewhere *e)
{
	json_t *v;

	if (!e->known)
		return e->why_not ? json_pack("{s:n, s:o}", "hits", "reason", json_str(e->why_not))
				  : json_null();
	v = json_array();
	for (size_t i = 0; i < e->n; i++)
		json_array_append_new(v, json_pack("{s:o, s:s, s:o}", "addr", json_hex(e->v[i].addr), "place",
						   e->v[i].kind, "where", json_str(e->v[i].where)));
	return json_pack("{s:o, s:i, s:I, s:b, s:o}", "value", json_hex(e->value), "width", (int)e->width,
			 "hits", (json_int_t)e->total, "complete", e->complete, "shown", v);
}

static json_t *unseen(const struct unseen *u)
{
	json_t *v;

	if (!u->n)
		return json_null();
	v = json_array();
	for (size_t i = 0; i < u->n; i++)
		json_array_append_new(
			v, json_pack("{s:s, s:o}", "cause", u->v[i].cause, "text", json_str(u->v[i].text)));
	return v;
}

void json_story(json_t *to, const struct write_story *s)
{
	json_object_set_new(to, "neighbourhood", near(&s->near));
	json_object_set_new(to, "elsewhere", elsewhere(&s->elsewhere));
	json_object_set_new(to, "unseen", unseen(&s->unseen));
}
