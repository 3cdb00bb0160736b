// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replay/again.h"
#include "report/report.h"
#include "symbol/offline.h"
#include "util/grow.h"
#include "util/str.h"

#define FILES_MAX 1024

struct build {
	char *id;
	struct image *image; /* NULL: not found */
};

struct again {
	const char *debuginfo;
	struct build *v;
	size_t n;
	struct again_account *account;
	int rc;
};

static struct image *image_of(struct again *g, const char *id, const char *module)
{
	struct build b = {0};

	for (size_t i = 0; i < g->n; i++)
		if (!strcmp(g->v[i].id, id))
			return g->v[i].image;
	b.id = g->n < FILES_MAX ? strdup(id) : NULL;
	if (!b.id || GROW(&g->v, g->n)) {
		free(b.id);
		return NULL;
	}
	if (image_open_build(&b.image, id, module, g->debuginfo, NULL)) {
		b.image = NULL;
		str_append(g->account->missing, sizeof(g->account->missing), "%s%s (%.12s)",
			   g->account->missing[0] ? ", " : "", module ? module : "?", id);
	}
	g->v[g->n++] = b;
	return b.image;
}

static const char *string_at(const json_t *v, const char *key)
{
	return json_string_value(json_object_get(v, key));
}

static bool is_frames(const json_t *v)
{
	const json_t *first = json_array_get(v, 0);

	return first && json_is_string(json_object_get(first, "offset")) &&
	       json_object_get(first, "build_id") && json_object_get(first, "inlined");
}

/* The frame itself comes last of those that were inlined into it. */
static size_t group_end(const json_t *frames, size_t i)
{
	while (i + 1 < json_array_size(frames) &&
	       json_is_true(json_object_get(json_array_get(frames, i), "inlined")))
		i++;
	return i + 1;
}

/* What stands at the group's address; NULL: nothing better than what is there. */
static json_t *named(struct again *g, const json_t *frame)
{
	const char *id = string_at(frame, "build_id"), *offset = string_at(frame, "offset");
	struct image *im = id && offset ? image_of(g, id, string_at(frame, "module")) : NULL;
	struct frames found = {0};
	json_t *a = NULL, *f;
	size_t i;

	if (im && !image_symbolize(im, strtoull(offset, NULL, 16), false, &found) && found.n &&
	    found.v[0].symbol)
		a = json_frames(&found);
	frames_deinit(&found);
	json_array_foreach(a, i, f)
	{
		static const char *const keys[] = {"module", "build_id", "offset", "addr"};

		for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
			if (json_object_get(frame, keys[k]))
				json_object_set(f, keys[k], json_object_get(frame, keys[k]));
	}
	*(a ? &g->account->named : &g->account->unknown) += 1;
	return a;
}

/* *mark: an index into frames, which becomes that of the same address. */
static void name_frames(struct again *g, json_t *frames, json_int_t *mark)
{
	json_t *out = json_array();
	json_int_t moved = *mark;

	for (size_t i = 0, end; out && i < json_array_size(frames); i = end) {
		json_t *a = named(g, json_array_get(frames, i));

		end = group_end(frames, i);
		if (*mark >= (json_int_t)i && *mark < (json_int_t)end)
			moved = (json_int_t)json_array_size(out) + (a ? 0 : *mark - (json_int_t)i);
		for (size_t k = i; !a && k < end; k++)
			json_array_append(out, json_array_get(frames, k));
		if (a)
			json_array_extend(out, a);
		json_decref(a);
	}
	if (!out || json_array_clear(frames) || json_array_extend(frames, out))
		g->rc = -ENOMEM;
	json_decref(out);
	*mark = moved;
}

/* An object that names one of its frames besides: a bad write's writer. */
static void name_writer(struct again *g, json_t *v)
{
	static const char *const from[] = {"symbol", "file", "line"}, *const to[] = {"function", "file",
										     "line"};
	json_t *stack = json_object_get(v, "stack"), *at = json_object_get(v, "frame"), *f;
	json_int_t mark = json_integer_value(at);

	name_frames(g, stack, &mark);
	if (!json_is_integer(at) || mark < 0)
		return;
	json_object_set_new(v, "frame", json_integer(mark));
	f = json_array_get(stack, (size_t)mark);
	for (size_t i = 0; f && i < sizeof(from) / sizeof(from[0]); i++)
		if (json_object_get(f, from[i]))
			json_object_set(v, to[i], json_object_get(f, from[i]));
}

static void name_all(struct again *g, json_t *v)
{
	const char *key;
	json_int_t mark = -1;
	json_t *part;
	size_t i;

	if (json_is_object(v) && json_object_get(v, "frame") && is_frames(json_object_get(v, "stack"))) {
		name_writer(g, v);
	} else if (is_frames(v)) {
		name_frames(g, v, &mark);
	} else if (json_is_array(v)) {
		json_array_foreach(v, i, part) name_all(g, part);
	} else {
		json_object_foreach(v, key, part) name_all(g, part);
	}
}

int session_name_again(struct session *s, const char *debuginfo, struct again_account *ret, struct err *err)
{
	struct again g = {.debuginfo = debuginfo, .account = ret};

	for (size_t i = 0; i < s->n_lines; i++)
		name_all(&g, s->line[i].json);
	for (size_t i = 0; i < s->n_waits; i++)
		name_all(&g, s->wait[i].thread);
	for (size_t i = 0; i < g.n; i++) {
		image_close(g.v[i].image);
		free(g.v[i].id);
	}
	free(g.v);
	return g.rc ? err_set(err, g.rc, "out of memory") : 0;
}
