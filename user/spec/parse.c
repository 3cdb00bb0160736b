// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Spec files: INI with the sections [cache NAME] and [rpc NAME]. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spec/spec_priv.h"

struct parser {
	struct spec *spec;
	unsigned line;
	const char *start; /* of the line: columns count from here */
	enum { IN_NONE, IN_CACHE, IN_RPC } in;
	struct err *err;
};

struct text {
	const char *p;
	size_t n;
};

static int __attribute__((format(printf, 3, 4)))
fail_at(struct parser *ps, const char *at, const char *fmt, ...)
{
	char msg[ERR_MSG_LEN / 2];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	return err_set(ps->err, -EINVAL, "%s:%u:%zu: %s", ps->spec->source, ps->line,
		       (size_t)(at - ps->start) + 1, msg);
}

static struct text trim(struct text t)
{
	while (t.n && isspace((unsigned char)t.p[0])) {
		t.p++;
		t.n--;
	}
	while (t.n && isspace((unsigned char)t.p[t.n - 1]))
		t.n--;
	return t;
}

static bool is(struct text t, const char *s)
{
	return t.n == strlen(s) && !memcmp(t.p, s, t.n);
}

/* The section that the last header opened must be complete. at: where to point the message. */
static int end_section(struct parser *ps)
{
	const struct spec_cache *c;
	const struct spec_rpc *r;
	unsigned line = ps->line;
	const char *why;
	int rc = 0;

	if (ps->in == IN_CACHE) {
		c = &ps->spec->cache[ps->spec->n_cache - 1];
		ps->line = c->line;
		if (!c->type)
			rc = fail_at(ps, ps->start, "[cache %s] has no type", c->name);
	} else if (ps->in == IN_RPC) {
		r = &ps->spec->rpc[ps->spec->n_rpc - 1];
		ps->line = r->line;
		why = framing_check(&r->framing);
		if (why)
			rc = fail_at(ps, ps->start, "[rpc %s]: %s", r->name, why);
		else if (!r->n_channel && !r->n_server && r->framing.kind == FRAMING_NONE)
			rc = fail_at(ps, ps->start, "[rpc %s] has neither channel nor server nor framing",
				     r->name);
	}
	ps->line = line;
	return rc;
}

static bool name_taken(const struct parser *ps, struct text name, bool cache)
{
	size_t n = cache ? ps->spec->n_cache : ps->spec->n_rpc;

	for (size_t i = 0; i < n; i++)
		if (is(name, cache ? ps->spec->cache[i].name : ps->spec->rpc[i].name))
			return true;
	return false;
}

static int section(struct parser *ps, struct text t)
{
	struct text kind, name;
	struct spec_cache *c;
	struct spec_rpc *r;
	int rc = end_section(ps);

	if (rc)
		return rc;
	if (t.p[t.n - 1] != ']')
		return fail_at(ps, t.p + t.n, "']' is missing at the end of a section's header");
	kind = trim((struct text){t.p + 1, t.n - 2});
	name = kind;
	while (name.n && !isspace((unsigned char)name.p[0])) {
		name.p++;
		name.n--;
	}
	kind.n = (size_t)(name.p - kind.p);
	name = trim(name);
	if (!is(kind, "cache") && !is(kind, "rpc"))
		return fail_at(ps, kind.p, "unknown section '%.*s': [cache NAME] or [rpc NAME]", (int)kind.n,
			       kind.p);
	if (!name.n)
		return fail_at(ps, kind.p + kind.n, "the section has no name: [%.*s NAME]", (int)kind.n,
			       kind.p);
	if (name_taken(ps, name, is(kind, "cache")))
		return fail_at(ps, name.p, "a second [%.*s %.*s]", (int)kind.n, kind.p, (int)name.n, name.p);
	if (is(kind, "cache")) {
		c = spec_add_cache(ps->spec, name.p, name.n);
		if (!c)
			return err_set(ps->err, -ENOMEM, "out of memory");
		c->line = ps->line;
		ps->in = IN_CACHE;
		return 0;
	}
	r = spec_add_rpc(ps->spec, name.p, name.n);
	if (!r)
		return err_set(ps->err, -ENOMEM, "out of memory");
	r->line = ps->line;
	ps->in = IN_RPC;
	return 0;
}

static int set_once(struct parser *ps, char **to, struct text key, struct text value)
{
	if (*to)
		return fail_at(ps, key.p, "a second %.*s in one section", (int)key.n, key.p);
	*to = strndup(value.p, value.n);
	return *to ? 0 : -ENOMEM;
}

