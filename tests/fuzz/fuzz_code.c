// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Machine code: where an entry probe is put. */
#include "fuzz.h"
#include "plan/site.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct site s;

	if (!site_choose(data, size, &s) && s.offset >= size)
		abort();
	return 0;
}
