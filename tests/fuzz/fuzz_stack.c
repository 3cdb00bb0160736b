// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A stack record, unwound and symbolised over the mappings of this very process. */
#include "fuzz.h"
#include "symbol/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct image *im;
	static struct abi_stack st;
	struct input in = {data, size};
	struct frames out = {0};
	uint64_t v;

	if (!im && image_open(&im, getpid(), NULL, NULL))
		abort();
	memset(&st, 0, sizeof(st));
	take(&in, st.reg, sizeof(st.reg));
	/* addresses of this program, so that there is something to find */
	st.reg[ABI_REG_IP] = (uint64_t)(uintptr_t)image_open + (st.reg[ABI_REG_IP] & 0xfffff);
	st.len = (uint32_t)(in.left < sizeof(st.data) ? in.left : sizeof(st.data));
	take(&in, st.data, st.len);
	for (size_t i = 0; i + 8 <= st.len; i += 8) {
		memcpy(&v, st.data + i, 8);
		v = v & 1 ? (uint64_t)(uintptr_t)image_open + (v >> 1 & 0xfffff)
			  : st.reg[ABI_REG_SP] + (v & 0xfff);
		memcpy(st.data + i, &v, 8);
	}
	if (!image_unwind(im, &st, size & 1, &out) && out.n) {
		image_frame_param(im, 0, "this", &v);
		image_frame_param(im, out.n - 1, "ctx", &v);
	}
	frames_deinit(&out);
	return 0;
}
