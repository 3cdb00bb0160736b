// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Whose store is it: verdicts for hand-made stacks. A doubt must never become "non-writer". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "writes/judge.h"

#define APP  "/usr/sbin/zbs-chunkd"
#define LIBC "/lib/x86_64-linux-gnu/libc.so.6"
#define LPB  "/usr/lib/x86_64-linux-gnu/libprotobuf.so.32"

static const char *const related[] = {"google::protobuf::Message", "google::protobuf::MessageLite"};
static const char *const knowing[] = {"zbs::Lease", "zbs::libmeta::CachedLease", "zbs::libmeta::Meta"};
static int uses_answer, uses_calls;

static int uses(void *ctx, const struct frame *f)
{
	(void)ctx;
	(void)f;
	uses_calls++;
	return uses_answer;
}

/* "module|symbol|file" per frame, file may be missing; leading '+' = inlined; "?" = no symbol. Ends with
 * NULL. */
static void stack_make(struct frames *st, struct frame *v, const char *const *text)
{
	static char buf[16][3][160];

	*st = (struct frames){.v = v};
	for (; text[st->n]; st->n++) {
		const char *t = text[st->n];
		char(*b)[160] = buf[st->n];
		struct frame *f = &v[st->n];

		*f = (struct frame){.inlined = *t == '+'};
		for (int k = 0; k < 3; k++)
			b[k][0] = 0;
		sscanf(t + f->inlined, "%159[^|]|%159[^|]|%159s", b[0], b[1], b[2]);
		f->module = b[0];
		f->symbol = strcmp(b[1], "?") ? b[1] : NULL;
		f->file = b[2][0] ? b[2] : NULL;
	}
}

static struct judge_result ask_kind(enum guard_kind kind, bool proto, bool kernel, bool truncated,
				    const char *const *text)
{
	struct frame v[16];
	struct frames st;
	struct judge_result r;
	struct judge_ask a = {.stack = &st,
			      .in_kernel = kernel,
			      .syscall = kernel ? "read" : NULL,
			      .proto = proto,
			      .kind = kind,
			      .field = "read_perf_",
			      .type = "zbs::Chunk",
			      .related = related,
			      .n_related = 2,
			      .knowing = knowing,
			      .n_knowing = 3,
			      .uses = uses};

	stack_make(&st, v, text);
	st.truncated = truncated;
	uses_calls = 0;
	judge_write(&a, &r);
	return r;
}

#define STACK(...) ((const char *const[]){__VA_ARGS__, NULL})
#define JUDGE(...) ask_kind(GUARD_MSG_PTR, true, false, false, STACK(__VA_ARGS__))
#define WILD                                                                                                 \
	APP "|zbs::chunk::ZoneTracker::Touch(unsigned long)|zone.cc",                                        \
		APP "|zbs::chunk::IOQueue::Submit()|ioq.cc", APP "|zbs::chunk::Worker::Run()|worker.cc"

static void is(struct judge_result r, enum judge_verdict v, size_t frame)
{
	if (r.verdict != v)
		print_error("%s: %s\n", judge_verdict_name(r.verdict), r.reason);
	assert_int_equal(r.verdict, v);
	assert_int_equal(r.frame, frame);
	assert_true(strlen(r.reason) > 10);
}

static void test_names(void **state)
{
	(void)state;
	assert_true(judge_is_member("zbs::Chunk::set_id", "zbs::Chunk"));
	assert_true(judge_is_member("zbs::Chunk::~Chunk()", "zbs::Chunk"));
	assert_true(judge_is_member("void zbs::Chunk::Put<int>(int)", "zbs::Chunk"));
	assert_true(judge_is_member("zbs::Chunk::Clear() [clone .cold]", "zbs::Chunk"));
	assert_true(judge_is_member("zbs::Chunk::operator=(zbs::Chunk const&)", "zbs::Chunk"));
	assert_true(judge_is_member("zbs::Chunk::operator bool() const", "zbs::Chunk"));
	assert_true(judge_is_member("(anonymous namespace)::C::f(int)", "(anonymous namespace)::C"));
	assert_false(judge_is_member("zbs::ChunkMap::Add(int)", "zbs::Chunk"));
	assert_false(judge_is_member("zbs::Meta::Use(zbs::Chunk::Kind)", "zbs::Chunk"));
	assert_false(judge_is_member("zbs::Chunk", "zbs::Chunk"));
	assert_true(judge_mentions("std::vector<zbs::Chunk>::push_back(zbs::Chunk&&)", "zbs::Chunk"));
	assert_true(judge_mentions("f(zbs::Chunk const*)", "zbs::Chunk"));
	assert_false(judge_mentions("f(zbs::ChunkMap const*)", "zbs::Chunk"));
	assert_false(judge_mentions("zbs::chunk::ZoneTracker::Touch()", "zbs::Chunk"));
	assert_true(judge_is_allocator("free"));
	assert_true(judge_is_allocator("__libc_malloc"));
	assert_true(judge_is_allocator("_int_free"));
	assert_true(judge_is_allocator("operator new(unsigned long)"));
	assert_true(judge_is_allocator("je_free_default"));
	assert_false(judge_is_allocator("free_slot(int)"));
	assert_false(judge_is_allocator("zbs::free(void*)"));
	assert_false(judge_is_allocator("calloc_stats"));
}

