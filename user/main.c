// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "util/version.h"

static void help(FILE *f)
{
	fprintf(f, "culprit %s: names who wrote it, or who does not answer, in a live C++ daemon\n\n",
		CULPRIT_VERSION);
	fprintf(f, "Usage: culprit COMMAND [OPTIONS]\n\nCommands:\n");
	for (const struct command *c = commands; c->name; c++)
		fprintf(f, "  %-9s %s\n", c->name, c->summary);
	fprintf(f, "\n'culprit COMMAND --help' explains one, with examples. The target is never stopped or "
		   "changed.\n");
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		help(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		help(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("culprit %s\n", CULPRIT_VERSION);
		return 0;
	}
	for (const struct command *c = commands; c->name; c++) {
		if (!strcmp(argv[1], c->name))
			return c->run(argc - 1, argv + 1);
	}
	fprintf(stderr, "culprit: no command '%s'; 'culprit --help' lists them\n", argv[1]);
	return EXIT_USAGE;
}
