/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Memory of a made-up target: one block at MEMORY_AT. */
#ifndef CULPRIT_TEST_MEMORY_H
#define CULPRIT_TEST_MEMORY_H

#include <errno.h>
#include <stdint.h>
#include <string.h>

#define MEMORY_AT 0x1000

static unsigned char memory[16384];

static inline int read_mem(void *ctx, uint64_t addr, void *buf, size_t len)
{
	(void)ctx;
	if (addr < MEMORY_AT || addr + len > MEMORY_AT + sizeof(memory))
		return -EFAULT;
	memcpy(buf, memory + addr - MEMORY_AT, len);
	return 0;
}

static inline void poke(uint64_t addr, const void *v, size_t len)
{
	memcpy(memory + addr - MEMORY_AT, v, len);
}

static inline void poke_word(uint64_t addr, uint64_t v)
{
	poke(addr, &v, sizeof(v));
}

#endif
