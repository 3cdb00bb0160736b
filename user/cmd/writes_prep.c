// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What is known of the processes before anything is attached: debuginfo, plan, where they are loaded. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/writes_run.h"
#include "trace/session.h"
#include "util/grow.h"

#define AWAIT_US 100000 /* between two looks for a library */

static int at_map(struct writes_prep *p, const struct proc_map *m)
{
	p->bias = m->start - elf_file_base(dbg_binary(p->dbg));
	p->exe_dev = m->dev;
	p->exe_inode = m->inode;
	return 0;
}

static bool module_bias(void *ctx, const struct elf_file *module, uint64_t *bias)
{
	const struct writes_prep *p = ctx;

	if (module != dbg_binary(p->dbg))
		return writes_modules_bias(p, module, bias);
	*bias = p->bias;
	return true;
}

/* Where the executable is loaded. */
static int find_bias(struct writes_prep *p, struct err *err)
{
	struct stat st;
	int ret;

	ret = proc_maps_read(&p->maps, p->pid, err);
	if (ret)
		return ret;
	if (stat(p->exe, &st))
		return err_set(err, -errno, "cannot look at %s: %s", p->exe, strerror(errno));
	for (size_t i = 0; i < p->maps.n; i++) {
		const struct proc_map *m = &p->maps.v[i];

		if (m->inode == st.st_ino && m->dev == st.st_dev)
			return at_map(p, m);
	}
	/* the device numbers of some file systems (btrfs, overlayfs) differ between stat and maps: then the
	 * inode must do */
	for (size_t i = 0; i < p->maps.n; i++) {
		if (p->maps.v[i].inode == st.st_ino)
			return at_map(p, &p->maps.v[i]);
	}
	return err_set(err, -ENOENT, "the executable of process %d is not among its mappings", (int)p->pid);
}

/* --field: a field that is guarded, by its class and name, or by any unique end of that. */
static int find_field(struct writes_prep *p, const char *name, struct err *err)
{
	char full[512], found[512] = "";
	size_t len = strlen(name);

	for (unsigned t = 0; t < p->plan->n_types; t++) {
		for (unsigned f = 0; f < p->plan->type[t].n_fields; f++) {
			const struct guard_field *g = plan_guard_field(p->plan, t, f);
			size_t n = (size_t)snprintf(full, sizeof(full), "%s::%s", g->owner, g->path);

			if (n >= sizeof(full) || n < len || strcmp(full + n - len, name) != 0 ||
			    (n > len && full[n - len - 1] != ':'))
				continue;
			if (found[0] && strcmp(found, full) != 0)
				return err_set(err, -EEXIST, "--field %s may be %s or %s", name, found, full);
			if (!p->has_field) {
				p->has_field = true;
				p->field_type = (uint16_t)t;
				p->field = (uint16_t)f;
			}
			memcpy(found, full, n + 1);
		}
	}
	if (p->has_field)
		return 0;
	err_set(err, -ENOENT, "no guarded field '%s'", name);
	err_hint(err, "--dry-run lists the fields that are guarded");
	return -ENOENT;
}

/* A process before this one that runs, or ran, the same file; first one whose plan has not grown since. */
static bool same_file(const struct writes_targets *t, struct writes_prep *p)
{
	bool found = false;
	struct stat st;

	if (stat(p->exe, &st))
		return false;
	p->dev = st.st_dev;
	p->ino = st.st_ino;
	for (size_t i = 0; i < t->n && !p->of; i++) {
		if (t->v[i]->of || t->v[i]->dev != p->dev || t->v[i]->ino != p->ino)
			continue;
		found = true;
		p->of = t->v[i]->plan->additions ? NULL : t->v[i];
	}
	return found;
}

static int build_plan(struct writes_prep *p, const struct writes_opts *o, struct err *err)
{
	struct writes_plan_in in = {.setters = o->setters,
				    .bias = module_bias,
				    .ctx = p,
				    .binary = p->exe,
				    .partial = o->c.n_profiles > 0};
	int ret = p->of ? 0 : dbg_open(&p->dbg, p->exe, o->c.debuginfo, err);

	if (p->of)
		p->dbg = p->of->dbg;
	if (!ret)
		ret = find_bias(p, err);
	if (!ret && writes_modules_open(p, o->c.debuginfo))
		ret = err_set(err, -ENOMEM, "out of memory");
	in.module = p->module;
	in.n_modules = p->n_modules;
	in.dbg = p->dbg;
	in.spec = p->spec;
	if (ret)
		return ret;
	return p->of ? writes_plan_copy(&p->plan, p->of->plan, &in, err)
		     : writes_plan_build(&p->plan, &in, err);
}

