/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by the files of user/spec only. */
#ifndef CULPRIT_SPEC_PRIV_H
#define CULPRIT_SPEC_PRIV_H

#include "spec/spec.h"

struct spec_builtin {
	const char *name, *text;
};
extern const struct spec_builtin spec_builtins[]; /* ends with a NULL name */

/* Appends; -ENOMEM. */
struct spec_cache *spec_add_cache(struct spec *s, const char *name, size_t len);
struct spec_rpc *spec_add_rpc(struct spec *s, const char *name, size_t len);
/*
 * Splits "F[:ARG]" at the last single colon outside of parentheses and appends it. On -EINVAL *bad is the
 * offset of the fault in value and *why a static text.
 */
int spec_add_func(struct spec_cache *c, enum spec_role role, const char *value, size_t len, unsigned line,
		  unsigned col, size_t *bad, const char **why);
int spec_add_string(char ***list, size_t *n, const char *s, size_t len);

#endif
