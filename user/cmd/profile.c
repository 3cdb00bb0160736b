// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* --profile: opened once, each checked against the file it stands for. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "elf/elf_file.h"
#include "proc/maps.h"
#include "profile/profile.h"

/* Until the program ends: the paths of them are in use everywhere. */
static struct profile *opened[COMMON_MAX_PROFILES];
static size_t n_opened;
static char debuginfo[COMMON_MAX_PROFILES * 32]; /* of all of them, as elf_find_debug() takes it */

static int add_profile(const char *const *file, struct err *err)
{
	struct profile *p;
	size_t len = strlen(debuginfo);
	int rc = profile_open(&p, file[n_opened], err);

	if (rc)
		return rc;
	for (size_t i = 0; i < n_opened; i++) {
		if (strcmp(profile_build_id(opened[i]), profile_build_id(p)) != 0)
			continue;
		rc = err_set(err, -EINVAL, "the profiles %s and %s are of the same build-id %s: give one",
			     file[i], file[n_opened], profile_build_id(p));
		profile_close(p);
		return rc;
	}
	opened[n_opened++] = p;
	snprintf(debuginfo + len, sizeof(debuginfo) - len, "%s%s", len ? ":" : "", profile_debuginfo(p));
	return 0;
}

int common_profile_open(struct common_opts *o, struct err *err)
{
	int rc = 0;

	if (!o->n_profiles)
		return 0;
	if (!n_opened && o->debuginfo)
		return err_set(err, -EINVAL,
			       "--profile stands for debuginfo: give it or --debuginfo, not both");
	while (n_opened < o->n_profiles && !rc)
		rc = add_profile(o->profile, err);
	o->debuginfo = debuginfo;
	return rc;
}

static int other_build(const struct common_opts *o, size_t i, const struct elf_file *f, struct err *err)
{
	const char *id = elf_file_build_id_hex(f);
	int rc = err_set(err, -EBADMSG, "the profile %s is of build-id %s, but %s has %s", o->profile[i],
			 profile_build_id(opened[i]), elf_file_name(f), *id ? id : "none");

	err_hint(err, "`culprit layout` makes one from this build and its debuginfo");
	return rc;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int common_profile_check(const struct common_opts *o, const char *binary, struct err *err)
{
	struct elf_file *f;
	size_t wrong = 0;
	int rc;

	if (!o->n_profiles)
		return 0;
	rc = elf_file_open(&f, binary, err);
	if (rc)
		return rc;
	rc = -EBADMSG;
	for (size_t i = 0; i < o->n_profiles && rc; i++) {
		if (!strcmp(elf_file_build_id_hex(f), profile_build_id(opened[i])))
			rc = 0;
		else if (!strcmp(base_name(elf_file_name(f)), profile_binary(opened[i])))
			wrong = i;
	}
	if (rc)
		rc = other_build(o, wrong, f, err);
	elf_file_close(f);
	return rc;
}

/* A mapped file whose name a profile has: it must have its build-id too. */
static int check_file(const struct common_opts *o, pid_t pid, const struct proc_map *m, bool *mapped,
		      struct err *err)
{
	struct elf_file *f = NULL;
	char path[80];
	int rc = 0;

	for (size_t i = 0; i < o->n_profiles && !rc; i++) {
		if (strcmp(base_name(m->path), profile_binary(opened[i])) != 0)
			continue;
		mapped[i] = true;
		if (!f && (proc_map_file(m, pid, path, sizeof(path)) || elf_file_open(&f, path, NULL)))
			return 0;
		if (strcmp(elf_file_build_id_hex(f), profile_build_id(opened[i])) != 0)
			rc = other_build(o, i, f, err);
	}
	elf_file_close(f);
	return rc;
}

int common_profile_check_process(const struct common_opts *o, pid_t pid, struct err *err)
{
	bool mapped[COMMON_MAX_PROFILES] = {false};
	struct proc_maps maps;
	char exe[32];
	int rc;

	if (!o->n_profiles)
		return 0;
	snprintf(exe, sizeof(exe), "/proc/%d/exe", (int)pid);
	rc = common_profile_check(o, exe, err);
	if (rc || o->n_profiles == 1)
		return rc;
	rc = proc_maps_read(&maps, pid, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < maps.n && !rc; i++)
		if (maps.v[i].inode && maps.v[i].path && !maps.v[i].offset)
			rc = check_file(o, pid, &maps.v[i], mapped, err);
	proc_maps_deinit(&maps);
	for (size_t i = 0; i < o->n_profiles && !rc && !o->quiet; i++)
		if (!mapped[i])
			fprintf(stderr,
				"culprit: no file called %s is mapped: the profile %s is not used yet\n",
				profile_binary(opened[i]), o->profile[i]);
	return rc;
}

const char *common_profile_of(const struct common_opts *o, const char *build_id)
{
	for (size_t i = 0; i < n_opened; i++)
		if (!strcmp(build_id, profile_build_id(opened[i])))
			return o->profile[i];
	return NULL;
}
