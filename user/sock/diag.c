// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "sock/diag.h"

/* include/net/tcp_states.h; AF_UNIX uses the same numbers */
enum {
	ST_ESTABLISHED = 1,
	ST_SYN_SENT,
	ST_SYN_RECV,
	ST_FIN_WAIT1,
	ST_FIN_WAIT2,
	ST_TIME_WAIT,
	ST_CLOSE,
	ST_CLOSE_WAIT,
	ST_LAST_ACK,
	ST_LISTEN,
	ST_CLOSING,
	ST_NEW_SYN_RECV
};

static const char *state_name(unsigned st)
{
	static const char *const names[] = {
		"UNKNOWN", "ESTABLISHED", "SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT",
		"UNCONN",  "CLOSE-WAIT",  "LAST-ACK", "LISTEN",	  "CLOSING",	"SYN-RECV",
	};

	return names[st < sizeof(names) / sizeof(names[0]) ? st : 0];
}

/* idiag_timer, net/ipv4/inet_diag.c:inet_sk_diag_fill */
static const char *timer_name(unsigned t)
{
	static const char *const names[] = {"", "on", "keepalive", "timewait", "persist"};

	return t < sizeof(names) / sizeof(names[0]) ? names[t] : "unknown";
}

static void facts_init(struct sock_facts *f)
{
	*f = (struct sock_facts){.known = true,
				 .last_send_ms = -1,
				 .last_recv_ms = -1,
				 .last_ack_ms = -1,
				 .peer_window = UINT32_MAX};
}

static bool is_mapped(const uint32_t addr[4])
{
	return !addr[0] && !addr[1] && addr[2] == htonl(0xffff);
}

static bool is_any(int family, const uint32_t addr[4])
{
	return !addr[0] && (family == AF_INET || (!addr[1] && !addr[2] && !addr[3]));
}

static char *put_number(char *p, unsigned v)
{
	char digit[12];
	size_t n = 0;

	do
		digit[n++] = (char)('0' + v % 10);
	while (v /= 10);
	while (n)
		*p++ = digit[--n];
	return p;
}

/* Addresses of a dump are many, and by printf they cost more than the dump. */
static void addr4(char *buf, size_t len, const uint8_t ip[4], uint16_t port)
{
	char text[sizeof("255.255.255.255:65535")], *p = text;

	for (int i = 0; i < 4; i++) {
		p = put_number(p, ip[i]);
		*p++ = i < 3 ? '.' : ':';
	}
	if (port)
		p = put_number(p, ntohs(port));
	else
		*p++ = '*';
	*p = '\0';
	strncat(buf, text, len - 1);
}

void diag_addr(char *buf, size_t len, int family, const uint32_t addr[4], uint16_t port)
{
	char ip[INET6_ADDRSTRLEN], num[8] = "*";

	buf[0] = '\0';
	if (family == AF_INET || is_mapped(addr)) {
		addr4(buf, len, (const uint8_t *)(family == AF_INET ? addr : addr + 3), port);
		return;
	}
	if (port)
		snprintf(num, sizeof(num), "%u", ntohs(port));
	inet_ntop(AF_INET6, addr, ip, sizeof(ip));
	snprintf(buf, len, "[%s]:%s", ip, num);
}

/* FNV-1a */
uint64_t diag_ends_hash(const char *local, const char *remote)
{
	uint64_t h = 14695981039346656037ULL;

	for (; *local; local++)
		h = (h ^ (uint8_t)*local) * 1099511628211ULL;
	h *= 1099511628211ULL;
	for (; *remote; remote++)
		h = (h ^ (uint8_t)*remote) * 1099511628211ULL;
	return h;
}

/* Finds attribute `type`; returns its payload and length, or NULL. */
static const void *attr_find(const void *body, size_t len, size_t head, unsigned type, size_t *ret)
{
	const char *p = body;
	size_t at = NLMSG_ALIGN(head);

	while (at + sizeof(struct nlattr) <= len) {
		struct nlattr a;

		memcpy(&a, p + at, sizeof(a));
		if (a.nla_len < sizeof(a) || at + a.nla_len > len)
			return NULL;
		if ((a.nla_type & NLA_TYPE_MASK) == type) {
			*ret = a.nla_len - sizeof(a);
			return p + at + sizeof(a);
		}
		at += NLA_ALIGN(a.nla_len);
	}
	return NULL;
}

#define HAS(len, field) ((len) >= offsetof(struct tcp_info, field) + sizeof(((struct tcp_info *)0)->field))

void diag_tcp_info(struct sock_facts *f, const void *info, size_t len)
{
	struct tcp_info ti = {0};

	memcpy(&ti, info, len < sizeof(ti) ? len : sizeof(ti));
	f->retransmits = ti.tcpi_retransmits;
	f->probes = ti.tcpi_probes;
	f->unacked = ti.tcpi_unacked;
	f->rtt_us = ti.tcpi_rtt;
	f->mss = ti.tcpi_snd_mss;
	f->total_retrans = ti.tcpi_total_retrans;
	f->bytes_acked = ti.tcpi_bytes_acked;
	f->bytes_received = ti.tcpi_bytes_received;
	f->notsent = ti.tcpi_notsent_bytes;
	f->bytes_sent = ti.tcpi_bytes_sent;
	if (HAS(len, tcpi_snd_wnd))
		f->peer_window = ti.tcpi_snd_wnd;
	/* before the handshake is over the kernel's time stamps are not set, and the ages are those of the
	 * clock */
	if (ti.tcpi_state == ST_SYN_SENT || ti.tcpi_state == ST_SYN_RECV || ti.tcpi_state == ST_LISTEN ||
	    ti.tcpi_state == ST_CLOSE) {
		f->peer_window = UINT32_MAX;
		return;
	}
	f->last_send_ms = ti.tcpi_last_data_sent;
	f->last_recv_ms = ti.tcpi_last_data_recv;
	f->last_ack_ms = ti.tcpi_last_ack_recv;
}

