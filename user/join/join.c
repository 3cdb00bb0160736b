// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "join/join.h"
#include "util/grow.h"
#include "util/search.h"

const char *join_state_name(enum join_state s)
{
	static const char *const names[] = {"read",    "unread", "answered",   "not-arrived",  "closed",
					    "unclear", "reused", "no-overlap", "no-connection"};

	return (size_t)s < sizeof(names) / sizeof(names[0]) ? names[s] : "?";
}

/* Times of a that matter, by a's clock. */
struct window {
	uint64_t from, to;
};

/* What joining one stall with one session works on. */
struct pair {
	const struct join_session *a, *b;
	const struct stall *st;
	struct joined *j;
	uint64_t slack;
	struct window w;
};

/* "[::ffff:10.0.0.1]:80" is "10.0.0.1:80" to the other end, if that has an IPv4 socket. */
static const char *canonical(const char *addr, char buf[80])
{
	static const char mapped[] = "[::ffff:";
	const char *end = strchr(addr, ']');

	if (strncmp(addr, mapped, sizeof(mapped) - 1) != 0 || !end || !strchr(addr, '.'))
		return addr;
	snprintf(buf, 80, "%.*s%s", (int)(end - addr) - (int)sizeof(mapped) + 1, addr + sizeof(mapped) - 1,
		 end + 1);
	return buf;
}

static bool same_address(const char *x, const char *y)
{
	char a[80], b[80];

	return *x && !strcmp(canonical(x, a), canonical(y, b));
}

static bool is_loopback(const char *addr)
{
	char buf[80];

	addr = canonical(addr, buf);
	return !strncmp(addr, "127.", 4) || !strncmp(addr, "[::1]", 5);
}

static bool same_value(const struct session *a, const struct session *b, const char *key)
{
	const char *x = session_value(a, key), *y = session_value(b, key);

	return x && y && !strcmp(x, y);
}

static bool same_boot(const struct session *a, const struct session *b)
{
	return same_value(a, b, "boot_id");
}

static bool overlap(uint64_t from, uint64_t to, const struct window *w, uint64_t slack)
{
	return from <= w->to + slack && to + slack >= w->from;
}

static bool is_unix(const struct stall *st)
{
	return st->sock.family == AF_UNIX;
}

/* The other end of the stall's connection, by its names alone. */
static bool is_mirror(const struct pair *p, const struct session_conn *c)
{
	const struct sock_facts *s = &p->st->sock;
	bool unix_conn = !strcmp(c->family, "unix");

	if (is_unix(p->st))
		return unix_conn && p->j->same_clock && s->peer_inode && s->peer_inode == c->inode &&
		       (!c->peer_inode || c->peer_inode == s->inode);
	if (unix_conn || !same_address(s->remote, c->local) || !same_address(s->local, c->remote))
		return false;
	return !is_loopback(s->remote) || (p->j->same_clock && same_value(p->a->s, p->b->s, "netns"));
}

/* Of a socket we connected the SYN is one of the bytes acknowledged. */
static uint64_t written(const struct session_conn *c)
{
	uint64_t syn = !c->accepted && c->bytes_acked;

	return c->bytes_acked - syn + c->send_queue;
}

/* A FIN counts as one, too, and so does a SYN of an end that is not known to be the server's. */
static bool near(uint64_t x, uint64_t y)
{
	return x <= y + 1 && y <= x + 1;
}

static bool bytes_agree(const struct session_conn *a, const struct session_conn *b)
{
	return written(a) && near(written(a), b->bytes_received) && near(written(b), a->bytes_received);
}

/* b's kernel cannot have got more than a wrote until a later moment. */
static bool bytes_contradict(const struct session_conn *a, const struct session_conn *b)
{
	return (a->seen_ns >= b->seen_ns && b->bytes_received > written(a) + 1) ||
	       (b->seen_ns >= a->seen_ns && a->bytes_received > written(b) + 1);
}

