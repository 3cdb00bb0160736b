// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Guard tables as the kernel gets them: kinds, masks, children, and what is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "plan/writes.h"

static const struct guard_repeated v2 = {.pointer = 0,
					 .current = 8,
					 .allocated = 12,
					 .total = 16,
					 .header = 0,
					 .rep_allocated = GUARD_NONE,
					 .elem_size = 8};
static const struct guard_repeated v3 = {.pointer = 16,
					 .current = 8,
					 .total = 12,
					 .allocated = GUARD_NONE,
					 .header = 8,
					 .rep_allocated = 0,
					 .elem_size = 8};

static struct guard_field fields[] = {
	{.offset = 0, .width = 8, .kind = GUARD_VPTR, .path = "_vptr", .owner = "T", .elem = GUARD_NONE},
	{.offset = 8,
	 .width = 8,
	 .kind = GUARD_METADATA,
	 .path = "_internal_metadata_",
	 .owner = "T",
	 .elem = GUARD_NONE},
	{.offset = 16,
	 .width = 4,
	 .kind = GUARD_HAS_BITS,
	 .path = "_has_bits_",
	 .owner = "T",
	 .elem = GUARD_NONE,
	 .has_mask = 0x3f},
	{.offset = 20,
	 .width = 4,
	 .kind = GUARD_CACHED_SIZE,
	 .path = "_cached_size_",
	 .owner = "T",
	 .elem = GUARD_NONE},
	{.offset = 24,
	 .width = 24,
	 .kind = GUARD_REPEATED_PTR,
	 .path = "v2_",
	 .owner = "T",
	 .elem = 1,
	 .proto = true},
	{.offset = 48,
	 .width = 24,
	 .kind = GUARD_REPEATED_PTR,
	 .path = "v3_",
	 .owner = "T",
	 .elem = 1,
	 .proto = true},
	{.offset = 72,
	 .width = 8,
	 .kind = GUARD_MSG_PTR,
	 .path = "msg_",
	 .owner = "T",
	 .elem = 1,
	 .proto = true},
	{.offset = 80, .width = 8, .kind = GUARD_MSG_PTR, .path = "raw_", .owner = "T", .elem = 1},
	{.offset = 88,
	 .width = 4,
	 .kind = GUARD_UINT,
	 .path = "judged_",
	 .owner = "T",
	 .elem = GUARD_NONE,
	 .proto = true,
	 .shadow_judged = true,
	 .inlined_writers = 3},
	{.offset = 92,
	 .width = 4,
	 .kind = GUARD_UINT,
	 .path = "free_",
	 .owner = "T",
	 .elem = GUARD_NONE,
	 .proto = true},
	{.offset = 96,
	 .width = 4,
	 .kind = GUARD_ENUM,
	 .path = "exact_",
	 .owner = "T",
	 .elem = GUARD_NONE,
	 .enum_exact = true,
	 .enum_set = 0x3e,
	 .enum_min = 1,
	 .enum_max = 5},
	{.offset = 100, .width = 1, .kind = GUARD_BOOL, .path = "bool_", .owner = "T", .elem = GUARD_NONE},
	{.offset = 104,
	 .width = 8,
	 .kind = GUARD_MSG_PTR,
	 .path = "oneof_",
	 .owner = "T",
	 .elem = 1,
	 .proto = true,
	 .in_union = true},
	{.offset = 112, .width = 32, .kind = GUARD_STRING, .path = "text_", .owner = "T", .elem = GUARD_NONE},
	{.offset = 508, .width = 8, .kind = GUARD_BOOL, .path = "far_", .owner = "T", .elem = GUARD_NONE},
};
static struct guard_type types[] = {
	{.name = "T",
	 .size = 600,
	 .message = true,
	 .vptrs_known = true,
	 .n_vptr = 2,
	 .vptr = {{.vaddr = 0x100}, {.vaddr = 0x200}},
	 .n_field = sizeof(fields) / sizeof(fields[0]),
	 .field = fields},
	{.name = "Elem",
	 .size = 24,
	 .message = true,
	 .vptrs_known = true,
	 .n_vptr = 1,
	 .vptr = {{.vaddr = 0x300}}},
};
static const struct guard_table table = {.n_type = 2, .type = types};

static bool bias(void *ctx, const struct elf_file *module, uint64_t *b)
{
	(void)ctx;
	(void)module;
	*b = 0x400000;
	return true;
}

static struct writes_plan *build(enum setters_mode setters)
{
	struct writes_plan_in in = {.bias = bias, .setters = setters};
	struct writes_plan *p = calloc(1, sizeof(*p));

	fields[4].rep = v2;
	fields[5].rep = v3;
	assert_non_null(p);
	assert_int_equal(plan_add_types(p, &table, "cache", &in, NULL), 0);
	return p;
}

