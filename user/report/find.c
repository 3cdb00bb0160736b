// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <string.h>

#include "report/find.h"

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static const char *perms_text(const struct proc_map *m, char buf[5])
{
	buf[0] = m->perms & PROC_R ? 'r' : '-';
	buf[1] = m->perms & PROC_W ? 'w' : '-';
	buf[2] = m->perms & PROC_X ? 'x' : '-';
	buf[3] = m->perms & PROC_SHARED ? 's' : 'p';
	buf[4] = '\0';
	return buf;
}

static void text_stack(FILE *f, const struct find_hit *h)
{
	const struct space_thread *t = h->thread;

	fprintf(f, "stack of thread %d%s%s%s, ", (int)t->tid, t->comm[0] ? " (" : "", t->comm,
		t->comm[0] ? ")" : "");
	if (h->addr >= t->sp)
		fprintf(f, "0x%" PRIx64 " above its stack pointer", h->addr - t->sp);
	else
		fprintf(f, "0x%" PRIx64 " below its stack pointer: left behind by calls that have returned",
			t->sp - h->addr);
}

static void text_block(FILE *f, const struct find_hit *h)
{
	const struct heap_block *b = &h->block;

	if (h->addr < b->addr)
		fprintf(f, "before the %s block 0x%" PRIx64, b->state == HEAP_USED ? "used" : "free",
			b->addr);
	else
		fprintf(f, "%s block 0x%" PRIx64 " of %" PRIu64 " bytes, +%" PRIu64,
			b->state == HEAP_USED ? "used" : "free", b->addr, b->size, h->addr - b->addr);
}

static void text_hit(FILE *f, const struct find_hit *h)
{
	char perms[5];

	fprintf(f, "0x%012" PRIx64 "  %-5s  %s %s", h->addr, find_place_name(h->place),
		perms_text(h->map, perms), base_name(find_map_name(h->map)));
	if (h->symbol)
		fprintf(f, "  %s+%" PRIu64, h->symbol, h->symbol_off);
	else if (h->thread && h->place == FIND_STACK) {
		fputs("  ", f);
		text_stack(f, h);
	} else if (h->block.state != HEAP_NONE) {
		fputs("  ", f);
		text_block(f, h);
	} else {
		fprintf(f, "  +0x%" PRIx64, h->addr - h->map->start);
	}
	fputc('\n', f);
	if (h->object_type)
		fprintf(f, "%16sin %s 0x%" PRIx64 ": %s\n", "", h->object_type, h->object,
			h->path ? h->path : "no field of it");
}

