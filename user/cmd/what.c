// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <string.h>

#include "cmd/what.h"

static int add_func(const char *cmd, struct what_opts *o, enum spec_role role, const char *value)
{
	if (o->n_funcs == WHAT_MAX_FUNCS)
		return usage(cmd, "more than %d functions", WHAT_MAX_FUNCS);
	o->func[o->n_funcs++] = (struct spec_option){.role = role, .value = value};
	return 0;
}

int what_option(const char *cmd, struct what_opts *o, int opt, const char *arg)
{
	switch (opt) {
	case OPT_SPEC:
		o->spec = arg;
		return 0;
	case OPT_TYPE:
		if (o->n_types == WHAT_MAX_TYPES)
			return usage(cmd, "more than %d types", WHAT_MAX_TYPES);
		o->type[o->n_types++] = arg;
		return 0;
	case OPT_INSERT:
		return add_func(cmd, o, SPEC_INSERT, arg);
	case OPT_CHECK:
		return add_func(cmd, o, SPEC_CHECK, arg);
	case OPT_REMOVE:
		return add_func(cmd, o, SPEC_REMOVE, arg);
	case OPT_DESTROY:
		return add_func(cmd, o, SPEC_DESTROY, arg);
	case OPT_TOUCH:
		return add_func(cmd, o, SPEC_TOUCH, arg);
	}
	return usage(cmd, "unknown option"); /* getopt has said which */
}

int what_check(const char *cmd, const struct what_opts *o)
{
	if (o->spec && o->n_types)
		return usage(cmd, "--spec and --type both say what it is about; give one");
	if (!o->spec && !o->n_types)
		return usage(cmd, "for what? --spec zbs, --spec FILE, or --type T");
	if (o->spec && o->n_funcs)
		return usage(cmd, "--insert, --check... go with --type; a spec names its own functions");
	if (o->n_funcs && o->n_types > 1)
		return usage(cmd, "--insert, --check... go with one --type");
	return 0;
}

int what_spec(struct spec **ret, const struct what_opts *o, struct err *err)
{
	return o->spec ? spec_load(ret, o->spec, err)
		       : spec_from_options(ret, o->type[0], o->func, o->n_funcs, err);
}

void what_text(const struct what_opts *o, char *buf, size_t len)
{
	size_t n = 0;

	buf[0] = '\0';
	if (o->spec)
		n += (size_t)snprintf(buf, len, "--spec %s", o->spec);
	for (size_t i = 0; i < o->n_types && n < len; i++)
		n += (size_t)snprintf(buf + n, len - n, "%s--type %s", n ? " " : "", o->type[i]);
	for (size_t i = 0; i < o->n_funcs && n < len; i++)
		n += (size_t)snprintf(buf + n, len - n, " --%s %s", spec_role_name(o->func[i].role),
				      o->func[i].value);
}
