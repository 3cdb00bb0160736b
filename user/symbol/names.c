// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include <libiberty/demangle.h>

#include "symbol/image_priv.h"

/* How the standard's own names are usually written. Longer ones first: they contain the shorter. */
static const struct {
	const char *is, *usual;
} shorter[] = {
	{"std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >", "std::string"},
	{"std::basic_string<char, std::char_traits<char>, std::allocator<char> >", "std::string"},
	{"std::__cxx11::", "std::"},
};

void symbol_shorten(char *s)
{
	for (size_t i = 0; i < sizeof(shorter) / sizeof(shorter[0]); i++) {
		size_t from = strlen(shorter[i].is), to = strlen(shorter[i].usual);
		char *at = s;

		while ((at = strstr(at, shorter[i].is))) {
			memcpy(at, shorter[i].usual, to);
			memmove(at + to, at + from, strlen(at + from) + 1);
			at += to;
		}
	}
}

void symbol_cut_clone(char *name)
{
	static const char *const suffix[] = {".part.", ".isra.", ".constprop.", ".cold"};

	for (size_t i = 0; i < sizeof(suffix) / sizeof(suffix[0]); i++) {
		char *at = strstr(name, suffix[i]);

		if (at && at > name)
			*at = '\0';
	}
}

char *symbol_name(const char *mangled)
{
	size_t len;
	char *bare, *name;

	/* what glibc calls itself by */
	if (!strncmp(mangled, "__GI_", 5) && mangled[5])
		mangled += 5;
	len = strcspn(mangled, "@"); /* version of a dynamic symbol */
	bare = strndup(mangled, len ? len : strlen(mangled));
	if (!bare)
		return NULL;
	/* without DMGL_PARAMS: no parameter list, and a clone's suffix (.cold, .isra.0) is left out */
	name = strncmp(bare, "_Z", 2) ? NULL : cplus_demangle_v3(bare, DMGL_ANSI);
	if (!name) {
		symbol_cut_clone(bare);
		return bare;
	}
	free(bare);
	symbol_shorten(name);
	return name;
}
