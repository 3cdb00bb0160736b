// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "cmd/writes_story.h"

#include <time.h>

#include "proc/direct.h"
#include "proc/maps.h"
#include "story/unseen.h"
#include "trace/heap.h"

#define WAIT_NS	     3000000000ull
#define WAIT_STEP    20000000
#define HEAP_WARM_NS 2000000000ull /* before the budget is looked at */
#define STORIES	     32		   /* findings whose surroundings are looked at as they are made */

/* The word's mapping and the files through which devices store, as they are now. */
static void unseen_of(struct run *r, struct engine_finding *f)
{
	const struct bad_write *w = &f->w;
	struct unseen_facts u = {.before_session = !w->has_old && !w->last_good.ts_ns,
				 .no_watch = r->watch ? NULL : r->no_watch,
				 .hits_lost = run_lost(r) > 0};
	struct proc_direct files = {0};
	struct proc_maps maps;
	pid_t pid = r->pid;

	if (r->watch && w->last_good.ts_ns)
		u.cover =
			writes_watch_covered(r->watch, w->addr, w->width, w->last_good.ts_ns, w->found.ts_ns);
	u.files_known = !proc_direct_read(&files, pid);
	u.direct = (const char *const *)files.direct;
	u.n_direct = files.n_direct;
	u.device = (const char *const *)files.device;
	u.n_device = files.n_device;
	if (!proc_maps_read(&maps, pid, NULL)) {
		const struct proc_map *m = proc_maps_find(&maps, w->addr);

		u.map_known = m != NULL;
		u.shared = m && (m->perms & PROC_SHARED);
		u.map_name = m ? m->path : NULL;
		unseen_explain(&f->w.story.unseen, &u);
		proc_maps_deinit(&maps);
	} else {
		unseen_explain(&f->w.story.unseen, &u);
	}
	proc_direct_deinit(&files);
}

int story_heap_arm(struct run *r, struct err *err)
{
	struct heap_trace_cfg cfg = {.pid = r->pid,
				     .plan = r->p->plan,
				     .image = r->image,
				     .btf = r->o->c.btf,
				     .debuginfo = r->o->c.debuginfo,
				     .multi = writes_trace_multi(r->trace)};

	return r->o->heap ? heap_trace_open(&r->heap, &cfg, err) : 0;
}

void story_heap_second(struct run *r, uint64_t now_ns, uint64_t deadline_ns)
{
	struct writes_cost c = writes_trace_cost(r->trace);

	if (!r->heap || r->heap_stopped)
		return;
	heap_trace_deadline(r->heap, deadline_ns);
	r->heap_pct = heap_trace_cost_ns(r->heap, c.emulated_ns, c.stepped_ns) * 100 /
		      (double)(now_ns - r->start_ns);
	if (now_ns < r->start_ns + HEAP_WARM_NS || r->heap_pct <= r->o->c.max_overhead_pct)
		return;
	heap_trace_stop(r->heap);
	r->heap_stopped = true;
}

void story_heap_note(const struct run *r, struct summary *s)
{
	if (!r->heap)
		return;
	heap_trace_account(r->heap, s);
	if (r->heap_stopped)
		summary_note(s, true,
			     "--heap: the probes on the allocator took %.1f%% of one CPU, over the budget of "
			     "%.1f%%, and "
			     "were taken out: what came later is not in the history; --max-overhead raises "
			     "the budget",
			     r->heap_pct, r->o->c.max_overhead_pct);
	else
		summary_note(s, false, "--heap: the probes on the allocator took %.1f%% of one CPU",
			     r->heap_pct);
}

void story_begin(struct run *r, struct engine_finding *f)
{
	if (r->n_stories++ >= STORIES)
		return;
	if (r->heap)
		heap_trace_tell(r->heap, &f->w);
	searches_want(r->searches, f->w.new_value, f->w.width);
	searches_tick(r->searches);
	if (!f->w.has_writer)
		unseen_of(r, f);
}

void story_tick(struct run *r)
{
	searches_tick(r->searches);
}

void story_finish(struct run *r, struct engine_finding *f)
{
	struct write_story *s = &f->w.story;

	if (!s->elsewhere.known)
		searches_get(r->searches, f->w.new_value, f->w.width, f->w.addr, &s->elsewhere);
	if (f->w.has_writer && s->unseen.n)
		unseen_clear(&s->unseen);
}

void story_wait(struct run *r)
{
	const struct timespec step = {.tv_nsec = WAIT_STEP};
	uint64_t start = mono_now_ns();

	searches_tick(r->searches);
	while (searches_busy(r->searches) && mono_now_ns() < start + WAIT_NS) {
		nanosleep(&step, NULL);
		searches_tick(r->searches);
	}
}
