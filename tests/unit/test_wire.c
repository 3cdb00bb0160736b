// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Calls on the wire: requests and answers by number, over connections of clients and servers. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../bpf/abi/payload.h"
#include "framing_wire.h"
#include "stalls/wire.h"

#define MS 1000000ULL

static struct framing brpc;
static uint64_t ignored;
static int side = -1;

static int accepted(void *ctx, uint64_t inode)
{
	(void)ctx;
	(void)inode;
	return side;
}

static void ignore(void *ctx, uint64_t inode)
{
	(void)ctx;
	ignored = inode;
}

static int setup(void **state)
{
	static const struct wire_ops ops = {.accepted = accepted, .ignore = ignore};
	const struct framing *f = &brpc;
	const char *why;
	size_t bad;

	brpc = (struct framing){0};
	ignored = 0;
	assert_int_equal(framing_set(&brpc, "framing", 7, "baidu_std", 9, &bad, &why), 0);
	assert_int_equal(framing_set(&brpc, "longpoll", 8, "a.S.Watch", 9, &bad, &why), 0);
	assert_int_equal(wire_create((struct wire **)state, &f, 1, &ops), 0);
	return 0;
}

static int teardown(void **state)
{
	wire_destroy(*state);
	framing_deinit(&brpc);
	return 0;
}

static void moved(struct wire *w, uint64_t inode, bool sent, uint64_t ms, const struct bytes *b)
{
	static struct payload_rec r;
	size_t len = b->n < PAYLOAD_MAX ? b->n : PAYLOAD_MAX;

	memset(&r, 0, sizeof(r));
	r.h.kind = PAYLOAD_BYTES;
	r.h.size = (uint32_t)(sizeof(r) - PAYLOAD_MAX + len);
	r.h.ts_ns = ms * MS;
	r.h.tid = sent ? 7 : 8;
	r.entry_ns = ms * MS;
	r.inode = inode;
	r.family = AF_INET;
	r.peer[0] = 10;
	r.peer[3] = 1;
	r.port = htons(8000);
	r.sent = sent;
	r.total = (uint32_t)b->n;
	r.len = (uint32_t)len;
	memcpy(r.data, b->v, len);
	wire_event(w, &r.h);
}

static void closed(struct wire *w, uint64_t inode, uint64_t ms)
{
	static struct payload_rec r;

	memset(&r, 0, sizeof(r));
	r.h.kind = PAYLOAD_CLOSED;
	r.h.size = sizeof(r) - PAYLOAD_MAX;
	r.h.ts_ns = ms * MS;
	r.inode = inode;
	wire_event(w, &r.h);
}

static void request(struct wire *w, bool sent, uint64_t ms, uint64_t id, const char *method)
{
	static struct bytes b;

	b.n = 0;
	put_brpc_request(&b, "a.S", method, id, 20);
	moved(w, 1, sent, ms, &b);
}

static void response(struct wire *w, bool sent, uint64_t ms, uint64_t id, int error)
{
	static struct bytes b;

	b.n = 0;
	put_brpc_response(&b, id, error, 5);
	moved(w, 1, sent, ms, &b);
}

static struct rpc_line line(struct wire *w, uint64_t ms, const char *method)
{
	struct rpc_ledger l = {0};
	struct rpc_line found = {0};

	assert_int_equal(wire_ledger(w, &l, ms * MS), 0);
	for (size_t i = 0; i < l.n; i++)
		if (!strcmp(l.v[i].method, method))
			found = l.v[i];
	rpc_ledger_deinit(&l);
	return found;
}

