// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "trace/map_walk.h"

#include <bpf/bpf.h>
#include <errno.h>

/* A key that has vanished makes the kernel start again, so the round ends there. */
static int walk_keys(struct map_walk *w, uint64_t *keys, char *values, size_t max, bool *end)
{
	int n = 0;

	if (w->started && bpf_map_lookup_elem(w->fd, &w->last, values)) {
		w->started = false;
		*end = true;
		return 0;
	}
	for (size_t i = 0; i < max; i++) {
		uint64_t key;

		if (bpf_map_get_next_key(w->fd, w->started ? &w->last : NULL, &key)) {
			w->started = false;
			*end = true;
			break;
		}
		w->started = true;
		w->last = key;
		keys[n] = key;
		if (!bpf_map_lookup_elem(w->fd, &key, values + (size_t)n * w->value_size))
			n++;
	}
	return n;
}

int map_walk(struct map_walk *w, uint64_t *keys, void *values, size_t max, bool *end)
{
	uint32_t count = (uint32_t)max, next = 0, in = (uint32_t)w->last;
	int code;

	*end = false;
	if (w->no_batch)
		return walk_keys(w, keys, values, max, end);
	code = bpf_map_lookup_batch(w->fd, w->started ? &in : NULL, &next, keys, values, &count, NULL);
	if (code == -ENOTSUP || code == -EINVAL || code == -ENOSPC) {
		/* not known here, or more elements in one bucket than fit */
		w->no_batch = true;
		w->started = false;
		return walk_keys(w, keys, values, max, end);
	}
	if (code && code != -ENOENT)
		return code;
	*end = code == -ENOENT;
	w->started = !*end;
	w->last = next;
	return (int)count;
}
