// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>

#include "report/story.h"

void story_deinit(struct write_story *s)
{
	for (size_t i = 0; i < s->near.n; i++)
		free(s->near.v[i].name);
	free(s->near.v);
	for (size_t i = 0; i < s->elsewhere.n; i++)
		free(s->elsewhere.v[i].where);
	free(s->elsewhere.why_not);
	for (size_t i = 0; i < s->unseen.n; i++)
		free(s->unseen.v[i].text);
	*s = (struct write_story){0};
}