/* Answers come in any order, some fail, one is missing. */
static void client(void **state)
{
	struct wire *w = *state;
	struct wire_pending p;
	struct rpc_line l;

	for (uint64_t i = 0; i < 6; i++)
		request(w, true, 100 + i, i, "Get");
	request(w, true, 200, 9, "Put");
	response(w, false, 210, 5, 0);
	response(w, false, 211, 0, 0);
	response(w, false, 212, 9, 3);
	response(w, false, 213, 4, 1008);
	l = line(w, 300, "a.S.Get");
	assert_string_equal(l.peer, "10.0.0.1:8000");
	assert_int_equal(l.by, RPC_BY_WIRE_CLIENT);
	assert_int_equal(l.calls, 6);
	assert_int_equal(l.in_flight, 3);
	assert_int_equal(l.oldest_ns, 199 * MS);
	assert_int_equal(l.errors, 1);
	assert_int_equal(l.timed_out, 1);
	assert_int_equal(l.max_ns, 111 * MS);
	assert_int_equal(line(w, 300, "a.S.Put").errors, 1);
	assert_true(wire_oldest(w, 1, true, 0, &p));
	assert_int_equal(p.id, 1);
	assert_int_equal(p.start_ns, 101 * MS);
	assert_int_equal(p.others, 2);
	assert_int_equal(p.tid, 7);
	assert_int_equal(p.slowest_ns, 111 * MS);
	assert_string_equal(p.method, "a.S.Get");
	assert_false(wire_oldest(w, 1, false, 0, &p));
	/* the callers wait for 500 ms only */
	l = line(w, 700, "a.S.Get");
	assert_int_equal(l.in_flight, 0);
	assert_int_equal(l.timed_out, 4);
	closed(w, 1, 400);
	l = line(w, 700, "a.S.Get");
	assert_int_equal(l.unanswered, 3);
	assert_int_equal(l.in_flight, 0);
	assert_int_equal(wire_connections(w), 0);
}

static void server(void **state)
{
	struct wire *w = *state;
	struct wire_pending p;
	struct rpc_line l;

	request(w, false, 10, 1, "Get");
	request(w, false, 11, 2, "Get");
	response(w, true, 15, 2, 0);
	l = line(w, 20, "a.S.Get");
	assert_int_equal(l.by, RPC_BY_WIRE_SERVER);
	assert_string_equal(l.peer, "10.0.0.1"); /* whatever port a client has */
	assert_int_equal(l.in_flight, 1);
	assert_int_equal(l.max_ns, 4 * MS);
	assert_true(wire_oldest(w, 1, false, 0, &p));
	assert_int_equal(p.id, 1);
	assert_int_equal(p.tid, 8);
	assert_int_equal(wire_all_oldest(w, 0, &p, 1), 1);
	assert_false(p.ours);
}

/* The thread that reads the answer may be told of before the thread that sent the request. */
static void answer_first(void **state)
{
	struct wire *w = *state;
	struct rpc_line l;

	request(w, true, 90, 1, "Get"); /* what the connection carries is known */
	response(w, false, 103, 2, 0);
	request(w, true, 100, 2, "Get");
	l = line(w, 200, "a.S.Get");
	assert_int_equal(l.in_flight, 1);
	assert_int_equal(l.max_ns, 3 * MS);
	/* an older answer with the same number is not this request's */
	request(w, true, 150, 2, "Get");
	assert_int_equal(line(w, 200, "a.S.Get").in_flight, 2);
}

/* An answer may have been in what was not read: then nothing is said to be outstanding. */
static void doubt(void **state)
{
	static struct bytes b;
	struct wire *w = *state;
	struct wire_pending p;

	wire_from(w, 50 * MS);
	request(w, true, 40, 1, "Get"); /* its answer may have gone to a call that began before */
	assert_false(wire_oldest(w, 1, true, 0, &p));
	request(w, true, 60, 2, "Get");
	assert_true(wire_oldest(w, 1, true, 0, &p));
	b.n = 0;
	put_fill(&b, 30, 'q');
	moved(w, 1, false, 70, &b);
	assert_false(wire_oldest(w, 1, true, 0, &p));
	assert_int_equal(wire_losses(w).doubt, 1);
	request(w, true, 80, 3, "Get");
	assert_true(wire_oldest(w, 1, true, 0, &p));
	wire_gap(w);
	assert_false(wire_oldest(w, 1, true, 0, &p));
	assert_int_equal(line(w, 90, "a.S.Get").calls, 2);
	assert_int_equal(line(w, 90, "a.S.Get").in_flight, 0);
}