static void text_bytes(FILE *f, double n)
{
	static const char *const unit[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	int i = 0;

	for (; n >= 1024 && i < 4; i++)
		n /= 1024;
	fprintf(f, i ? "%.1f %s" : "%.0f %s", n, unit[i]);
}

static double rate(const struct find_view *v)
{
	return v->result->seconds > 0 ? (double)v->result->walked.bytes / v->result->seconds : 0;
}

static void text_footer(FILE *f, const struct find_view *v)
{
	const struct find_result *r = v->result;
	char n[32];

	fprintf(f, "%s hit%s; searched ", text_count(r->total, n), r->total == 1 ? "" : "s");
	text_bytes(f, (double)r->walked.bytes);
	fprintf(f, " in %.3f s (%.2f GB/s, %s)", r->seconds, rate(v) / 1e9, pattern_engine());
	if (v->read_alone > 0)
		fprintf(f, ", %.0f%% of the rate of reading alone", 100 * rate(v) / v->read_alone);
	fprintf(f, "; %s page%s unreadable", text_count(r->walked.unreadable, n),
		r->walked.unreadable == 1 ? "" : "s");
	if (r->walked.untouched) {
		fputs("; ", f);
		text_bytes(f, (double)r->walked.untouched);
		fputs(" never touched (zeros) left out", f);
	}
	fputc('\n', f);
	if (r->unsearched)
		fprintf(f, "note: in part neither in the core nor in a file with the right build-id: %s\n",
			r->unsearched);
	if (v->with_types)
		fprintf(f, "%s known object%s compared\n", text_count(v->objects, n),
			v->objects == 1 ? "" : "s");
}

void text_find(FILE *f, const struct find_view *v)
{
	const struct find_result *r = v->result;
	char n[32];

	fprintf(f, "%s in %s%s%d\n", v->what, space_comm(v->space),
		space_comm(v->space)[0] ? ", pid " : "pid ", (int)space_pid(v->space));
	for (size_t i = 0; i < r->n_hits; i++)
		text_hit(f, &r->hit[i]);
	if (r->n_hits < r->total)
		fprintf(f, "... %s more; -v shows all\n", text_count(r->total - r->n_hits, n));
	text_footer(f, v);
}

static json_t *json_block(const struct heap_block *b)
{
	if (b->state == HEAP_NONE)
		return json_null();
	return json_pack("{s:o, s:I, s:b}", "addr", json_hex(b->addr), "size", (json_int_t)b->size, "used",
			 b->state == HEAP_USED);
}

static json_t *json_stack_of(const struct find_hit *h)
{
	if (!h->thread || h->place != FIND_STACK)
		return json_null();
	return json_pack("{s:i, s:o, s:I}", "tid", (int)h->thread->tid, "comm",
			 h->thread->comm[0] ? json_str(h->thread->comm) : json_null(), "sp_offset",
			 (json_int_t)(h->addr - h->thread->sp));
}

static json_t *json_hit(const struct find_view *v, const struct find_hit *h)
{
	json_t *map, *object = json_null();
	char perms[5];

	map = json_pack("{s:o, s:o, s:o, s:s, s:o}", "path", json_str(h->map->path), "start",
			json_hex(h->map->start), "end", json_hex(h->map->end), "perms",
			perms_text(h->map, perms), "offset", json_hex(h->map->offset));
	if (h->object_type)
		object = json_pack("{s:o, s:o, s:o}", "type", json_str(h->object_type), "addr",
				   json_hex(h->object), "path", json_str(h->path));
	return json_pack("{s:s, s:i, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "kind", "hit", "pid",
			 (int)space_pid(v->space), "addr", json_hex(h->addr), "place",
			 find_place_name(h->place), "mapping", map, "symbol", json_str(h->symbol), "linkage",
			 json_str(h->linkage), "offset",
			 h->symbol ? json_integer((json_int_t)h->symbol_off) : json_null(), "stack",
			 json_stack_of(h), "block", json_block(&h->block), "object", object);
}

int json_find(FILE *f, const struct find_view *v)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < v->result->n_hits; i++)
		rc = json_line(f, json_hit(v, &v->result->hit[i]));
	return rc;
}

json_t *json_find_summary(const struct find_view *v, bool complete)
{
	const struct find_result *r = v->result;
	json_t *notes = json_array();

	if (r->unsearched)
		json_array_append_new(notes, json_sprintf("in part not searched: %s", r->unsearched));
	return json_pack("{s:s, s:s, s:b, s:f, s:I, s:I, s:I, s:I, s:I, s:f, s:s, s:o, s:I, s:o}", "kind",
			 "summary", "command", "find", "complete", complete, "duration_s", r->seconds,
			 "findings", (json_int_t)r->total, "shown", (json_int_t)r->n_hits, "bytes",
			 (json_int_t)r->walked.bytes, "unreadable_pages", (json_int_t)r->walked.unreadable,
			 "untouched_bytes", (json_int_t)r->walked.untouched, "bytes_per_s", rate(v), "engine",
			 pattern_engine(), "read_alone_bytes_per_s",
			 v->read_alone > 0 ? json_real(v->read_alone) : json_null(), "objects",
			 (json_int_t)v->objects, "notes", notes);
}
