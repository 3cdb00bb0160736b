// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a process sends and receives, in pieces of which only a part was seen: described frames, and HTTP/2.
 */
#include "fuzz.h"

#include "../../bpf/abi/payload.h"
#include "stalls/wire.h"

static struct framing brpc, grpc, plain;

static void set(struct framing *f, const char *key, const char *value)
{
	const char *why;
	size_t bad;

	if (framing_set(f, key, strlen(key), value, strlen(value), &bad, &why))
		abort();
}

static void describe(void)
{
	set(&brpc, "framing", "baidu_std");
	set(&grpc, "framing", "grpc");
	set(&plain, "magic", "0:\"Z\"");
	set(&plain, "header", "8");
	set(&plain, "length", "1:u8-2");
	set(&plain, "id", "2:u8");
	set(&plain, "method", "3:text4");
	set(&plain, "error", "7:u8");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct payload_rec r;
	const struct framing *all[] = {&grpc, &brpc, &plain};
	const struct wire_ops ops = {0};
	struct input in = {data, size};
	struct rpc_ledger l = {0};
	struct wire_pending p;
	struct wire *w;
	uint64_t t = 0;

	if (!brpc.kind)
		describe();
	if (wire_create(&w, all, 3, &ops))
		return 0;
	while (in.left > 4) {
		uint8_t how = take_u8(&in), n = take_u8(&in), beyond = take_u8(&in);

		memset(&r, 0, sizeof(r) - PAYLOAD_MAX);
		r.h.kind = how & 0x80 ? PAYLOAD_CLOSED : PAYLOAD_BYTES;
		r.sent = how & 1;
		r.inode = 1 + (how >> 1 & 1);
		r.h.ts_ns = t += 1000;
		r.entry_ns = t;
		r.len = r.h.kind == PAYLOAD_BYTES ? n : 0;
		r.total = r.len + (r.len ? beyond : 0);
		r.h.size = (uint32_t)(sizeof(r) - PAYLOAD_MAX) + r.len;
		take(&in, r.data, r.len);
		wire_event(w, &r.h);
	}
	wire_oldest(w, 1, true, 0, &p);
	wire_all_oldest(w, 0, &p, 1);
	wire_losses(w);
	wire_ledger(w, &l, t);
	rpc_ledger_deinit(&l);
	wire_destroy(w);
	return 0;
}
