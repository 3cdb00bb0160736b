// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>

#include "plan/coverage.h"

static const char *why(const struct guard_field *g, const struct write_coverage *c, enum setters_mode mode)
{
	if (g->reason[0])
		return g->reason;
	if (c->guard == COVERAGE_NONE && g->offset + (g->width < 8 ? 8 : g->width) > WR_NODE_BYTES)
		return "beyond the bytes of a message that are kept";
	if (g->shadow_judged && c->guard != COVERAGE_CHANGES)
		return mode == SETTERS_OFF ? "its inlined setters have no probes (--setters off)"
					   : "more probes than are set";
	if (!g->proto && (g->kind == GUARD_INT || g->kind == GUARD_UINT || g->kind == GUARD_FLOAT ||
			  g->kind == GUARD_BOOL || g->kind == GUARD_ENUM))
		return "plain C++: any code that has the object may write it";
	return "";
}

int plan_coverage_rows(const struct writes_plan *p, enum setters_mode mode, struct write_coverage **ret,
		       size_t *n)
{
	size_t max = 0;

	*n = 0;
	for (unsigned t = 0; t < p->n_types; t++)
		max += p->info[t].guard->n_field;
	*ret = calloc(max + 1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	for (unsigned t = 0; t < p->n_types; t++) {
		const struct guard_type *g = p->info[t].guard;

		for (size_t i = 0, f = 0; i < g->n_field; i++) {
			const struct guard_field *gf = &g->field[i];
			struct write_coverage *c = &(*ret)[(*n)++];
			bool guarded = f < p->type[t].n_fields && p->info[t].guard_field[f] == i;
			const struct wr_field *w = guarded ? &p->field[p->type[t].first_field + f] : NULL;

			f += guarded;
			*c = (struct write_coverage){.type = g->name,
						     .field = gf->path,
						     .kind = guard_kind_name(gf->kind),
						     .offset = gf->offset,
						     .width = gf->width,
						     .type_size = g->size,
						     .is_root = p->info[t].cache != NULL,
						     .guard = !w			? COVERAGE_NONE
							      : w->flags & WR_FF_SHADOW ? COVERAGE_CHANGES
											: COVERAGE_INVARIANT,
						     .setters = gf->inlined_writers,
						     .uncovered = mode == SETTERS_OFF
									  ? gf->inlined_writers
									  : gf->inlined_uncovered};
			c->why = why(gf, c, mode);
		}
	}
	return 0;
}