static void test_wild_store(void **state)
{
	(void)state;
	uses_answer = 0;
	is(JUDGE(WILD), JUDGE_NON_WRITER, 0);
	assert_int_equal(uses_calls, 1);
	/* through memset of libc, whose own symbols are stripped, and of a static binary */
	is(JUDGE(LIBC "|?", WILD), JUDGE_NON_WRITER, 1);
	is(JUDGE(APP "|__memset_avx2_unaligned_erms", WILD), JUDGE_NON_WRITER, 1);
	is(JUDGE("+" APP "|std::copy<int*>(int*, int*)|stl.h", WILD), JUDGE_NON_WRITER, 1);
	/* the store is in a function inlined into it */
	is(JUDGE("+" APP "|zbs::chunk::Zone::Mark(int)|zone.h", WILD), JUDGE_NON_WRITER, 0);
}

static void test_setters(void **state)
{
	(void)state;
	uses_answer = 0;
	is(JUDGE("+" APP "|zbs::Chunk::set_id(int)|chunk.pb.h", APP "|main|main.cc"), JUDGE_WRITER, 0);
	is(JUDGE("+" APP "|zbs::Chunk::_internal_set_id(int)|chunk.pb.h",
		 "+" APP "|zbs::Chunk::set_id(int)|chunk.pb.h", APP "|Worker::Run()|w.cc"),
	   JUDGE_WRITER, 0);
	is(JUDGE(APP "|zbs::Chunk::MergeImpl(google::protobuf::Message&, google::protobuf::Message "
		     "const&)|chunk.pb.cc",
		 APP "|Worker::Run()|w.cc"),
	   JUDGE_WRITER, 0);
	assert_true(JUDGE(APP "|zbs::Chunk::Clear()|chunk.pb.cc", WILD).by_ip);
	assert_false(JUDGE(LIBC "|?", APP "|zbs::Chunk::Clear()|chunk.pb.cc", WILD).by_ip);
	assert_false(JUDGE(WILD).by_ip);
	/* memcpy of the generated copy constructor */
	is(JUDGE(LIBC "|?", APP "|zbs::Chunk::Chunk(zbs::Chunk const&)|chunk.pb.cc", APP "|x()|x.cc"),
	   JUDGE_WRITER, 1);
	/* generated code without debuginfo is still a member of the type */
	is(JUDGE(APP "|zbs::Chunk::Clear()", APP "|?"), JUDGE_WRITER, 0);
}

static void test_protobuf(void **state)
{
	(void)state;
	uses_answer = 0;
	is(JUDGE(LPB "|google::protobuf::internal::ArenaStringPtr::Set(std::string const&, "
		     "google::protobuf::Arena*)",
		 "+" APP "|zbs::Chunk::set_name(std::string const&)|chunk.pb.h", APP "|Worker::Run()|w.cc"),
	   JUDGE_WRITER, 0);
	/* for whom it was called is not known */
	is(JUDGE(LPB "|google::protobuf::internal::ArenaStringPtr::Set(std::string const&, "
		     "google::protobuf::Arena*)",
		 APP "|zbs::Other::set_name()|other.pb.h", APP "|Worker::Run()|w.cc"),
	   JUDGE_UNKNOWN, 0);
	/* generic parsing of any message */
	is(JUDGE(LPB "|google::protobuf::internal::TcParser::FastV32S1(google::protobuf::MessageLite*)",
		 LPB "|google::protobuf::MessageLite::ParseFromString(std::string const&)", APP "|x()|x.cc"),
	   JUDGE_WRITER, 0);
}

static void test_allocator(void **state)
{
	(void)state;
	uses_answer = 0;
	is(JUDGE(LIBC "|_int_free", LIBC "|free", APP "|Worker::Run()|w.cc"), JUDGE_ALLOCATOR, 0);
	is(JUDGE(LIBC "|?", LIBC "|malloc", "/usr/lib/libstdc++.so.6|operator new(unsigned long)", WILD),
	   JUDGE_ALLOCATOR, 1);
	is(JUDGE("/usr/lib/libjemalloc.so.2|je_malloc", WILD), JUDGE_ALLOCATOR, 0);
	is(JUDGE("/usr/lib/libtcmalloc.so.4|tcmalloc::CentralFreeList::Populate()", WILD), JUDGE_ALLOCATOR,
	   0);
}

