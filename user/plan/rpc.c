// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dwarf/dbg.h"
#include "dwarf/funcs.h"
#include "plan/rpc.h"
#include "plan/site.h"
#include "proc/maps.h"

/* Base classes of protobuf's generic services: the client's channel and the server's dispatch
 * (google/protobuf/service.h). */
#define CHANNEL_BASE "google::protobuf::RpcChannel::CallMethod"
#define SERVICE_BASE "google::protobuf::Service::CallMethod"

static void note(struct rpc_plan *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void note(struct rpc_plan *p, const char *fmt, ...)
{
	va_list ap;
	char *text;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if (p->n_notes == RPC_PLAN_NOTES) {
		free(text);
		return;
	}
	p->note[p->n_notes++] = text;
}

void rpc_plan_deinit(struct rpc_plan *p)
{
	rpc_names_deinit(&p->names);
	for (size_t i = 0; i < p->n_sites; i++) {
		free(p->site[i].path);
		free(p->site[i].function);
	}
	free(p->site);
	for (size_t i = 0; i < p->n_notes; i++)
		free(p->note[i]);
	*p = (struct rpc_plan){0};
}

/* What a walk over the functions of one module carries. */
struct walk {
	struct rpc_plan *plan;
	struct dbg *dbg;
	const char *path;
	unsigned arg;
	bool handler;
	int rc;
};

static int add_site(struct walk *w, const struct dbg_func *f, const struct dbg_entry *e)
{
	const struct elf_file *bin = dbg_binary(w->dbg);
	const uint8_t *code = elf_bytes(bin, e->vaddr, e->size);
	struct rpc_site *v = realloc(w->plan->site, (w->plan->n_sites + 1) * sizeof(*v)), *s;
	struct site choice;

	if (!v)
		return -ENOMEM;
	w->plan->site = v;
	s = &v[w->plan->n_sites];
	*s = (struct rpc_site){.arg = w->arg};
	if (!elf_vaddr_to_offset(bin, e->vaddr, &s->entry))
		return 0; /* not in the file: nothing to attach to */
	s->cheap = s->entry;
	if (code && !site_choose(code, e->size, &choice) && !choice.looped) {
		s->cheap += choice.offset;
		s->pushed = choice.pushed;
	}
	s->path = strdup(w->path);
	s->function = strdup(f->name);
	w->plan->n_sites++;
	return s->path && s->function ? 0 : -ENOMEM;
}

static int add_function(void *ctx, const struct dbg_func *f)
{
	struct walk *w = ctx;

	w->rc = rpc_names_add(&w->plan->names, w->handler, f->name);
	for (size_t i = 0; !w->rc && !w->handler && i < f->n_entry; i++)
		if (f->entry[i].kind == DBG_ENTRY_PLAIN)
			w->rc = add_site(w, f, &f->entry[i]);
	return w->rc;
}

/* NAME is CLASS::METHOD whose overrides are meant, or a function itself. */
static int find_functions(struct walk *w, const char *name)
{
	struct dbg_func *f;
	struct err err = {0};
	int rc = dbg_overrides(w->dbg, name, add_function, w, &err);

	if (w->rc)
		return w->rc;
	if (rc != -ENOENT)
		return rc < 0 ? rc : 0;
	if (dbg_find_function(w->dbg, name, &f, NULL)) {
		if (!w->handler)
			note(w->plan, "RPC calls are not followed: %s", err.msg);
		return 0;
	}
	rc = add_function(w, f);
	dbg_func_free(f);
	return rc;
}

static unsigned arg_number(const struct spec_rpc *r)
{
	return r->method_arg && !strncmp(r->method_arg, "arg", 3) ? (unsigned)atoi(r->method_arg + 3) : 1;
}

static int find_all(struct rpc_plan *p, struct dbg *dbg, const char *path, const struct spec *spec)
{
	struct walk w = {.plan = p, .dbg = dbg, .path = path, .arg = 1};
	int rc = 0;

	for (size_t i = 0; spec && !rc && i < spec->n_rpc; i++) {
		const struct spec_rpc *r = &spec->rpc[i];

		w.arg = arg_number(r);
		w.handler = false;
		for (size_t k = 0; !rc && k < r->n_channel; k++)
			rc = find_functions(&w, r->channel[k]);
		for (size_t k = 0; !rc && k < r->n_server; k++)
			rc = rpc_names_add(&p->names, true, r->server[k]);
	}
	if (!rc && (!spec || !spec->n_rpc))
		rc = find_functions(&w, CHANNEL_BASE);
	w.handler = true;
	return rc ? rc : find_functions(&w, SERVICE_BASE);
}

static enum rpc_layout layout_of(pid_t pid)
{
	enum rpc_layout layout = RPC_LAYOUT_UNKNOWN;
	struct proc_maps maps;

	if (proc_maps_read(&maps, pid, NULL))
		return layout;
	for (size_t i = 0; i < maps.n; i++) {
		const char *file = maps.v[i].path ? strrchr(maps.v[i].path, '/') : NULL;

		/* the files behind the sonames: libprotobuf.so.8.0.0, libprotobuf.so.32.0.12 */
		if (file && !strncmp(file, "/libprotobuf.so.32.", 19))
			layout = RPC_LAYOUT_3_21;
		else if (file && !strncmp(file, "/libprotobuf.so.8.", 18))
			layout = RPC_LAYOUT_2_5;
	}
	proc_maps_deinit(&maps);
	return layout;
}

int rpc_plan_build(struct rpc_plan *ret, pid_t pid, const struct spec *spec, const char *debuginfo,
		   struct err *err)
{
	struct err why = {0};
	struct dbg *dbg;
	char path[64];
	int rc;

	*ret = (struct rpc_plan){0};
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	ret->layout = layout_of(pid);
	rc = dbg_open(&dbg, path, debuginfo, &why);
	if (rc) {
		note(ret, "RPCs are not named: %s", why.msg);
		return rc == -ENOMEM ? err_set(err, rc, "out of memory") : 0;
	}
	rc = find_all(ret, dbg, path, spec);
	dbg_close(dbg);
	if (ret->n_sites && ret->layout == RPC_LAYOUT_UNKNOWN)
		note(ret,
		     "RPC methods are not named: the layout of this version of libprotobuf is not known");
	if (!rc)
		return 0;
	rpc_plan_deinit(ret);
	return err_set(err, rc, "out of memory");
}

/* "zbs.meta.MetaService.ListDb": identifiers joined by dots, at least two. */
static bool is_full_name(const char *s)
{
	bool dot = false;
	char prev = '.';

	for (; *s; prev = *s++) {
		if (*s == '.') {
			if (prev == '.')
				return false;
			dot = true;
		} else if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || *s == '_' ||
			     (*s >= '0' && *s <= '9' && prev != '.'))) {
			return false;
		}
	}
	return dot && prev != '.';
}

int rpc_method_name(enum rpc_layout layout, uint64_t method,
		    int (*read_mem)(void *ctx, uint64_t addr, void *buf, size_t len), void *ctx, char *buf,
		    size_t len)
{
	uint64_t names, text, size;

	if (layout == RPC_LAYOUT_UNKNOWN)
		return -ENOTSUP;
	if (read_mem(ctx, method + 8, &names, sizeof(names)))
		return -ENODATA;
	if (layout == RPC_LAYOUT_3_21)
		names += 32; /* sizeof(std::string), which starts with a pointer to the text and its length */
	if (read_mem(ctx, names, &text, sizeof(text)))
		return -ENODATA;
	/* old ABI: the length stands 24 bytes before the text (std::string::_Rep) */
	if (read_mem(ctx, layout == RPC_LAYOUT_3_21 ? names + 8 : text - 24, &size, sizeof(size)))
		return -ENODATA;
	if (size == 0 || size >= len || read_mem(ctx, text, buf, size))
		return -ENODATA;
	buf[size] = '\0';
	return strlen(buf) == size && is_full_name(buf) ? 0 : -ENODATA;
}
