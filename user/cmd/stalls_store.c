// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* -o: the target's connections beside the findings, so that the other end's session can be compared with
 * them. */
#include <errno.h>

#include "cmd/stalls.h"

#define EVERY_NS 900000000ULL /* looks come about once a second, and more often when something is wanted */

int stalls_store_open(struct stalls_run *r, struct err *err)
{
	if (!r->out.store)
		return 0;
	store_set(r->out.store, "threshold_ms", "%llu", (unsigned long long)(r->opts.threshold_ns / 1000000));
	if (track_create(&r->track, r->out.store, r->opts.threshold_ns))
		return err_set(err, -ENOMEM, "out of memory");
	return 0;
}

void stalls_store_look(struct stalls_run *r, const struct look *l, bool found, bool last)
{
	struct report_clock clock = report_clock_now();

	if (!r->track)
		return;
	/* what was found may be answered before it would be looked at again: both its times are wanted */
	if (!found && !last && l->now_ns < r->tracked_ns + EVERY_NS)
		return;
	r->tracked_ns = l->now_ns;
	track_look(r->track, r->engine, l, &clock, last);
}

void stalls_store_account(struct stalls_run *r, struct summary *s)
{
	struct track_account a;

	if (!r->track)
		return;
	track_finish(r->track);
	a = track_account(r->track);
	summary_count(s, "connections kept", a.conns);
	summary_count(s, "late answers kept", a.waits);
	if (a.no_room)
		summary_note(s, true, "%llu connections more than %d were open, which %s does not have",
			     (unsigned long long)a.no_room, TRACK_CONNS, r->out.path);
	if (a.waits_no_room)
		summary_note(s, true, "%llu late answers more than %d are not in %s",
			     (unsigned long long)a.waits_no_room, TRACK_WAITS, r->out.path);
}

void stalls_store_close(struct stalls_run *r)
{
	track_destroy(r->track);
}
