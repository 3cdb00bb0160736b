// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Machine code: where an entry probe is put, and which instruction stored. */
#include "fuzz.h"
#include "plan/site.h"
#include "writes/storing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct storing_code code = {.start = 0x1000, .bytes = data, .len = size};
	const __u64 reg[ABI_REGS] = {0};
	struct store_insn insn;
	struct site s;

	if (!site_choose(data, size, &s) && s.offset >= size)
		abort();
	for (size_t i = 0; i <= size + 1 && i < 64; i++) {
		if (storing_find(&code, code.start + i, reg, 0, 8, &insn) != STORING_UNKNOWN && !insn.decoded)
			abort();
	}
	return 0;
}
