// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "cmd/writes_late.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/writes_report.h"
#include "proc/loaded.h"
#include "util/grow.h"

#define SECOND_NS 1000000000ull
#define SHARE	  100		   /* looks take 1/100 of one CPU at most, but for one a second */
#define LIMIT_NS  (60 * SECOND_NS) /* a library that takes longer to read is not followed */
#define END_NS	  (2 * SECOND_NS)  /* and so long its reading is waited for at the end */

enum lib_state { LIB_WAITS, LIB_READ, LIB_FOLLOWED, LIB_FAILED };

/* A library that has to do with what the spec names. */
struct lib {
	struct writes_module *m; /* the prep's, as its name is */
	const char *name;
	enum lib_state state;
	uint64_t before_ns, noticed_ns, armed_ns; /* it was loaded between the first two */
	unsigned probes;
	char why[256]; /* it is not followed */
};

/* Reads one library. Only `done` is looked at from outside until it is set. */
struct job {
	pthread_t thread;
	atomic_bool done;
	struct writes_prep *p;
	struct writes_plan_in in;
	struct lib *lib;
	const char *debuginfo;
	struct plan_addition *add;
	struct err err;
	int ret;
};

struct late {
	struct run *r;
	struct loaded *loaded;
	struct lib **lib;
	size_t n_libs;
	struct job *job; /* NULL: none */
	bool moved;	 /* a library was loaded again, elsewhere */
	uint64_t look_ns, look_cost_ns;
};

int late_create(struct late **ret, struct run *r)
{
	struct late *l = calloc(1, sizeof(*l));

	*ret = l;
	if (!l)
		return -ENOMEM;
	l->r = r;
	l->look_ns = mono_now_ns();
	return loaded_create(&l->loaded, &r->p->maps);
}

/* A library's load bias in the job's eyes: it is in none of the prep's lists yet. */
static bool job_bias(void *ctx, const struct elf_file *file, uint64_t *bias)
{
	const struct job *j = ctx;

	if (file == j->lib->m->file || (j->lib->m->dbg && file == dbg_binary(j->lib->m->dbg))) {
		*bias = j->lib->m->bias;
		return true;
	}
	return writes_modules_bias(j->p, file, bias);
}

static void *job_run(void *arg)
{
	struct job *j = arg;
	struct writes_module *m = j->lib->m;
	struct plan_module *v = &j->p->module[j->p->n_modules];

	if (dbg_open(&m->dbg, m->path, j->debuginfo, NULL))
		m->dbg = NULL;
	m->blind = !m->dbg;
	*v = (struct plan_module){.file = m->dbg ? dbg_binary(m->dbg) : m->file,
				  .dbg = m->dbg,
				  .blind = m->blind,
				  .name = j->lib->name,
				  .path = m->path,
				  .bias = m->bias};
	j->in.dbg = m->dbg;
	j->ret = plan_addition_build(&j->add, j->p->plan, &j->in, &j->err);
	atomic_store(&j->done, true);
	return NULL;
}

static void fail_lib(struct late *l, struct lib *lib, const char *why)
{
	lib->state = LIB_FAILED;
	snprintf(lib->why, sizeof(lib->why), "%.250s", why);
	if (l->r->o->c.quiet)
		return;
	session_clear_line();
	fprintf(stderr, "culprit: %s is not followed: %s\n", lib->name, why);
}

static void start(struct late *l, struct lib *lib)
{
	struct writes_prep *p = l->r->p;
	struct job *j;

	if (p->n_modules == p->max_modules) {
		fail_lib(l, lib, "too many were loaded during the session");
		return;
	}
	j = calloc(1, sizeof(*j));
	if (!j) {
		fail_lib(l, lib, "out of memory");
		return;
	}
	j->p = p;
	j->lib = lib;
	j->debuginfo = l->r->o->c.debuginfo;
	j->in = (struct writes_plan_in){.spec = p->spec,
					.binary = p->exe,
					.setters = l->r->o->setters,
					.bias = job_bias,
					.ctx = j,
					.module = p->module,
					.n_modules = p->n_modules + 1,
					.partial = l->r->o->c.n_profiles > 0};
	if (pthread_create(&j->thread, NULL, job_run, j)) {
		fail_lib(l, lib, "no thread could be started to read it");
		free(j);
		return;
	}
	lib->state = LIB_READ;
	l->job = j;
}

