// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>

#include "cmd/space.h"
#include "proc/caps.h"

const char SPACE_HELP[] = "Process or core:\n"
			  "  -p, --pid PID           the process to look at\n"
			  "  -n, --comm NAME         the same, by name (must be the only one of it)\n"
			  "      --core FILE         a core instead\n"
			  "      --binary FILE       the executable of the core, if it is not where it was; "
			  "its build-id must be the core's\n"
			  "      --debuginfo DIR     where separate debuginfo files are (beside "
			  ".gnu_debuglink and /usr/lib/debug)\n"
			  "      --profile FILE      instead of debuginfo: what `culprit layout` made from "
			  "it; may be repeated, for "
			  "libraries\n"
			  "      --json              JSON Lines on stdout; the last line is the summary\n"
			  "  -v, --verbose           all of it: no limits\n"
			  "  -h, --help              this\n"
			  "\n"
			  "Exit code: 0 nothing found; 1 found; 2 usage; 3 cannot run here; 4 nothing found, "
			  "but not all could be looked at\n";

int space_option(const char *cmd, struct space_opts *o, int opt, const char *arg)
{
	switch (opt) {
	case OPT_CORE:
		o->core = arg;
		return 0;
	case OPT_BINARY:
		o->binary = arg;
		return 0;
	case OPT_SPEC:
		o->spec = arg;
		return 0;
	case OPT_TYPE:
		if (o->n_types == SPACE_MAX_TYPES)
			return usage(cmd, "more than %d types", SPACE_MAX_TYPES);
		o->type[o->n_types++] = arg;
		return 0;
	}
	return usage(cmd, "unknown option"); /* getopt has said which */
}

int space_check(const char *cmd, const struct space_opts *o)
{
	if (!o->core && !o->c.pid && !o->c.comm)
		return usage(cmd, "which process? -p PID, -n NAME or --core FILE");
	if (o->core && (o->c.pid || o->c.comm))
		return usage(cmd, "a process or a core: give one");
	if (o->binary && !o->core)
		return usage(cmd, "--binary goes with --core; the executable of a live process is known");
	return 0;
}

/* The profile's build-id against the executable's of the core, as far as that is there. */
static int check_profile(const struct space_opts *o, struct space **s, struct err *err)
{
	const struct space_module *exe;
	const char *why;
	int rc;

	exe = space_exe(*s, &why);
	rc = exe ? common_profile_check(&o->c, elf_file_path(exe->file), err) : 0;
	if (rc) {
		space_close(*s);
		*s = NULL;
	}
	return rc;
}

int space_from_options(struct space **ret, struct space_opts *o, struct err *err)
{
	int rc;

	*ret = NULL;
	if (o->core) {
		rc = common_profile_open(&o->c, err);
		rc = rc ? rc : space_open_core(ret, o->core, o->binary, o->c.debuginfo, err);
		return rc ? rc : check_profile(o, ret, err);
	}
	rc = caps_check(CAPS_READ, err);
	if (!rc)
		rc = common_target(&o->c, err);
	return rc ? rc : space_open_pid(ret, o->c.pid, o->c.debuginfo, err);
}

int space_number(const char *arg, uint64_t *v)
{
	char *end;

	if (*arg < '0' || *arg > '9')
		return -EINVAL;
	errno = 0;
	*v = strtoull(arg, &end, 0);
	return errno || end == arg || *end ? -EINVAL : 0;
}
