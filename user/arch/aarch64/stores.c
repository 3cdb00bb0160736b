// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Nothing reads the stores of aarch64 code yet: refused, so that nobody takes an empty list for the truth. */
#include <errno.h>
#include <stdio.h>

#include "arch/arch.h"
#include "layout/stores.h"
#include "writes/storing.h"

int stores_create(struct stores **ret, struct dbg *d, struct err *err)
{
	(void)d;
	*ret = NULL;
	return err_set(err, -ENOTSUP, "%s", arch.no_stores);
}

void stores_destroy(struct stores *s)
{
	(void)s;
}

int stores_of(struct stores *s, uint64_t func_die, const struct store **ret, size_t *n)
{
	(void)s, (void)func_die;
	*ret = NULL;
	*n = 0;
	return -ENOTSUP;
}

int stores_between(struct stores *s, uint64_t lo, uint64_t hi, struct store **ret, size_t *n)
{
	(void)s, (void)lo, (void)hi;
	*ret = NULL;
	*n = 0;
	return -ENOTSUP;
}

enum storing storing_find(const struct storing_code *code, uint64_t ip, const __u64 reg[ABI_REGS],
			  uint64_t addr, unsigned width, struct store_insn *ret)
{
	(void)code, (void)ip, (void)reg, (void)addr, (void)width;
	snprintf(ret->why, sizeof(ret->why), "%s", arch.no_stores);
	return STORING_UNKNOWN;
}
