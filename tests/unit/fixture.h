/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a fixture program says of itself: "NAME VALUE" lines of `PROGRAM self`. */
#ifndef TEST_FIXTURE_H
#define TEST_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dwarf/dbg.h"

/* Runs the program; fails the test if it does not know the name. */
static inline unsigned long fixture_says(const char *program, const char *name)
{
	char cmd[512], key[128];
	unsigned long v = 0;
	bool found = false;
	FILE *p;

	/* TEST_EMULATOR: what runs programs of another machine */
	snprintf(cmd, sizeof(cmd), "%s %s self", getenv("TEST_EMULATOR") ? getenv("TEST_EMULATOR") : "",
		 program);
	p = popen(cmd, "r");
	assert_non_null(p);
	while (!found) {
		unsigned long x;

		if (fscanf(p, "%127s %lu", key, &x) != 2)
			break;
		found = !strcmp(key, name);
		v = x;
	}
	while (fgets(cmd, sizeof(cmd), p))
		;
	assert_int_equal(pclose(p), 0);
	if (!found)
		fail_msg("%s self does not say %s", program, name);
	return v;
}

/* The debuginfo of a fixture, by name; fails the test without. For dbg_close(). */
static inline struct dbg *fixture_dbg(const char *name)
{
	struct err e = {0};
	struct dbg *d = NULL;
	char path[256];

	snprintf(path, sizeof(path), FIXTURES "/%s", name);
	if (dbg_open(&d, path, NULL, &e))
		fail_msg("%s", e.msg);
	return d;
}

/* Copies a file's bytes; the caller frees. */
static inline unsigned char *fixture_read(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	unsigned char *buf;

	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	*len = (size_t)ftell(f);
	rewind(f);
	buf = malloc(*len);
	assert_non_null(buf);
	assert_int_equal(fread(buf, 1, *len, f), *len);
	fclose(f);
	return buf;
}

static inline void fixture_write(const char *path, const void *buf, size_t len)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(buf, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

#endif
