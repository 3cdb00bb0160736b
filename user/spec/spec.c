// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The spec as data: built from command line options, from a name or a file, and freed. The file format is in
 * parse.c. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spec/spec_priv.h"

#define SPEC_MAX_BYTES (1UL << 20)

const char *spec_role_name(enum spec_role r)
{
	static const char *const names[SPEC_N_ROLES] = {"insert", "check", "remove", "destroy", "touch"};

	return (unsigned)r < SPEC_N_ROLES ? names[r] : "?";
}

static void *grow(void *list, size_t n, size_t size)
{
	char *p = reallocarray(list, n + 1, size);

	if (p)
		memset(p + n * size, 0, size);
	return p;
}

struct spec_cache *spec_add_cache(struct spec *s, const char *name, size_t len)
{
	struct spec_cache *c = grow(s->cache, s->n_cache, sizeof(*c));

	if (!c)
		return NULL;
	s->cache = c;
	c += s->n_cache++;
	c->name = strndup(name, len);
	return c->name ? c : NULL;
}

struct spec_rpc *spec_add_rpc(struct spec *s, const char *name, size_t len)
{
	struct spec_rpc *r = grow(s->rpc, s->n_rpc, sizeof(*r));

	if (!r)
		return NULL;
	s->rpc = r;
	r += s->n_rpc++;
	r->name = strndup(name, len);
	return r->name ? r : NULL;
}

int spec_add_string(char ***list, size_t *n, const char *s, size_t len)
{
	char **p = grow(*list, *n, sizeof(*p));

	if (!p)
		return -ENOMEM;
	*list = p;
	p[*n] = strndup(s, len);
	return p[(*n)++] ? 0 : -ENOMEM;
}

/* Offset of the colon between function and argument; len if there is none. Negative: unbalanced parenthesis.
 */
static ssize_t split_at(const char *v, size_t len)
{
	ssize_t at = (ssize_t)len;
	int depth = 0;

	for (size_t i = 0; i < len; i++) {
		if (v[i] == '(' || v[i] == '<')
			depth++;
		/* operator-> and operator>> close nothing */
		else if (v[i] == ')' || (v[i] == '>' && depth > 0))
			depth--;
		else if (v[i] == ':' && i + 1 < len && v[i + 1] == ':')
			i++;
		else if (v[i] == ':' && !depth)
			at = (ssize_t)i;
		if (depth < 0)
			return -1;
	}
	return depth ? -1 : at;
}

int spec_add_func(struct spec_cache *c, enum spec_role role, const char *value, size_t len, unsigned line,
		  unsigned col, size_t *bad, const char **why)
{
	ssize_t at = split_at(value, len);
	size_t name_len, arg = 0;
	struct spec_func *f;

	*bad = 0;
	if (at < 0) {
		*why = "unbalanced parenthesis";
		return -EINVAL;
	}
	name_len = (size_t)at;
	while (name_len && isspace((unsigned char)value[name_len - 1]))
		name_len--;
	if (!name_len) {
		*why = "a function's name is missing";
		return -EINVAL;
	}
	if ((size_t)at < len) {
		arg = (size_t)at + 1;
		while (arg < len && isspace((unsigned char)value[arg]))
			arg++;
		*bad = arg;
		*why = role == SPEC_TOUCH ? "touch takes no argument" : "an argument is missing after ':'";
		if (arg == len || role == SPEC_TOUCH)
			return -EINVAL;
	}
	f = grow(c->func, c->n_func, sizeof(*f));
	if (!f)
		return -ENOMEM;
	c->func = f;
	f += c->n_func++;
	f->role = role;
	f->line = line;
	f->col = col;
	f->name = strndup(value, name_len);
	f->arg = arg ? strndup(value + arg, len - arg) : NULL;
	return f->name && (!arg || f->arg) ? 0 : -ENOMEM;
}

/* "CachedLease" of "zbs::libmeta::CachedLease". */
static const char *last_part(const char *type)
{
	const char *last = type;
	int depth = 0;

	for (const char *p = type; *p; p++) {
		if (*p == '<')
			depth++;
		else if (*p == '>')
			depth--;
		else if (!depth && p[0] == ':' && p[1] == ':')
			last = p + 2;
	}
	return *last ? last : type;
}

