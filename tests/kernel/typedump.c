// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * typedump BINARY [DEBUGINFO]: for each class named on a line of stdin "class NAME SIZE" and its members as
 * dbg_members tells them, "NAME OFFSET SIZE bits|-"; or "error NUMBER TEXT". An empty line ends each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dwarf/types.h"

static int members(struct dbg *d, const char *name, struct err *err)
{
	struct dbg_type_info info;
	struct dbg_member *m;
	struct dbg_type t;
	size_t n;
	int rc = dbg_find_class(d, name, &t, err);

	if (!rc)
		rc = dbg_members(d, t, &m, &n, err);
	if (rc)
		return rc;
	dbg_type_info(d, t, &info);
	printf("class %s %llu\n", info.name, (unsigned long long)info.size);
	for (size_t i = 0; i < n; i++)
		printf("%s %u %u %s\n", m[i].name, m[i].offset, m[i].size, m[i].bit_field ? "bits" : "-");
	free(m);
	return 0;
}

int main(int argc, char **argv)
{
	char line[8192];
	struct err err;
	struct dbg *d;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: typedump BINARY [DEBUGINFO]\n");
		return 2;
	}
	if (dbg_open(&d, argv[1], argc > 2 ? argv[2] : NULL, &err)) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	while (fgets(line, sizeof(line), stdin)) {
		int rc;

		line[strcspn(line, "\n")] = 0;
		rc = members(d, line, &err);
		if (rc)
			printf("error %d %s\n", rc, err.msg);
		printf("\n");
	}
	dbg_close(d);
	return 0;
}
