// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Findings that were read back from their JSON are the same in text and in JSON; anything else is refused. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "report/read.h"

#define MS	    1000000ULL
#define TEXT(s)	    ((char *)(s))
#define CLOCK_NOW() ((struct report_clock){.mono_ns = 5000000 * MS, .real_ns = 1700000000123456000ULL})

static struct frame frames[] = {
	{.module = TEXT("/usr/sbin/zbs-chunkd"),
	 .build_id = TEXT("5ed10f37"),
	 .offset = 0x1234,
	 .addr = 0x401234,
	 .symbol = TEXT("zbs::f"),
	 .file = TEXT("/src/f.cc"),
	 .line = 7,
	 .inlined = true},
	{.module = TEXT("/usr/sbin/zbs-chunkd"),
	 .offset = 0x1300,
	 .addr = 0x401300,
	 .symbol = TEXT("zbs::g")},
	{.module = TEXT("/lib/libx.so"), .offset = 0x77, .addr = 0x7f0000000077},
	{.addr = 0xdead},
};
static const struct frames stack = {.v = frames, .n = 4, .truncated = true};
static char *kernel[] = {TEXT("poll_schedule_timeout"), TEXT("do_sys_poll")};
static struct stall_step chain[] = {
	{.pid = 7,
	 .tid = 8,
	 .comm = "a",
	 .doing = TEXT("in poll for 3 s"),
	 .what = "waits for 10.0.0.1:80",
	 .next = 9},
	{.pid = 17, .tid = 9, .comm = "b", .process = "peer", .how = "read it", .what = "waits for a lock"},
};

static struct stall stall_full(void)
{
	struct stall s = {.verdict = VERDICT_SERVER_THREAD_BLOCKED,
			  .pid = 7,
			  .tid = 8,
			  .fd = 29,
			  .comm = "meta-dump",
			  .blocked_ns = 7900 * MS,
			  .blocked_at_least = true,
			  .blocked_before_session = true,
			  .rpc_id_known = true,
			  .rpc_id = 77,
			  .rpc_age_ms = 7901,
			  .syscall = "poll",
			  .timeout_ms = -1,
			  .user_stack = stack,
			  .kernel_stack = kernel,
			  .n_kernel = 2,
			  .reader = {.tid = 9, .ago_ns = 3200 * MS, .cpu_known = true, .cpu_ns = 12 * MS},
			  .has_other = true,
			  .chain = chain,
			  .n_chain = 2,
			  .cycle = true};

	s.sock = (struct sock_facts){.known = true,
				     .inode = 748905598,
				     .family = AF_INET,
				     .local = "10.0.130.71:42428",
				     .remote = "10.0.130.72:10100",
				     .state = "ESTABLISHED",
				     .accepted = true,
				     .recv_queue = 5,
				     .send_queue = 6,
				     .retransmits = 2,
				     .bytes_acked = 33,
				     .bytes_sent = 32,
				     .bytes_received = 1,
				     .last_send_ms = 7878,
				     .last_recv_ms = -1,
				     .last_ack_ms = 675,
				     .peer_window = 0,
				     .probes = 3,
				     .timer = "keepalive"};
	s.rpc_method = TEXT("zbs.meta.MetaService.ListDb");
	s.file = TEXT("pipe:[5]");
	s.chain_end = TEXT("a cycle");
	s.request = TEXT("32 bytes sent 7.9 s ago");
	s.explanation = TEXT("why");
	s.next = TEXT("look there");
	s.other.role = "request read by";
	s.other.tid = 9;
	s.other.pid = 17;
	strcpy(s.other.comm, "worker");
	strcpy(s.other.process, "peer");
	s.other.ts_ns = 4999000 * MS;
	s.other.doing = TEXT("in futex for 3.2 s");
	s.other.stack = stack;
	s.other.kernel_stack = kernel;
	s.other.n_kernel = 2;
	return s;
}

static struct near_field near[] = {
	{.addr = 0x5000, .width = 8, .value = 0xfffc0000, .damaged = true, .name = TEXT("read_perf_")},
	{.addr = 0x5008, .width = 4, .value = 3, .name = TEXT("id_")},
};

