// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Without debuginfo and symbols: what derives from protobuf's generic services, by run-time type information.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "elf/rtti.h"
#include "plan/rpc_priv.h"
#include "proc/maps.h"

/*
 * google/protobuf/service.h, the same from 2.5 to 3.21: the virtual functions of RpcChannel are its
 * destructor (two entries, Itanium C++ ABI 2.5.2) and CallMethod; those of Service its destructor,
 * GetDescriptor, CallMethod and two more.
 */
#define CHANNEL_TYPE "N6google8protobuf10RpcChannelE"
#define CHANNEL_SLOT 2
#define SERVICE_TYPE "N6google8protobuf7ServiceE"
#define SERVICE_SLOT 3

struct module {
	struct rpc_plan *plan;
	const struct spec *spec;
	const struct elf_file *file;
	const char *path;   /* to open it by */
	const char *mapped; /* as the process has it */
};

/* "N3zbs3rpc7ChannelE" -> "zbs::rpc::Channel::CallMethod" */
static void function_name(const char *cls, char *buf, size_t len)
{
	static const char head[] = "typeinfo for ";
	char mangled[512], text[512];

	snprintf(mangled, sizeof(mangled), "_ZTI%s", cls);
	dbg_demangle(mangled, text, sizeof(text));
	if (strncmp(text, head, sizeof(head) - 1) != 0)
		snprintf(buf, len, "%s", cls);
	else
		snprintf(buf, len, "%s::CallMethod", text + sizeof(head) - 1);
}

static bool wanted(const struct spec *spec, const char *name, unsigned *arg)
{
	*arg = 1;
	for (size_t i = 0; spec && i < spec->n_rpc; i++) {
		const struct spec_rpc *r = &spec->rpc[i];

		*arg = rpc_arg_number(r);
		for (size_t k = 0; k < r->n_channel; k++)
			if (!strcmp(r->channel[k], CHANNEL_BASE) || dbg_name_eq(r->channel[k], name))
				return true;
	}
	return !rpc_names_channel(spec);
}

static int add_channel(void *ctx, const struct rtti_function *fun)
{
	struct module *m = ctx;
	char name[512];
	struct rpc_code c = {.path = m->path, .function = name, .vaddr = fun->vaddr, .size = fun->size};
	int rc;

	function_name(fun->cls, name, sizeof(name));
	if (!wanted(m->spec, name, &c.arg))
		return 0;
	rc = rpc_names_add_code(&m->plan->names, false, name, m->mapped, fun->vaddr, fun->vaddr + fun->size);
	return rc ? rc : rpc_site_add(m->plan, m->file, &c);
}

static int add_service(void *ctx, const struct rtti_function *fun)
{
	struct module *m = ctx;
	char name[512];

	function_name(fun->cls, name, sizeof(name));
	return rpc_names_add_code(&m->plan->names, true, name, m->mapped, fun->vaddr, fun->vaddr + fun->size);
}

static int look_into(struct module *m)
{
	struct elf_file *f;
	int rc;

	if (elf_file_open(&f, m->path, NULL))
		return 0; /* no ELF file, or gone */
	m->file = f;
	rc = rtti_functions(f, CHANNEL_TYPE, CHANNEL_SLOT, add_channel, m);
	if (!rc)
		rc = rtti_functions(f, SERVICE_TYPE, SERVICE_SLOT, add_service, m);
	elf_file_close(f);
	return rc;
}

/* Of the mappings of one file, the one with code stands for it; of several, the first. */
static bool is_first(const struct proc_maps *maps, size_t i)
{
	const struct proc_map *m = &maps->v[i];

	if (!m->inode || !m->path || !(m->perms & PROC_X))
		return false;
	for (size_t k = 0; k < i; k++)
		if (maps->v[k].inode == m->inode && maps->v[k].dev == m->dev && (maps->v[k].perms & PROC_X))
			return false;
	return true;
}

int rpc_plan_classes(struct rpc_plan *p, pid_t pid, const struct spec *spec, bool exe)
{
	char path[PATH_MAX + 64], exe_path[64];
	struct module m = {.plan = p, .spec = spec};
	struct proc_maps maps;
	struct stat st;
	int rc = 0;

	snprintf(exe_path, sizeof(exe_path), "/proc/%d/exe", (int)pid);
	if (stat(exe_path, &st) || proc_maps_read(&maps, pid, NULL))
		return 0;
	for (size_t i = 0; i < maps.n && !rc; i++) {
		bool is_exe = maps.v[i].inode == st.st_ino;

		if (!is_first(&maps, i) || (is_exe && !exe))
			continue;
		if (!is_exe && proc_map_file(&maps.v[i], pid, path, sizeof(path)))
			continue;
		m.path = is_exe ? exe_path : path;
		m.mapped = maps.v[i].path;
		rc = look_into(&m);
	}
	proc_maps_deinit(&maps);
	return rc;
}
