// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>

#include "util/grow.h"

void *grow(void *v, size_t n, size_t size)
{
	/* grows at the powers of two, so that no capacity needs to be kept beside the count */
	if (n & (n - 1))
		return v;
	return reallocarray(v, n ? n * 2 : 1, size);
}
