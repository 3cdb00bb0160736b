// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sock_diag answers put together by hand, as the kernel's headers define them. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "report/sock.h"
#include "sock/diag.h"
#include "sock/netlink.h"
#include "symbol/kernel.h"

struct answer {
	_Alignas(8) unsigned char b[1024];
	size_t len;
};

static void put_attr(struct answer *a, unsigned type, const void *v, size_t len)
{
	const struct nlattr h = {.nla_len = (uint16_t)(sizeof(h) + len), .nla_type = (uint16_t)type};

	memcpy(a->b + a->len, &h, sizeof(h));
	memcpy(a->b + a->len + sizeof(h), v, len);
	a->len += NLA_ALIGN(h.nla_len);
}

static struct answer inet(int family, const char *src, int sport, const char *dst, int dport, int st)
{
	struct inet_diag_msg m = {
		.idiag_family = (uint8_t)family, .idiag_state = (uint8_t)st, .idiag_inode = 4711};
	struct answer a = {.len = sizeof(m)};

	inet_pton(family, src, m.id.idiag_src);
	inet_pton(family, dst, m.id.idiag_dst);
	m.id.idiag_sport = htons((uint16_t)sport);
	m.id.idiag_dport = htons((uint16_t)dport);
	m.idiag_timer = 2;
	m.idiag_rqueue = 11;
	m.idiag_wqueue = 22;
	memcpy(a.b, &m, sizeof(m));
	return a;
}

static const struct tcp_info info = {.tcpi_state = 1,
				     .tcpi_retransmits = 3,
				     .tcpi_probes = 2,
				     .tcpi_unacked = 4,
				     .tcpi_rtt = 555,
				     .tcpi_snd_mss = 1448,
				     .tcpi_total_retrans = 9,
				     .tcpi_last_data_sent = 7900,
				     .tcpi_last_data_recv = 8000,
				     .tcpi_last_ack_recv = 700,
				     .tcpi_bytes_acked = 33,
				     .tcpi_bytes_received = 44,
				     .tcpi_bytes_sent = 55,
				     .tcpi_notsent_bytes = 66,
				     .tcpi_snd_wnd = 77};

static void test_tcp(void **state)
{
	struct answer a = inet(AF_INET, "10.0.130.71", 50952, "10.0.130.72", 10100, 1);
	struct diag_sock s;

	(void)state;
	put_attr(&a, INET_DIAG_SHUTDOWN, "\0", 1);
	put_attr(&a, INET_DIAG_INFO, &info, sizeof(info));
	assert_int_equal(diag_parse_inet(a.b, a.len, &s), 0);
	assert_int_equal(s.f.inode, 4711);
	assert_string_equal(s.f.local, "10.0.130.71:50952");
	assert_string_equal(s.f.remote, "10.0.130.72:10100");
	assert_string_equal(s.f.state, "ESTABLISHED");
	assert_string_equal(s.f.timer, "keepalive");
	assert_int_equal(s.f.recv_queue, 11);
	assert_int_equal(s.f.send_queue, 22);
	assert_int_equal(s.f.retransmits, 3);
	assert_int_equal(s.f.probes, 2);
	assert_int_equal(s.f.unacked, 4);
	assert_int_equal(s.f.rtt_us, 555);
	assert_int_equal(s.f.mss, 1448);
	assert_int_equal(s.f.total_retrans, 9);
	assert_int_equal(s.f.last_send_ms, 7900);
	assert_int_equal(s.f.last_recv_ms, 8000);
	assert_int_equal(s.f.last_ack_ms, 700);
	assert_int_equal(s.f.bytes_acked, 33);
	assert_int_equal(s.f.bytes_received, 44);
	assert_int_equal(s.f.bytes_sent, 55);
	assert_int_equal(s.f.notsent, 66);
	assert_int_equal(s.f.peer_window, 77);
}

static void test_short_tcp_info_of_old_kernels(void **state)
{
	struct sock_facts f = {.peer_window = 1};

	(void)state;
	f.peer_window = UINT32_MAX;
	diag_tcp_info(&f, &info, offsetof(struct tcp_info, tcpi_snd_wnd)); /* before 5.4 */
	assert_int_equal(f.peer_window, UINT32_MAX);
	assert_int_equal(f.bytes_sent, 55);
	diag_tcp_info(&f, &info, offsetof(struct tcp_info, tcpi_bytes_sent)); /* before 4.19 */
	assert_int_equal(f.bytes_sent, 0);
	assert_int_equal(f.bytes_acked, 33);
	diag_tcp_info(&f, &info, 0);
	assert_int_equal(f.bytes_acked, 0);
}

static void test_ages_only_of_connections(void **state)
{
	struct tcp_info syn = info;
	struct answer a = inet(AF_INET, "10.0.0.1", 1, "10.0.0.2", 2, 2);
	struct diag_sock s;

	(void)state;
	syn.tcpi_state = 2;
	put_attr(&a, INET_DIAG_INFO, &syn, sizeof(syn));
	assert_int_equal(diag_parse_inet(a.b, a.len, &s), 0);
	assert_string_equal(s.f.state, "SYN-SENT");
	assert_int_equal(s.f.last_send_ms, -1);
	assert_int_equal(s.f.last_recv_ms, -1);
	assert_int_equal(s.f.peer_window, UINT32_MAX);
	assert_int_equal(s.f.retransmits, 3);
}

