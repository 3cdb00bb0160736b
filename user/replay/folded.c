// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <string.h>

#include "replay/replay.h"

/* ';' separates frames, and the last blank the value. */
static void name(FILE *f, const char *s)
{
	for (; *s; s++)
		fputc(*s == ';' ? ':' : *s, f);
}

static void frame(FILE *f, const struct frame *fr)
{
	const char *slash = fr->module ? strrchr(fr->module, '/') : NULL;

	fputc(';', f);
	if (fr->symbol) {
		name(f, fr->symbol);
	} else if (fr->module) {
		name(f, slash ? slash + 1 : fr->module);
		fprintf(f, "+0x%" PRIx64, fr->offset);
	} else {
		fprintf(f, "0x%" PRIx64, fr->addr);
	}
}

/* Outermost first. */
static void line(FILE *f, const char *comm, const struct frames *st, uint64_t value)
{
	name(f, comm[0] ? comm : "?");
	if (st->truncated)
		fputs(";[cut off]", f);
	for (size_t i = st->n; i > 0; i--)
		frame(f, &st->v[i - 1]);
	fprintf(f, " %" PRIu64 "\n", value);
}

static void finding(FILE *f, const struct replay *r, const struct replay_finding *x)
{
	const struct stall *s;

	switch (x->kind) {
	case REPLAY_STALL:
		s = &r->stall[x->stall];
		if (s->user_stack.n)
			line(f, s->comm, &s->user_stack, r->life[x->stall].lasted_ns / 1000000);
		break;
	case REPLAY_WRITE:
		if (x->write->has_writer)
			line(f, x->write->writer.comm, &x->write->writer.stack,
			     x->write->hits ? x->write->hits : 1);
		break;
	case REPLAY_CRASH:
		line(f, x->crash->comm, &x->crash->stack, 1);
		break;
	}
}

void replay_folded(FILE *f, struct replay *const *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < v[i]->n; k++)
			finding(f, v[i], &v[i]->v[k]);
}