static struct touch between[] = {{.ts_ns = 4999500 * MS, .tid = 5, .comm = "io", .function = TEXT("Touch")}};

static struct bad_write write_full(void)
{
	struct bad_write w = {
		.reason = WRITE_NON_WRITER,
		.confidence = CONF_LIKELY,
		.pid = 7,
		.object_type = TEXT("zbs::libmeta::CachedLease"),
		.cache = TEXT("leases"),
		.object_addr = 0x4f00,
		.object_since_ns = 4900000 * MS,
		.node_type = TEXT("zbs::Chunk"),
		.field = TEXT("read_perf_"),
		.path = TEXT("chunks_[1].read_perf_"),
		.addr = 0x5000,
		.width = 8,
		.has_old = true,
		.new_value = 0xfffc0000,
		.last_good = {.ts_ns = 4999000 * MS, .tid = 4, .comm = "m", .function = TEXT("Refresh")},
		.found = {.ts_ns = 4999900 * MS, .function = TEXT("sweep")},
		.touched_by = between,
		.n_touched = 1,
		.has_writer = true,
		.hits = 3,
		.explanation = TEXT("not one of the known writers"),
		.next = TEXT("--heap")};

	w.writer.insn = (struct store_insn){.decoded = true,
					    .addr = 0x401230,
					    .offset = 0x1230,
					    .width = 8,
					    .text = "mov [rdi], rax",
					    .why = "no"};
	w.writer.tid = 30;
	strcpy(w.writer.comm, "chunk-io");
	w.writer.ts_ns = 4999850 * MS;
	w.writer.ip = 0x401234;
	w.writer.stack = stack;
	w.writer.frame = 1;
	w.story.near = (struct neighbourhood){.start = 0x5000, .len = 16, .v = near, .n = 2};
	memset(w.story.near.bytes, 0xab, 16);
	w.story.elsewhere =
		(struct elsewhere){.known = true, .value = 0xfffc0000, .width = 4, .total = 9, .n = 1};
	w.story.elsewhere.v[0] =
		(struct place){.addr = 0x9000, .kind = "code", .where = TEXT("LSM::StartIO+82")};
	w.heap.before = (struct block_owner){.known = true, .block = 0x4ff0, .size = 144};
	w.heap.before.out.at = between[0];
	w.heap.before.out.stack = stack;
	w.heap.before.freed.at = between[0];
	w.heap.now = (struct block_owner){.known = true, .block = 0x4ff0};
	w.heap.now.out.at = between[0];
	return w;
}

