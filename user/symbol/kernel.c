// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "symbol/kernel.h"
#include "util/grow.h"
#include "util/search.h"

struct sym {
	uint64_t addr;
	char *name;
};

struct kernel_syms {
	struct sym *v;
	size_t n;
};

static int add(struct kernel_syms *k, uint64_t addr, const char *name)
{
	if (GROW(&k->v, k->n))
		return -ENOMEM;
	k->v[k->n].addr = addr;
	k->v[k->n].name = strdup(name);
	return k->v[k->n++].name ? 0 : -ENOMEM;
}

static int by_addr(const void *a, const void *b)
{
	const struct sym *x = a, *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

/* "ffffffff81000000 T _text", then a tab and "[module]" for those of modules. Text symbols only. */
static int parse_line(struct kernel_syms *k, char *line)
{
	char *at = line, *name, *end;
	uint64_t addr = strtoull(line, &at, 16);

	if (at == line || !addr || at[0] != ' ' || !strchr("tTwW", at[1]) || at[2] != ' ')
		return 0;
	name = at + 3;
	end = name + strcspn(name, " \t\n");
	*end = '\0';
	return add(k, addr, name);
}

int kernel_syms_parse(struct kernel_syms **ret, FILE *f, struct err *err)
{
	struct kernel_syms *k = calloc(1, sizeof(*k));
	char *line = NULL;
	size_t cap = 0;
	int rc = k ? 0 : -ENOMEM;

	while (!rc && getline(&line, &cap, f) > 0)
		rc = parse_line(k, line);
	free(line);
	if (rc) {
		kernel_syms_close(k);
		return err_set(err, rc, "kernel symbols: out of memory");
	}
	if (!k->n) {
		kernel_syms_close(k);
		err_set(err, -EPERM, "the kernel hides the addresses of its functions");
		err_hint(err, "sysctl kernel.kptr_restrict=1 shows them to root");
		return -EPERM;
	}
	qsort(k->v, k->n, sizeof(*k->v), by_addr);
	*ret = k;
	return 0;
}

int kernel_syms_open(struct kernel_syms **ret, struct err *err)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	int rc;

	if (!f)
		return err_set(err, -errno, "/proc/kallsyms: %s", strerror(errno));
	rc = kernel_syms_parse(ret, f, err);
	fclose(f);
	return rc;
}

const char *kernel_syms_find(const struct kernel_syms *k, uint64_t addr)
{
	size_t after = FIRST_AFTER(k->v, k->n, addr, addr);

	return after ? k->v[after - 1].name : NULL;
}

void kernel_syms_close(struct kernel_syms *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->n; i++)
		free(k->v[i].name);
	free(k->v);
	free(k);
}
