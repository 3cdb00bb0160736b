// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "cmd/writes_crash.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "report/crash.h"
#include "report/write.h"
#include "trace/crash.h"

#define LAST_LOOK_NS                                                                                         \
	100000000ull /* a dying process may be dumping core: so long its memory is still looked at */

int death_arm(struct run *r, struct err *err)
{
	struct err why = {0};
	int ret = crash_watch_create(&r->crash, r->pid, err);

	if (ret)
		return ret;
	ret = crash_trace_open(&r->crash_trace, r->pid, writes_trace_map_fd(r->trace, "nodes"), r->o->c.btf,
			       r->transport, &why);
	if (!ret) {
		death_each_second(r);
		return 0;
	}
	snprintf(r->no_crash, sizeof(r->no_crash), "%.250s", why.msg);
	if (r->o->until_crash)
		*err = why;
	return r->o->until_crash ? ret : 0;
}

void death_disarm(struct run *r)
{
	crash_trace_close(r->crash_trace);
	crash_watch_destroy(r->crash);
	proc_maps_deinit(&r->maps);
}

void death_record(struct run *r, const struct abi_hdr *rec)
{
	crash_record(r->crash, rec);
	if (crash_is_fatal(r->crash) && !r->death_ns)
		r->death_ns = mono_now_ns();
}

bool death_tick(struct run *r, uint64_t now_ns)
{
	if (!r->death_ns)
		return false;
	crash_settle(r->crash, r->engine, writes_sweep_engine(r->sweep));
	return now_ns >= r->death_ns + LAST_LOOK_NS;
}

void death_each_second(struct run *r)
{
	struct proc_maps maps;

	if ((!r->o->until_crash && r->maps.n) || r->death_ns || proc_maps_read(&maps, r->pid, NULL))
		return;
	if (!maps.n) { /* it is exiting */
		proc_maps_deinit(&maps);
		return;
	}
	proc_maps_deinit(&r->maps);
	r->maps = maps;
}

bool death_mapped(const struct run *r, uint64_t addr)
{
	return proc_maps_find(&r->maps, addr) != NULL;
}

static int unwind(void *ctx, const struct abi_stack *st, bool pc_is_return, struct frames *out)
{
	return image_unwind(ctx, st, pc_is_return, out);
}

void death_report(struct run *r, uint64_t now_ns)
{
	struct report_clock clock = report_clock_now();
	struct crash c;

	if (!crash_tell(r->crash, r->engine, unwind, r->image, now_ns, &c))
		return;
	r->crashed = true;
	c.told_ns = mono_now_ns(); /* names took their time */
	if (output_wants(r->out))
		output_line(r->out, json_crash(&c, &clock));
	if (!r->o->c.json)
		text_crash(stdout, &c, &clock);
	fflush(stdout);
	if (c.damage)
		engine_tell_again(r->engine, c.damage);
	crash_deinit(&c);
}

void death_note(const struct run *r, struct summary *s)
{
	int code = crash_exit_code(r->crash);

	if (r->no_crash[0])
		summary_note(s, r->exited, "how the target ends is not seen: %s", r->no_crash);
	if (r->crashed)
		s->ended = "target crashed";
	else if (code >= 0 && WIFSIGNALED(code))
		summary_note(s, false, "the target was killed by signal %d, sent from outside",
			     WTERMSIG(code));
	else if (code >= 0)
		summary_note(s, false, "the target ended with exit code %d", WEXITSTATUS(code));
	s->findings += r->crashed;
}