static void test_addresses(void **state)
{
	static const struct {
		int family;
		const char *addr, *text;
	} cases[] = {{AF_INET, "127.0.0.1", "127.0.0.1:80"},
		     {AF_INET6, "::1", "[::1]:80"},
		     {AF_INET6, "::ffff:10.0.0.9", "10.0.0.9:80"},
		     {AF_INET6, "2001:db8::7", "[2001:db8::7]:80"}};
	uint32_t addr[4];
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(addr, 0, sizeof(addr));
		inet_pton(cases[i].family, cases[i].addr, addr);
		diag_addr(text, sizeof(text), cases[i].family, addr, htons(80));
		assert_string_equal(text, cases[i].text);
	}
	memset(addr, 0, sizeof(addr));
	diag_addr(text, sizeof(text), AF_INET, addr, 0);
	assert_string_equal(text, "0.0.0.0:*");
	diag_addr(text, sizeof(text), AF_INET6, addr, htons(5));
	assert_string_equal(text, "[::]:5");
}

static bool accepted(struct answer a, struct answer l, bool v6only)
{
	struct diag_sock s, listener;

	if (v6only)
		put_attr(&l, INET_DIAG_SKV6ONLY, "\1", 1);
	assert_int_equal(diag_parse_inet(a.b, a.len, &s), 0);
	assert_int_equal(diag_parse_inet(l.b, l.len, &listener), 0);
	assert_true(listener.listening);
	return diag_accepted_by(&s, &listener);
}

static void test_accepted(void **state)
{
	struct answer v4 = inet(AF_INET, "10.0.0.1", 80, "10.0.0.2", 999, 1);
	struct answer v6 = inet(AF_INET6, "2001:db8::1", 80, "2001:db8::2", 999, 1);
	struct answer mapped = inet(AF_INET6, "::ffff:10.0.0.1", 80, "::ffff:10.0.0.2", 999, 1);
	struct answer any4 = inet(AF_INET, "0.0.0.0", 80, "0.0.0.0", 0, 10);
	struct answer any6 = inet(AF_INET6, "::", 80, "::", 0, 10);

	(void)state;
	assert_true(accepted(v4, any4, false));
	assert_true(accepted(v4, inet(AF_INET, "10.0.0.1", 80, "0.0.0.0", 0, 10), false));
	assert_false(accepted(v4, inet(AF_INET, "10.0.0.7", 80, "0.0.0.0", 0, 10), false));
	assert_false(accepted(v4, inet(AF_INET, "0.0.0.0", 81, "0.0.0.0", 0, 10), false));
	assert_true(accepted(v4, any6, false));
	assert_false(accepted(v4, any6, true));
	assert_true(accepted(mapped, any6, false));
	assert_true(accepted(v6, any6, true));
	assert_false(accepted(v6, any4, false));
	assert_true(accepted(v6, inet(AF_INET6, "2001:db8::1", 80, "::", 0, 10), false));
	assert_false(accepted(v6, inet(AF_INET6, "2001:db8::9", 80, "::", 0, 10), false));
	assert_false(accepted(any4, any4, false)); /* the listener itself */
}

static void test_broken_answers(void **state)
{
	struct answer a = inet(AF_INET, "10.0.0.1", 1, "10.0.0.2", 2, 1);
	struct diag_sock s;

	(void)state;
	assert_int_equal(diag_parse_inet(a.b, sizeof(struct inet_diag_msg) - 1, &s), -EBADMSG);
	assert_int_equal(diag_parse_unix(a.b, 3, &s), -EBADMSG);
	put_attr(&a, INET_DIAG_INFO, &info, sizeof(info));
	assert_int_equal(diag_parse_inet(a.b, a.len - 20, &s),
			 0); /* an attribute that says it is longer than the message */
	assert_int_equal(s.f.bytes_acked, 0);
	memset(a.b + sizeof(struct inet_diag_msg), 0, 4); /* and one of no length at all: no endless loop */
	assert_int_equal(diag_parse_inet(a.b, a.len, &s), 0);
}

static int no_answer(void *ctx, const void *body, size_t len)
{
	(void)body;
	(void)len;
	++*(unsigned *)ctx;
	return 0;
}

/* Found by the fuzzer: datagrams that hold no whole message, which must not be waited behind for ever. */
static void test_broken_datagrams(void **state)
{
	const struct nlmsghdr h = {.nlmsg_len = sizeof(h) + 2, .nlmsg_type = SOCK_DIAG_BY_FAMILY};
	struct {
		struct nlmsghdr h;
		char body[2]; /* without the padding that the next message would begin after */
	} whole = {.h = h};
	unsigned answers = 0;
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
	assert_int_equal(send(fd[1], &h, sizeof(h) - 1, 0), sizeof(h) - 1);
	assert_int_equal(diag_request(fd[0], true, "", 0, no_answer, &answers), -EBADMSG);
	assert_int_equal(send(fd[1], &whole, h.nlmsg_len, 0), h.nlmsg_len);
	shutdown(fd[1], SHUT_WR);
	assert_int_equal(diag_request(fd[0], true, "", 0, no_answer, &answers), -EBADMSG);
	assert_int_equal(answers, 1);
	close(fd[0]);
	close(fd[1]);
}

