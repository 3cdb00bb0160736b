// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "report/crash.h"

#define FRAMES_SHOWN 24

void crash_deinit(struct crash *c)
{
	frames_deinit(&c->stack);
	free(c->explanation);
	*c = (struct crash){0};
}

/* The function it died in: inlined ones are its parts. Of an abort() the first that is not libc's. */
static const struct frame *dying(const struct crash *c)
{
	const char *libc = c->signal == SIGABRT && c->stack.n ? c->stack.v[0].module : NULL;

	for (size_t i = 0; i < c->stack.n; i++) {
		const struct frame *f = &c->stack.v[i];

		if (f->symbol && !f->inlined && !(libc && f->module && !strcmp(f->module, libc)))
			return f;
	}
	return c->stack.n ? &c->stack.v[0] : NULL;
}

void text_crash(FILE *f, const struct crash *c, const struct report_clock *clock)
{
	const struct frame *top = dying(c);
	const struct bad_write *w = c->damage;
	char buf[16];

	fprintf(f, "CRASH  %s", c->signal_name);
	if (c->has_addr)
		fprintf(f, " at 0x%" PRIx64, c->addr);
	fprintf(f, "  in thread %d (%s)%s%s  %s\n", (int)c->tid, c->comm, top && top->symbol ? "  " : "",
		top && top->symbol ? top->symbol : "", text_time(clock, c->ts_ns, buf));
	text_frames(f, &c->stack, 14, FRAMES_SHOWN);
	if (w) {
		fprintf(f, "  damage    %s 0x%" PRIx64 "  %s = 0x%" PRIx64, w->object_type, w->object_addr,
			w->path, w->new_value);
		if (w->last_good.ts_ns)
			fprintf(f, "  last good %s", text_time(clock, w->last_good.ts_ns, buf));
		fprintf(f, ", first bad %s\n", text_time(clock, w->found.ts_ns, buf));
	}
	if (c->explanation)
		fprintf(f, "  why       %s\n", c->explanation);
	fputc('\n', f);
}

static json_t *damage(const struct crash *c, const struct report_clock *clock)
{
	const struct bad_write *w = c->damage;

	if (!w)
		return json_null();
	return json_pack(
		"{s:{s:o, s:o}, s:o, s:o, s:o, s:o, s:o, s:o}", "object", "type", json_str(w->object_type),
		"addr", json_hex(w->object_addr), "path", json_str(w->path), "addr", json_hex(w->addr), "old",
		w->has_old ? json_hex(w->old_value) : json_null(), "new", json_hex(w->new_value), "last_good",
		json_touch(clock, &w->last_good), "found", json_touch(clock, &w->found));
}

json_t *json_crash(const struct crash *c, const struct report_clock *clock)
{
	const struct frame *top = dying(c);
	json_t *v = json_pack(
		"{s:s, s:i, s:i, s:o, s:o, s:{s:i, s:s, s:i, s:o, s:b}, s:o, s:o, s:o, s:f}", "kind", "crash",
		"pid", (int)c->pid, "tid", (int)c->tid, "comm", json_str(c->comm), "time",
		json_time(clock, c->ts_ns), "signal", "number", c->signal, "name", c->signal_name, "code",
		c->code, "addr", c->has_addr ? json_hex(c->addr) : json_null(), "handled", c->handled,
		"function", json_str(top ? top->symbol : NULL), "damage", damage(c, clock), "explanation",
		json_str(c->explanation), "told_after_ms", (double)(c->told_ns - c->ts_ns) / 1e6);

	if (v)
		json_set_frames(v, "stack", &c->stack);
	return v;
}
