// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

#include "report/report.h"
#include "report/sock.h"
#include "util/str.h"

static const char *family_name(int family)
{
	return family == AF_INET    ? "inet"
	       : family == AF_INET6 ? "inet6"
	       : family == AF_UNIX  ? "unix"
				    : "other";
}

static json_t *number_or_null(int64_t v, bool known)
{
	return known ? json_integer(v) : json_null();
}

static void add_tcp(json_t *o, const struct sock_facts *s)
{
	json_object_set_new(o, "unacked", json_integer(s->unacked));
	json_object_set_new(o, "notsent", json_integer(s->notsent));
	json_object_set_new(o, "retransmits", json_integer(s->retransmits));
	json_object_set_new(o, "total_retrans", json_integer(s->total_retrans));
	json_object_set_new(o, "rtt_us", json_integer(s->rtt_us));
	json_object_set_new(o, "bytes_acked", json_integer((json_int_t)s->bytes_acked));
	json_object_set_new(o, "bytes_received", json_integer((json_int_t)s->bytes_received));
	json_object_set_new(o, "bytes_sent", json_integer((json_int_t)s->bytes_sent));
	json_object_set_new(o, "last_send_ms", number_or_null(s->last_send_ms, s->last_send_ms >= 0));
	json_object_set_new(o, "last_recv_ms", number_or_null(s->last_recv_ms, s->last_recv_ms >= 0));
	json_object_set_new(o, "last_ack_ms", number_or_null(s->last_ack_ms, s->last_ack_ms >= 0));
	json_object_set_new(o, "peer_window", number_or_null(s->peer_window, s->peer_window != UINT32_MAX));
	json_object_set_new(o, "probes", json_integer(s->probes));
	json_object_set_new(o, "timer", s->timer[0] ? json_str(s->timer) : json_null());
}

json_t *json_sock(const struct sock_facts *s)
{
	json_t *o;

	if (!s->known)
		return json_null();
	o = json_object();
	json_object_set_new(o, "inode", json_integer((json_int_t)s->inode));
	json_object_set_new(o, "family", json_str(family_name(s->family)));
	json_object_set_new(o, "local", json_str(s->local));
	json_object_set_new(o, "remote", json_str(s->remote));
	json_object_set_new(o, "state", json_str(s->state));
	json_object_set_new(o, "accepted", json_boolean(s->accepted));
	json_object_set_new(o, "recv_queue", json_integer(s->recv_queue));
	json_object_set_new(o, "send_queue", json_integer(s->send_queue));
	if (s->family == AF_UNIX)
		json_object_set_new(o, "peer_inode", number_or_null((int64_t)s->peer_inode, s->peer_inode));
	else
		add_tcp(o, s);
	return o;
}

const char *text_sock(const struct sock_facts *s, char *buf, size_t len)
{
	bool listens = !strcmp(s->state, "LISTEN");

	buf[0] = '\0';
	if (!s->known)
		return buf;
	if (s->family == AF_UNIX)
		str_append(buf, len, "unix %s", s->local[0] ? s->local : "(unnamed)");
	else
		str_append(buf, len, "%s", s->local);
	if (!listens && s->remote[0])
		str_append(buf, len, " %s %s", s->accepted ? "<-" : "->", s->remote);
	str_append(buf, len, " %s", s->state);
	if (s->recv_queue)
		str_append(buf, len, listens ? ", %u waiting to be accepted" : ", %u unread", s->recv_queue);
	if (s->send_queue && !listens)
		str_append(buf, len, ", %u unsent or unacked", s->send_queue);
	if (s->retransmits)
		str_append(buf, len, ", %u retransmits", s->retransmits);
	if (s->peer_window == 0)
		str_append(buf, len, ", peer window closed");
	return buf;
}

static void age(FILE *f, const char *what, int64_t ms)
{
	char d[16];

	if (ms >= 0)
		fprintf(f, ", %s %s ago", what, text_duration((uint64_t)ms * 1000000, d));
}

void text_sock_detail(FILE *f, const struct sock_facts *s)
{
	fprintf(f, "inode %" PRIu64, s->inode);
	if (s->family != AF_UNIX) {
		fprintf(f, ", sent %" PRIu64 " (acked %" PRIu64 "), received %" PRIu64, s->bytes_sent,
			s->bytes_acked, s->bytes_received);
		age(f, "last send", s->last_send_ms);
		age(f, "last receive", s->last_recv_ms);
		age(f, "last ack", s->last_ack_ms);
		if (s->timer[0])
			fprintf(f, ", timer %s", s->timer);
		if (s->probes)
			fprintf(f, ", %u probes unanswered", s->probes);
	}
	fputc('\n', f);
}
