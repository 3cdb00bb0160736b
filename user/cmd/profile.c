// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* --profile: opened once, checked against each executable it is used for. */
#include <errno.h>
#include <string.h>

#include "cmd/cmd.h"
#include "elf/elf_file.h"
#include "profile/profile.h"

static struct profile *the_profile; /* until the program ends: the paths of it are in use everywhere */

int common_profile_open(struct common_opts *o, struct err *err)
{
	int rc;

	if (!o->profile)
		return 0;
	if (!the_profile) {
		if (o->debuginfo)
			return err_set(err, -EINVAL,
				       "--profile stands for debuginfo: give it or --debuginfo, not both");
		rc = profile_open(&the_profile, o->profile, err);
		if (rc)
			return rc;
	}
	o->debuginfo = profile_debuginfo(the_profile);
	return 0;
}

int common_profile_check(const struct common_opts *o, const char *binary, struct err *err)
{
	struct elf_file *f;
	const char *id;
	int rc = 0;

	if (!o->profile)
		return 0;
	rc = elf_file_open(&f, binary, err);
	if (rc)
		return rc;
	id = elf_file_build_id_hex(f);
	if (strcmp(id, profile_build_id(the_profile)) != 0) {
		rc = err_set(err, -EBADMSG, "the profile %s is of build-id %s, but %s has %s", o->profile,
			     profile_build_id(the_profile), elf_file_name(f), *id ? id : "none");
		err_hint(err, "`culprit layout` makes one from this build and its debuginfo");
	}
	elf_file_close(f);
	return rc;
}
