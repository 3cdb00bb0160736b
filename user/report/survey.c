// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>

#include "report/object.h"

static void text_where(FILE *f, const struct census_object *o)
{
	switch (o->state) {
	case OBJECT_BLOCK:
		fputs("a block of its own", f);
		break;
	case OBJECT_STATIC:
		fputs("a variable", f);
		break;
	case OBJECT_INSIDE:
		if (o->block)
			fprintf(f, "inside block 0x%" PRIx64 ", +%" PRIu64, o->block, o->addr - o->block);
		else
			fputs("on a stack", f);
		break;
	default:
		fputs("in memory whose owner is not known", f);
	}
}

static void text_item(FILE *f, const struct survey_item *i)
{
	fprintf(f, "%s  0x%" PRIx64 "  %s, ", i->alive ? "BROKEN" : "dead? ", i->o->addr, i->o->cls->cls);
	text_where(f, i->o);
	fputc('\n', f);
	for (size_t b = 0; b < i->n; b++) {
		fprintf(f, "        ");
		text_break(f, &i->b[b]);
		fputc('\n', f);
	}
}

static size_t shown(const struct survey_view *v, size_t n)
{
	return v->limit && v->limit < n ? v->limit : n;
}

static bool is_damaged(const struct survey *s, const struct census_object *o)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].o == o)
			return true;
	return false;
}

void text_survey(FILE *f, const struct survey_view *v)
{
	const struct survey *s = v->survey;
	size_t room = shown(v, s->n_all);
	char a[32], b[32];

	fprintf(f, "%s in %s%s%d: %s object%s, %zu damaged\n", v->known->type[s->type].guard->name,
		space_comm(v->space), space_comm(v->space)[0] ? ", pid " : "pid ", (int)space_pid(v->space),
		text_count(s->n_all, a), s->n_all == 1 ? "" : "s", s->n_alive);
	for (size_t i = 0; i < s->n && (s->v[i].alive || i < room); i++)
		text_item(f, &s->v[i]);
	for (size_t i = 0, n = s->n; i < s->n_all && n < room; i++) {
		if (is_damaged(s, s->all[i]))
			continue;
		fprintf(f, "good    0x%" PRIx64 "  %s, ", s->all[i]->addr, s->all[i]->cls->cls);
		text_where(f, s->all[i]);
		fputc('\n', f);
		n++;
	}
	if (s->n_all > room)
		fprintf(f, "... %s more; -v shows all\n", text_count(s->n_all - room, a));
	fprintf(f,
		"%s left out as dead (in freed memory); searched %.1f MiB in %.3f s; %s unreadable pages, "
		"%" PRIu64 " objects not readable in whole\n",
		text_count(s->n_dead, a), (double)v->census->walked.bytes / 1048576, v->census->seconds,
		text_count(v->census->walked.unreadable, b), s->n_unreadable);
	if (s->n > s->n_alive)
		fprintf(f,
			"note: %zu objects marked 'dead?' are broken, but nothing tells that they are still "
			"alive\n",
			s->n - s->n_alive);
	if (s->distrusted)
		fprintf(f, "note: broken in more than half of the objects, so not believed: %s\n",
			s->distrusted);
}

static json_t *json_instance(const struct survey_view *v, const struct census_object *o, const char *kind)
{
	return json_pack("{s:s, s:i, s:s, s:s, s:o, s:s, s:o}", "kind", kind, "pid", (int)space_pid(v->space),
			 "type", v->known->type[v->survey->type].guard->name, "class", o->cls->cls, "addr",
			 json_hex(o->addr), "state", object_state_name(o->state), "block",
			 o->block ? json_hex(o->block) : json_null());
}

int json_survey(FILE *f, const struct survey_view *v)
{
	const struct survey *s = v->survey;
	int rc = 0;

	for (size_t i = 0; !rc && i < s->n; i++) {
		json_t *j = json_instance(v, s->v[i].o, "damaged"), *a = json_array();

		for (size_t b = 0; b < s->v[i].n; b++)
			json_array_append_new(a, json_break(&s->v[i].b[b]));
		json_object_set_new(j, "alive", json_boolean(s->v[i].alive));
		json_object_set_new(j, "broken", a);
		rc = json_line(f, j);
	}
	for (size_t i = 0, n = shown(v, s->n_all); !rc && i < n; i++)
		rc = json_line(f, json_instance(v, s->all[i], "instance"));
	return rc;
}
