/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Objects of a class T in a memory made here, with a field of every kind. */
#ifndef CULPRIT_TEST_NODES_H
#define CULPRIT_TEST_NODES_H

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "inspect/object.h"

#define BASE  0x10000ull
#define ROOM  0x2000u
#define VPTR  0x400100ull
#define VPTR2 0x400200ull

enum {
	NODE = BASE + 0x100,
	OTHER = BASE + 0x300,
	BLOCK = BASE + 0x500,
	STRING = BASE + 0x600,
	TEXT = BASE + 0x700
};

static uint8_t memory[ROOM];

static struct guard_field node_fields[] = {
	{.offset = 0, .width = 8, .kind = GUARD_VPTR, .path = "_vptr", .owner = "T", .elem = GUARD_NONE},
	{.offset = 8,
	 .width = 4,
	 .kind = GUARD_HAS_BITS,
	 .path = "_has_bits_",
	 .owner = "T",
	 .elem = GUARD_NONE,
	 .has_mask = 7},
	{.offset = 12,
	 .width = 1,
	 .kind = GUARD_BOOL,
	 .path = "flag_",
	 .owner = "T",
	 .elem = GUARD_NONE,
	 .proto = true},
	{.offset = 16,
	 .width = 8,
	 .kind = GUARD_MSG_PTR,
	 .path = "next_",
	 .owner = "T",
	 .elem = 0,
	 .proto = true},
	{.offset = 24,
	 .width = 8,
	 .kind = GUARD_ARENA_STRING,
	 .path = "name_",
	 .owner = "T",
	 .elem = GUARD_NONE,
	 .proto = true,
	 .tag_mask = 3},
	{.offset = 32,
	 .width = 24,
	 .kind = GUARD_REPEATED_PTR,
	 .path = "list_",
	 .owner = "T",
	 .elem = 0,
	 .proto = true},
	{.offset = 56,
	 .width = 4,
	 .kind = GUARD_INT,
	 .path = "small_",
	 .owner = "T",
	 .elem = GUARD_NONE,
	 .proto = true},
	{.offset = 60,
	 .width = 4,
	 .kind = GUARD_ENUM,
	 .path = "mode_",
	 .owner = "T",
	 .elem = GUARD_NONE,
	 .proto = true,
	 .enum_exact = true,
	 .enum_set = 0x0e,
	 .enum_min = 1,
	 .enum_max = 3},
	{.offset = 64, .width = 8, .kind = GUARD_PTR, .path = "raw_", .owner = "T", .elem = GUARD_NONE},
};
static struct guard_type guard = {.name = "T",
				  .size = 72,
				  .message = true,
				  .vptrs_known = true,
				  .n_vptr = 1,
				  .vptr = {{.vaddr = VPTR, .cls = "T"}},
				  .n_field = sizeof(node_fields) / sizeof(node_fields[0]),
				  .field = node_fields};
static const struct guard_repeated v2 = {.pointer = 0,
					 .current = 8,
					 .allocated = 12,
					 .total = 16,
					 .rep_allocated = GUARD_NONE,
					 .elem_size = 8};
static const struct guard_repeated v3 = {.pointer = 16,
					 .current = 8,
					 .total = 12,
					 .allocated = GUARD_NONE,
					 .header = 8,
					 .rep_allocated = 0,
					 .elem_size = 8};

static struct known_field known_fields[sizeof(node_fields) / sizeof(node_fields[0])];
static const char *bits[] = {"flag_", "next_", "name_"};
static struct known_type types[] = {{.guard = &guard, .field = known_fields, .bit_name = bits, .n_bits = 3}};
static struct known_vptr vptrs[] = {{.value = VPTR, .cls = "T", .size = 72},
				    {.value = VPTR2, .cls = "U", .size = 8}};
static struct known known = {.string_size = 32, .type = types, .n_types = 1, .vptr = vptrs, .n_vptrs = 2};

static ssize_t mem_read(void *ctx, uint64_t addr, void *buf, size_t len)
{
	(void)ctx;
	if (addr < BASE || addr >= BASE + ROOM)
		return -EFAULT;
	if (len > BASE + ROOM - addr)
		len = (size_t)(BASE + ROOM - addr);
	memcpy(buf, memory + (addr - BASE), len);
	return (ssize_t)len;
}

static bool mem_vptr_ok(void *ctx, unsigned type, uint64_t v)
{
	(void)ctx;
	return known_vptr_ok(&known, type, v);
}

static const struct rule_mem mem = {.read = mem_read, .vptr_ok = mem_vptr_ok};

static void put64(uint64_t addr, uint64_t v)
{
	memcpy(memory + (addr - BASE), &v, 8);
}

static void put32(uint64_t addr, uint32_t v)
{
	memcpy(memory + (addr - BASE), &v, 4);
}

/* Two good objects: NODE's next_ is NULL, its list_ holds OTHER; OTHER's list is empty. */
static void reset(const struct guard_repeated *rep)
{
	memset(memory, 0, sizeof(memory));
	node_fields[5].rep = *rep;
	for (size_t i = 0; i < guard.n_field; i++) {
		known_fields[i].has_rule = plan_field_rule(&node_fields[i], 0, &known_fields[i].rule);
		known_fields[i].type = "x";
		known_fields[i].bit = -1;
	}
	known_fields[2].bit = 0;
	known_fields[3].bit = 1;
	known_fields[4].bit = 2;
	for (int i = 0; i < 2; i++) {
		uint64_t at = i ? OTHER : NODE;

		put64(at, VPTR);
		put32(at + 8, 4);
		put64(at + 24, STRING | 2);
		put32(at + 56, (uint32_t)-5);
		put32(at + 60, 2);
		put64(at + 64, 0x1234);
	}
	put64(STRING, TEXT);
	put64(STRING + 8, 5);
	memcpy(memory + (TEXT - BASE), "a\"\n\xff!", 5);
	put64(NODE + 32 + (uint32_t)rep->pointer, BLOCK);
	put32(NODE + 32 + (uint32_t)rep->current, 1);
	put32(NODE + 32 + (uint32_t)rep->total, 2);
	if (rep->allocated != GUARD_NONE)
		put32(NODE + 32 + (uint32_t)rep->allocated, 1);
	else
		put32(BLOCK, 1);
	put64(BLOCK + rep->header, OTHER);
}

#endif