/* As a session file has it: dumped, loaded again. */
static json_t *stored(json_t *v)
{
	char *text = json_dumps(v, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_t *ret = json_loads(text, 0, NULL);

	assert_non_null(ret);
	free(text);
	json_decref(v);
	return ret;
}

static void stalls_come_back(void **state)
{
	struct report_clock c = CLOCK_NOW(), other = {0, 0};
	struct stall s = stall_full(), back;
	char *a = NULL, *b = NULL;
	size_t n;
	FILE *f = open_memstream(&a, &n);
	json_t *v = stored(json_stall(&s, &c)), *again;
	uint64_t found;

	(void)state;
	assert_int_equal(stall_from_json(v, &c, &back, NULL), 0);
	text_stall(f, &s, &c);
	fclose(f);
	f = open_memstream(&b, &n);
	text_stall(f, &back, &c);
	fclose(f);
	assert_string_equal(a, b);
	again = json_stall(&back, &c);
	assert_true(json_equal(v, again));
	json_decref(again);
	stall_deinit(&back);
	/* whichever clock it is read with */
	assert_int_equal(report_time(v, "time", &other, &found, NULL), 0);
	assert_true(found == c.real_ns);
	json_decref(v);
	free(a);
	free(b);
}

static void stalls_of_nothing_known(void **state)
{
	struct report_clock c = CLOCK_NOW();
	struct stall s = {.verdict = VERDICT_PEER_SILENT, .fd = -1, .timeout_ms = -2, .rpc_age_ms = -1}, back;
	json_t *v, *again;

	(void)state;
	s.sock.inode = 70;
	v = stored(json_stall(&s, &c));
	assert_int_equal(stall_from_json(v, &c, &back, NULL), 0);
	assert_int_equal(back.fd, -1);
	assert_int_equal(back.timeout_ms, -2);
	assert_false(back.sock.known);
	again = json_stall(&back, &c);
	assert_true(json_equal(v, again));
	json_decref(again);
	json_decref(v);
	stall_deinit(&back);
}

static void lives_and_ledgers_come_back(void **state)
{
	struct report_clock c = CLOCK_NOW();
	struct stall s[2] = {stall_full(), stall_full()};
	struct stall_life life[2] =
		{{.stall = &s[0],
		  .start_ns = 4000000 * MS,
		  .end_ns = 4010000 * MS,
		  .lasted_ns = 10000 * MS,
		  .over = true,
		  .end = "timed out"},
		 {.stall = &s[1], .start_ns = 4000000 * MS, .lasted_ns = 9 * MS, .end = "still blocked"}},
			  back[3];
	struct rpc_line line = {
		.by = RPC_BY_WIRE_SERVER, .peer = "10.0.130.72", .method = "a.B.C", .calls = 1234};
	struct rpc_ledger ledger = {.v = &line, .n = 1}, lback;
	uint64_t found[3] = {4009000 * MS, 4009000 * MS, 4009000 * MS};
	struct stall three[3] = {s[0], s[1], s[1]};
	json_t *v;

	(void)state;
	line.p50_ns = 48 * MS + 250000;
	v = json_object();
	json_object_set_new(v, "stalls", json_stall_lives(life, 2, &c));
	json_object_set_new(v, "rpcs", json_rpc_ledger(&ledger));
	v = stored(v);
	assert_int_equal(stall_lives_from_json(v, &c, three, found, 3, back, NULL), 0);
	assert_string_equal(back[0].end, "timed out");
	assert_true(back[0].over && !back[1].over);
	assert_true(back[0].start_ns == life[0].start_ns && back[0].end_ns == life[0].end_ns);
	assert_true(back[1].lasted_ns == 9 * MS);
	assert_string_equal(back[2].end, "not known"); /* cut off before its line */
	assert_true(back[2].lasted_ns == 7900 * MS && back[2].start_ns == found[2] - 7900 * MS);
	assert_int_equal(rpc_ledger_from_json(v, &lback, NULL), 0);
	assert_int_equal(lback.n, 1);
	assert_memory_equal(&lback.v[0], &line, sizeof(line));
	rpc_ledger_deinit(&lback);
	json_decref(v);
	assert_int_equal(rpc_ledger_from_json(NULL, &lback, NULL), 0);
	assert_int_equal(lback.n, 0);
}

static void writes_come_back(void **state)
{
	struct report_clock c = CLOCK_NOW();
	struct bad_write w = write_full(), back;
	char *a = NULL, *b = NULL;
	size_t n;
	FILE *f = open_memstream(&a, &n);
	json_t *v = stored(json_bad_write(&w, &c, false)), *again;

	(void)state;
	assert_int_equal(bad_write_from_json(v, &c, &back, NULL), 0);
	text_bad_write(f, &w, &c, c.mono_ns);
	fclose(f);
	f = open_memstream(&b, &n);
	text_bad_write(f, &back, &c, c.mono_ns);
	fclose(f);
	assert_string_equal(a, b);
	assert_non_null(strstr(a, "zbs::g")); /* the frame that is named */
	again = json_bad_write(&back, &c, false);
	assert_true(json_equal(v, again));
	json_decref(again);
	json_decref(v);
	bad_write_deinit(&back);
	free(a);
	free(b);
}

static void crashes_and_summaries_come_back(void **state)
{
	struct report_clock c = CLOCK_NOW();
	struct bad_write w = write_full(), damage;
	struct crash crash = {.pid = 7,
			      .tid = 8,
			      .comm = "gc",
			      .ts_ns = 4999950 * MS,
			      .told_ns = 4999990 * MS,
			      .signal = SIGSEGV,
			      .code = 1,
			      .signal_name = "SIGSEGV",
			      .has_addr = true,
			      .addr = 0xfffc0000,
			      .stack = stack,
			      .damage = &w,
			      .explanation = TEXT("it was destroyed")},
		     back;
	struct summary s = {.command = "writes",
			    .ended = "target exited",
			    .bpf_cpu_pct = -1,
			    .duration_s = 1.5},
		       sback;
	json_t *v = stored(json_crash(&crash, &c)), *again;

	(void)state;
	assert_int_equal(crash_from_json(v, &c, &back, &damage, NULL), 0);
	again = json_crash(&back, &c);
	assert_true(json_equal(v, again));
	json_decref(again);
	json_decref(v);
	crash_deinit(&back);
	bad_write_deinit(&damage);

	summary_count(&s, "checks", 412008);
	summary_note(&s, true, "%d probe failed", 1);
	v = stored(json_summary(&s));
	assert_int_equal(summary_from_json(v, &sback, NULL), 0);
	again = json_summary(&sback);
	assert_true(json_equal(v, again));
	json_decref(again);
	json_decref(v);
	summary_deinit(&s);
	summary_deinit(&sback);
}

static void read_any(const json_t *v, int *refused)
{
	struct report_clock c = CLOCK_NOW();
	struct err err = {0};
	struct stall s;
	struct bad_write w, d;
	struct crash k;

	*refused += stall_from_json(v, &c, &s, &err) < 0;
	stall_deinit(&s);
	*refused += bad_write_from_json(v, &c, &w, &err) < 0;
	bad_write_deinit(&w);
	*refused += crash_from_json(v, &c, &k, &d, &err) < 0;
	crash_deinit(&k);
	bad_write_deinit(&d);
}

/* Every value of the object, its parts too, becomes one of another type in turn. */
static void spoil(json_t *root, json_t *o, int *refused)
{
	const char *key;
	json_t *part;
	void *next;

	json_object_foreach_safe(o, next, key, part)
	{
		json_t *kept = json_incref(part);
		json_t *wrong[] = {json_string("x"), json_integer(-9), json_real(1e300),
				   json_array(),     json_object(),    json_true()};

		for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
			json_object_set_new(o, key, wrong[i]);
			read_any(root, refused);
		}
		json_object_set_new(o, key, kept);
		if (json_is_object(kept))
			spoil(root, kept, refused);
		if (json_is_array(kept) && json_is_object(json_array_get(kept, 0)))
			spoil(root, json_array_get(kept, 0), refused);
	}
}

