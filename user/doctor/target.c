// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor/target.h"
#include "dwarf/dbg.h"
#include "proc/maps.h"
#include "util/grow.h"

/* Functions by which threads change stacks: glibc's, boost.context's, brpc's, libco's, libgo's; and how gcc
 * and clang name the bodies of C++20 coroutines. */
static const char *const switches[] = {
	"swapcontext", "makecontext", "jump_fcontext", "ontop_fcontext", "bthread_start_background",
	"co_swap",     "coctx_swap",  "co_resume"};
static const char *const bodies[] = {".actor", ".resume"};

struct search {
	struct target_facts *t;
	const char *module;
};

static int look_at_symbol(void *ctx, const struct elf_sym *sym)
{
	const struct search *s = ctx;
	size_t len = strlen(sym->name);
	bool found = false;

	/* glibc itself defines two of them */
	for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]) && !found; i++)
		found = !strcmp(sym->name, switches[i]) && (!sym->defined || i > 1);
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]) && !found; i++)
		found = len > strlen(bodies[i]) && sym->type == STT_FUNC &&
			!strcmp(sym->name + len - strlen(bodies[i]), bodies[i]);
	if (found && asprintf(&s->t->coroutines, "%s in %s", sym->name, s->module) < 0)
		s->t->coroutines = NULL;
	return found;
}

static void look_for_coroutines(struct target_facts *t, const struct elf_file *elf, const char *path)
{
	struct search s = {.t = t, .module = strrchr(path, '/') ? strrchr(path, '/') + 1 : path};

	if (!t->coroutines)
		elf_for_each_symbol(elf, look_at_symbol, &s);
}

static int add_lib(struct target_facts *t, pid_t pid, const struct proc_map *m, const char *debuginfo)
{
	char path[PATH_MAX];
	struct elf_debug *debug;
	struct elf_file *elf = NULL;
	struct target_lib *l;

	for (size_t i = 0; i < t->n_libs; i++)
		if (!strcmp(t->lib[i].path, m->path))
			return 0;
	if (GROW(&t->lib, t->n_libs))
		return -ENOMEM;
	l = &t->lib[t->n_libs];
	*l = (struct target_lib){.path = strdup(m->path), .deleted = m->deleted, .debug = ELF_DEBUG_NONE};
	debug = calloc(1, sizeof(*debug));
	if (!l->path || !debug) {
		free(l->path);
		free(debug);
		return -ENOMEM;
	}
	t->n_libs++;
	snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", (int)pid, (unsigned long long)m->start,
		 (unsigned long long)m->end);
	if (elf_file_open(&elf, path, NULL)) {
		snprintf(path, sizeof(path), "/proc/%d/root%s", (int)pid, m->path);
		if (elf_file_open(&elf, path, NULL))
			elf = NULL;
	}
	if (elf) {
		l->readable = true;
		snprintf(l->build_id, sizeof(l->build_id), "%s", elf_file_build_id_hex(elf));
		elf_find_debug(elf, debuginfo, debug);
		l->debug = debug->state;
		look_for_coroutines(t, elf, m->path);
	}
	elf_file_close(elf);
	free(debug);
	return 0;
}

static int read_libs(struct target_facts *t, pid_t pid, const char *debuginfo, struct err *err)
{
	struct proc_maps maps;
	int rc = proc_maps_read(&maps, pid, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < maps.n && !rc; i++) {
		const struct proc_map *m = &maps.v[i];

		if (m->inode && m->path && (m->perms & PROC_X) && strcmp(m->path, t->exe.path) != 0)
			rc = add_lib(t, pid, m, debuginfo);
	}
	proc_maps_deinit(&maps);
	return rc ? err_set(err, rc, "out of memory") : 0;
}

static void read_namespaces(struct target_facts *t, pid_t pid)
{
	static const char *const names[] = {"pid", "mnt", "net", "user", "cgroup", "uts", "ipc"};
	char path[64], ours[64], theirs[64];
	size_t len = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ssize_t a, b;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		a = readlink(path, ours, sizeof(ours));
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, names[i]);
		b = readlink(path, theirs, sizeof(theirs));
		if (a > 0 && b > 0 && (a != b || memcmp(ours, theirs, (size_t)a) != 0))
			len += (size_t)snprintf(t->namespaces + len, sizeof(t->namespaces) - len, "%s%s",
						len ? ", " : "", names[i]);
	}
}

/* Where it is loaded does not matter to what can be counted. */
static bool no_bias(void *ctx, const struct elf_file *module, uint64_t *bias)
{
	(void)ctx;
	(void)module;
	*bias = 0;
	return true;
}

static void read_plan(struct target_facts *t, const char *exe, const char *debuginfo, const char *spec)
{
	struct writes_plan_in in = {.setters = SETTERS_AUTO, .bias = no_bias, .binary = exe};

	if (spec_load(&t->spec, spec, &t->plan_err) || dbg_open(&t->dbg, exe, debuginfo, &t->plan_err))
		return;
	in.dbg = t->dbg;
	in.spec = t->spec;
	if (writes_plan_build(&t->plan, &in, &t->plan_err))
		t->plan = NULL;
}

int target_facts_read(struct target_facts *t, pid_t pid, const char *debuginfo, const char *spec,
		      struct err *err)
{
	struct elf_file *elf = NULL;
	char path[64];
	int rc;

	*t = (struct target_facts){0};
	rc = proc_status_read(&t->status, pid, err);
	if (!rc)
		rc = proc_exe_read(&t->exe, pid, err);
	if (rc)
		return rc;
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	rc = elf_file_open(&elf, path, err);
	if (rc)
		return rc;
	elf_find_debug(elf, debuginfo, &t->debug);
	look_for_coroutines(t, elf, t->exe.path);
	elf_file_close(elf);
	read_namespaces(t, pid);
	rc = read_libs(t, pid, debuginfo, err);
	if (!rc && spec)
		read_plan(t, path, debuginfo, spec);
	return rc;
}

void target_facts_free(struct target_facts *t)
{
	writes_plan_free(t->plan);
	dbg_close(t->dbg);
	spec_free(t->spec);
	for (size_t i = 0; i < t->n_libs; i++)
		free(t->lib[i].path);
	free(t->lib);
	free(t->coroutines);
	proc_exe_deinit(&t->exe);
	*t = (struct target_facts){0};
}

void target_plan_sites(const struct writes_plan *p, size_t *inlined, size_t *stepped)
{
	*inlined = *stepped = 0;
	for (size_t i = 0; i < p->n_probes; i++) {
		*inlined += p->probe[i].inlined;
		*stepped += p->probe[i].stepped;
	}
}