static void test_doubts(void **state)
{
	(void)state;
	/* a setter may have been inlined there */
	uses_answer = 1;
	is(JUDGE(WILD), JUDGE_UNKNOWN, 0);
	uses_answer = -1;
	is(JUDGE(WILD), JUDGE_UNKNOWN, 0);
	uses_answer = 0;
	is(JUDGE(APP "|?", APP "|zbs::chunk::IOQueue::Submit()|ioq.cc"), JUDGE_UNKNOWN, 0);
	is(JUDGE("+" APP "|zbs::chunk::Zone::Mark(int)|zone.h", APP "|?"), JUDGE_UNKNOWN, 1);
	/* no debuginfo */
	is(JUDGE(APP "|zbs::chunk::ZoneTracker::Touch(unsigned long)", APP "|zbs::chunk::IOQueue::Submit()"),
	   JUDGE_UNKNOWN, 0);
	/* gcc 4.8 leaves some inlined setters without a trace: any caller that knows the type makes it
	 * doubtful */
	is(JUDGE(APP "|zbs::libmeta::Meta::CacheVExtentLease(zbs::Lease const&)|meta.cc",
		 APP "|main|main.cc"),
	   JUDGE_UNKNOWN, 0);
	is(JUDGE(APP "|Fill(unsigned char*)|fill.cc", APP "|zbs::libmeta::Meta::Refresh()|meta.cc"),
	   JUDGE_UNKNOWN, 0);
	is(JUDGE(APP "|Fill(zbs::Chunk*)|fill.cc", APP "|main|main.cc"), JUDGE_UNKNOWN, 0);
	is(ask_kind(GUARD_MSG_PTR, true, false, true, STACK(APP "|Fill(unsigned char*)|fill.cc")),
	   JUDGE_UNKNOWN, 0);
	is(ask_kind(GUARD_MSG_PTR, true, false, true, STACK(WILD)), JUDGE_NON_WRITER, 0);
	/* nothing but library frames, or nothing at all */
	is(JUDGE(LIBC "|?", LIBC "|start_thread"), JUDGE_UNKNOWN, 0);
	is(ask_kind(GUARD_MSG_PTR, true, false, false, (const char *const[]){NULL}), JUDGE_UNKNOWN, 0);
}

static void test_kinds(void **state)
{
	static const enum guard_kind never[] = {GUARD_VPTR, GUARD_CACHED_SIZE, GUARD_METADATA, GUARD_OPAQUE};

	(void)state;
	uses_answer = 0;
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		is(ask_kind(never[i], true, false, false, STACK(WILD)), JUDGE_UNKNOWN, 0);
	is(ask_kind(GUARD_INT, true, false, false, STACK(WILD)), JUDGE_NON_WRITER, 0);
	/* a plain C++ member */
	is(ask_kind(GUARD_INT, false, false, false, STACK(WILD)), JUDGE_UNKNOWN, 0);
	is(ask_kind(GUARD_INT, false, true, false, STACK(LIBC "|read", WILD)), JUDGE_UNKNOWN, 1);
	/* a repeated field can be handed on without its message */
	is(ask_kind(GUARD_REPEATED_PTR, true, false, false,
		    STACK(APP "|Fill(google::protobuf::RepeatedField<int>*)|f.cc", APP "|main|m.cc")),
	   JUDGE_UNKNOWN, 0);
	is(ask_kind(GUARD_INT, true, false, false,
		    STACK(APP "|Fill(google::protobuf::RepeatedField<int>*)|f.cc", APP "|main|m.cc")),
	   JUDGE_NON_WRITER, 0);
}

static void test_system_calls(void **state)
{
	struct judge_result r;

	(void)state;
	uses_answer = 1; /* of no account: read(2) never is a setter */
	r = ask_kind(GUARD_MSG_PTR, true, true, false,
		     STACK(LIBC "|read", APP "|Journal::Fill()|j.cc", APP "|main|m.cc"));
	is(r, JUDGE_NON_WRITER, 1);
	assert_non_null(strstr(r.reason, "read, called by Journal::Fill()"));
	assert_int_equal(uses_calls, 0);
	/* a stripped program: the function is known from its symbol table only */
	is(ask_kind(GUARD_MSG_PTR, true, true, false,
		    STACK(LIBC "|read", APP "|Journal::Fill()", APP "|main")),
	   JUDGE_NON_WRITER, 1);
	is(ask_kind(GUARD_MSG_PTR, true, true, false, STACK(LIBC "|read", APP "|?", APP "|?")), JUDGE_UNKNOWN,
	   1);
	is(ask_kind(GUARD_MSG_PTR, true, true, false,
		    STACK(LIBC "|read", APP "|zbs::Chunk::ParseFromFd(int)|c.cc", APP "|main|m.cc")),
	   JUDGE_WRITER, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	  cmocka_unit_test(test_wild_store),
		cmocka_unit_test(test_setters),	  cmocka_unit_test(test_protobuf),
		cmocka_unit_test(test_allocator), cmocka_unit_test(test_doubts),
		cmocka_unit_test(test_kinds),	  cmocka_unit_test(test_system_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
