// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "report/report.h"
#include "stalls/explain.h"

/* Text that grows; a failed allocation is remembered until the end. */
struct text {
	char *s;
	size_t len;
	bool failed;
};

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	char *more, *grown;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&more, fmt, ap);
	va_end(ap);
	grown = n < 0 ? NULL : realloc(t->s, t->len + (size_t)n + 1);
	if (!grown) {
		t->failed = true;
		if (n >= 0)
			free(more);
		return;
	}
	memcpy(grown + t->len, more, (size_t)n + 1);
	t->s = grown;
	t->len += (size_t)n;
	free(more);
}

static const char *ms_text(int64_t ms, char buf[16])
{
	return ms < 0 ? "an unknown time" : text_duration((uint64_t)ms * 1000000ULL, buf);
}

char *explain_doing(const struct thread_facts *t)
{
	char d[16], *text = NULL;
	int rc;

	if (!t->in_call)
		rc = asprintf(&text, "%s", t->state == 'R' ? "running" : "not in a system call");
	else if (t->blocked_known)
		rc = asprintf(&text, "in %s for %s", t->syscall, text_duration(t->blocked_ns, d));
	else
		rc = asprintf(&text, "in %s", t->syscall);
	return rc < 0 ? NULL : text;
}

/* Bytes of the request: what the session saw, or all that was ever sent if nothing ever came back. 0: not
 * known */
static uint64_t request_bytes(const struct about *a)
{
	const struct sock_facts *s = &a->in.sock;

	if (a->in.flow && a->in.flow->last_send_ns > a->in.flow->last_recv_ns)
		return a->in.flow->burst;
	if (s->bytes_received || s->accepted)
		return 0;
	return s->bytes_sent ? s->bytes_sent : s->bytes_acked > 1 ? s->bytes_acked - 1 : 0;
}

static void sent_text(struct text *t, const struct about *a)
{
	const struct sock_facts *s = &a->in.sock;
	uint64_t bytes = a->mixed ? 0 : request_bytes(a);
	char d[16];

	if (bytes)
		add(t, "%" PRIu64 " bytes ", bytes);
	if (a->on_wire)
		add(t, "sent %s ago", text_duration(a->in.now_ns - a->wire.start_ns, d));
	else if (a->out.turn == TURN_PEER && a->out.owed_ns)
		add(t, "sent %s ago", text_duration(a->out.owed_ns, d));
	else
		add(t, "sent %s ago", ms_text(s->last_send_ms, d));
}

static void ack_text(struct text *t, const struct sock_facts *s)
{
	char d[16];

	if (s->last_ack_ms >= 0 && s->last_ack_ms + VERDICT_AGE_MARGIN_MS < s->last_send_ms)
		add(t, "; the peer's kernel still answers (last ack %s ago)", ms_text(s->last_ack_ms, d));
}

/* "ListDb, number 17" is told by the headline and the JSON; here what else waits there. */
static void wire_text(struct text *t, const struct about *a)
{
	if (!a->on_wire)
		return;
	add(t, "; on the wire it is request %" PRIu64, a->wire.id);
	if (a->wire.others)
		add(t, ", and %zu more wait on this connection", a->wire.others);
}

static void client_text(struct text *t, const struct about *a)
{
	const struct sock_facts *c = a->client ? &a->client->in.sock : NULL;
	uint64_t owed_ns;
	char d[16];

	if (!c)
		return;
	verdict_turn(c, a->client->in.flow, a->in.now_ns, &owed_ns);
	add(t, "; %s waits for it, whose request came %s ago", c->remote[0] ? c->remote : "a local client",
	    text_duration(owed_ns, d));
}

