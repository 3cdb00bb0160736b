// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "report/write.h"

static json_t *store_insn(const struct store_insn *s, bool in_kernel)
{
	if (in_kernel)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:b, s:o}", "addr",
			 s->decoded ? json_hex(s->addr) : json_null(), "offset",
			 s->decoded ? json_hex(s->offset) : json_null(), "width",
			 s->decoded && s->width ? json_integer(s->width) : json_null(), "text",
			 s->decoded ? json_str(s->text) : json_null(), "verified", s->verified, "why",
			 s->verified ? json_null() : json_str(s->why));
}

static json_t *writer(const struct bad_write *w, const struct report_clock *c)
{
	const struct frame *top =
		w->writer.frame < w->writer.stack.n ? &w->writer.stack.v[w->writer.frame] : NULL;

	json_t *v;

	if (!w->has_writer)
		return json_null();
	v = json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:I}", "tid", (int)w->writer.tid,
		      "comm", json_str(w->writer.comm), "ip", json_hex(w->writer.ip), "function",
		      json_str(top ? top->symbol : NULL), "file", json_str(top ? top->file : NULL), "line",
		      top && top->line ? json_integer(top->line) : json_null(), "time",
		      json_time(c, w->writer.ts_ns), "in_kernel", w->writer.in_kernel, "syscall",
		      json_str(w->writer.syscall), "instruction",
		      store_insn(&w->writer.insn, w->writer.in_kernel), "frame", (json_int_t)w->writer.frame);
	if (v)
		json_set_frames(v, "stack", &w->writer.stack);
	return v;
}

json_t *json_bad_write(const struct bad_write *w, const struct report_clock *c, bool again)
{
	json_t *touched = json_array(), *v;

	for (size_t i = 0; i < w->n_touched; i++)
		json_array_append_new(touched, json_touch(c, &w->touched_by[i]));
	v = json_pack("{s:s, s:s, s:s, s:i, s:{s:o, s:o, s:o, s:o}, s:o, s:o, s:o, s:o, s:i, s:o, s:o}",
		      "kind", "bad_write", "reason", write_reason_name(w->reason), "confidence",
		      confidence_name(w->confidence), "pid", (int)w->pid, "object", "type",
		      json_str(w->object_type), "addr", json_hex(w->object_addr), "cache", json_str(w->cache),
		      "since", json_time(c, w->object_since_ns), "type", json_str(w->node_type), "field",
		      json_str(w->field), "path", json_str(w->path), "addr", json_hex(w->addr), "width",
		      (int)w->width, "old", w->has_old ? json_hex(w->old_value) : json_null(), "new",
		      json_hex(w->new_value));
	if (!v) {
		json_decref(touched);
		return NULL;
	}
	json_object_set_new(v, "last_good", json_touch(c, &w->last_good));
	json_object_set_new(v, "found", json_touch(c, &w->found));
	json_object_set_new(v, "touched_by", touched);
	json_object_set_new(v, "writer", writer(w, c));
	json_object_set_new(v, "hits", json_integer(w->hits));
	json_object_set_new(v, "previous_owner", json_owner(&w->heap, c));
	json_story(v, &w->story);
	json_object_set_new(v, "explanation", json_str(w->explanation));
	json_object_set_new(v, "replaces", json_boolean(again));
	json_object_set_new(v, "next", json_str(w->next));
	return v;
}

json_t *json_write_costs(const struct write_cost *v, size_t n)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++) {
		json_array_append_new(a, json_pack("{s:s, s:s, s:i, s:I, s:o}", "function", v[i].function,
						   "role", v[i].role, "sites", (int)v[i].sites, "hits",
						   (json_int_t)v[i].hits, "cpu_pct",
						   v[i].cpu_pct < 0 ? json_null() : json_real(v[i].cpu_pct)));
	}
	return a;
}

json_t *json_write_coverage(const struct write_coverage *v, size_t n)
{
	static const char *const guard[] = {
		[COVERAGE_NONE] = "none", [COVERAGE_INVARIANT] = "invariant", [COVERAGE_CHANGES] = "changes"};
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++) {
		json_array_append_new(a, json_pack("{s:s, s:s, s:s, s:i, s:i, s:s, s:i, s:i, s:o}", "type",
						   v[i].type, "field", v[i].field, "kind", v[i].kind,
						   "offset", (int)v[i].offset, "width", (int)v[i].width,
						   "guard", guard[v[i].guard], "setters", (int)v[i].setters,
						   "uncovered", (int)v[i].uncovered, "why",
						   v[i].why[0] ? json_string(v[i].why) : json_null()));
	}
	return a;
}