/* The connection's facts as the finding has them, where the session kept none. */
static struct session_conn conn_of(const struct pair *p)
{
	const struct sock_facts *s = &p->st->sock;

	return (struct session_conn){.accepted = s->accepted,
				     .send_queue = s->send_queue,
				     .unacked = s->unacked,
				     .recv_queue = sock_unread(s),
				     .bytes_acked = s->bytes_acked,
				     .bytes_received = s->bytes_received,
				     .seen_ns = p->a->found_ns[p->j->stall]};
}

static uint64_t wait_end(const struct session_wait *w)
{
	return w->until_ns ? w->until_ns : w->seen_ns;
}

/* The waits of a connection: v[0..n). */
static const struct session_wait *waits_of(const struct session *s, int64_t conn, size_t *n)
{
	size_t first = FIRST_FROM(s->wait, s->n_waits, conn, conn);

	*n = FIRST_AFTER(s->wait, s->n_waits, conn, conn) - first;
	return *n ? &s->wait[first] : NULL;
}

static const struct session_conn *own_conn(const struct pair *p)
{
	for (size_t i = 0; i < p->a->s->n_conns; i++) {
		const struct session_conn *c = &p->a->s->conn[i];

		if (c->inode == p->st->sock.inode && !strcmp(c->local, p->st->sock.local) &&
		    !strcmp(c->remote, p->st->sock.remote))
			return c;
	}
	return NULL;
}

/* a's own account of the time for which it waits, and when the request left. */
static void own_side(struct pair *p)
{
	uint64_t found = p->a->found_ns[p->j->stall], ago = p->st->blocked_ns;
	const struct session_wait *v = NULL;
	size_t n = 0;

	p->j->ca = own_conn(p);
	if (p->j->ca)
		v = waits_of(p->a->s, p->j->ca->id, &n);
	for (size_t i = 0; i < n; i++)
		if (v[i].ours && v[i].since_ns <= found + JOIN_SAME_SLACK_NS &&
		    wait_end(&v[i]) + JOIN_SAME_SLACK_NS >= found - (ago < found ? ago : 0))
			p->j->wa = &v[i];
	if (p->st->rpc_id_known && p->st->rpc_age_ms >= 0) /* others may have been sent after it */
		ago = (uint64_t)p->st->rpc_age_ms * 1000000;
	else if (!is_unix(p->st) && p->st->sock.last_send_ms >= 0)
		ago = (uint64_t)p->st->sock.last_send_ms * 1000000;
	else if (p->st->rpc_age_ms >= 0)
		ago = (uint64_t)p->st->rpc_age_ms * 1000000;
	p->j->sent_ns = p->j->wa ? p->j->wa->since_ns : found > ago ? found - ago : 0;
	p->w = (struct window){.from = p->j->sent_ns, .to = found};
	if (p->j->wa && wait_end(p->j->wa) > p->w.to)
		p->w.to = wait_end(p->j->wa);
}

/* Of the connections that b saw under these addresses the one that it can be; the last, if several can. */
static void choose_conn(struct pair *p)
{
	struct session_conn here = p->j->ca ? *p->j->ca : conn_of(p);
	bool tcp = !is_unix(p->st);

	for (size_t i = 0; i < p->b->s->n_conns; i++) {
		const struct session_conn *c = &p->b->s->conn[i];
		bool agree, then;

		if (!is_mirror(p, c))
			continue;
		agree = tcp && bytes_agree(&here, c);
		then = overlap(c->first_ns, c->seen_ns, &p->w, p->slack);
		if (!then && (p->j->same_clock || !agree))
			continue;
		if (tcp && p->j->same_clock && bytes_contradict(&here, c))
			continue;
		p->j->cb = c;
		p->j->by_bytes = agree;
		p->j->arrived = tcp ? c->bytes_received : 0;
	}
	p->j->written = tcp ? written(&here) : 0;
}

