// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dwarf/record.h"
#include "inspect/known.h"
#include "plan/rpc.h"
#include "plan/writes.h"
#include "profile/asks.h"
#include "util/grow.h"
#include "writes/kin.h"

static bool no_bias(void *ctx, const struct elf_file *module, uint64_t *bias)
{
	*bias = 0; /* addresses are the module's own */
	return module == ctx;
}

static int add_text(char ***v, size_t *n, const char *s)
{
	char *copy = strdup(s);

	if (!copy || GROW(v, *n)) {
		free(copy);
		return -ENOMEM;
	}
	(*v)[(*n)++] = copy;
	return 0;
}

static int add_probe(struct profile_asked *a, const char *role, const char *function, uint64_t entry,
		     uint64_t vaddr)
{
	size_t n = a->n;

	if (GROW(&a->probe, n) || add_text(&a->text, &a->n, function))
		return -ENOMEM;
	a->probe[n] =
		(struct profile_probe){.role = role, .function = a->text[n], .entry = entry, .vaddr = vaddr};
	return 0;
}

static int take_plan(struct profile_asked *a, const struct writes_plan *p, struct dbg *d, struct err *err)
{
	struct kin *kin;
	int rc = kin_create(&kin, p, d, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < p->n_types; i++) {
		struct judge_ask ask = {0};

		kin_ask(kin, (uint16_t)i, &ask); /* what it lacks, the node will lack too */
	}
	kin_destroy(kin);
	for (size_t i = 0; i < p->n_probes && !rc; i++)
		rc = add_probe(a, wr_role_name(p->probe[i].wire.role), p->probe[i].function,
			       p->probe[i].entry, p->probe[i].vaddr);
	for (size_t i = 0; i < p->n_missing && !rc; i++)
		rc = add_text(&a->missing, &a->n_missing, p->missing[i]);
	return rc ? err_set(err, rc, "out of memory") : 0;
}

/* With and without probes on setters: what is asked must not depend on an option of the node's. */
static int ask_writes(struct profile_asked *a, struct dbg *d, const struct spec *spec, struct err *err)
{
	static const enum setters_mode mode[] = {SETTERS_OFF, SETTERS_ALL};
	int rc = 0;

	for (int i = 0; i < 2 && !rc; i++) {
		struct writes_plan_in in = {.dbg = d,
					    .spec = spec,
					    .binary = elf_file_path(dbg_binary(d)),
					    .setters = mode[i],
					    .bias = no_bias,
					    .ctx = (void *)dbg_binary(d)};
		struct writes_plan *p;

		rc = writes_plan_build(&p, &in, err);
		if (rc)
			break;
		if (mode[i] == SETTERS_ALL)
			rc = take_plan(a, p, d, err);
		writes_plan_free(p);
	}
	return rc;
}

static int ask_rpc(struct profile_asked *a, struct dbg *d, const struct spec *spec, struct err *err)
{
	struct rpc_plan p = {0};
	int rc = rpc_plan_find(&p, d, elf_file_path(dbg_binary(d)), spec);
	uint64_t entry, cheap;

	for (size_t i = 0; i < p.n_sites && !rc; i++)
		rc = dbg_record_throughout(d, p.site[i].die); /* the method of a call that is on a stack */
	for (size_t i = 0; i < p.n_sites && !rc; i++)
		if (elf_offset_to_vaddr(dbg_binary(d), p.site[i].entry, &entry) &&
		    elf_offset_to_vaddr(dbg_binary(d), p.site[i].cheap, &cheap))
			rc = add_probe(a, "rpc", p.site[i].function, entry, cheap);
	/* without an RPC layer in the spec nobody asked for one */
	for (size_t i = 0; spec && spec->n_rpc && i < p.n_notes && !rc; i++)
		rc = add_text(&a->missing, &a->n_missing, p.note[i]);
	rpc_plan_deinit(&p);
	return rc ? err_set(err, rc, "out of memory") : 0;
}

/* As inspect and find do when they print. */
static int ask_objects(struct dbg *d, const char *const *type, size_t n, struct err *err)
{
	struct known *k;
	int rc = known_make(&k, d, 0, type, n, err);

	if (rc)
		return rc;
	for (size_t t = 0; t < k->n_types; t++)
		for (size_t i = 0; i < k->type[t].guard->n_field; i++)
			dbg_enumerator(d, k->type[t].guard->field[i].type, 0);
	known_free(k);
	return 0;
}

/* A class that is only declared here belongs to a library, which has a profile of its own; of this binary,
 * the functions that take it are asked for. */
static int ask_declared(struct profile_asked *a, struct dbg *d, const struct spec *spec, struct err *err)
{
	int rc = add_text(&a->missing, &a->n_missing, err->msg);

	for (size_t i = 0; spec && i < spec->n_cache && !rc; i++) {
		const struct spec_cache *c = &spec->cache[i];

		for (size_t k = 0; k < c->n_func; k++) {
			struct dbg_param *par = NULL;
			struct dbg_func *f;
			size_t n;

			if (dbg_find_function(d, c->func[k].name, &f, NULL))
				continue;
			if (!dbg_params(d, f, &par, &n, NULL))
				free(par);
			dbg_func_free(f);
		}
	}
	return rc ? err_set(err, rc, "out of memory") : 0;
}

int profile_ask(struct profile_asked *ret, struct dbg *d, const struct spec *spec, const char *const *type,
		size_t n_types, struct err *err)
{
	int rc = 0;

	*ret = (struct profile_asked){0};
	if (spec && spec->n_cache)
		rc = ask_writes(ret, d, spec, err);
	for (size_t i = 0; spec && i < spec->n_cache && !rc; i++) {
		const char *name = spec->cache[i].type;

		rc = ask_objects(d, &name, 1, err);
	}
	for (size_t i = 0; i < n_types && !rc; i++)
		rc = ask_objects(d, &type[i], 1, err);
	if (rc == -ENODATA)
		rc = ask_declared(ret, d, spec, err);
	if (!rc)
		rc = ask_rpc(ret, d, spec, err);
	if (rc)
		profile_asked_deinit(ret);
	return rc;
}

void profile_asked_deinit(struct profile_asked *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->text[i]);
	for (size_t i = 0; i < a->n_missing; i++)
		free(a->missing[i]);
	free(a->text);
	free(a->missing);
	free(a->probe);
	*a = (struct profile_asked){0};
}