static void long_polls(void **state)
{
	struct wire *w = *state;
	struct wire_pending p;

	request(w, true, 10, 1, "Watch");
	assert_false(wire_oldest(w, 1, true, 0, &p));
	request(w, true, 20, 2, "Get");
	assert_true(wire_oldest(w, 1, true, 0, &p));
	assert_string_equal(p.method, "a.S.Get");
}

static void foreign(void **state)
{
	static struct bytes b;
	struct wire *w = *state;

	b.n = 0;
	put_fill(&b, 4000, 'z');
	for (unsigned i = 0; i < 40; i++)
		moved(w, 5, i & 1, i, &b);
	assert_int_equal(ignored, 5);
	assert_int_equal(wire_losses(w).foreign, 1);
	assert_int_equal(line(w, 100, "a.S.Get").calls, 0);
}

/* Without a word in the frame, who made the connection tells requests from answers. */
static void by_side(void **state)
{
	static const char *const keys[][2] = {{"magic", "0:\"AB\""},
					      {"header", "8"},
					      {"length", "2:u16le"},
					      {"id", "4:u16le"},
					      {"method", "6:u8"}};
	static struct framing f;
	static struct bytes b;
	const struct framing *list = &f;
	const struct wire_ops ops = {.accepted = accepted};
	struct wire *w;

	(void)state;
	f = (struct framing){0};
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *why;
		size_t bad;

		assert_int_equal(framing_set(&f, keys[i][0], strlen(keys[i][0]), keys[i][1],
					     strlen(keys[i][1]), &bad, &why),
				 0);
	}
	for (side = -1; side < 2; side++) {
		assert_int_equal(wire_create(&w, &list, 1, &ops), 0);
		b.n = 0;
		put(&b, "AB\0\0\7\0\3\0", 8);
		/* side 1: this process accepted, so what it receives is a request; -1: what comes first is
		 * one */
		moved(w, 1, side == 0, 10, &b);
		moved(w, 1, side != 0, 14, &b);
		assert_int_equal(line(w, 20, "method 0x3").calls, 1);
		assert_int_equal(line(w, 20, "method 0x3").in_flight, 0);
		assert_int_equal(line(w, 20, "method 0x3").max_ns, 4 * MS);
		assert_int_equal(line(w, 20, "method 0x3").by,
				 side == 0 ? RPC_BY_WIRE_CLIENT : RPC_BY_WIRE_SERVER);
		wire_destroy(w);
	}
	side = -1;
	framing_deinit(&f);
}

static void began(void **state)
{
	struct wire *w = *state;

	assert_int_equal(wire_losses(w).known + wire_losses(w).unknown, 0);
	moved(w, 2, true, 50, &(struct bytes){.v = "hello", .n = 5});
	assert_int_equal(wire_losses(w).unknown, 1);
	request(w, true, 100, 1, "Get");
	assert_int_equal(wire_losses(w).known, 1);
	request(w, true, 200, 2, "Watch"); /* may take any time */
	assert_true(wire_began(w, 99 * MS, 100 * MS, 300 * MS));
	assert_true(wire_began(w, 0, 250 * MS, 300 * MS));
	assert_false(wire_began(w, 100 * MS, 250 * MS, 300 * MS));
	assert_false(wire_began(w, 0, 99 * MS, 300 * MS));
	response(w, false, 310, 1, 0);
	assert_false(wire_began(w, 0, 250 * MS, 320 * MS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(began, setup, teardown),
		cmocka_unit_test_setup_teardown(client, setup, teardown),
		cmocka_unit_test_setup_teardown(server, setup, teardown),
		cmocka_unit_test_setup_teardown(answer_first, setup, teardown),
		cmocka_unit_test_setup_teardown(doubt, setup, teardown),
		cmocka_unit_test_setup_teardown(long_polls, setup, teardown),
		cmocka_unit_test_setup_teardown(foreign, setup, teardown),
		cmocka_unit_test(by_side),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
