// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "report/read_priv.h"

static const char *reason(unsigned i)
{
	return write_reason_name((enum write_reason)i);
}

static const char *confidence(unsigned i)
{
	return confidence_name((enum confidence)i);
}

static void need(struct reader *r, const char *key, char **ret)
{
	read_str(r, key, ret);
	if (!r->rc && !*ret)
		r->rc = err_set(r->err, -EINVAL, "'%s' is missing", key);
}

static void read_width(struct reader *r, unsigned max, unsigned *ret)
{
	int n = 0;

	read_int(r, "width", 0, (int)max, &n);
	*ret = (unsigned)n;
}

static void read_insn(struct reader *r, struct store_insn *s)
{
	const json_t *v = read_object(r, "instruction");
	struct reader of = read_part(r, v);

	if (!v)
		return;
	s->decoded = json_is_string(json_object_get(v, "addr"));
	read_hex(&of, "addr", &s->addr);
	read_hex(&of, "offset", &s->offset);
	read_width(&of, INT32_MAX, &s->width);
	read_into(&of, "text", s->text, sizeof(s->text));
	read_bool(&of, "verified", &s->verified);
	read_into(&of, "why", s->why, sizeof(s->why));
	reader_join(r, &of);
}

static void read_writer(struct reader *r, struct bad_write *w)
{
	const json_t *v = read_object(r, "writer");
	struct reader of = read_part(r, v);
	int64_t frame = 0;

	if (!v)
		return;
	w->has_writer = true;
	read_int(&of, "tid", 0, INT32_MAX, &w->writer.tid);
	read_into(&of, "comm", w->writer.comm, sizeof(w->writer.comm));
	read_hex(&of, "ip", &w->writer.ip);
	read_time(&of, "time", &w->writer.ts_ns);
	read_bool(&of, "in_kernel", &w->writer.in_kernel);
	read_str(&of, "syscall", &w->writer.syscall);
	read_insn(&of, &w->writer.insn);
	read_i64(&of, "frame", 0, INT64_MAX, &frame);
	w->writer.frame = (size_t)frame;
	read_frames(&of, "stack", &w->writer.stack);
	reader_join(r, &of);
}

static void read_event(struct reader *r, const char *key, struct block_event *e)
{
	const json_t *v = read_object(r, key);
	struct reader of = read_part(r, v);

	if (!v)
		return;
	read_touch_of(&of, &e->at);
	read_frames(&of, "stack", &e->stack);
	reader_join(r, &of);
}

static void read_owner(struct reader *r, struct block_history *h)
{
	const json_t *v = read_object(r, "previous_owner"), *now;
	struct reader of = read_part(r, v), current;

	if (!v)
		return;
	h->before.known = true;
	read_hex(&of, "block", &h->before.block);
	read_u64(&of, "size", &h->before.size);
	read_bool(&of, "dangling", &h->dangling);
	read_event(&of, "allocated", &h->before.out);
	read_event(&of, "freed", &h->before.freed);
	now = read_object(&of, "current");
	current = read_part(&of, now);
	h->now.known = now != NULL;
	read_hex(&current, "block", &h->now.block);
	read_event(&current, "allocated", &h->now.out);
	reader_join(&of, &current);
	reader_join(r, &of);
}

static void read_bytes(struct reader *r, struct neighbourhood *n)
{
	const char *hex = read_ref(r, "bytes");
	size_t len = hex ? strlen(hex) : 0;

	if (len % 2 || len / 2 > sizeof(n->bytes) || len != strspn(hex ? hex : "", "0123456789abcdef")) {
		r->rc = err_set(r->err, -EINVAL, "'bytes' are not as many in hex as there can be");
		return;
	}
	for (size_t i = 0; i < len / 2; i++) {
		char two[3] = {hex[2 * i], hex[2 * i + 1], 0};

		n->bytes[i] = (uint8_t)strtoul(two, NULL, 16);
	}
	n->len = len / 2;
}

static void read_near(struct reader *r, struct neighbourhood *n)
{
	struct reader of = read_part(r, read_object(r, "neighbourhood"));
	const json_t *a = read_array(&of, "fields");
	size_t max = json_array_size(a);

	read_hex(&of, "addr", &n->start);
	read_bytes(&of, n);
	n->v = read_room(&of, max, sizeof(*n->v));
	for (size_t i = 0; n->v && i < max && !of.rc; i++) {
		struct reader one = read_part(&of, json_array_get(a, i));
		struct near_field *f = &n->v[i];

		n->n = i + 1;
		need(&one, "field", &f->name);
		read_hex(&one, "addr", &f->addr);
		read_u32(&one, "width", &f->width);
		read_hex(&one, "value", &f->value);
		read_bool(&one, "damaged", &f->damaged);
		reader_join(&of, &one);
	}
	reader_join(r, &of);
}

static void read_elsewhere(struct reader *r, struct elsewhere *e)
{
	const json_t *v = read_object(r, "elsewhere"), *a;
	struct reader of = read_part(r, v);

	e->known = json_is_integer(json_object_get(v, "hits"));
	read_str(&of, "reason", &e->why_not);
	read_hex(&of, "value", &e->value);
	read_width(&of, INT32_MAX, &e->width);
	read_u64(&of, "hits", &e->total);
	read_bool(&of, "complete", &e->complete);
	a = read_array(&of, "shown");
	for (size_t i = 0; i < json_array_size(a) && i < STORY_SHOWN && !of.rc; i++) {
		struct reader one = read_part(&of, json_array_get(a, i));

		e->n = i + 1;
		read_hex(&one, "addr", &e->v[i].addr);
		e->v[i].kind = read_ref(&one, "place");
		if (!e->v[i].kind)
			e->v[i].kind = "?";
		need(&one, "where", &e->v[i].where);
		reader_join(&of, &one);
	}
	reader_join(r, &of);
}

