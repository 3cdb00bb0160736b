// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Loads a plugin and works on its cache. plugin_host FILE loads it at once, plugin_host FILE later at the command "load"; "wild MS"
 * damages an object for so long, "quit" ends it. Commands on stdin.
 */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <dlfcn.h>
#include <poll.h>
#include <unistd.h>

static void (*step)(uint64_t n);
static void (*wild)(unsigned hold_ms);

static void Load(const char *file)
{
	void *plugin = dlopen(file, RTLD_NOW | RTLD_LOCAL);

	if (!plugin) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	step = reinterpret_cast<void (*)(uint64_t)>(dlsym(plugin, "plugin_step"));
	wild = reinterpret_cast<void (*)(unsigned)>(dlsym(plugin, "plugin_wild"));
}

int main(int, char **argv)
{
	struct pollfd in = {0, POLLIN, 0};
	char line[100];

	if (!argv[2])
		Load(argv[1]);
	printf("ready pid=%d\n", getpid());
	fflush(stdout);
	for (uint64_t n = 1;; n++) {
		if (step)
			step(n);
		if (poll(&in, 1, 20) <= 0)
			continue;
		if (!fgets(line, sizeof(line), stdin) || !strncmp(line, "quit", 4))
			return 0;
		if (!strncmp(line, "load", 4))
			Load(argv[1]);
		else if (!strncmp(line, "wild ", 5) && wild)
			wild(static_cast<unsigned>(atoi(line + 5)));
	}
}
