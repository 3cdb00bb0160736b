// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The libraries of a process: which have code or types that the spec names, and where all of them are loaded.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/writes_run.h"
#include "util/grow.h"

#define LATE_MODULES 64 /* room for those that are loaded during the session */

struct words {
	const struct spec *spec;
	bool type, function; /* named in a symbol */
};

/*
 * Is a class or function of this name in a mangled symbol? Itanium C++ ABI, 5.1.3: each part of a name is
 * preceded by its length. Of a template or an operator nothing is known; of a suffix its parts.
 */
static bool mentions(const char *symbol, const char *name)
{
	size_t end = strcspn(name, "("), used = 0;
	char word[512] = "";

	if (strpbrk(name, "<") || strstr(name, "operator"))
		return true;
	for (size_t i = 0; i < end && used < sizeof(word);) {
		size_t n = strcspn(name + i, ":(");

		if (n && name[i] != '~')
			used += (size_t)snprintf(word + used, sizeof(word) - used, "%zu%.*s", n, (int)n,
						 name + i);
		i += n + strspn(name + i + n, ":");
	}
	return used < sizeof(word) && strstr(symbol, word);
}

static int one_symbol(void *ctx, const struct elf_sym *s)
{
	struct words *w = ctx;

	for (size_t i = 0; i < w->spec->n_cache; i++) {
		const struct spec_cache *c = &w->spec->cache[i];

		w->type |= mentions(s->name, c->type);
		for (size_t k = 0; k < c->n_func && !w->function; k++)
			w->function = mentions(s->name, c->func[k].name);
	}
	return w->type && w->function;
}

static void open_debuginfo(struct writes_module *m, const struct writes_prep *p, const char *debuginfo)
{
	struct words w = {.spec = p->spec};

	elf_for_each_symbol(m->file, one_symbol, &w);
	if ((w.type || w.function) && dbg_open(&m->dbg, m->path, debuginfo, NULL))
		m->dbg = NULL;
	m->blind = w.type && !m->dbg;
}

static struct plan_module *module_view(struct writes_prep *p, const struct writes_module *m)
{
	struct plan_module *v = &p->module[p->n_modules++];

	*v = (struct plan_module){.file = m->dbg ? dbg_binary(m->dbg) : m->file,
				  .dbg = m->dbg,
				  .blind = m->blind,
				  .name = m->name,
				  .path = m->path,
				  .bias = m->bias};
	return v;
}

static bool known(const struct writes_prep *p, const struct proc_map *m)
{
	for (size_t i = 0; i < p->n_mapped; i++) {
		if (p->mapped[i].inode == m->inode && p->mapped[i].dev == m->dev)
			return true;
	}
	return m->inode == p->exe_inode && m->dev == p->exe_dev;
}

/* The file of which the first mapping is m. -EINVAL: it is no ELF file. */
static int map_open(struct writes_module *x, const struct writes_prep *p, const struct proc_map *m)
{
	x->dev = m->dev;
	x->inode = m->inode;
	snprintf(x->path, sizeof(x->path), "/proc/%d/map_files/%llx-%llx", (int)p->pid,
		 (unsigned long long)m->start, (unsigned long long)m->end);
	if (elf_file_open(&x->file, x->path, NULL)) {
		x->file = NULL;
		return -EINVAL;
	}
	x->bias = m->start - elf_file_base(x->file);
	return 0;
}

static int add_mapped(struct writes_prep *p, const struct proc_map *m)
{
	if (GROW(&p->mapped, p->n_mapped))
		return -ENOMEM;
	p->mapped[p->n_mapped] = (struct writes_module){.name = m->path};
	map_open(&p->mapped[p->n_mapped++], p, m);
	return 0;
}

/* Of another process of the same file: its files' debuginfo serves; where they are loaded here is looked up.
 */
static int share(struct writes_prep *p)
{
	const struct writes_prep *of = p->of;

	p->max_modules = of->n_modules + LATE_MODULES;
	p->module = calloc(p->max_modules, sizeof(*p->module));
	if (!p->module)
		return -ENOMEM;
	for (size_t i = 0; i < of->n_mapped; i++) {
		struct plan_module *v;

		if (!of->mapped[i].file)
			continue;
		v = module_view(p, &of->mapped[i]);
		v->path = NULL;
		for (size_t k = 0; k < p->n_mapped; k++) {
			const struct writes_module *m = &p->mapped[k];

			if (!m->file || m->inode != of->mapped[i].inode || m->dev != of->mapped[i].dev)
				continue;
			v->path = m->path;
			v->bias = m->bias;
		}
	}
	return 0;
}

int writes_modules_open(struct writes_prep *p, const char *debuginfo)
{
	for (size_t i = 0; i < p->maps.n; i++) {
		const struct proc_map *m = &p->maps.v[i];

		if (!m->path || m->path[0] != '/' || m->offset || !m->inode || known(p, m))
			continue;
		if (add_mapped(p, m))
			return -ENOMEM;
	}
	if (p->of)
		return share(p);
	p->max_modules = p->n_mapped + LATE_MODULES;
	p->module = calloc(p->max_modules, sizeof(*p->module));
	if (!p->module)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_mapped; i++) {
		if (!p->mapped[i].file)
			continue;
		open_debuginfo(&p->mapped[i], p, debuginfo);
		module_view(p, &p->mapped[i]);
	}
	return 0;
}

bool writes_modules_bias(const struct writes_prep *p, const struct elf_file *file, uint64_t *bias)
{
	for (size_t i = 0; i < p->n_modules; i++) {
		if (p->module[i].file != file)
			continue;
		*bias = p->module[i].bias;
		return p->module[i].path != NULL;
	}
	return false;
}

static void late_free(struct writes_module *x)
{
	dbg_close(x->dbg);
	elf_file_close(x->file);
	free(x->own_name);
	free(x);
}

struct writes_module *writes_module_late(struct writes_prep *p, const struct proc_map *m)
{
	struct writes_module *x = calloc(1, sizeof(*x));
	struct words w = {.spec = p->spec};

	if (!x || GROW(&p->late, p->n_late)) {
		free(x);
		return NULL;
	}
	x->own_name = strdup(m->path);
	if (x->own_name && !map_open(x, p, m))
		elf_for_each_symbol(x->file, one_symbol, &w);
	if (!w.type && !w.function) {
		late_free(x);
		return NULL;
	}
	x->name = x->own_name;
	p->late[p->n_late++] = x;
	return x;
}

void writes_modules_close(struct writes_prep *p)
{
	for (size_t i = 0; i < p->n_mapped; i++) {
		dbg_close(p->mapped[i].dbg);
		elf_file_close(p->mapped[i].file);
	}
	for (size_t i = 0; i < p->n_late; i++)
		late_free(p->late[i]);
	free(p->late);
	free(p->mapped);
	free(p->module);
}
