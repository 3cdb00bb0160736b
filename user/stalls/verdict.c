// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "stalls/verdict.h"

#define MS	     1000000ULL
#define ACK_DELAY_MS 300 /* TCP_DELACK_MAX, and some for the way */

bool verdict_is_tcp(const struct sock_facts *s)
{
	return s->known && (s->family == AF_INET || s->family == AF_INET6);
}

static bool state_is(const struct sock_facts *s, const char *name)
{
	return !strcmp(s->state, name);
}

static bool established(const struct sock_facts *s)
{
	return state_is(s, "ESTABLISHED") || state_is(s, "CLOSE-WAIT") || state_is(s, "FIN-WAIT-1") ||
	       state_is(s, "FIN-WAIT-2");
}

static uint64_t age_ns(int64_t ms)
{
	return ms < 0 ? 0 : (uint64_t)ms * MS;
}

/* What the kernel's counters alone say: they also cover the time before the session. */
static enum turn turn_by_counters(const struct sock_facts *s, uint64_t *owed_ns)
{
	/* the SYN is one of bytes_acked on a socket we connected */
	bool sent = s->bytes_sent > 0 || s->bytes_acked > 1 || s->send_queue > 0;
	bool received = s->bytes_received > sock_peer_closed(s) || sock_unread(s);
	int64_t lead = s->last_recv_ms - s->last_send_ms;

	if (!verdict_is_tcp(s))
		return TURN_UNKNOWN;
	if (!sent && !received)
		return TURN_QUIET;
	if (sent && !received) {
		*owed_ns = age_ns(s->last_send_ms);
		return TURN_PEER;
	}
	if (!sent) {
		*owed_ns = age_ns(s->last_recv_ms);
		return TURN_OURS;
	}
	if (s->last_send_ms < 0 || s->last_recv_ms < 0)
		return TURN_UNKNOWN;
	if (lead > VERDICT_AGE_MARGIN_MS) {
		*owed_ns = age_ns(s->last_send_ms);
		return TURN_PEER;
	}
	if (lead < -VERDICT_AGE_MARGIN_MS) {
		*owed_ns = age_ns(s->last_recv_ms);
		return TURN_OURS;
	}
	return TURN_UNKNOWN;
}

enum turn verdict_turn(const struct sock_facts *s, const struct stalls_sock *flow, uint64_t now_ns,
		       uint64_t *owed_ns)
{
	*owed_ns = 0;
	if (!flow || (!flow->last_send_ns && !flow->last_recv_ns))
		return turn_by_counters(s, owed_ns);
	if (flow->last_send_ns > flow->last_recv_ns) {
		*owed_ns = now_ns > flow->asked_ns ? now_ns - flow->asked_ns : 0;
		return TURN_PEER;
	}
	*owed_ns = now_ns > flow->last_recv_ns ? now_ns - flow->last_recv_ns : 0;
	return TURN_OURS;
}

/* Ages of the kernel may be a little short. */
static bool over(uint64_t ns, const struct verdict_in *in)
{
	return ns + VERDICT_AGE_MARGIN_MS * MS >= in->threshold_ns;
}

/*
 * The next segment is within the window the peer gave us. The kernel probes (timer `persist`) whenever it has
 * something to send and nothing under way: also if this host drops what it sends, or has no route.
 */
static bool fits_window(const struct sock_facts *s)
{
	return s->mss && s->peer_window != UINT32_MAX &&
	       (s->peer_window >= s->notsent || s->peer_window >= s->mss);
}

/* What we want to send does not get through. */
static enum verdict judge_send_path(const struct verdict_in *in)
{
	const struct sock_facts *s = &in->sock;
	bool window_closed = s->notsent && !s->unacked &&
			     (!s->peer_window || (!strcmp(s->timer, "persist") && !fits_window(s)));

	if (s->unacked && s->retransmits)
		return VERDICT_REQUEST_UNACKED;
	if (window_closed)
		return VERDICT_PEER_WINDOW_CLOSED;
	if (s->unacked && over(age_ns(s->last_send_ms), in))
		return s->peer_window == 0 ? VERDICT_PEER_WINDOW_CLOSED : VERDICT_REQUEST_UNACKED;
	if (s->notsent && !s->unacked && over(age_ns(s->last_send_ms), in))
		return VERDICT_REQUEST_UNSENT;
	return VERDICT_NONE;
}