static const struct wr_field *named(const struct writes_plan *p, const char *path)
{
	for (unsigned i = 0; i < p->type[0].n_fields; i++) {
		if (!strcmp(plan_guard_field(p, 0, i)->path, path))
			return &p->field[i];
	}
	return NULL;
}

static uint64_t mask_at(const struct writes_plan *p, unsigned off, unsigned width)
{
	uint64_t v = 0;

	memcpy(&v, (const char *)p->type[0].mask + off, width);
	return v;
}

static void test_fields(void **state)
{
	struct writes_plan *p = build(SETTERS_AUTO);

	(void)state;
	assert_int_equal(p->n_types, 2);
	assert_string_equal(p->info[0].cache, "cache");
	assert_null(p->info[1].cache);
	assert_int_equal(p->type[0].n_vptrs, 2);
	assert_int_equal(p->type[0].vptr[1], 0x400200);
	/* a file that is loaded elsewhere takes its vtables along, and no others */
	assert_false(writes_plan_move(p, 0x500000, 0x1000, 0x600000));
	assert_true(writes_plan_move(p, 0x400200, 0x100, 0x300200));
	assert_int_equal(p->type[0].vptr[1], 0x300200);
	assert_true(p->type[0].vptr[0] >= 0x400000);
	assert_int_equal(named(p, "_vptr")->kind, WR_F_VPTR);
	assert_int_equal(named(p, "_has_bits_")->max, 0x3f);
	assert_int_equal(named(p, "exact_")->kind, WR_F_ENUM_SET);
	assert_int_equal(named(p, "exact_")->max, 0x3e);
	assert_int_equal(named(p, "judged_")->flags, WR_FF_SHADOW);
	assert_int_equal(named(p, "v2_")->alloc_off, 12);
	assert_int_equal(named(p, "v2_")->block_alloc_off, 0xff);
	assert_int_equal(named(p, "v3_")->alloc_off, 0xff);
	assert_int_equal(named(p, "v3_")->block_alloc_off, 0);
	assert_int_equal(named(p, "v3_")->rep_header, 8);
	assert_int_equal(named(p, "v3_")->pointee, 1);
	/* plain scalars, metadata, plain C++ pointers, oneofs and what is too far are not the kernel's
	 * business */
	assert_null(named(p, "free_"));
	assert_null(named(p, "_internal_metadata_"));
	assert_null(named(p, "raw_"));
	assert_null(named(p, "oneof_"));
	assert_null(named(p, "far_"));
	assert_int_equal(p->coverage.judged, 1);
	assert_int_equal(p->coverage.changes, 1);
	assert_int_equal(p->coverage.too_far, 1);
	assert_int_equal(p->coverage.opaque, 3);
	writes_plan_free(p);
}

static void test_masks_and_children(void **state)
{
	struct writes_plan *p = build(SETTERS_AUTO);

	(void)state;
	assert_int_equal(mask_at(p, 0, 8), UINT64_MAX);
	assert_int_equal(mask_at(p, 8, 8), 0);
	assert_int_equal(mask_at(p, 16, 4), 0xffffffff);
	assert_int_equal(mask_at(p, 20, 4), 0); /* const functions write the cached size */
	assert_int_equal(mask_at(p, 88, 4), 0xffffffff);
	assert_int_equal(mask_at(p, 92, 4), 0);
	assert_int_equal(mask_at(p, 96, 8), 0xffffffffffull);
	assert_int_equal(mask_at(p, 112, 8), UINT64_MAX);
	assert_int_equal(mask_at(p, 120, 8), 0); /* a string's length and text change by its own functions */
	assert_int_equal(p->type[0].n_children, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_true(p->field[p->type[0].child[i]].flags & WR_FF_NODE);
	writes_plan_free(p);
}

static void test_setters_off(void **state)
{
	struct writes_plan *p = build(SETTERS_OFF);

	(void)state;
	assert_null(named(p, "judged_")); /* its inlined writers have no probes then */
	assert_int_equal(p->coverage.judged, 0);
	assert_int_equal(p->coverage.changes, 2);
	writes_plan_free(p);
}

static void test_path(void **state)
{
	struct writes_plan *p = build(SETTERS_AUTO);
	unsigned v3_at = 0;
	struct wr_step step = {.index = 4};
	char *s;

	(void)state;
	while (&p->field[v3_at] != named(p, "v3_"))
		v3_at++;
	step.field = (uint16_t)v3_at;
	s = plan_path(p, 0, &step, 0, 0, v3_at, 2);
	assert_string_equal(s, "v3_[2]");
	free(s);
	s = plan_path(p, 0, &step, 1, 1, 0, -1); /* type 1 has no fields */
	assert_string_equal(s, "v3_[4].?");
	free(s);
	writes_plan_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_masks_and_children),
		cmocka_unit_test(test_setters_off),
		cmocka_unit_test(test_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