/* Whether b was asked then: this request, as far as times and bytes can tell. */
static bool is_candidate(const struct pair *p, const struct session_wait *w)
{
	if (w->ours)
		return false;
	if (p->j->by_bytes && !p->j->same_clock)
		return true;
	return w->since_ns + p->slack >= p->j->sent_ns && overlap(w->since_ns, wait_end(w), &p->w, p->slack);
}

/* false: b was asked something else by then. */
static bool choose_wait(struct pair *p)
{
	size_t n, others = 0;
	const struct session_wait *v = waits_of(p->b->s, p->j->cb->id, &n);

	for (size_t i = 0; i < n; i++) {
		bool ids = p->st->rpc_id_known && v[i].rpc_id_known;

		if (!is_candidate(p, &v[i]))
			continue;
		if (ids && v[i].rpc_id != p->st->rpc_id) {
			others++;
			continue;
		}
		if (p->j->by_id && !ids)
			continue;
		p->j->wb = &v[i];
		p->j->by_id = ids;
	}
	return p->j->wb || !others;
}

static void choose_finding(struct pair *p)
{
	p->j->peer_stall = SIZE_MAX;
	for (size_t i = 0; p->j->wb && i < p->b->n_stalls; i++) {
		const struct stall *s = &p->b->stall[i];

		if (s->verdict == VERDICT_SERVER_THREAD_BLOCKED && s->sock.inode == p->j->cb->inode &&
		    p->b->found_ns[i] >= p->j->wb->since_ns &&
		    p->b->found_ns[i] <= wait_end(p->j->wb) + JOIN_SAME_SLACK_NS)
			p->j->peer_stall = i;
	}
}

static enum join_state by_wait(struct joined *j)
{
	const struct session_wait *w = j->wb;

	j->read_ns = w->unread ? 0 : w->since_ns;
	if (w->end && !strcmp(w->end, "answered")) {
		j->answered_ns = w->until_ns;
		return JOIN_ANSWERED;
	}
	if (w->end)
		return JOIN_CLOSED;
	return w->unread ? JOIN_UNREAD : JOIN_READ;
}

/* Nobody waited long enough there for b to keep it: what the connection itself tells. */
static enum join_state by_conn(struct pair *p)
{
	const struct session_conn *c = p->j->cb;
	struct joined *j = p->j;
	/* times of b that are after the request by more than what is not known of the clocks */
	uint64_t after = j->sent_ns + (j->same_clock ? 0 : p->slack);
	bool in_flight = j->ca && (j->ca->unacked || j->ca->send_queue);

	if (in_flight && !is_unix(p->st) && c->bytes_received < j->written)
		return JOIN_NOT_ARRIVED;
	if (c->recv_queue)
		return JOIN_UNREAD;
	if (c->last_send_ns >= after && c->last_send_ns >= c->last_recv_ns) {
		j->read_ns = c->last_recv_ns >= after ? c->last_recv_ns : 0;
		j->answered_ns = c->last_send_ns;
		return JOIN_ANSWERED;
	}
	if (c->gone && c->seen_ns >= after)
		return JOIN_CLOSED;
	if (c->last_recv_ns >= after && c->last_recv_ns > c->last_send_ns) {
		j->read_ns = c->last_recv_ns;
		return JOIN_READ;
	}
	snprintf(
		j->why, sizeof(j->why), "%s",
		j->same_clock
			? "that session ended, or looked last, before the request could be seen there"
			: "by the two clocks it cannot be told which of what was seen there is this request");
	return JOIN_UNCLEAR;
}

