// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "trace/watch_nodes.h"
#include "trace/force.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

#define BATCH 256

struct watch_nodes {
	int nodes_fd, objects_fd;
	const struct wr_type *types;
	size_t n_types;
	bool no_batch; /* before 5.6 */
	bool started;
	uint64_t last; /* key to go on after; batch: the kernel's cursor */
	uint64_t keys[BATCH];
	struct wr_node values[BATCH];
};

int watch_nodes_create(struct watch_nodes **ret, int nodes_fd, int objects_fd, const struct wr_type *types,
		       size_t n_types, struct err *err)
{
	struct watch_nodes *n = calloc(1, sizeof(*n));

	*ret = n;
	if (!n)
		return err_set(err, -ENOMEM, "out of memory");
	n->nodes_fd = nodes_fd;
	n->objects_fd = objects_fd;
	n->types = types;
	n->n_types = n_types;
	n->no_batch = forced(FORCE_NOBATCH);
	return 0;
}

void watch_nodes_destroy(struct watch_nodes *n)
{
	free(n);
}

static struct slots_node to_node(uint64_t addr, const struct wr_node *v)
{
	return (struct slots_node){
		.node = addr, .object = v->object, .object_id = v->object_id, .type = v->type};
}

/* One key after the other; a key that vanishes meanwhile makes the kernel start again, so the round ends
 * there. */
static int walk_keys(struct watch_nodes *n, struct slots_node *out, size_t max, bool *end)
{
	size_t got = 0;

	for (size_t i = 0; i < max; i++) {
		uint64_t key;

		if (bpf_map_get_next_key(n->nodes_fd, n->started ? &n->last : NULL, &key)) {
			n->started = false;
			*end = true;
			break;
		}
		n->started = true;
		n->last = key;
		if (!bpf_map_lookup_elem(n->nodes_fd, &key, &n->values[0]))
			out[got++] = to_node(key, &n->values[0]);
	}
	return (int)got;
}

static int walk(void *ctx, struct slots_node *out, size_t max, bool *end)
{
	struct watch_nodes *n = ctx;
	size_t got = 0;

	while (!n->no_batch && got + BATCH <= max && !*end) {
		uint32_t count = BATCH, next = 0, in = (uint32_t)n->last;
		int code = bpf_map_lookup_batch(n->nodes_fd, n->started ? &in : NULL, &next, n->keys,
						n->values, &count, NULL);

		if (code == -ENOTSUP || code == -EINVAL || code == -ENOSPC) {
			/* not known here, or more than BATCH nodes in one bucket */
			n->no_batch = true;
			n->started = false;
			return walk_keys(n, out, max, end);
		}
		if (code && code != -ENOENT)
			return code;
		*end = code == -ENOENT;
		n->started = !*end;
		n->last = next;
		for (uint32_t i = 0; i < count; i++)
			out[got++] = to_node(n->keys[i], &n->values[i]);
	}
	if (n->no_batch)
		return walk_keys(n, out, max, end);
	return (int)got;
}

static bool alive(void *ctx, const struct slots_node *node)
{
	struct watch_nodes *n = ctx;
	struct wr_object object;

	return !bpf_map_lookup_elem(n->nodes_fd, &node->node, &n->values[0]) &&
	       n->values[0].object_id == node->object_id && n->values[0].type == node->type &&
	       !bpf_map_lookup_elem(n->objects_fd, &node->object, &object) && object.id == node->object_id;
}

static bool vptr_ok(void *ctx, const struct slots_node *node, uint64_t vptr, bool *has)
{
	const struct watch_nodes *n = ctx;
	const struct wr_type *t = &n->types[node->type];

	if (node->type >= n->n_types)
		return false;
	*has = t->n_vptrs != 0;
	for (uint32_t i = 0; i < t->n_vptrs && i < WR_MAX_VPTRS; i++) {
		if (t->vptr[i] == vptr)
			return true;
	}
	return !*has;
}

struct watch_source watch_nodes_source(struct watch_nodes *n)
{
	return (struct watch_source){.walk = walk, .alive = alive, .vptr_ok = vptr_ok, .ctx = n};
}