/*
 * Where the last words of both sides are too close to tell their order: the peer acknowledges what it gets
 * with its next words, or by itself within 200 ms (TCP_DELACK_MAX) if it has none. So a bare acknowledgement
 * right after its last words is of something that we sent later. Keepalive comes no sooner than after 1 s.
 */
static bool acked_after_all(const struct sock_facts *s)
{
	int64_t last = s->last_send_ms < s->last_recv_ms ? s->last_send_ms : s->last_recv_ms;

	return s->last_ack_ms >= 0 && last >= 0 && s->last_ack_ms + VERDICT_AGE_MARGIN_MS < last &&
	       s->last_ack_ms + ACK_DELAY_MS > last;
}

/* Waits for the peer's next words on a connection that we made. */
static enum verdict judge_reply(const struct verdict_in *in, struct verdict_out *out)
{
	const struct sock_facts *s = &in->sock;
	bool asked;
	enum verdict v;

	if (out->turn == TURN_UNKNOWN && in->alone && acked_after_all(s)) {
		out->turn = TURN_PEER;
		out->owed_ns = age_ns(s->last_send_ms);
	}
	/* the kernel's times are of what left; this has not */
	asked = (out->turn == TURN_PEER && over(out->owed_ns, in)) ||
		(in->alone && s->notsent && !s->unacked);
	if (s->recv_queue) {
		/* it would have been woken, unless it does not wait for input or sleeps on an edge long gone
		 * by */
		bool deaf = !(in->events & POLLIN) || in->edge;

		return deaf && over(age_ns(s->last_recv_ms), in) && (in->in_rpc || asked)
			       ? VERDICT_REPLY_UNREAD
			       : VERDICT_NONE;
	}
	if (!asked && !in->in_rpc)
		return VERDICT_NONE;
	v = judge_send_path(in);
	if (v)
		return v;
	if (s->send_queue && !over(age_ns(s->last_send_ms), in))
		return VERDICT_NONE;			 /* on its way this very moment */
	if (s->probes > 1 && !s->unacked && !s->notsent) /* one alone may be on its way */
		return VERDICT_HALF_OPEN;
	if (out->turn == TURN_QUIET)
		return VERDICT_REQUEST_UNSENT; /* inside an RPC, on a connection that never carried one */
	/* one-way protocols: that nothing ever came back proves nothing about a thread that also waits for
	 * other things */
	if (!in->in_rpc && !in->alone && !in->for_client && !s->bytes_received &&
	    !(in->flow && in->flow->turns))
		return VERDICT_NONE;
	out->partial = out->turn == TURN_OURS;
	return VERDICT_PEER_SILENT;
}

/* Waits for room to write. */
static bool wants_output(const struct verdict_in *in)
{
	return in->class == CALL_WRITE || (in->events & (POLLIN | POLLOUT)) == POLLOUT;
}

static enum verdict judge_tcp(const struct verdict_in *in, struct verdict_out *out)
{
	const struct sock_facts *s = &in->sock;
	bool output = wants_output(in);

	if (state_is(s, "SYN-SENT"))
		return VERDICT_CONNECT_PENDING;
	if (!established(s))
		return VERDICT_NONE;
	if (output)
		return judge_send_path(in);
	if (s->accepted)
		return VERDICT_NONE; /* a server that waits for the next request */
	return judge_reply(in, out);
}

static enum verdict judge_unix(const struct verdict_in *in, const struct verdict_out *out)
{
	bool output = wants_output(in);

	if (in->class == CALL_CONNECT)
		return VERDICT_CONNECT_PENDING;
	if (output)
		return in->edge ? VERDICT_NONE : VERDICT_LOCAL_WRITER_BLOCKED;
	if (in->sock.accepted || in->sock.recv_queue || state_is(&in->sock, "LISTEN"))
		return VERDICT_NONE;
	if (in->in_rpc || (in->for_client && out->turn == TURN_PEER && over(out->owed_ns, in)))
		return VERDICT_PEER_SILENT;
	/* which end we are is not known of a socket pair: only a thread that waits for nothing else, and got
	 * answers before */
	if (out->turn == TURN_PEER && over(out->owed_ns, in) && in->alone && in->flow && in->flow->turns &&
	    in->reader)
		return VERDICT_PEER_SILENT;
	return VERDICT_NONE;
}

