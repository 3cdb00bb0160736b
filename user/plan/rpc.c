// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dwarf/dbg.h"
#include "dwarf/funcs.h"
#include "plan/rpc_priv.h"
#include "plan/site.h"
#include "proc/maps.h"
#include "util/grow.h"

void rpc_note(struct rpc_plan *p, const char *fmt, ...)
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
	struct dbg_type *service; /* classes that implement a service's dispatch */
	size_t n_services;
	char method[RPC_METHOD_LEN]; /* of the implementations being walked over */
	int rc;
};

int rpc_site_add(struct rpc_plan *plan, const struct elf_file *bin, const struct rpc_code *c)
{
	const uint8_t *code = elf_bytes(bin, c->vaddr, c->size);
	struct rpc_site *s;
	struct site choice;

	if (GROW(&plan->site, plan->n_sites))
		return -ENOMEM;
	s = &plan->site[plan->n_sites];
	*s = (struct rpc_site){.arg = c->arg, .die = c->die};
	if (!elf_vaddr_to_offset(bin, c->vaddr, &s->entry))
		return 0; /* not in the file: nothing to attach to */
	s->cheap = s->entry;
	if (code && !site_choose(code, c->size, &choice) && !choice.looped) {
		s->cheap += choice.offset;
		s->ra = choice.ra;
	}
	s->path = strdup(c->path);
	s->function = strdup(c->function);
	plan->n_sites++;
	return s->path && s->function ? 0 : -ENOMEM;
}

static int add_site(struct walk *w, const struct dbg_func *f, const struct dbg_entry *e)
{
	const struct rpc_code c = {.path = w->path,
				   .function = f->name,
				   .vaddr = e->vaddr,
				   .size = e->size,
				   .die = e->die,
				   .arg = w->arg};

	return rpc_site_add(w->plan, dbg_binary(w->dbg), &c);
}

static int add_channel(void *ctx, const struct dbg_func *f)
{
	struct walk *w = ctx;

	w->rc = rpc_names_add(&w->plan->names, false, f->name, NULL);
	for (size_t i = 0; !w->rc && i < f->n_entry; i++)
		if (f->entry[i].kind == DBG_ENTRY_PLAIN)
			w->rc = add_site(w, f, &f->entry[i]);
	return w->rc;
}

/* NAME is CLASS::METHOD whose overrides are meant, or a function itself. */
static int find_channels(struct walk *w, const char *name)
{
	struct dbg_func *f;
	struct err err = {0};
	int rc = dbg_overrides(w->dbg, name, add_channel, w, &err);

	if (rc != -ENOENT)
		return w->rc;
	if (dbg_find_function(w->dbg, name, &f, NULL)) {
		rpc_note(w->plan, "RPC calls are not followed: %s", err.msg);
		return 0;
	}
	rc = add_channel(w, f);
	dbg_func_free(f);
	return rc;
}

static int add_service(void *ctx, const struct dbg_func *f)
{
	struct walk *w = ctx;

	w->rc = GROW(&w->service, w->n_services);
	if (!w->rc) {
		w->service[w->n_services++] = f->cls;
		w->rc = rpc_names_add(&w->plan->names, true, f->name, NULL);
	}
	return w->rc;
}

static int add_implementation(void *ctx, const struct dbg_func *f)
{
	struct walk *w = ctx;
	char stub[RPC_METHOD_LEN];

	if (!rpc_stub_method(f->name, stub, sizeof(stub)))
		w->rc = rpc_names_add(&w->plan->names, true, f->name, w->method);
	return w->rc;
}

/* protoc's service methods, and nothing else in their class, take an RpcController * first. */
static bool is_service_method(struct dbg *d, const struct dbg_func *f)
{
	struct dbg_type_info pointer, cls;
	struct dbg_param *p;
	size_t n;
	bool yes;

	if (f->is_static || dbg_params(d, f, &p, &n, NULL))
		return false;
	yes = n == 5 && !dbg_type_info(d, p[1].type, &pointer) && pointer.kind == DBG_PTR &&
	      !dbg_type_info(d, pointer.target, &cls) && !strcmp(cls.name, "google::protobuf::RpcController");
	free(p);
	return yes;
}

/* zbs::meta::MetaService::ListDb is zbs.meta.MetaService.ListDb: the namespace of a generated class is its
 * package. */
static int find_implementations(void *ctx, const struct dbg_func *f)
{
	struct walk *w = ctx;
	size_t out = 0;

	if (!is_service_method(w->dbg, f))
		return 0;
	for (const char *s = f->name; *s && out + 1 < sizeof(w->method); s++) {
		w->method[out++] = *s == ':' ? '.' : *s;
		s += *s == ':';
	}
	w->method[out] = '\0';
	dbg_overrides(w->dbg, f->name, add_implementation, w, NULL);
	return w->rc;
}

static int find_handlers(struct walk *w)
{
	dbg_overrides(w->dbg, SERVICE_BASE, add_service, w, NULL);
	for (size_t i = 0; !w->rc && i < w->n_services; i++)
		dbg_methods(w->dbg, w->service[i], find_implementations, w, NULL);
	free(w->service);
	return w->rc;
}

unsigned rpc_arg_number(const struct spec_rpc *r)
{
	return r->method_arg && !strncmp(r->method_arg, "arg", 3) ? (unsigned)atoi(r->method_arg + 3) : 1;
}

bool rpc_names_channel(const struct spec *spec)
{
	for (size_t i = 0; spec && i < spec->n_rpc; i++)
		if (spec->rpc[i].n_channel)
			return true;
	return false;
}

int rpc_plan_find(struct rpc_plan *p, struct dbg *dbg, const char *path, const struct spec *spec)
{
	struct walk w = {.plan = p, .dbg = dbg, .path = path, .arg = 1};
	int rc = 0;

	for (size_t i = 0; spec && !rc && i < spec->n_rpc; i++) {
		const struct spec_rpc *r = &spec->rpc[i];

		w.arg = rpc_arg_number(r);
		for (size_t k = 0; !rc && k < r->n_channel; k++)
			rc = find_channels(&w, r->channel[k]);
		for (size_t k = 0; !rc && k < r->n_server; k++)
			rc = rpc_names_add(&p->names, true, r->server[k], NULL);
	}
	if (!rc && !rpc_names_channel(spec))
		rc = find_channels(&w, CHANNEL_BASE);
	return rc ? rc : find_handlers(&w);
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
	if (!rc) {
		rc = rpc_plan_find(ret, dbg, path, spec);
		dbg_close(dbg);
	} else if (rc != -ENOMEM) {
		rc = 0;
	}
	if (!rc)
		rc = rpc_plan_classes(ret, pid, spec, !ret->n_sites);
	if (rc) {
		rpc_plan_deinit(ret);
		return err_set(err, rc, "out of memory");
	}
	/* the first line of the message; the rest lists every place looked at */
	if (why.msg[0] && !ret->n_sites)
		rpc_note(ret,
			 "RPCs are not named (%.*s): waits that only the stack can tell from idle ones are "
			 "taken "
			 "for idle; --debuginfo helps",
			 (int)strcspn(why.msg, ":\n"), why.msg);
	else if (why.msg[0])
		rpc_note(
			ret,
			"RPC channels are known by their vtables (%.*s): calls that began before the session "
			"have no name",
			(int)strcspn(why.msg, ":\n"), why.msg);
	return 0;
}
