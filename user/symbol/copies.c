// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "symbol/copies.h"
#include "util/grow.h"

/* One ".isra.0" or ".constprop.12"; its length, 0 if it is another suffix. */
static size_t one_suffix(const char *s)
{
	static const char *const kinds[] = {".isra.", ".constprop."};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t len = strlen(kinds[i]), digits;

		if (strncmp(s, kinds[i], len) != 0)
			continue;
		digits = strspn(s + len, "0123456789");
		return digits ? len + digits : 0;
	}
	return 0;
}

/* Nothing but such suffixes after the name. */
static bool is_copy(const char *name)
{
	const char *s = strchr(name, '.');
	size_t len;

	if (!s || s == name)
		return false;
	while (*s) {
		len = one_suffix(s);
		if (!len)
			return false;
		s += len;
	}
	return true;
}

static int add(struct kernel_copies *k, const char *name)
{
	char *copy;

	if (GROW(&k->name, k->n))
		return -ENOMEM;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	k->name[k->n++] = copy;
	return 0;
}

int kernel_copies_parse(struct kernel_copies *ret, FILE *f)
{
	char line[512], name[256], type;
	int rc = 0;

	*ret = (struct kernel_copies){0};
	while (!rc && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*x %c %255s", &type, name) == 2 && strchr("tTwW", type) && is_copy(name))
			rc = add(ret, name);
	if (rc)
		kernel_copies_deinit(ret);
	return rc;
}

int kernel_copies_read(struct kernel_copies *ret)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	int rc;

	*ret = (struct kernel_copies){0};
	if (!f)
		return -errno;
	rc = kernel_copies_parse(ret, f);
	fclose(f);
	return rc;
}

const char *kernel_copies_of(const struct kernel_copies *k, const char *function, size_t i)
{
	size_t len = strlen(function);

	for (size_t n = 0; n < k->n; n++)
		if (!strncmp(k->name[n], function, len) && k->name[n][len] == '.' && !i--)
			return k->name[n];
	return NULL;
}

void kernel_copies_deinit(struct kernel_copies *k)
{
	for (size_t i = 0; i < k->n; i++)
		free(k->name[i]);
	free(k->name);
	*k = (struct kernel_copies){0};
}