static void request_of_wait(struct text *t, const struct about *a)
{
	const struct sock_facts *s = &a->in.sock;
	bool tcp = verdict_is_tcp(s);
	char d[16];

	switch (a->out.verdict) {
	case VERDICT_PEER_SILENT:
		sent_text(t, a);
		if (a->out.partial)
			add(t, "; a part of the reply came %s ago, nothing since",
			    ms_text(s->last_recv_ms, d));
		else if (a->on_wire && a->in.flow && a->in.flow->last_recv_ns > a->wire.start_ns)
			add(t, "%s; what was received since answers others", tcp ? ", acknowledged" : "");
		else
			add(t, "%s; nothing received since", tcp ? ", acknowledged" : "");
		if (tcp)
			ack_text(t, s);
		client_text(t, a);
		break;
	case VERDICT_REQUEST_UNACKED:
		sent_text(t, a);
		add(t,
		    "; %u segments not acknowledged, the first sent again %u times; last word of the peer's "
		    "kernel %s ago",
		    s->unacked, s->retransmits, ms_text(s->last_ack_ms, d));
		if (a->in.flow && a->in.flow->retransmits && a->in.flow->retransmit_ns <= a->in.now_ns)
			add(t, "; sent again %u times in this session, the last %s ago",
			    a->in.flow->retransmits,
			    ms_text((int64_t)((a->in.now_ns - a->in.flow->retransmit_ns) / 1000000), d));
		break;
	case VERDICT_PEER_WINDOW_CLOSED:
		add(t, "%u bytes wait in the send queue, %u of them not sent; the peer lets us send %u more",
		    s->send_queue, s->notsent, s->peer_window == UINT32_MAX ? 0 : s->peer_window);
		if (s->probes)
			add(t, "; %u window probes went unanswered", s->probes);
		break;
	case VERDICT_REQUEST_UNSENT:
		if (s->notsent)
			add(t, "%u bytes wait in the send queue and were not sent", s->notsent);
		else
			add(t, "nothing was ever sent on this connection");
		break;
	case VERDICT_HALF_OPEN:
		sent_text(t, a);
		add(t, "; %u keepalive probes unanswered; last word of the peer's kernel %s ago", s->probes,
		    ms_text(s->last_ack_ms, d));
		break;
	case VERDICT_CONNECT_PENDING:
		if (tcp)
			add(t, "no answer to the SYN, sent %u times", s->retransmits + 1u);
		break;
	default:
		break;
	}
}

static void request_of_server(struct text *t, const struct stall *st, const struct about *a)
{
	const struct sock_facts *s = &a->in.sock;
	char d[16];

	if (a->n_rivals) {
		add(t,
		    "one of %zu requests read and not answered; which one is not known, it was read before "
		    "the session",
		    a->n_rivals + 1);
		return;
	}
	if (st->verdict == VERDICT_REPLY_UNREAD && !sock_unread(s)) {
		add(t, "the peer has closed the connection, and the end of the stream is not read");
		return;
	}
	if (st->verdict == VERDICT_REPLY_UNREAD) {
		add(t, "%u bytes lie unread in the receive queue, the last came %s ago", sock_unread(s),
		    ms_text(s->last_recv_ms, d));
		return;
	}
	if (a->out.partial)
		add(t, "request of %u bytes arrived %s ago from %s and is not read yet", sock_unread(s),
		    ms_text(s->last_recv_ms, d), s->remote);
	else
		add(t, "request read %s ago from %s, not answered%s", text_duration(a->out.owed_ns, d),
		    s->remote, sock_peer_closed(s) ? "; the client has closed its side since" : "");
	if (!a->in.flow || !a->in.flow->recv_tid)
		return;
	add(t, "; thread %u reads this connection", a->in.flow->recv_tid);
	if (st->reader.cpu_known)
		add(t, ", on CPU %s since", text_duration(st->reader.cpu_ns, d));
}

static const char *const why[] = {
	[VERDICT_REQUEST_UNSENT] = "the request has not left this node; neither the network nor the peer has "
				   "had a chance to delay it",
	[VERDICT_REQUEST_UNACKED] = "the peer's kernel does not acknowledge: the network loses packets, or "
				    "the peer's host is down",
	[VERDICT_PEER_SILENT] = "the peer's program does not answer; its kernel took the request, so network "
				"and this node are healthy",
	[VERDICT_PEER_WINDOW_CLOSED] =
		"the peer's program does not read: its receive buffer is full and its kernel takes no more",
	[VERDICT_REPLY_UNREAD] =
		"the reply is here; the thread that should read it is blocked in something else",
	[VERDICT_CONNECT_PENDING] = "the connection is not established: nobody answers at that address (host "
				    "down, dropped by a firewall, "
				    "or its accept queue is full)",
	[VERDICT_HALF_OPEN] =
		"the connection exists on this side only: the peer's host does not answer probes any more",
	[VERDICT_LOCAL_WRITER_BLOCKED] =
		"the buffer is full: the local reader of this pipe or socket does not read",
	[VERDICT_SERVER_THREAD_BLOCKED] = "a client waits for this thread",
};

