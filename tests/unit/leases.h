/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef CULPRIT_TEST_LEASES_H
#define CULPRIT_TEST_LEASES_H

#include <stdlib.h>
#include <string.h>

#include "plan/writes.h"

#define LEASES_VPTR 0x5000ull /* of a Lease; a Chunk's is 64 higher, a Perf's 128 */

/* A target of two messages: a Lease whose chunks_ holds Chunks; a Chunk has a sub-message read_perf_ and a
 * scalar id_. */
static struct guard_field lease_fields[] = {
	{.offset = 0, .width = 8, .kind = GUARD_VPTR, .path = "_vptr", .owner = "Lease", .elem = GUARD_NONE},
	{.offset = 24,
	 .width = 24,
	 .kind = GUARD_REPEATED_PTR,
	 .path = "chunks_",
	 .owner = "Lease",
	 .elem = 1,
	 .proto = true,
	 .rep = {.pointer = 16,
		 .current = 8,
		 .total = 12,
		 .allocated = GUARD_NONE,
		 .header = 8,
		 .rep_allocated = 0,
		 .elem_size = 8}},
};
static struct guard_field chunk_fields[] = {
	{.offset = 0, .width = 8, .kind = GUARD_VPTR, .path = "_vptr", .owner = "Chunk", .elem = GUARD_NONE},
	{.offset = 64,
	 .width = 8,
	 .kind = GUARD_MSG_PTR,
	 .path = "read_perf_",
	 .owner = "Chunk",
	 .elem = 2,
	 .proto = true},
	{.offset = 72,
	 .width = 4,
	 .kind = GUARD_UINT,
	 .path = "id_",
	 .owner = "Chunk",
	 .elem = GUARD_NONE,
	 .proto = true,
	 .shadow_judged = true},
};
static struct guard_type guard_types[] = {
	{.name = "Lease",
	 .size = 64,
	 .message = true,
	 .vptrs_known = true,
	 .n_field = 2,
	 .field = lease_fields},
	{.name = "Chunk",
	 .size = 80,
	 .message = true,
	 .vptrs_known = true,
	 .n_field = 3,
	 .field = chunk_fields},
	{.name = "Perf", .size = 16, .message = true, .vptrs_known = true, .n_field = 0},
};
static struct guard_table table = {.n_type = 3, .type = guard_types};

static bool bias(void *ctx, const struct elf_file *module, uint64_t *b)
{
	(void)ctx;
	(void)module;
	*b = 0;
	return true;
}

/* The plan for a cache "leases" of Leases, with two probes; for writes_plan_free(). */
static struct writes_plan *leases_plan(void)
{
	const struct writes_plan_in in = {.bias = bias};
	struct writes_plan *p = calloc(1, sizeof(*p));

	for (unsigned i = 0; i < table.n_type; i++) {
		guard_types[i].n_vptr = 1;
		guard_types[i].vptr[0].vaddr = LEASES_VPTR + i * 64;
	}
	if (!p || plan_add_types(p, &table, "leases", &in, NULL))
		abort();
	p->n_probes = 2;
	p->probe = calloc(p->n_probes, sizeof(*p->probe));
	if (!p->probe)
		abort();
	p->probe[0].function = strdup("Meta::Refresh");
	p->probe[1].function = strdup("Meta::Clear");
	return p;
}

#endif
