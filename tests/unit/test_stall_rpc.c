// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* RPC names from stacks and descriptors, and the ledger. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "memory.h"
#include "plan/rpc.h"
#include "stalls/rpc.h"

#define MS 1000000ULL

static struct rpc_names names;

static int setup(void **state)
{
	(void)state;
	names = (struct rpc_names){0};
	assert_false(rpc_names_add(&names, false, "zbs::rpc::Channel::CallMethod", NULL));
	assert_false(rpc_names_add(&names, true, "zbs::meta::MetaService::CallMethod", NULL));
	assert_false(rpc_names_add(&names, true, "zbs::rpc::MetaServiceImpl::ListDb",
				   "zbs.meta.MetaService.ListDb"));
	assert_false(rpc_names_add(&names, true, "my::Dispatch*", NULL));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rpc_names_deinit(&names);
	return 0;
}

static struct rpc_stack read_stack(const char *const *symbols, size_t n)
{
	struct frame v[16] = {{0}};
	struct frames f = {.v = v, .n = n};
	struct rpc_stack out;

	for (size_t i = 0; i < n; i++)
		v[i].symbol = (char *)symbols[i];
	rpc_read_stack(&names, &f, &out);
	return out;
}

#define READ(...)                                                                                            \
	read_stack((const char *const[]){__VA_ARGS__},                                                       \
		   sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void client_stack(void **state)
{
	struct rpc_stack s;

	(void)state;
	s = READ("__poll", NULL, "zbs::rpc::Channel::ReadHeader",
		 "zbs::rpc::Channel::CallMethod(google::protobuf::MethodDescriptor const*)",
		 "zbs::meta::MetaService_Stub::ListDb(google::protobuf::RpcController*)", "main");
	assert_int_equal(s.side, RPC_SIDE_CLIENT);
	assert_int_equal(s.frame, 3);
	assert_true(s.call_method);
	assert_string_equal(s.method, "zbs.meta.MetaService.ListDb");
	s = READ("__poll", "zbs::rpc::Channel::CallMethod", "zbs::DumpMeta::Run");
	assert_int_equal(s.side, RPC_SIDE_CLIENT);
	assert_string_equal(s.method, ""); /* the stub was a tail call: not guessed */
	s = READ("__poll", "other::Wait", "zbs::meta::MetaService_Stub::Ping", "main");
	assert_int_equal(s.side, RPC_SIDE_CLIENT);
	assert_false(s.call_method);
	assert_string_equal(s.method, "zbs.meta.MetaService.Ping");
}

static void server_stack(void **state)
{
	struct rpc_stack s;

	(void)state;
	s = READ("futex_wait", "__lll_lock_wait", "__pthread_mutex_lock", "zbs::rpc::MetaServiceImpl::ListDb",
		 "zbs::rpc::Server::Handle");
	assert_int_equal(s.side, RPC_SIDE_SERVER);
	assert_string_equal(s.method, "zbs.meta.MetaService.ListDb");
	assert_int_equal(s.lock, RPC_LOCK_MUTEX);
	s = READ("fsync", "my::DispatchLoop", "main");
	assert_int_equal(s.side, RPC_SIDE_SERVER);
	assert_int_equal(s.lock, RPC_LOCK_NONE);
	/* a handler that makes a call of its own is a client at that moment; the handler's caller says
	 * nothing about that call */
	s = READ("__poll", "zbs::rpc::Channel::CallMethod", "zbs::rpc::MetaServiceImpl::ListDb",
		 "zbs::meta::MetaService_Stub::Ping");
	assert_int_equal(s.side, RPC_SIDE_CLIENT);
	assert_string_equal(s.method, "");
	s = READ("pthread_cond_wait", "zbs::rpc::Server::RunWorker");
	assert_int_equal(s.side, RPC_SIDE_NONE);
	assert_int_equal(s.lock, RPC_LOCK_COND);
}

static void stub_names(void **state)
{
	char buf[RPC_METHOD_LEN];

	(void)state;
	assert_true(rpc_stub_method("a::B_Stub::C(int, std::vector<x::Y>)", buf, sizeof(buf)));
	assert_string_equal(buf, "a.B.C");
	assert_true(rpc_stub_method("B_Stub::C", buf, sizeof(buf)));
	assert_string_equal(buf, "B.C");
	assert_false(rpc_stub_method("a::B_Stub::B_Stub(google::protobuf::RpcChannel*)", buf, sizeof(buf)));
	assert_false(rpc_stub_method("a::B_Stub::~B_Stub()", buf, sizeof(buf)));
	assert_false(rpc_stub_method("a::B_Stub::C::D", buf, sizeof(buf)));
	assert_false(rpc_stub_method("f(a::B_Stub::C)", buf, sizeof(buf)));
	assert_false(rpc_stub_method("std::vector<a::B_Stub>::push_back", buf, sizeof(buf)));
	assert_false(rpc_stub_method("_Stub::x", buf, sizeof(buf)));
	assert_false(rpc_stub_method("a::B::C", buf, sizeof(buf)));
}

static void method_names(void **state)
{
	static const char name[] = "zbs.meta.MetaService.ListDb";
	char buf[RPC_METHOD_LEN];

	(void)state;
	memset(memory, 0, sizeof(memory));
	memcpy(memory + 0x100, name, sizeof(name));
	/* 3.21: descriptor at 0x1000, its std::string[2] at 0x1040 */
	poke_word(0x1008, 0x1040);
	poke_word(0x1060, 0x1100);
	poke_word(0x1068, sizeof(name) - 1);
	assert_int_equal(rpc_method_name(RPC_LAYOUT_3_21, 0x1000, read_mem, NULL, buf, sizeof(buf)), 0);
	assert_string_equal(buf, name);
	/* 2.5: descriptor at 0x1010, std::string at 0x1080, length before the text */
	poke_word(0x1018, 0x1080);
	poke_word(0x1080, 0x1100);
	poke_word(0x10e8, sizeof(name) - 1);
	assert_int_equal(rpc_method_name(RPC_LAYOUT_2_5, 0x1010, read_mem, NULL, buf, sizeof(buf)), 0);
	assert_string_equal(buf, name);
	assert_int_equal(rpc_method_name(RPC_LAYOUT_UNKNOWN, 0x1000, read_mem, NULL, buf, sizeof(buf)),
			 -ENODATA); /* the short name is not there */
	assert_int_equal(rpc_method_name(RPC_LAYOUT_3_21, 0x9000, read_mem, NULL, buf, sizeof(buf)),
			 -ENODATA);
	poke_word(0x1068, 4000); /* longer than any name */
	assert_int_equal(rpc_method_name(RPC_LAYOUT_3_21, 0x1000, read_mem, NULL, buf, sizeof(buf)),
			 -ENODATA);
	poke_word(0x1068, sizeof(name) - 1);
	memory[0x103] = ' '; /* bytes that are no name: nothing is guessed */
	assert_int_equal(rpc_method_name(RPC_LAYOUT_3_21, 0x1000, read_mem, NULL, buf, sizeof(buf)),
			 -ENODATA);
	memory[0x103] = 0;
	assert_int_equal(rpc_method_name(RPC_LAYOUT_3_21, 0x1000, read_mem, NULL, buf, sizeof(buf)),
			 -ENODATA);
}

static int ledger_name(void *ctx, uint64_t method, char *buf, size_t len)
{
	(void)ctx;
	if (method == 3)
		return -ENODATA;
	snprintf(buf, len, "m%d", (int)method);
	return 0;
}

static bool is_running(void *ctx, pid_t tid, const struct stalls_rpc *r)
{
	(void)ctx;
	(void)r;
	return tid == 10;
}

static struct stalls_rpc call(uint64_t method, uint64_t entry, uint64_t sent, uint64_t received)
{
	struct stalls_rpc r = {
		.method = method, .entry_ns = entry, .first_send_ns = sent, .last_recv_ns = received};

	if (sent) {
		r.family = AF_INET;
		r.port = htons(10100);
		memcpy(r.peer, "\x0a\x00\x00\x02", 4);
	}
	return r;
}

static void ledger(void **state)
{
	struct rpc_row rpcs[] = {{.tid = 10, .rpc = call(1, 1000 * MS, 1001 * MS, 0)},
				 {.tid = 11, .rpc = call(1, 500 * MS, 501 * MS, 520 * MS)},
				 {.tid = 12, .rpc = call(2, 600 * MS, 601 * MS, 0)},
				 {.tid = 13, .rpc = call(3, 700 * MS, 0, 0)}};
	struct method_row sum = {.key = {.method = 1, .port = htons(10100), .family = AF_INET},
				 .sum = {.calls = 99, .unanswered = 2, .max_ns = 90 * MS}};
	struct stalls_tables t = {.rpc = rpcs, .n_rpcs = 4, .method = &sum, .n_methods = 1};
	struct rpc_ledger l;

	(void)state;
	memcpy(sum.key.peer, "\x0a\x00\x00\x02", 4);
	assert_int_equal(rpc_ledger_build(&l, &t, 3000 * MS, ledger_name, is_running, NULL), 0);
	assert_int_equal(l.n, 3);
	assert_string_equal(l.v[0].method, "m1");
	assert_string_equal(l.v[0].peer, "10.0.0.2:10100");
	assert_int_equal(l.v[0].calls, 101);
	assert_int_equal(l.v[0].in_flight, 1);
	assert_int_equal(l.v[0].unanswered, 2);
	assert_int_equal(l.v[0].oldest_ns, 2000 * MS);
	assert_int_equal(l.v[0].max_ns, 90 * MS);
	assert_in_range(l.v[0].p50_ns, 20 * MS, 25 * MS); /* the one answered call seen here took 20 ms */
	assert_string_equal(l.v[1].method, "m2");
	assert_int_equal(l.v[1].unanswered, 1);
	assert_int_equal(l.v[1].p50_ns, 0);
	assert_string_equal(l.v[2].method, "?");
	assert_string_equal(l.v[2].peer, "-");
	assert_int_equal(l.v[2].unanswered, 0);
	rpc_ledger_deinit(&l);
}

static void quantiles(void **state)
{
	uint32_t b[STALLS_BUCKETS] = {0};

	(void)state;
	assert_int_equal(rpc_quantile(b, 0.5), 0);
	b[4 * 10] = 98; /* 1024..1279 us */
	b[4 * 20] = 2;
	assert_int_equal(rpc_quantile(b, 0.5), 1280 * 1000);
	assert_int_equal(rpc_quantile(b, 0.98), 1280 * 1000);
	assert_int_equal(rpc_quantile(b, 0.99), 1310720ULL * 1000);
}

/* A version that is not known: the layout that has both names is the right one. */
static void layout_by_names(void **state)
{
	static const char full[] = "a.Service.Hang", shorter[] = "Hang";
	char buf[RPC_METHOD_LEN];

	(void)state;
	memset(memory, 0, sizeof(memory));
	poke(0x2000, full, sizeof(full));
	poke(0x2100, shorter, sizeof(shorter));
	/* 3.21: an array of two */
	poke_word(0x1008, 0x1100);
	poke_word(0x1100, 0x2100);
	poke_word(0x1108, sizeof(shorter) - 1);
	poke_word(0x1120, 0x2000);
	poke_word(0x1128, sizeof(full) - 1);
	assert_int_equal(rpc_method_name(RPC_LAYOUT_UNKNOWN, 0x1000, read_mem, NULL, buf, sizeof(buf)), 0);
	assert_string_equal(buf, full);
	/* pointers to each, strings of the old ABI */
	poke_word(0x1200, 0x1300);
	poke_word(0x1208, 0x1308);
	poke_word(0x1300, 0x2100);
	poke_word(0x1308, 0x2000);
	poke_word(0x2100 - 24, sizeof(shorter) - 1);
	poke_word(0x2000 - 24, sizeof(full) - 1);
	assert_int_equal(rpc_method_name(RPC_LAYOUT_UNKNOWN, 0x1200, read_mem, NULL, buf, sizeof(buf)), 0);
	assert_string_equal(buf, full);
	/* and of today's */
	poke_word(0x1400, 0x1500);
	poke_word(0x1408, 0x1540);
	poke_word(0x1500, 0x2100);
	poke_word(0x1508, sizeof(shorter) - 1);
	poke_word(0x1540, 0x2000);
	poke_word(0x1548, sizeof(full) - 1);
	poke_word(0x2000 - 24, 0);
	assert_int_equal(rpc_method_name(RPC_LAYOUT_UNKNOWN, 0x1400, read_mem, NULL, buf, sizeof(buf)), 0);
	assert_string_equal(buf, full);
	/* two names that are not of one method */
	poke(0x2100, "Ring", 4);
	assert_int_equal(rpc_method_name(RPC_LAYOUT_UNKNOWN, 0x1400, read_mem, NULL, buf, sizeof(buf)),
			 -ENODATA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layout_by_names), cmocka_unit_test(client_stack),
		cmocka_unit_test(server_stack),	   cmocka_unit_test(stub_names),
		cmocka_unit_test(method_names),	   cmocka_unit_test(ledger),
		cmocka_unit_test(quantiles),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