static void explain_dead(struct text *t, const struct stall *st)
{
	add(t,
	    "the call waits for a file that descriptor %d does not mean any more: nothing that happens on "
	    "the new one can wake it",
	    st->fd);
	if (st->has_other)
		add(t, "; thread %d (%s) took the number away", (int)st->other.tid, st->other.comm);
}

static void explain_step(struct text *t, const struct stall *st, size_t i)
{
	const struct stall_step *step = &st->chain[i];

	add(t, i ? "; %d (%s)" : "; thread %d (%s)", (int)step->tid, step->comm);
	if (step->process[0])
		add(t, " of process %d (%s)", (int)step->pid, step->process);
	if (step->how[0])
		add(t, strstr(step->how, "on CPU") ? " %s, and" : " %s and", step->how);
	add(t, " %s", step->what);
	if (step->next)
		add(t, " %d", (int)step->next);
	if (i + 1 == st->n_chain && st->cycle)
		add(t, ": a cycle, none of them will ever go on");
}

/* The end of the way, if it is longer than what the finding says anyhow. */
static void explain_chain(struct text *t, const struct stall *st)
{
	bool plain = st->n_chain == 2 && !st->cycle && st->chain[0].next && !st->chain[1].process[0] &&
		     !strncmp(st->chain[1].what, "is ", 3);

	for (size_t i = 0; st->n_chain > 1 && !plain && i < st->n_chain; i++)
		explain_step(t, st, i);
	if (st->chain_end)
		add(t, "; %s", st->chain_end);
}

static void explain_why(struct text *t, const struct stall *st, const struct subject *s,
			const struct about *a)
{
	if (a->in.dead) {
		explain_dead(t, st);
		return;
	}
	if (a->out.verdict == VERDICT_PEER_SILENT && a->in.sock.family == AF_UNIX)
		add(t, "the program at the other end of this local socket does not answer");
	else if (a->out.verdict == VERDICT_SERVER_THREAD_BLOCKED && a->out.partial)
		add(t,
		    "a client waits: its request is not even read, because the thread that reads this "
		    "connection is blocked in %s",
		    st->syscall);
	else if (a->out.verdict == VERDICT_REPLY_UNREAD && !sock_unread(&a->in.sock))
		add(t,
		    "the peer closed the connection instead of answering; the thread that should notice is "
		    "blocked in something else");
	else
		add(t, "%s", why[a->out.verdict]);
	if (a->computes)
		add(t, ", which has been computing since it read the request, and has not slept once");
	else if (s->busy && a->out.verdict == VERDICT_SERVER_THREAD_BLOCKED)
		add(t, " or for one that it handed the request to");
	else if (s->busy && (s->t->moved || s->t->blocked_ns < s->blocked_ns))
		add(t, "; the thread that asked goes on with other connections");
	if (a->out.verdict == VERDICT_REPLY_UNREAD && call_is_wait(s->t->class) && s->t->fd >= 0 &&
	    s->t->fd != a->fd)
		add(t, ": it waits for descriptor %d instead of %d", s->t->fd, a->fd);
	if (a->out.verdict == VERDICT_SERVER_THREAD_BLOCKED && !a->out.partial && !s->busy)
		add(t, ", which is blocked in %s%s", st->syscall,
		    a->in.elsewhere ? " on other descriptors than this connection's" : "");
	if (st->has_other && !strcmp(st->other.role, "lock held by"))
		add(t, "; the lock it waits for is held by thread %d (%s), %s", (int)st->other.tid,
		    st->other.comm, st->other.doing ? st->other.doing : "of which nothing is known");
}