static void add_lib(struct late *l, const struct proc_map *m, uint64_t before_ns, uint64_t now_ns)
{
	struct lib *lib = calloc(1, sizeof(*lib));

	if (!lib || GROW(&l->lib, l->n_libs)) {
		free(lib);
		return;
	}
	lib->m = writes_module_late(l->r->p, m);
	if (!lib->m) {
		free(lib);
		return;
	}
	lib->name = lib->m->name;
	lib->before_ns = before_ns;
	lib->noticed_ns = now_ns;
	l->lib[l->n_libs++] = lib;
	writes_trace_hold(l->r->trace);
	if (l->r->o->c.quiet)
		return;
	session_clear_line();
	fprintf(stderr,
		"culprit: process %d has loaded %s, which has to do with what is guarded: reading it\n",
		(int)l->r->pid, lib->name);
}

/* Its vtables have moved along, its probes stand in the file. */
static void moved(struct late *l, const struct loaded_change *c)
{
	struct writes_prep *p = l->r->p;

	if (!writes_plan_move(p->plan, c->from, c->size, c->map->start))
		return;
	l->moved = true;
	writes_trace_hold(l->r->trace);
	if (!late_holds(l))
		writes_trace_extend(l->r->trace, p->plan->n_probes, true, NULL);
}

struct look {
	struct late *l;
	uint64_t before_ns, now_ns;
};

static void changed(void *ctx, const struct loaded_change *c)
{
	const struct look *k = ctx;

	if (c->from)
		moved(k->l, c);
	else
		add_lib(k->l, c->map, k->before_ns, k->now_ns);
}

static void look(struct late *l, uint64_t now_ns)
{
	struct look k = {.l = l, .before_ns = l->look_ns, .now_ns = now_ns};
	struct proc_maps maps;

	l->look_ns = now_ns;
	if (proc_maps_read(&maps, l->r->pid, NULL))
		return;
	/* nothing moves while a thread reads the plan: all is on hold then, and the next look sees it */
	loaded_compare(l->loaded, &maps, !l->job, changed, &k);
	proc_maps_deinit(&maps);
	l->look_cost_ns = mono_now_ns() - now_ns;
}

void late_look(struct late *l, uint64_t now_ns)
{
	now_ns = mono_now_ns() > now_ns ? mono_now_ns() : now_ns;
	if (now_ns >= l->look_ns + SHARE * l->look_cost_ns || now_ns >= l->look_ns + SECOND_NS)
		look(l, now_ns);
}

/* What was read becomes a part of the plan, and its probes are set. */
static void follow(struct late *l, struct job *j)
{
	struct writes_trace *trace = l->r->trace;
	size_t first = j->p->plan->n_probes;
	unsigned before = writes_trace_attached(trace), missing = (unsigned)j->p->plan->n_missing;
	bool ends;
	int ret = j->ret;

	if (!ret)
		ret = writes_plan_join(j->p->plan, j->add, &j->err);
	if (ret) {
		plan_addition_free(j->add);
		fail_lib(l, j->lib, j->err.msg);
		return;
	}
	ends = plan_addition_destroys(j->add);
	j->p->n_modules++;
	ret = writes_trace_extend(trace, first, ends, &j->err);
	if (!ret)
		ret = run_nursery(l->r, &j->err);
	if (ret) {
		fail_lib(l, j->lib, j->err.msg);
		return;
	}
	j->lib->armed_ns = mono_now_ns();
	j->lib->probes = writes_trace_attached(trace) - before;
	if (j->p->plan->n_missing > missing) {
		fail_lib(l, j->lib, j->p->plan->missing[missing]);
		return;
	}
	j->lib->state = LIB_FOLLOWED;
	if (l->r->o->c.quiet)
		return;
	session_clear_line();
	fprintf(stderr,
		"culprit: %s: %u probes armed, %.2f s after it was noticed; what it did before is not "
		"covered\n",
		j->lib->name, j->lib->probes, (double)(j->lib->armed_ns - j->lib->noticed_ns) / 1e9);
}

