// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Machine code: what registers hold along it. */
#include "fuzz.h"
#include "arch/x86_64/flow.h"

static void check(const struct flow *f)
{
	for (size_t i = 0; i < FLOW_REGS; i++) {
		const struct flow_reg *r = &f->reg[i];

		if (r->kind != FLOW_NOTHING && r->base >= FLOW_REGS && r->base != FLOW_NO_REG)
			abort();
		if (r->kind == FLOW_WORD && (r->base == FLOW_NO_REG || r->width > 4))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static csh cs;
	static cs_insn *in;
	struct flow f = {0};
	uint64_t at = 0x1000;
	uint32_t bits;

	if (!cs) {
		if (cs_open(CS_ARCH_X86, CS_MODE_64, &cs) != CS_ERR_OK ||
		    cs_option(cs, CS_OPT_DETAIL, CS_OPT_ON) != CS_ERR_OK || !(in = cs_malloc(cs)))
			abort();
	}
	while (size) {
		if (!cs_disasm_iter(cs, &data, &size, &at, in)) {
			data++;
			size--;
			at++;
			continue;
		}
		flow_bits(&f, in, &bits);
		flow_step(&f, cs, in);
		check(&f);
	}
	return 0;
}