enum verdict verdict_wait(const struct verdict_in *in, struct verdict_out *out)
{
	*out = (struct verdict_out){0};
	if (in->blocked_ns < in->threshold_ns)
		return VERDICT_NONE;
	if (in->dead)
		return out->verdict = VERDICT_POLLING_DEAD_FD;
	if (in->class == CALL_ACCEPT)
		return VERDICT_NONE;
	if (in->kind == PROC_FD_PIPE && wants_output(in) && !in->edge)
		return out->verdict = VERDICT_LOCAL_WRITER_BLOCKED;
	if (in->kind != PROC_FD_SOCKET)
		return VERDICT_NONE;
	if (!in->sock.known)
		return out->verdict = in->class == CALL_CONNECT ? VERDICT_CONNECT_PENDING : VERDICT_NONE;
	out->turn = verdict_turn(&in->sock, in->flow, in->now_ns, &out->owed_ns);
	if (verdict_is_tcp(&in->sock))
		out->verdict = judge_tcp(in, out);
	else if (in->sock.family == AF_UNIX)
		out->verdict = judge_unix(in, out);
	return out->verdict;
}

/* A call that waits for whatever the peers send next is not where a request gets stuck. */
static bool waits_for_input(enum call_class c)
{
	return c == CALL_POLL || c == CALL_SELECT || c == CALL_EPOLL || c == CALL_READ || c == CALL_ACCEPT;
}

/* A connection on which answers are given; one-way messages never get any. */
static bool was_answered(const struct verdict_in *in)
{
	return (in->flow && in->flow->replies) || in->sock.bytes_sent;
}

enum verdict verdict_server(const struct verdict_in *in, struct verdict_out *out)
{
	const struct sock_facts *s = &in->sock;
	/* it reads and answers on this connection itself */
	bool serves = in->reader && in->writer && in->flow && in->flow->replies > 0;

	*out = (struct verdict_out){0};
	if (!s->known || !s->accepted || in->blocked_ns < in->threshold_ns)
		return VERDICT_NONE;
	if (waits_for_input(in->class) && (!in->elsewhere || sock_unread(s)))
		return VERDICT_NONE;
	if (verdict_is_tcp(s) && !established(s))
		return VERDICT_NONE;
	out->turn = verdict_turn(s, in->flow, in->now_ns, &out->owed_ns);
	if (sock_unread(s)) {
		/* not read yet; nobody but its usual reader can be blamed */
		if (!serves || !over(age_ns(s->last_recv_ms), in) ||
		    !over(in->now_ns - in->flow->last_recv_ns, in))
			return VERDICT_NONE;
		out->partial = true;
		out->owed_ns = age_ns(s->last_recv_ms);
		return out->verdict = VERDICT_SERVER_THREAD_BLOCKED;
	}
	if (s->send_queue || !over(out->owed_ns, in))
		return VERDICT_NONE;
	if (out->turn != TURN_OURS)
		return VERDICT_NONE;
	if (in->has_handler || serves || (in->sole && was_answered(in)))
		out->verdict = VERDICT_SERVER_THREAD_BLOCKED;
	return out->verdict;
}

enum verdict verdict_unread(const struct verdict_in *in, struct verdict_out *out)
{
	const struct sock_facts *s = &in->sock;
	const struct stalls_sock *f = in->flow;

	*out = (struct verdict_out){0};
	if (!s->known || s->accepted || !s->recv_queue || in->blocked_ns < in->threshold_ns)
		return VERDICT_NONE;
	if (verdict_is_tcp(s) ? !established(s) || !over(age_ns(s->last_recv_ms), in) : s->family != AF_UNIX)
		return VERDICT_NONE;
	if (f && f->last_recv_ns && !over(in->now_ns - f->last_recv_ns, in))
		return VERDICT_NONE; /* it is being read */
	out->turn = verdict_turn(s, f, in->now_ns, &out->owed_ns);
	if (f && f->last_send_ns) {
		/* asked in this session: only the thread that asked, only if it reads the answers itself, and
		 * has not yet */
		if (!in->writer || f->last_send_ns < f->last_recv_ns || !over(out->owed_ns, in))
			return VERDICT_NONE;
		if (in->in_rpc || (in->reader && f->turns))
			out->verdict = VERDICT_REPLY_UNREAD;
	} else if (in->in_rpc && verdict_is_tcp(s) &&
		   s->last_recv_ms <= s->last_send_ms + VERDICT_AGE_MARGIN_MS) {
		out->verdict = VERDICT_REPLY_UNREAD;
	}
	return out->verdict;
}