int diag_parse_inet(const void *body, size_t len, struct diag_sock *out)
{
	struct inet_diag_msg m;
	struct sock_facts *f = &out->f;
	const void *a;
	size_t n;

	if (len < sizeof(m))
		return -EBADMSG;
	memcpy(&m, body, sizeof(m));
	*out = (struct diag_sock){.family = m.idiag_family, .id = m.id};
	facts_init(f);
	f->inode = m.idiag_inode;
	f->family = m.idiag_family == AF_INET6 && is_mapped(m.id.idiag_src) ? AF_INET : m.idiag_family;
	f->recv_queue = m.idiag_rqueue;
	f->send_queue = m.idiag_wqueue;
	f->retransmits = m.idiag_timer == 1 ? m.idiag_retrans : 0;
	diag_addr(f->local, sizeof(f->local), m.idiag_family, m.id.idiag_src, m.id.idiag_sport);
	diag_addr(f->remote, sizeof(f->remote), m.idiag_family, m.id.idiag_dst, m.id.idiag_dport);
	strncpy(f->state, state_name(m.idiag_state), sizeof(f->state) - 1);
	strncpy(f->timer, timer_name(m.idiag_timer), sizeof(f->timer) - 1);
	out->listening = m.idiag_state == ST_LISTEN;
	a = attr_find(body, len, sizeof(m), INET_DIAG_SKV6ONLY, &n);
	out->v6only = a && n >= 1 && *(const uint8_t *)a;
	a = attr_find(body, len, sizeof(m), INET_DIAG_INFO, &n);
	if (a)
		diag_tcp_info(f, a, n);
	return 0;
}

/* A path, "@name" for an abstract one, "" if it has none. */
static void unix_name(char *buf, size_t len, const char *name, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < n && at + 1 < len; i++) {
		unsigned char c = (unsigned char)name[i];

		if (!c && i > 0 && name[0])
			break; /* a path ends at its NUL; an abstract name may hold some */
		buf[at++] = (char)(c ? c : '@');
	}
	buf[at] = '\0';
}

int diag_parse_unix(const void *body, size_t len, struct diag_sock *out)
{
	struct sock_facts *f = &out->f;
	struct unix_diag_rqlen rq;
	struct unix_diag_msg m;
	uint32_t peer;
	const void *a;
	size_t n;

	if (len < sizeof(m))
		return -EBADMSG;
	memcpy(&m, body, sizeof(m));
	*out = (struct diag_sock){.family = AF_UNIX, .cookie = {m.udiag_cookie[0], m.udiag_cookie[1]}};
	facts_init(f);
	f->inode = m.udiag_ino;
	f->family = AF_UNIX;
	snprintf(f->state, sizeof(f->state), "%s", state_name(m.udiag_state));
	out->listening = m.udiag_state == ST_LISTEN;
	a = attr_find(body, len, sizeof(m), UNIX_DIAG_NAME, &n);
	if (a)
		unix_name(f->local, sizeof(f->local), a, n);
	a = attr_find(body, len, sizeof(m), UNIX_DIAG_PEER, &n);
	if (a && n >= sizeof(peer)) {
		memcpy(&peer, a, sizeof(peer));
		f->peer_inode = peer;
	}
	a = attr_find(body, len, sizeof(m), UNIX_DIAG_RQLEN, &n);
	if (a && n >= sizeof(rq)) {
		memcpy(&rq, a, sizeof(rq));
		f->recv_queue = rq.udiag_rqueue;
		f->send_queue = rq.udiag_wqueue;
	}
	return 0;
}

static bool unix_accepted_by(const struct diag_sock *s, const struct diag_sock *l)
{
	return s->f.local[0] && s->f.peer_inode && !strcmp(s->f.local, l->f.local);
}

bool diag_accepted_by(const struct diag_sock *s, const struct diag_sock *l)
{
	const uint32_t *a = s->id.idiag_src, *b = l->id.idiag_src;
	bool s4, l4;

	if (s->listening || !l->listening || (s->family == AF_UNIX) != (l->family == AF_UNIX))
		return false;
	if (s->family == AF_UNIX)
		return unix_accepted_by(s, l);
	if (s->id.idiag_sport != l->id.idiag_sport || !s->id.idiag_dport)
		return false;
	s4 = s->family == AF_INET || is_mapped(a);
	l4 = l->family == AF_INET || is_mapped(b);
	if (s4 != l4) /* a v6 socket on [::] takes v4 connections too, unless told not to */
		return s4 && !l->v6only && is_any(l->family, b);
	if (is_any(l->family, b) || (l4 && l->family == AF_INET6 && !b[3]))
		return true;
	if (s4)
		return (s->family == AF_INET ? a[0] : a[3]) == (l->family == AF_INET ? b[0] : b[3]);
	return !memcmp(a, b, 16);
}
