// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "arch/arch.h"

int arch_arg_number(unsigned reg)
{
	for (int i = 0; i < arch.n_args; i++)
		if (arch.arg[i] == reg)
			return i;
	return -1;
}
