// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stalls/timeline.h"

#define AROUND_NS 1000000000ULL

int timeline_add(struct timeline *t, const struct log_rec *r)
{
	if (!t->v)
		t->v = calloc(TIMELINE_MAX, sizeof(*t->v));
	if (!t->v)
		return -ENOMEM;
	t->v[t->n++ % TIMELINE_MAX] = *r;
	return 0;
}

void timeline_deinit(struct timeline *t)
{
	free(t->v);
	*t = (struct timeline){0};
}

static uint64_t real_of(const struct report_clock *c, uint64_t mono_ns)
{
	return c->real_ns + mono_ns - c->mono_ns;
}

static bool around(const struct stall_life *f, const struct report_clock *c, const struct log_rec *r)
{
	uint64_t begin = real_of(c, f->start_ns), end = real_of(c, f->end_ns);

	return f->stall->tid == r->tid && r->real_ns + AROUND_NS >= begin &&
	       (!f->over || r->real_ns <= end + AROUND_NS);
}

/*
 * Which finding a message belongs to. Of several that fit, one that says that a call timed out belongs to the
 * last that ended before it was written; any other message to the last that had begun.
 */
static size_t belongs(const struct log_rec *r, const struct stall_life *lives, size_t n,
		      const struct report_clock *c)
{
	char method[RPC_METHOD_LEN];
	bool timeout = glog_is_timeout(r, method, sizeof(method));
	size_t best = SIZE_MAX;
	uint64_t best_ns = 0;

	for (size_t i = 0; i < n; i++) {
		const char *known = lives[i].stall->rpc_method;
		uint64_t at = real_of(c, timeout && lives[i].over ? lives[i].end_ns : lives[i].start_ns);

		if (!around(&lives[i], c, r) || (timeout && method[0] && known && strcmp(method, known) != 0))
			continue;
		/* the line is written when the call has ended, but not before it has begun */
		if (timeout && r->real_ns < real_of(c, lives[i].start_ns))
			continue;
		if (best == SIZE_MAX || (at <= r->real_ns + 1000000 && at >= best_ns)) {
			best = i;
			best_ns = at;
		}
	}
	return best;
}

static int by_time(const void *a, const void *b)
{
	const struct timeline_row *x = a, *y = b;

	if (x->real_ns != y->real_ns)
		return x->real_ns < y->real_ns ? -1 : 1;
	return (x->kind > y->kind) - (x->kind < y->kind);
}

static size_t add_log(const struct timeline *t, const struct stall_life *lives, size_t n,
		      const struct report_clock *c, struct timeline_row *rows)
{
	size_t first = t->n > TIMELINE_MAX ? t->n - TIMELINE_MAX : 0, out = 0;
	char method[RPC_METHOD_LEN];

	for (size_t i = first; i < t->n; i++) {
		const struct log_rec *r = &t->v[i % TIMELINE_MAX];
		struct timeline_row row = {
			.kind = TIMELINE_LOG, .real_ns = r->real_ns, .tid = r->tid, .log = r};

		row.stall = belongs(r, lives, n, c);
		row.timed_out = glog_is_timeout(r, method, sizeof(method));
		if (row.stall != SIZE_MAX || row.timed_out)
			rows[out++] = row;
	}
	return out;
}

void timeline_add_lives(struct timeline_row *rows, size_t *n_rows, const struct stall_life *lives, size_t n,
			const struct report_clock *c)
{
	for (size_t i = 0; i < n; i++) {
		rows[(*n_rows)++] = (struct timeline_row){.kind = TIMELINE_BEGIN,
							  .real_ns = real_of(c, lives[i].start_ns),
							  .tid = lives[i].stall->tid,
							  .stall = i};
		if (lives[i].over)
			rows[(*n_rows)++] = (struct timeline_row){.kind = TIMELINE_END,
								  .real_ns = real_of(c, lives[i].end_ns),
								  .tid = lives[i].stall->tid,
								  .stall = i};
	}
	if (*n_rows)
		qsort(rows, *n_rows, sizeof(*rows), by_time);
}

int timeline_build(const struct timeline *t, const struct stall_life *lives, size_t n,
		   const struct report_clock *c, struct timeline_row **rows, size_t *n_rows)
{
	size_t kept = t->n < TIMELINE_MAX ? t->n : TIMELINE_MAX;
	struct timeline_row *v = calloc(kept + 2 * n + 1, sizeof(*v));

	*n_rows = 0;
	*rows = v;
	if (!v)
		return -ENOMEM;
	*n_rows = add_log(t, lives, n, c, v);
	timeline_add_lives(v, n_rows, lives, n, c);
	return 0;
}

/* The only line of this method, or that of this peer. */
static struct rpc_line *line_of(struct rpc_ledger *l, const char *method, const char *peer)
{
	struct rpc_line *found = NULL;

	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].by == RPC_BY_WIRE_SERVER || strcmp(l->v[i].method, method) != 0 ||
		    (peer && strcmp(l->v[i].peer, peer) != 0))
			continue;
		if (found)
			return NULL;
		found = &l->v[i];
	}
	return found;
}

void timeline_count(const struct timeline *t, const struct timeline_row *rows, size_t n_rows,
		    const struct stall_life *lives, uint64_t from_ns, struct rpc_ledger *l)
{
	char method[RPC_METHOD_LEN];
	struct rpc_line *line;

	for (size_t i = 0; t->n && i < n_rows; i++) {
		const struct stall *s = rows[i].kind == TIMELINE_LOG && rows[i].stall != SIZE_MAX
						? lives[rows[i].stall].stall
						: NULL;

		if (!rows[i].timed_out || rows[i].real_ns < from_ns ||
		    !glog_is_timeout(rows[i].log, method, sizeof(method)))
			continue;
		if (!method[0] && s && s->rpc_method)
			strncpy(method, s->rpc_method, sizeof(method) - 1);
		line = line_of(l, method, s && s->sock.remote[0] ? s->sock.remote : NULL);
		if (line && line->by == RPC_BY_CALL) /* on the wire they are counted already */
			line->timed_out++;
	}
}