static void read_unseen(struct reader *r, struct unseen *u)
{
	const json_t *a = read_array(r, "unseen");

	for (size_t i = 0; i < json_array_size(a) && i < UNSEEN_CAUSES && !r->rc; i++) {
		struct reader one = read_part(r, json_array_get(a, i));

		u->n = i + 1;
		u->v[i].cause = read_ref(&one, "cause");
		need(&one, "text", &u->v[i].text);
		reader_join(r, &one);
	}
}

static void read_touched(struct reader *r, struct bad_write *w)
{
	const json_t *a = read_array(r, "touched_by");
	size_t n = json_array_size(a);

	w->touched_by = read_room(r, n, sizeof(*w->touched_by));
	for (size_t i = 0; w->touched_by && i < n && !r->rc; i++) {
		struct reader one = read_part(r, json_array_get(a, i));

		w->n_touched = i + 1;
		read_touch_of(&one, &w->touched_by[i]);
		reader_join(r, &one);
	}
}

/* Object, path, values and the two touches that bound the damage: what a crash tells of it, too. */
static void read_damage(struct reader *r, struct bad_write *w)
{
	struct reader of = read_part(r, read_object(r, "object"));

	need(&of, "type", &w->object_type);
	read_hex(&of, "addr", &w->object_addr);
	read_str(&of, "cache", &w->cache);
	read_time(&of, "since", &w->object_since_ns);
	reader_join(r, &of);
	need(r, "path", &w->path);
	read_hex(r, "addr", &w->addr);
	w->has_old = json_is_string(json_object_get(r->v, "old"));
	read_hex(r, "old", &w->old_value);
	read_hex(r, "new", &w->new_value);
	read_touch(r, "last_good", &w->last_good);
	read_touch(r, "found", &w->found);
}

int bad_write_from_json(const json_t *v, const struct report_clock *c, struct bad_write *ret, struct err *err)
{
	struct reader r = {.v = v, .clock = c, .err = err};
	unsigned why = 0, sure = 0;
	uint32_t hits = 0;

	*ret = (struct bad_write){0};
	read_name(&r, "reason", reason, &why);
	read_name(&r, "confidence", confidence, &sure);
	ret->reason = (enum write_reason)why;
	ret->confidence = (enum confidence)sure;
	read_int(&r, "pid", 0, INT32_MAX, &ret->pid);
	need(&r, "type", &ret->node_type);
	need(&r, "field", &ret->field);
	read_width(&r, 8, &ret->width);
	read_damage(&r, ret);
	read_touched(&r, ret);
	read_writer(&r, ret);
	read_u32(&r, "hits", &hits);
	ret->hits = hits;
	read_owner(&r, &ret->heap);
	read_near(&r, &ret->story.near);
	read_elsewhere(&r, &ret->story.elsewhere);
	read_unseen(&r, &ret->story.unseen);
	need(&r, "explanation", &ret->explanation);
	read_str(&r, "next", &ret->next);
	return r.rc;
}

int crash_from_json(const json_t *v, const struct report_clock *c, struct crash *ret,
		    struct bad_write *damage, struct err *err)
{
	struct reader r = {.v = v, .clock = c, .err = err}, of;
	const json_t *died_of;
	uint64_t after = 0;

	*ret = (struct crash){0};
	*damage = (struct bad_write){0};
	read_int(&r, "pid", 0, INT32_MAX, &ret->pid);
	read_int(&r, "tid", 0, INT32_MAX, &ret->tid);
	read_into(&r, "comm", ret->comm, sizeof(ret->comm));
	read_time(&r, "time", &ret->ts_ns);
	read_ms(&r, "told_after_ms", &after);
	ret->told_ns = ret->ts_ns + after;
	of = read_part(&r, read_object(&r, "signal"));
	read_int(&of, "number", 0, INT32_MAX, &ret->signal);
	read_int(&of, "code", INT32_MIN, INT32_MAX, &ret->code);
	ret->signal_name = read_ref(&of, "name");
	if (!ret->signal_name)
		ret->signal_name = "a signal";
	ret->has_addr = json_is_string(json_object_get(of.v, "addr"));
	read_hex(&of, "addr", &ret->addr);
	read_bool(&of, "handled", &ret->handled);
	reader_join(&r, &of);
	read_frames(&r, "stack", &ret->stack);
	read_str(&r, "explanation", &ret->explanation);
	died_of = read_object(&r, "damage");
	if (died_of) {
		of = read_part(&r, died_of);
		read_damage(&of, damage);
		reader_join(&r, &of);
		ret->damage = r.rc ? NULL : damage;
	}
	return r.rc;
}

int write_costs_from_json(const json_t *summary, struct write_cost **ret, size_t *n, struct err *err)
{
	struct reader r = {.v = summary, .err = err};
	const json_t *a = read_array(&r, "functions");
	size_t max = json_array_size(a);

	*n = 0;
	*ret = read_room(&r, max, sizeof(**ret));
	for (size_t i = 0; *ret && i < max && !r.rc; i++) {
		struct reader one = read_part(&r, json_array_get(a, i));
		struct write_cost *c = &(*ret)[i];

		c->function = read_ref(&one, "function");
		c->role = read_ref(&one, "role");
		if (!one.rc && (!c->function || !c->role))
			one.rc = err_set(err, -EINVAL, "'functions' has a row without a name");
		read_u32(&one, "sites", &c->sites);
		read_u64(&one, "hits", &c->hits);
		c->cpu_pct = -1;
		read_real(&one, "cpu_pct", &c->cpu_pct);
		reader_join(&r, &one);
		*n = i + 1;
	}
	return r.rc;
}