static struct answer unix_answer(unsigned ino, int st, const char *name, size_t len, uint32_t peer)
{
	const struct unix_diag_msg m = {.udiag_family = AF_UNIX,
					.udiag_type = SOCK_STREAM,
					.udiag_state = (uint8_t)st,
					.udiag_ino = ino};
	const struct unix_diag_rqlen rq = {5, 6};
	struct answer a = {.len = sizeof(m)};

	memcpy(a.b, &m, sizeof(m));
	if (name)
		put_attr(&a, UNIX_DIAG_NAME, name, len);
	if (peer)
		put_attr(&a, UNIX_DIAG_PEER, &peer, sizeof(peer));
	put_attr(&a, UNIX_DIAG_RQLEN, &rq, sizeof(rq));
	return a;
}

static void test_unix(void **state)
{
	struct answer a = unix_answer(900, 1, "/run/x.sock", 11, 901),
		      l = unix_answer(902, 10, "/run/x.sock", 11, 0);
	struct answer abstract = unix_answer(903, 1, "\0abc\0d", 6, 0),
		      none = unix_answer(904, 1, NULL, 0, 905);
	struct diag_sock s, listener;

	(void)state;
	assert_int_equal(diag_parse_unix(a.b, a.len, &s), 0);
	assert_string_equal(s.f.local, "/run/x.sock");
	assert_int_equal(s.f.inode, 900);
	assert_int_equal(s.f.peer_inode, 901);
	assert_int_equal(s.f.recv_queue, 5);
	assert_int_equal(s.f.send_queue, 6);
	assert_string_equal(s.f.state, "ESTABLISHED");
	assert_int_equal(diag_parse_unix(l.b, l.len, &listener), 0);
	assert_true(diag_accepted_by(&s, &listener));
	assert_int_equal(diag_parse_unix(abstract.b, abstract.len, &s), 0);
	assert_string_equal(s.f.local, "@abc@d");
	assert_int_equal(diag_parse_unix(none.b, none.len, &s), 0);
	assert_string_equal(s.f.local, "");
	assert_false(diag_accepted_by(&s, &listener));
}

static void test_json_and_text(void **state)
{
	struct answer a = inet(AF_INET, "10.0.0.1", 5, "10.0.0.2", 80, 1);
	struct diag_sock s;
	char text[200];
	json_t *o;

	(void)state;
	put_attr(&a, INET_DIAG_INFO, &info, offsetof(struct tcp_info, tcpi_snd_wnd));
	assert_int_equal(diag_parse_inet(a.b, a.len, &s), 0);
	assert_string_equal(
		text_sock(&s.f, text, sizeof(text)),
		"10.0.0.1:5 -> 10.0.0.2:80 ESTABLISHED, 11 unread, 22 unsent or unacked, 3 retransmits");
	o = json_sock(&s.f);
	assert_int_equal(json_integer_value(json_object_get(o, "last_send_ms")), 7900);
	assert_true(json_is_null(json_object_get(o, "peer_window")));
	json_decref(o);
	s.f.known = false;
	o = json_sock(&s.f);
	assert_true(json_is_null(o));
	json_decref(o);
}

static void test_kernel_symbols(void **state)
{
	static char text[] =
		"ffffffff81000100 T do_sys_poll\nffffffff81000000 t _text\nffffffff81000180 d data\n"
		"ffffffffa0000000 t mod_fn\t[mod]\n";
	static char hidden[] = "0000000000000000 T hidden\n";
	FILE *f = fmemopen(text, strlen(text), "r");
	struct kernel_syms *k;
	struct err err;

	(void)state;
	assert_int_equal(kernel_syms_parse(&k, f, &err), 0);
	fclose(f);
	assert_string_equal(kernel_syms_find(k, 0xffffffff810001f3), "do_sys_poll");
	assert_string_equal(kernel_syms_find(k, 0xffffffff81000100), "do_sys_poll");
	assert_string_equal(kernel_syms_find(k, 0xffffffff810000ff), "_text");
	assert_string_equal(kernel_syms_find(k, 0xffffffffa0000010), "mod_fn");
	assert_null(kernel_syms_find(k, 0x1000));
	kernel_syms_close(k);
	f = fmemopen(hidden, strlen(hidden), "r");
	assert_int_equal(kernel_syms_parse(&k, f, &err), -EPERM);
	assert_non_null(strstr(err.hint, "kptr_restrict"));
	fclose(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_short_tcp_info_of_old_kernels),
		cmocka_unit_test(test_ages_only_of_connections),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_broken_answers),
		cmocka_unit_test(test_broken_datagrams),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_json_and_text),
		cmocka_unit_test(test_kernel_symbols),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
