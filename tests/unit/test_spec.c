// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "spec/spec.h"

static void builtin_zbs(void **state)
{
	struct err e = {0};
	struct spec *s;

	(void)state;
	assert_int_equal(spec_load(&s, "zbs", &e), 0);
	assert_int_equal(s->n_cache, 1);
	assert_string_equal(s->cache[0].type, "zbs::libmeta::CachedLease");
	assert_int_equal(s->cache[0].n_func, 4);
	assert_int_equal(s->cache[0].func[0].role, SPEC_INSERT);
	assert_string_equal(s->cache[0].func[0].name, "zbs::libmeta::Meta::CacheVExtentLease");
	assert_null(s->cache[0].func[0].arg);
	assert_int_equal(s->cache[0].func[2].role, SPEC_TOUCH);
	assert_int_equal(s->n_rpc, 1);
	assert_string_equal(s->rpc[0].channel[0], "google::protobuf::RpcChannel::CallMethod");
	assert_string_equal(s->rpc[0].method_arg, "arg1");
	spec_free(s);
}

static void whole_file(void **state)
{
	static const char text[] = "; two caches, one RPC layer\n"
				   "[cache leases]\r\n"
				   "  type = a::Map<int, b::T>\n"
				   "insert = a::F(int, b::C::D const&) const : *(arg1+16)\n"
				   "insert=G:lease\n"
				   "remove = a::X<b::Y>::H\n"
				   "touch = J\n"
				   "\n"
				   "[cache other]\n"
				   "type=T\n"
				   "[rpc one]\n"
				   "server = a::*Service::Handle*\n"
				   "server = b::f\n"
				   "method_arg = *arg2"; /* no newline at the end */
	struct err e = {0};
	struct spec *s;

	(void)state;
	assert_int_equal(spec_parse(&s, text, sizeof(text) - 1, "x.spec", &e), 0);
	assert_int_equal(s->n_cache, 2);
	assert_string_equal(s->cache[0].name, "leases");
	assert_string_equal(s->cache[0].type, "a::Map<int, b::T>");
	assert_string_equal(s->cache[0].func[0].name, "a::F(int, b::C::D const&) const");
	assert_string_equal(s->cache[0].func[0].arg, "*(arg1+16)");
	assert_int_equal(s->cache[0].func[0].line, 4);
	assert_int_equal(s->cache[0].func[0].col, 10);
	assert_string_equal(s->cache[0].func[1].name, "G");
	assert_string_equal(s->cache[0].func[1].arg, "lease");
	assert_string_equal(s->cache[0].func[2].name, "a::X<b::Y>::H");
	assert_null(s->cache[0].func[2].arg);
	assert_int_equal(s->cache[1].line, 9);
	assert_int_equal(s->rpc[0].n_server, 2);
	assert_string_equal(s->rpc[0].server[0], "a::*Service::Handle*");
	assert_string_equal(s->rpc[0].method_arg, "*arg2");
	spec_free(s);
}

static void faults_name_line_and_column(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"[cache a]\ntype=T\n  inser = F\n", "x:3:3: unknown key 'inser'"},
		{"[cache a]\ntype=T\ninsert = F:\n", "x:3:12: an argument is missing"},
		{"[cache a]\ntype=T\ninsert = :arg1\n", "x:3:10: a function's name is missing"},
		{"[cache a]\ntype=T\ncheck = F(int:arg1\n", "x:3:9: unbalanced parenthesis"},
		{"[cache a]\ntype=T\ntouch = F:arg0\n", "x:3:11: touch takes no argument"},
		{"[cache a]\ntype=\n", "x:2:6: type has no value"},
		{"[cache a]\ntype=T\ntype=U\n", "x:3:1: a second type"},
		{"# nothing\n[cache a]\ninsert=F\n", "x:2:1: [cache a] has no type"},
		{"[rpc a]\nmethod_arg=arg1\n[cache b]\ntype=T\n", "x:1:1: [rpc a] has neither"},
		{"[cache a]\ntype=T\n[cache a]\n", "x:3:8: a second [cache a]"},
		{"[cache]\n", "x:1:7: the section has no name"},
		{"[cach a]\n", "x:1:2: unknown section 'cach'"},
		{"[cache a\n", "x:1:9: ']' is missing"},
		{"[", "x:1:2: ']' is missing"},
		{"type=T\n", "x:1:1: a key before the first section"},
		{"[cache a]\nhello\n", "x:2:1: neither a section"},
		{"[cache a]\n=b\n", "x:2:1: a key is missing"},
		{"", "x: no [cache NAME]"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err e = {0};
		struct spec *s = (struct spec *)&e;

		assert_int_equal(spec_parse(&s, cases[i].text, strlen(cases[i].text), "x", &e), -EINVAL);
		assert_null(s);
		if (strncmp(e.msg, cases[i].want, strlen(cases[i].want)) != 0)
			fail_msg("got '%s', want '%s'", e.msg, cases[i].want);
	}
}

static void zero_byte_is_refused(void **state)
{
	struct err e = {0};
	struct spec *s;

	(void)state;
	assert_int_equal(spec_parse(&s, "[cache a]\nty\0pe=T\n", 18, "x", &e), -EINVAL);
	assert_string_equal(e.msg, "x:2:3: a zero byte: this is no text file");
}

static void command_line(void **state)
{
	const struct spec_option opt[] = {
		{SPEC_INSERT, "M::Put(int):*arg1"}, {SPEC_CHECK, "M::Get"}, {SPEC_REMOVE, "operator->:arg0"}};
	const struct spec_option bad = {SPEC_CHECK, "f:"};
	struct err e = {0};
	struct spec *s;

	(void)state;
	assert_int_equal(spec_from_options(&s, "a::B<c::D>", opt, 3, &e), 0);
	assert_string_equal(s->cache[0].name, "B<c::D>");
	assert_int_equal(s->cache[0].n_func, 3);
	assert_string_equal(s->cache[0].func[0].name, "M::Put(int)");
	assert_string_equal(s->cache[0].func[0].arg, "*arg1");
	assert_string_equal(s->cache[0].func[2].name, "operator->");
	assert_string_equal(s->cache[0].func[2].arg, "arg0");
	spec_free(s);
	assert_int_equal(spec_from_options(&s, "T", &bad, 1, &e), -EINVAL);
	assert_string_equal(e.msg, "--check f:: an argument is missing after ':' at character 3");
	assert_int_equal(spec_from_options(&s, NULL, NULL, 0, &e), -EINVAL);
}

static void unknown_names(void **state)
{
	struct err e = {0};
	struct spec *s;

	(void)state;
	assert_int_equal(spec_load(&s, "/nonexistent.spec", &e), -ENOENT);
	assert_non_null(strstr(e.msg, "neither a file nor built in"));
	assert_string_equal(e.hint, "built in: zbs");
	assert_int_equal(spec_load(&s, "/", &e), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(builtin_zbs),
		cmocka_unit_test(whole_file),
		cmocka_unit_test(faults_name_line_and_column),
		cmocka_unit_test(zero_byte_is_refused),
		cmocka_unit_test(command_line),
		cmocka_unit_test(unknown_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
