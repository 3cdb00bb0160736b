// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>

#include "replay/replay.h"

struct line {
	uint64_t real_ns;
	size_t session, at;
};

static int by_time(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->session == y->session) /* as it was written */
		return (x->at > y->at) - (x->at < y->at);
	if (x->real_ns != y->real_ns)
		return x->real_ns < y->real_ns ? -1 : 1;
	return x->session < y->session ? -1 : 1;
}

static int one(FILE *f, const struct replay *r)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < r->s->n_lines; i++)
		rc = json_line(f, json_incref(r->s->line[i].json));
	return rc;
}

/* Order of time holds within a session, too: its lines were written as they came. */
static struct line *merge(struct replay *const *v, size_t n, size_t *n_all)
{
	struct line *all;
	size_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += v[i]->s->n_lines;
	*n_all = 0;
	all = calloc(total + 1, sizeof(*all));
	for (size_t i = 0; all && i < n; i++) {
		uint64_t last = 0;

		for (size_t k = 0; k < v[i]->s->n_lines; k++) {
			uint64_t at = v[i]->s->line[k].real_ns;

			last = at > last ? at : last;
			all[(*n_all)++] = (struct line){.real_ns = last, .session = i, .at = k};
		}
	}
	if (all && *n_all)
		qsort(all, *n_all, sizeof(*all), by_time);
	return all;
}

int replay_json(FILE *f, struct replay *const *v, size_t n, const struct replay_joined *j)
{
	struct line *all;
	size_t n_all;
	int rc = 0;

	if (n == 1)
		return one(f, v[0]);
	all = merge(v, n, &n_all);
	if (!all)
		return -ENOMEM;
	for (size_t i = 0; !rc && i < n_all; i++) {
		const struct session *s = v[all[i].session]->s;
		json_t *o = json_copy(s->line[all[i].at].json);

		if (o)
			json_object_set_new(o, "session", json_str(s->path));
		rc = json_line(f, o);
	}
	for (size_t i = 0; !rc && i < j->n; i++)
		rc = json_line(f, replay_joined_json(v, &j->v[i]));
	free(all);
	return rc;
}
