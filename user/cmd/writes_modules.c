// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The libraries of a process: which have code or types that the spec names, and where all of them are loaded.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/writes_run.h"
#include "util/grow.h"

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

/* A file of which the first mapping is m, if it is an ELF file. */
static int add_mapped(struct writes_prep *p, const struct proc_map *m)
{
	struct writes_module *x;

	if (GROW(&p->mapped, p->n_mapped))
		return -ENOMEM;
	x = &p->mapped[p->n_mapped++];
	*x = (struct writes_module){.dev = m->dev, .inode = m->inode, .name = m->path};
	snprintf(x->path, sizeof(x->path), "/proc/%d/map_files/%llx-%llx", (int)p->pid,
		 (unsigned long long)m->start, (unsigned long long)m->end);
	if (elf_file_open(&x->file, x->path, NULL))
		x->file = NULL;
	else
		x->bias = m->start - elf_file_base(x->file);
	return 0;
}

/* Of another process of the same file: its files' debuginfo serves; where they are loaded here is looked up.
 */
static int share(struct writes_prep *p)
{
	const struct writes_prep *of = p->of;

	p->module = calloc(of->n_modules + 1, sizeof(*p->module));
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
	p->module = calloc(p->n_mapped + 1, sizeof(*p->module));
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

unsigned writes_modules_late(const struct writes_prep *p, char *name, size_t len)
{
	struct proc_maps maps;
	unsigned n = 0;

	if (proc_maps_read(&maps, p->pid, NULL))
		return 0;
	for (size_t i = 0; i < maps.n; i++) {
		const struct proc_map *m = &maps.v[i];
		struct words w = {.spec = p->spec};
		struct elf_file *f;
		char path[80];

		if (!m->path || m->path[0] != '/' || m->offset || !m->inode || known(p, m))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", (int)p->pid,
			 (unsigned long long)m->start, (unsigned long long)m->end);
		if (elf_file_open(&f, path, NULL))
			continue;
		elf_for_each_symbol(f, one_symbol, &w);
		elf_file_close(f);
		if ((w.type || w.function) && !n++)
			snprintf(name, len, "%s", m->path);
	}
	proc_maps_deinit(&maps);
	return n;
}

void writes_modules_close(struct writes_prep *p)
{
	for (size_t i = 0; i < p->n_mapped; i++) {
		dbg_close(p->mapped[i].dbg);
		elf_file_close(p->mapped[i].file);
	}
	free(p->mapped);
	free(p->module);
}
