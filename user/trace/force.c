// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace/force.h"

#define VARIABLE "CULPRIT_FORCE"

static const struct {
	const char *word;
	unsigned bits;
} words[] = {
	{"noringbuf", FORCE_NORINGBUF},
	{"noreaduser", FORCE_NOREADUSER},
	{"nocookie", FORCE_NOCOOKIE | FORCE_NOMULTI},
	{"nolink", FORCE_NOLINK | FORCE_NOCOOKIE | FORCE_NOMULTI},
	{"nomulti", FORCE_NOMULTI},
	{"noglobal", FORCE_NOGLOBAL},
	{"nofentry", FORCE_NOFENTRY},
	{"noiter", FORCE_NOITER},
	{"nopidfd", FORCE_NOPIDFD},
	{"nobatch", FORCE_NOBATCH},
	{"nostats", FORCE_NOSTATS},
	{"nosocktp", FORCE_NOSOCKTP},
	{"nokprobe", FORCE_NOKPROBE},
	/* el8.2: BPF of 5.3 */
	{"old", FORCE_NORINGBUF | FORCE_NOREADUSER | FORCE_NOCOOKIE | FORCE_NOLINK | FORCE_NOMULTI |
			FORCE_NOGLOBAL | FORCE_NOFENTRY | FORCE_NOITER | FORCE_NOPIDFD | FORCE_NOBATCH |
			FORCE_NOSTATS | FORCE_NOHELPERS | FORCE_NOSOCKTP},
};

#define N_WORDS (sizeof(words) / sizeof(words[0]))

/* Bits of the word of len characters at s; 0 = not known. */
static unsigned bits_of(const char *s, size_t len)
{
	for (size_t i = 0; i < N_WORDS; i++) {
		if (strlen(words[i].word) == len && !strncmp(words[i].word, s, len))
			return words[i].bits;
	}
	return 0;
}

const char *force_text(void)
{
	const char *s = getenv(VARIABLE);

	return s && *s ? s : NULL;
}

int force_check(struct err *err)
{
	const char *s = force_text();

	while (s && *s) {
		size_t len = strcspn(s, ",");

		if (len && !bits_of(s, len)) {
			char known[256] = "";

			for (size_t i = 0; i < N_WORDS; i++) {
				strcat(known, i ? ", " : "");
				strcat(known, words[i].word);
			}
			err_set(err, -EINVAL, "%s: '%.*s' is not known", VARIABLE, (int)len, s);
			err_hint(err, "known are %s", known);
			return -EINVAL;
		}
		s += len + (s[len] == ',');
	}
	return 0;
}

bool forced(enum force f)
{
	const char *s = force_text();
	unsigned bits = 0;

	while (s && *s) {
		size_t len = strcspn(s, ",");

		bits |= bits_of(s, len);
		s += len + (s[len] == ',');
	}
	return bits & f;
}
