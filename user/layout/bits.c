// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which member a has-bit stands for. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout/bits.h"

static const struct dbg_member *member(const struct dbg_member *m, size_t n, const char *name, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(m[i].name) == len + 1 && !strncmp(m[i].name, name, len) && m[i].name[len] == '_')
			return &m[i];
	return NULL;
}

/* "v1_parent_id_" is V1ParentId in k...FieldNumber (protobuf's UnderscoresToCamelCase: a letter behind a
 * digit is capital too). */
static bool camel_eq(const char *name, const char *camel, size_t len)
{
	size_t n = strlen(name), at = 0;
	bool cap = true;

	if (!n || name[n - 1] != '_')
		return false;
	for (size_t i = 0; i < n - 1; i++) {
		char c = name[i];

		if (c == '_') {
			cap = true;
			continue;
		}
		if (cap && c >= 'a' && c <= 'z')
			c = (char)toupper(c);
		cap = isdigit((unsigned char)c) != 0;
		if (at == len || camel[at++] != c)
			return false;
	}
	return at == len;
}

/* protobuf 2: one bit for each field in the order of its declaration, repeated ones too. */
static size_t by_number(const char **names, size_t n, const struct dbg_member *m, size_t n_m,
			const char **out)
{
	static const char tail[] = "FieldNumber";
	size_t bits = 0;

	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(names[i]);

		if (names[i][0] != 'k' || len < sizeof(tail) ||
		    strcmp(names[i] + len - (sizeof(tail) - 1), tail) != 0)
			continue;
		out[bits] = NULL;
		for (size_t k = 0; k < n_m; k++)
			if (camel_eq(m[k].name, names[i] + 1, len - sizeof(tail)))
				out[bits] = m[k].name;
		bits++;
	}
	return bits;
}

/* protobuf 3: one bit for each has_x() of a member that is neither repeated nor in a oneof. */
static size_t by_accessor(const char **names, size_t n, const struct dbg_member *m, size_t n_m,
			  const char **out)
{
	size_t bits = 0;

	for (size_t i = 0; i < n; i++) {
		const struct dbg_member *x;

		if (strncmp(names[i], "has_", 4) != 0)
			continue;
		x = member(m, n_m, names[i] + 4, strlen(names[i] + 4));
		if (x && !x->in_union && x->info.kind != DBG_REPEATED && x->info.kind != DBG_REPEATED_PTR)
			out[bits++] = x->name;
	}
	return bits;
}

int guard_bit_names(struct dbg *d, struct dbg_type cls, const char ***ret, size_t *n)
{
	const char **methods = NULL, **statics = NULL, **out = NULL;
	size_t n_methods, n_statics, n_m = 0;
	struct dbg_member *m = NULL;
	int rc;

	*ret = NULL;
	*n = 0;
	rc = dbg_list_names(d, cls, DBG_LIST_METHODS, &methods, &n_methods);
	if (!rc)
		rc = dbg_list_names(d, cls, DBG_LIST_STATICS, &statics, &n_statics);
	if (!rc)
		rc = dbg_members(d, cls, &m, &n_m, NULL);
	if (rc)
		goto out;
	rc = -ENOMEM;
	out = calloc(n_methods + n_statics + 1, sizeof(*out));
	if (!out)
		goto out;
	*n = by_number(statics, n_statics, m, n_m, out);
	if (!*n)
		*n = by_accessor(methods, n_methods, m, n_m, out);
	rc = *n ? 0 : -ENODATA;
out:
	free(methods);
	free(statics);
	free(m);
	if (rc)
		free(out);
	else
		*ret = out;
	return rc;
}