/* Host part of "10.0.0.1:80", "[::1]:80". */
static int host_len(const char *addr)
{
	const char *colon = strrchr(addr, ':');

	return colon ? (int)(colon - addr) : (int)strlen(addr);
}

static void next_peer(struct text *t, const struct sock_facts *s)
{
	int n = host_len(s->remote);
	bool here = n == host_len(s->local) && !strncmp(s->remote, s->local, (size_t)n);
	const char *port;

	if (s->family == AF_UNIX) {
		add(t,
		    "`ss -xp` names the process at the other end; then: culprit stalls -p of that process");
		return;
	}
	port = s->remote[n] ? s->remote + n + 1 : "?";
	if (here)
		add(t,
		    "the peer is on this machine: `ss -ltnp 'sport = :%s'` names the process, then: culprit "
		    "stalls "
		    "-p of that process",
		    port);
	else
		add(t,
		    "on %.*s: culprit stalls -p PID -o b.db (`ss -ltnp 'sport = :%s'` names PID), at the "
		    "same time "
		    "here with -o a.db; then: culprit report a.db b.db",
		    n, s->remote, port);
}

static void explain_next(struct text *t, const struct stall *st, const struct about *a)
{
	const struct sock_facts *s = &a->in.sock;

	switch (st->verdict) {
	case VERDICT_PEER_SILENT:
	case VERDICT_PEER_WINDOW_CLOSED:
		if (st->n_chain > 1 && st->chain[1].process[0])
			add(t, "culprit stalls -p %d follows process %s, which has the other end",
			    (int)st->chain[1].pid, st->chain[1].process);
		else if (a->peer_pid == st->pid)
			add(t,
			    "the other end is in this very process: see what its threads do, culprit threads "
			    "-p %d",
			    (int)st->pid);
		else if (a->peer_pid)
			add(t, "culprit stalls -p %d follows the process that has the other end",
			    (int)a->peer_pid);
		else
			next_peer(t, s);
		break;
	case VERDICT_REQUEST_UNACKED:
	case VERDICT_HALF_OPEN:
	case VERDICT_CONNECT_PENDING:
		if (verdict_is_tcp(s))
			add(t, "check the route and the host: ping %.*s; look for drops on the way",
			    host_len(s->remote), s->remote);
		break;
	case VERDICT_REQUEST_UNSENT:
		add(t, s->notsent
			       ? "check this node's way out: link state, `ip route get`, `tc -s qdisc`"
			       : "see in the user stack what should have sent it, and on which descriptor");
		break;
	case VERDICT_POLLING_DEAD_FD:
		add(t, st->has_other ? "see the stack that closed it: it must not close a descriptor that "
				       "another thread waits for"
				     : "it was closed before the session began: run this again until it "
				       "happens, to see who closes it");
		break;
	case VERDICT_REPLY_UNREAD:
	case VERDICT_SERVER_THREAD_BLOCKED:
		add(t, st->has_other && !strcmp(st->other.role, "lock held by")
			       ? "see the stack of the thread that holds the lock"
			       : "see in the user stack what the thread waits for");
		break;
	default:
		break;
	}
}

int explain(struct stall *st, const struct subject *s, const struct about *a)
{
	struct text request = {0}, explanation = {0}, next = {0};

	if (st->verdict == VERDICT_REPLY_UNREAD || st->verdict == VERDICT_SERVER_THREAD_BLOCKED)
		request_of_server(&request, st, a);
	else if (st->verdict != VERDICT_POLLING_DEAD_FD)
		request_of_wait(&request, a);
	if (request.s)
		wire_text(&request, a);
	explain_why(&explanation, st, s, a);
	explain_chain(&explanation, st);
	explain_next(&next, st, a);
	if (s->t->args_unread)
		add(&explanation, " (the call's arguments could not be read)");
	st->request = request.s;
	st->explanation = explanation.s;
	st->next = next.s;
	return request.failed || explanation.failed || next.failed ? -ENOMEM : 0;
}
