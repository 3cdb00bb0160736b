// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Nodes in the kernel's table, and the pieces their shadows stand in. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <string.h>

#include "trace/writes_priv.h"

bool writes_trace_node(const struct writes_trace *t, uint64_t addr, struct wr_node *n)
{
	return !bpf_map__lookup_elem(t->kernel.nodes, &addr, sizeof(addr), n, sizeof(*n), 0);
}

bool writes_trace_shadow(const struct writes_trace *t, uint64_t addr, const struct wr_node *n, uint32_t size,
			 uint8_t shadow[WR_NODE_BYTES])
{
	uint8_t span[WR_SPAN_BYTES];

	memcpy(span, n->shadow, WR_HEAD_BYTES);
	for (uint32_t i = 0; i < WR_PIECES(size); i++) {
		uint64_t key = WR_PIECE_KEY(addr, i);

		if (bpf_map__lookup_elem(t->kernel.pieces, &key, sizeof(key),
					 span + WR_HEAD_BYTES + i * WR_PIECE_BYTES, WR_PIECE_BYTES, 0))
			return false;
	}
	memcpy(shadow, span, size < WR_NODE_BYTES ? size : WR_NODE_BYTES);
	return true;
}

static bool pieces_insert(const struct writes_trace *t, uint64_t addr, uint32_t size, const uint8_t *span)
{
	for (uint32_t i = 0; i < WR_PIECES(size); i++) {
		uint64_t key = WR_PIECE_KEY(addr, i);

		if (bpf_map__update_elem(t->kernel.pieces, &key, sizeof(key),
					 span + WR_HEAD_BYTES + i * WR_PIECE_BYTES, WR_PIECE_BYTES, BPF_ANY))
			return false;
	}
	return true;
}

static void pieces_delete(const struct writes_trace *t, uint64_t addr, uint32_t size)
{
	for (uint32_t i = 0; i < WR_PIECES(size); i++) {
		uint64_t key = WR_PIECE_KEY(addr, i);

		bpf_map__delete_elem(t->kernel.pieces, &key, sizeof(key), 0);
	}
}

bool writes_trace_insert(const struct writes_trace *t, uint64_t addr, const struct wr_node *n,
			 const uint8_t shadow[WR_NODE_BYTES])
{
	uint32_t size = t->plan->type[n->type].size;
	uint8_t span[WR_SPAN_BYTES] = {0};
	struct wr_node whole = *n, old;

	if (writes_trace_node(t, addr, &old)) {
		if (old.object_id == n->object_id)
			return false; /* a thread of the target was faster */
		writes_trace_drop(t, addr, old.object_id);
	}
	memcpy(span, shadow, size < WR_NODE_BYTES ? size : WR_NODE_BYTES);
	memcpy(whole.shadow, span, WR_HEAD_BYTES);
	/* the head comes last: who finds it finds the pieces too */
	if (pieces_insert(t, addr, size, span) &&
	    !bpf_map__update_elem(t->kernel.nodes, &addr, sizeof(addr), &whole, sizeof(whole), BPF_NOEXIST))
		return true;
	if (!writes_trace_node(t, addr, &old)) /* full */
		pieces_delete(t, addr, size);
	return false;
}

void writes_trace_drop(const struct writes_trace *t, uint64_t addr, uint64_t object_id)
{
	struct wr_node n;

	if (!writes_trace_node(t, addr, &n) || n.object_id != object_id)
		return;
	bpf_map__delete_elem(t->kernel.nodes, &addr, sizeof(addr), 0);
	if (n.type < t->plan->n_types)
		pieces_delete(t, addr, t->plan->type[n.type].size);
}