/* false: b has nothing under these addresses. */
static bool join_with(struct pair *p)
{
	uint64_t start = session_number(p->b->s, "start_real_ns"), end = session_end_ns(p->b->s);
	struct joined *j = p->j;
	bool mirrored = false;

	for (size_t i = 0; !mirrored && i < p->b->s->n_conns; i++)
		mirrored = is_mirror(p, &p->b->s->conn[i]);
	if (!mirrored)
		return false;
	choose_conn(p);
	if (j->cb && !choose_wait(p)) {
		j->state = JOIN_UNCLEAR;
		snprintf(j->why, sizeof(j->why),
			 "another request of this connection than %" PRIu64 " was worked on there",
			 p->st->rpc_id);
	} else if (j->cb) {
		choose_finding(p);
		j->state = j->wb ? by_wait(j) : by_conn(p);
	} else if (!overlap(start, end, &p->w, p->slack)) {
		j->state = JOIN_NO_OVERLAP;
		snprintf(j->why, sizeof(j->why),
			 "that session was over before the request, or began after its stall");
	} else {
		j->state = JOIN_REUSED;
		snprintf(j->why, sizeof(j->why),
			 "what was seen there under these addresses contradicts it in %s: another connection",
			 j->same_clock ? "time or bytes" : "time and bytes");
	}
	return true;
}

static bool is_client(const struct stall *st)
{
	switch (st->verdict) {
	case VERDICT_PEER_SILENT:
	case VERDICT_REQUEST_UNACKED:
	case VERDICT_REQUEST_UNSENT:
	case VERDICT_PEER_WINDOW_CLOSED:
	case VERDICT_HALF_OPEN:
		return st->sock.known;
	case VERDICT_REPLY_UNREAD:
		return st->sock.known && !st->sock.accepted;
	default:
		return false;
	}
}

static bool is_stalls(const struct session *s)
{
	const char *command = session_value(s, "command");

	return command && !strcmp(command, "stalls");
}

static int rank(enum join_state s)
{
	return s <= JOIN_CLOSED ? 0 : (int)s;
}

/* With every other session; the one that says most counts. */
static bool join_stall(const struct join_session *v, size_t n, size_t a, size_t stall, struct joined *best)
{
	size_t asked = 0, away = 0;
	bool found = false;

	for (size_t b = 0; b < n; b++) {
		struct joined j = {.a = a, .stall = stall, .b = b, .peer_stall = SIZE_MAX};
		struct pair p = {.a = &v[a], .b = &v[b], .st = &v[a].stall[stall], .j = &j};

		if (b == a || !is_stalls(v[b].s))
			continue;
		j.same_clock = same_boot(v[a].s, v[b].s);
		p.slack = j.same_clock ? JOIN_SAME_SLACK_NS : JOIN_SLACK_NS;
		own_side(&p);
		away += !overlap(session_number(v[b].s, "start_real_ns"), session_end_ns(v[b].s), &p.w,
				 p.slack);
		if (!asked++)
			*best = j;
		if (!join_with(&p) || (found && rank(best->state) <= rank(j.state)))
			continue;
		*best = j;
		found = true;
	}
	if (!asked || found)
		return found;
	best->state = away == asked ? JOIN_NO_OVERLAP : JOIN_NO_CONNECTION;
	best->b = asked == 1 ? best->b : SIZE_MAX;
	snprintf(best->why, sizeof(best->why), "%s",
		 away == asked
			 ? "no other session was at the time of this stall"
			 : "no other session saw this connection; behind NAT or a proxy the two ends have "
			   "different addresses");
	return true;
}

int join_sessions(const struct join_session *v, size_t n, struct joined **ret, size_t *n_ret)
{
	struct joined *all = NULL, one;
	size_t count = 0;

	for (size_t a = 0; a < n; a++) {
		for (size_t i = 0; i < v[a].n_stalls; i++) {
			if (!is_client(&v[a].stall[i]) || !join_stall(v, n, a, i, &one))
				continue;
			if (GROW(&all, count)) {
				free(all);
				return -ENOMEM;
			}
			all[count++] = one;
		}
	}
	*ret = all;
	*n_ret = count;
	return 0;
}