static int cache_key(struct parser *ps, struct text key, struct text value)
{
	struct spec_cache *c = &ps->spec->cache[ps->spec->n_cache - 1];
	unsigned col = (unsigned)(value.p - ps->start) + 1;
	const char *why = "";
	size_t bad = 0;
	int rc;

	if (is(key, "type"))
		return set_once(ps, &c->type, key, value);
	for (unsigned r = 0; r < SPEC_N_ROLES; r++) {
		if (!is(key, spec_role_name(r)))
			continue;
		rc = spec_add_func(c, r, value.p, value.n, ps->line, col, &bad, &why);
		return rc == -EINVAL ? fail_at(ps, value.p + bad, "%s", why) : rc;
	}
	return fail_at(ps, key.p,
		       "unknown key '%.*s' in [cache %s]: type, insert, check, remove, destroy or touch",
		       (int)key.n, key.p, c->name);
}

static int rpc_key(struct parser *ps, struct text key, struct text value)
{
	struct spec_rpc *r = &ps->spec->rpc[ps->spec->n_rpc - 1];
	const char *why;
	size_t bad;
	int rc;

	if (is(key, "method_arg"))
		return set_once(ps, &r->method_arg, key, value);
	if (is(key, "channel"))
		return spec_add_string(&r->channel, &r->n_channel, value.p, value.n);
	if (is(key, "server"))
		return spec_add_string(&r->server, &r->n_server, value.p, value.n);
	rc = framing_set(&r->framing, key.p, key.n, value.p, value.n, &bad, &why);
	if (rc == -EINVAL)
		return fail_at(ps, value.p + bad, "%s", why);
	if (rc == -EEXIST)
		return fail_at(ps, key.p, "a second %.*s in one section", (int)key.n, key.p);
	if (rc != -ENOENT)
		return rc;
	return fail_at(
		ps, key.p,
		"unknown key '%.*s' in [rpc %s]: channel, method_arg, server, framing, magic, header, "
		"length, "
		"meta, id, method, method_name, request, response, error, timed_out, timeout, longpoll or "
		"capture",
		(int)key.n, key.p, r->name);
}

static int key_value(struct parser *ps, struct text t)
{
	const char *eq = memchr(t.p, '=', t.n);
	struct text key, value;

	if (ps->in == IN_NONE)
		return fail_at(ps, t.p, "a key before the first section");
	if (!eq)
		return fail_at(ps, t.p, "neither a section nor KEY = VALUE");
	key = trim((struct text){t.p, (size_t)(eq - t.p)});
	value = trim((struct text){eq + 1, t.n - (size_t)(eq + 1 - t.p)});
	if (!key.n)
		return fail_at(ps, eq, "a key is missing before '='");
	if (!value.n)
		return fail_at(ps, eq + 1, "%.*s has no value", (int)key.n, key.p);
	return ps->in == IN_CACHE ? cache_key(ps, key, value) : rpc_key(ps, key, value);
}

static int parse_line(struct parser *ps, struct text t)
{
	const char *nul = memchr(t.p, '\0', t.n);

	if (nul)
		return fail_at(ps, nul, "a zero byte: this is no text file");
	t = trim(t);
	if (!t.n || t.p[0] == '#' || t.p[0] == ';')
		return 0;
	return t.p[0] == '[' ? section(ps, t) : key_value(ps, t);
}

/* Defaults that the text left out. */
static int complete(struct spec *s)
{
	for (size_t i = 0; i < s->n_rpc; i++) {
		if (!s->rpc[i].method_arg)
			s->rpc[i].method_arg = strdup("arg1");
		if (!s->rpc[i].method_arg)
			return -ENOMEM;
	}
	return 0;
}

int spec_parse(struct spec **ret, const char *text, size_t len, const char *source, struct err *err)
{
	struct parser ps = {.spec = calloc(1, sizeof(struct spec)), .err = err};
	const char *end = text + len;
	int rc = 0;

	*ret = NULL;
	if (!ps.spec || !(ps.spec->source = strdup(source)))
		rc = -ENOMEM;
	ps.start = text;
	for (const char *p = text; !rc && p < end; p = ps.start) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		const char *stop = nl ? nl : end;

		ps.line++;
		ps.start = p;
		rc = parse_line(&ps, (struct text){p, (size_t)(stop - p)});
		if (!rc)
			ps.start = nl ? nl + 1 : end;
	}
	rc = rc ? rc : end_section(&ps);
	if (!rc && !ps.spec->n_cache && !ps.spec->n_rpc)
		rc = err_set(err, -EINVAL, "%s: no [cache NAME] and no [rpc NAME] section in it", source);
	rc = rc ? rc : complete(ps.spec);
	if (rc == -ENOMEM)
		err_set(err, rc, "out of memory");
	if (rc)
		spec_free(ps.spec);
	else
		*ret = ps.spec;
	return rc;
}