static void prep_free(struct writes_prep *p)
{
	writes_plan_free(p->plan);
	writes_modules_close(p);
	proc_maps_deinit(&p->maps);
	if (!p->of)
		dbg_close(p->dbg);
	free(p);
}

int writes_targets_add(struct writes_targets *t, const struct writes_opts *o, pid_t pid, bool known_only,
		       struct err *err)
{
	struct writes_prep *p = calloc(1, sizeof(*p));
	uint64_t start = mono_now_ns();
	int ret;

	if (!p || GROW(&t->v, t->n)) {
		free(p);
		return err_set(err, -ENOMEM, "out of memory");
	}
	p->pid = pid;
	p->spec = t->spec;
	p->started = session_target_started(pid);
	snprintf(p->exe, sizeof(p->exe), "/proc/%d/exe", (int)pid);
	if (!same_file(t, p) && known_only)
		ret = err_set(err, -ENOENT, "process %d runs another file", (int)pid);
	else
		ret = build_plan(p, o, err);
	if (!ret && o->field)
		ret = find_field(p, o->field, err);
	p->plan_s = (double)(mono_now_ns() - start) / 1e9;
	if (ret)
		prep_free(p);
	else
		t->v[t->n++] = p;
	return ret;
}

int writes_targets_open(struct writes_targets *t, const struct writes_opts *o, struct err *err)
{
	int ret = what_spec(&t->spec, &o->what, err);

	if (!ret && o->object && o->c.n_pids > 1)
		ret = err_set(err, -EINVAL, "--object is an address of one process, but there are %zu",
			      o->c.n_pids);
	for (size_t i = 0; !ret && i < o->c.n_pids; i++) {
		ret = writes_targets_add(t, o, o->c.pids[i], false, err);
		if (ret && o->c.n_pids > 1)
			err_prefix(err, "process %d", (int)o->c.pids[i]);
	}
	return ret;
}

/* A number that changes when the process maps another file. 0: it is gone. */
static uint64_t mapped_files(pid_t pid)
{
	struct proc_maps maps;
	uint64_t sum = 1;

	if (proc_maps_read(&maps, pid, NULL))
		return 0;
	for (size_t i = 0; i < maps.n; i++) {
		if (maps.v[i].inode && !maps.v[i].offset)
			sum = (sum ^ maps.v[i].inode ^ maps.v[i].start) * 0x9e3779b97f4a7c15ull;
	}
	proc_maps_deinit(&maps);
	return sum ? sum : 1;
}

static uint64_t files_of_all(const struct writes_opts *o)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < o->c.n_pids; i++) {
		uint64_t n = mapped_files(o->c.pids[i]);

		if (!n)
			return 0;
		sum += n;
	}
	return sum;
}

int writes_targets_await(struct writes_targets *t, const struct writes_opts *o, struct err *err)
{
	uint64_t start = mono_now_ns(), limit = (uint64_t)(o->c.duration_s * 1e9);
	bool said = false;

	for (;;) {
		uint64_t before = files_of_all(o), now = before;
		int ret = writes_targets_open(t, o, err);

		if (!ret || (ret != -ENOENT && ret != -ENODATA) || !before)
			return ret;
		writes_targets_close(t);
		*t = (struct writes_targets){0};
		if (!said && !o->c.quiet)
			fprintf(stderr, "culprit: %s; waiting for a library that has it; Ctrl-C to stop\n",
				err->msg);
		said = true;
		while (now == before) {
			if (limit && mono_now_ns() - start > limit) {
				err_hint(err, "no library that has it was loaded in %.0f s", o->c.duration_s);
				return ret;
			}
			usleep(AWAIT_US);
			now = files_of_all(o);
		}
		if (!now)
			return err_set(err, -ESRCH,
				       "the process has exited before a library that has it was loaded");
		*err = (struct err){0};
	}
}

void writes_targets_close(struct writes_targets *t)
{
	if (t->abandoned)
		return;
	for (size_t i = t->n; i-- > 0;) /* those that share what another owns come after it */
		prep_free(t->v[i]);
	free(t->v);
	spec_free(t->spec);
}