int spec_from_options(struct spec **ret, const char *type, const struct spec_option *opt, size_t n_opt,
		      struct err *err)
{
	struct spec *s = calloc(1, sizeof(*s));
	struct spec_cache *c = NULL;
	const char *why = "";
	int rc = -ENOMEM;
	size_t bad;

	*ret = NULL;
	if (!type || !*type) {
		free(s);
		return err_set(err, -EINVAL, "a type is needed: --type CLASS");
	}
	if (s)
		c = spec_add_cache(s, last_part(type), strlen(last_part(type)));
	if (!c || !(c->type = strdup(type)) || !(s->source = strdup("command line")))
		goto nomem;
	for (size_t i = 0; i < n_opt; i++) {
		rc = spec_add_func(c, opt[i].role, opt[i].value, strlen(opt[i].value), 0, 0, &bad, &why);
		if (rc == -ENOMEM)
			goto nomem;
		if (rc) {
			err_set(err, rc, "--%s %s: %s at character %zu", spec_role_name(opt[i].role),
				opt[i].value, why, bad + 1);
			spec_free(s);
			return rc;
		}
	}
	*ret = s;
	return 0;
nomem:
	spec_free(s);
	return err_set(err, -ENOMEM, "out of memory");
}

static int read_file(const char *path, char **text, size_t *len, struct err *err)
{
	FILE *f = fopen(path, "re");
	char *buf = NULL;
	int rc = -EIO;

	if (!f)
		return err_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
	buf = malloc(SPEC_MAX_BYTES + 1);
	if (!buf) {
		rc = err_set(err, -ENOMEM, "out of memory");
		goto out;
	}
	*len = fread(buf, 1, SPEC_MAX_BYTES + 1, f);
	if (ferror(f)) {
		err_set(err, rc, "cannot read %s", path);
		goto out;
	}
	if (*len > SPEC_MAX_BYTES) {
		rc = err_set(err, -EFBIG, "%s is larger than 1 MiB: no spec file", path);
		goto out;
	}
	*text = buf;
	buf = NULL;
	rc = 0;
out:
	free(buf);
	fclose(f);
	return rc;
}

int spec_load(struct spec **ret, const char *name_or_file, struct err *err)
{
	char source[64], *text = NULL, builtin[128] = "";
	size_t len = 0;
	int rc;

	*ret = NULL;
	for (const struct spec_builtin *b = spec_builtins; b->name; b++) {
		size_t at = strlen(builtin);

		if (!strcmp(b->name, name_or_file)) {
			snprintf(source, sizeof(source), "built-in %s", b->name);
			return spec_parse(ret, b->text, strlen(b->text), source, err);
		}
		snprintf(builtin + at, sizeof(builtin) - at, "%s%s", at ? ", " : "", b->name);
	}
	rc = read_file(name_or_file, &text, &len, err);
	if (rc == -ENOENT) {
		err_set(err, rc, "no spec %s: neither a file nor built in", name_or_file);
		err_hint(err, "built in: %s", builtin);
	}
	rc = rc ? rc : spec_parse(ret, text, len, name_or_file, err);
	free(text);
	return rc;
}

static void free_strings(char **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

void spec_free(struct spec *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_cache; i++) {
		struct spec_cache *c = &s->cache[i];

		for (size_t j = 0; j < c->n_func; j++) {
			free(c->func[j].name);
			free(c->func[j].arg);
		}
		free(c->func);
		free(c->name);
		free(c->type);
	}
	for (size_t i = 0; i < s->n_rpc; i++) {
		struct spec_rpc *r = &s->rpc[i];

		free_strings(r->channel, r->n_channel);
		free_strings(r->server, r->n_server);
		free(r->method_arg);
		framing_deinit(&r->framing);
		free(r->name);
	}
	free(s->cache);
	free(s->rpc);
	free(s->source);
	free(s);
}