static void anything_else_is_refused(void **state)
{
	struct report_clock c = CLOCK_NOW();
	struct stall s = stall_full(), back;
	struct bad_write w = write_full();
	struct err err = {0};
	int refused = 0;
	json_t *v = json_stall(&s, &c);

	(void)state;
	json_object_set_new(v, "verdict", json_string("gone-fishing"));
	assert_int_equal(stall_from_json(v, &c, &back, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "gone-fishing"));
	stall_deinit(&back);
	json_decref(v);
	v = json_stall(&s, &c);
	spoil(v, v, &refused);
	json_decref(v);
	v = json_bad_write(&w, &c, true);
	spoil(v, v, &refused);
	json_decref(v);
	assert_true(refused > 1000);
}

static void control_characters_do_not_come_back(void **state)
{
	json_t *v = json_loads("{\"a\":[\"x\\u001b[31m\",{\"b\":\"\\u0007\"}],\"c\":\"\\u00e9\\n\\u009b2J\"}",
			       0, NULL);
	char *text;

	(void)state;
	report_clean(v);
	text = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(text, "{\"a\":[\"x?[31m\",{\"b\":\"?\"}],\"c\":\"\xc3\xa9??2J\"}");
	free(text);
	json_decref(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stalls_come_back),
		cmocka_unit_test(stalls_of_nothing_known),
		cmocka_unit_test(lives_and_ledgers_come_back),
		cmocka_unit_test(writes_come_back),
		cmocka_unit_test(crashes_and_summaries_come_back),
		cmocka_unit_test(anything_else_is_refused),
		cmocka_unit_test(control_characters_do_not_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
