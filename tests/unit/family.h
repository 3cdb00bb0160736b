/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Two messages: a Root whose child_ is a Child with a bool and a number; one of each, at fixed addresses. */
#ifndef CULPRIT_TEST_FAMILY_H
#define CULPRIT_TEST_FAMILY_H

#include <string.h>
#include <sys/types.h>

#include "layout/guard.h"

#define OBJECT 0x10000ull
#define CHILD  0x20000ull

static struct guard_field root_fields[] = {
	{.offset = 0, .width = 8, .kind = GUARD_VPTR, .path = "_vptr", .owner = "Root", .elem = GUARD_NONE},
	{.offset = 8,
	 .width = 8,
	 .kind = GUARD_MSG_PTR,
	 .path = "child_",
	 .owner = "Root",
	 .elem = 1,
	 .proto = true},
};
static struct guard_field child_fields[] = {
	{.offset = 0, .width = 8, .kind = GUARD_VPTR, .path = "_vptr", .owner = "Child", .elem = GUARD_NONE},
	{.offset = 8, .width = 1, .kind = GUARD_BOOL, .path = "flag_", .owner = "Child", .elem = GUARD_NONE},
	{.offset = 12,
	 .width = 4,
	 .kind = GUARD_UINT,
	 .path = "id_",
	 .owner = "Child",
	 .elem = GUARD_NONE,
	 .proto = true,
	 .shadow_judged = true},
};
static struct guard_type guard_types[] = {
	{.name = "Root",
	 .size = 16,
	 .message = true,
	 .vptrs_known = true,
	 .n_vptr = 1,
	 .n_field = 2,
	 .field = root_fields},
	{.name = "Child",
	 .size = 16,
	 .message = true,
	 .vptrs_known = true,
	 .n_vptr = 1,
	 .n_field = 3,
	 .field = child_fields},
};
static struct guard_table table = {.n_type = 2, .type = guard_types};

/* What stands in the target's memory; the rest of it cannot be read. */
static ssize_t family_read(const uint64_t root[2], const uint64_t child[2], uint64_t addr, void *buf,
			   size_t len)
{
	if (addr >= OBJECT && addr + len <= OBJECT + 16)
		memcpy(buf, (const char *)root + (addr - OBJECT), len);
	else if (addr >= CHILD && addr + len <= CHILD + 16)
		memcpy(buf, (const char *)child + (addr - CHILD), len);
	else
		return -14;
	return (ssize_t)len;
}

#endif