static void finish(struct late *l)
{
	struct job *j = l->job;

	pthread_join(j->thread, NULL);
	l->job = NULL;
	if (j->lib->state == LIB_READ)
		follow(l, j);
	else
		plan_addition_free(j->add);
	free(j);
	if (late_holds(l)) /* another one: what was resumed is not to be */
		writes_trace_hold(l->r->trace);
}

void late_tick(struct late *l, uint64_t now_ns)
{
	if (now_ns >= l->look_ns + SECOND_NS)
		late_look(l, now_ns);
	if (l->job && atomic_load(&l->job->done))
		finish(l);
	else if (l->job && l->job->lib->state == LIB_READ && now_ns > l->job->lib->noticed_ns + LIMIT_NS)
		fail_lib(l, l->job->lib, "reading it takes too long");
	for (size_t i = 0; !l->job && i < l->n_libs; i++) {
		if (l->lib[i]->state == LIB_WAITS)
			start(l, l->lib[i]);
	}
}

bool late_holds(const struct late *l)
{
	for (size_t i = 0; i < l->n_libs; i++) {
		if (l->lib[i]->state != LIB_FOLLOWED)
			return true;
	}
	return false;
}

static double seconds(const struct late *l, uint64_t ns)
{
	return ns > l->r->start_ns ? (double)(ns - l->r->start_ns) / 1e9 : 0;
}

void late_note(const struct late *l, struct summary *s)
{
	unsigned followed = 0;

	for (size_t i = 0; i < l->n_libs; i++) {
		const struct lib *lib = l->lib[i];

		followed += lib->state == LIB_FOLLOWED;
		if (lib->state == LIB_FOLLOWED)
			summary_note(s, false,
				     "%s was loaded during the session, and followed from %.1f s on with %u "
				     "probes: "
				     "what it did in the %.1f s before is not covered",
				     lib->name, seconds(l, lib->armed_ns), lib->probes,
				     (double)(lib->armed_ns - lib->before_ns) / 1e9);
		else
			summary_note(
				s, true,
				"%s was loaded %.1f s into the session and has code or types that were "
				"asked for, not followed there: %s; no change was judged since, and objects "
				"nobody touched were not looked at",
				lib->name, seconds(l, lib->noticed_ns),
				lib->why[0] ? lib->why : "it was still being read");
	}
	if (l->n_libs)
		summary_count(s, "libraries followed later", followed);
	if (l->moved)
		summary_note(
			s, false,
			"a library of the type was unloaded and loaded again elsewhere: objects were taken "
			"up anew there");
}

void late_json(const struct late *l, json_t *v)
{
	for (size_t i = 0; i < l->n_libs; i++) {
		const struct lib *lib = l->lib[i];
		bool followed = lib->state == LIB_FOLLOWED;

		json_array_append_new(
			v,
			json_pack("{s:i, s:s, s:b, s:f, s:o, s:I, s:o}", "pid", (int)l->r->pid, "name",
				  lib->name, "followed", followed, "noticed_s", seconds(l, lib->noticed_ns),
				  "armed_s", followed ? json_real(seconds(l, lib->armed_ns)) : json_null(),
				  "probes", (json_int_t)lib->probes, "why",
				  followed
					  ? json_null()
					  : json_string(lib->why[0] ? lib->why : "it was still being read")));
	}
}

bool late_destroy(struct late *l)
{
	uint64_t end = mono_now_ns() + END_NS;

	if (!l)
		return true;
	while (l->job && !atomic_load(&l->job->done) && mono_now_ns() < end)
		usleep(10000);
	if (l->job && !atomic_load(&l->job->done))
		return false;
	if (l->job) {
		pthread_join(l->job->thread, NULL);
		plan_addition_free(l->job->add);
		free(l->job);
	}
	for (size_t i = 0; i < l->n_libs; i++)
		free(l->lib[i]);
	free(l->lib);
	loaded_free(l->loaded);
	free(l);
	return true;
}
