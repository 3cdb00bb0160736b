// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "writes/kin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "writes/uses.h"
#include "util/grow.h"

struct kin {
	const struct writes_plan *plan;
	struct dbg *dbg;
	struct uses *uses[WR_MAX_TYPES];
	bool tried[WR_MAX_TYPES];
	char **knowing;
	size_t n_knowing;
};

static int knowing_add(struct kin *k, const char *name, size_t len)
{
	for (size_t i = 0; i < k->n_knowing; i++) {
		if (strlen(k->knowing[i]) == len && !memcmp(k->knowing[i], name, len))
			return 0;
	}
	if (GROW(&k->knowing, k->n_knowing))
		return -ENOMEM;
	k->knowing[k->n_knowing] = strndup(name, len);
	return k->knowing[k->n_knowing] ? (k->n_knowing++, 0) : -ENOMEM;
}

/* The class a probed function is a member of: the cache, say. */
static int knowing_add_class(struct kin *k, const char *function)
{
	char name[512];
	size_t len = strcspn(function, "(");
	struct dbg_type t;

	while (len > 1 && !(function[len - 1] == ':' && function[len - 2] == ':'))
		len--;
	if (len <= 2 || len - 2 >= sizeof(name))
		return 0;
	memcpy(name, function, len - 2);
	name[len - 2] = '\0';
	/* a namespace would make everything in it suspect */
	if (dbg_find_class(k->dbg, name, &t, NULL))
		return 0;
	return knowing_add(k, name, len - 2);
}

static int knowing_fill(struct kin *k)
{
	const struct writes_plan *p = k->plan;
	int code = 0;

	for (size_t i = 0; !code && i < p->n_types; i++)
		code = knowing_add(k, p->info[i].guard->name, strlen(p->info[i].guard->name));
	for (size_t i = 0; !code && i < p->n_probes; i++) {
		switch (p->probe[i].wire.role) {
		case WR_ROLE_INSERT:
		case WR_ROLE_CHECK:
		case WR_ROLE_REMOVE:
		case WR_ROLE_TOUCH:
			code = knowing_add_class(k, p->probe[i].function);
			break;
		default:
			break;
		}
	}
	return code;
}

int kin_create(struct kin **ret, const struct writes_plan *plan, struct dbg *d, struct err *err)
{
	struct kin *k = calloc(1, sizeof(*k));

	*ret = NULL;
	if (!k)
		return err_set(err, -ENOMEM, "out of memory");
	k->plan = plan;
	k->dbg = d;
	if (knowing_fill(k)) {
		kin_destroy(k);
		return err_set(err, -ENOMEM, "out of memory");
	}
	*ret = k;
	return 0;
}

void kin_destroy(struct kin *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < WR_MAX_TYPES; i++)
		uses_destroy(k->uses[i]);
	for (size_t i = 0; i < k->n_knowing; i++)
		free(k->knowing[i]);
	free(k->knowing);
	free(k);
}

bool kin_ask(void *ctx, uint16_t type, struct judge_ask *ask)
{
	struct kin *k = ctx;
	struct uses *u;

	if (!k->tried[type]) {
		k->tried[type] = true;
		if (uses_create(&k->uses[type], k->plan->info[type].dbg, k->plan->info[type].guard->type,
				NULL))
			k->uses[type] = NULL;
	}
	u = k->uses[type];
	ask->type = k->plan->info[type].guard->name;
	ask->knowing = (const char *const *)k->knowing;
	ask->n_knowing = k->n_knowing;
	if (!u)
		return false;
	ask->related = uses_related(u, &ask->n_related);
	ask->uses = uses_frame;
	ask->uses_ctx = u;
	return true;
}
