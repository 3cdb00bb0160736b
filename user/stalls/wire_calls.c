// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Calls on the wire: a request begins one, an answer with the same number on the same connection ends it. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stalls/wire_priv.h"

#define MAX_CALLS   65536
#define MAX_METHODS 4096

static struct wire_method *method_of(struct wire *w, const struct conn *c, bool ours, const char *name)
{
	struct wire_method_key key;
	struct wire_method *m;

	memset(&key, 0, sizeof(key));
	memcpy(key.peer, c->peer, sizeof(key.peer));
	key.family = c->family;
	key.port = ours ? c->port : 0;
	key.ours = ours;
	snprintf(key.method, sizeof(key.method), "%s", name);
	HASH_FIND(hh, w->method, &key, sizeof(key), m);
	if (m)
		return m;
	m = HASH_COUNT(w->method) < MAX_METHODS ? calloc(1, sizeof(*m)) : NULL;
	if (!m) {
		w->gone.full++;
		return NULL;
	}
	m->key = key;
	HASH_ADD(hh, w->method, key, sizeof(m->key), m);
	return m;
}

void wire_methods_free(struct wire *w)
{
	struct wire_method *m, *next;

	HASH_ITER (hh, w->method, m, next) {
		HASH_DEL(w->method, m);
		free(m);
	}
}

static struct wire_call *call_find(const struct conn *c, bool ours, uint64_t id)
{
	struct wire_call *k;

	HASH_FIND(hh, c->call[ours], &id, sizeof(id), k);
	return k;
}

static void call_free(struct wire *w, struct conn *c, bool ours, struct wire_call *k)
{
	HASH_DEL(c->call[ours], k);
	k->method->in_flight--;
	w->n_calls--;
	free(k);
}

static void call_unanswered(struct wire *w, struct conn *c, bool ours, struct wire_call *k, uint64_t now_ns)
{
	/* it was given up at about its time, which the caller counts from a little earlier on */
	if (k->timeout_ms >= 0 && now_ns >= k->start_ns + (uint64_t)k->timeout_ms * 900000)
		k->method->timed_out++;
	else
		k->method->unanswered++;
	call_free(w, c, ours, k);
}

void wire_calls_drop(struct wire *w, struct conn *c, uint64_t now_ns)
{
	for (int ours = 0; ours < 2; ours++)
		while (c->call[ours])
			call_unanswered(w, c, ours, c->call[ours], now_ns);
}

void wire_calls_doubt(struct wire *w, struct conn *c, bool ours)
{
	while (c->call[ours]) {
		w->gone.doubt++;
		call_free(w, c, ours, c->call[ours]);
	}
}

static void call_done(struct wire *w, struct conn *c, bool ours, struct wire_call *k, uint64_t end_ns,
		      enum outcome outcome)
{
	struct wire_method *m = k->method;
	uint64_t ns = end_ns > k->start_ns ? end_ns - k->start_ns : 0;

	m->answered++;
	m->errors += outcome == OUTCOME_ERROR || outcome == OUTCOME_TIMED_OUT;
	m->unclear += outcome == OUTCOME_UNCLEAR;
	m->timed_out += outcome == OUTCOME_TIMED_OUT ||
			(k->timeout_ms >= 0 && ns > (uint64_t)k->timeout_ms * 1000000);
	m->bucket[rpc_bucket(ns)]++;
	if (ns > m->max_ns)
		m->max_ns = ns;
	call_free(w, c, ours, k);
}

static struct wire_call *call_begin(struct wire *w, struct conn *c, const struct payload_rec *r, uint64_t id,
				    const char *name, int64_t timeout_ms)
{
	bool ours = r->sent;
	struct wire_call *k = call_find(c, ours, id);
	uint64_t start_ns = ours ? r->entry_ns : r->h.ts_ns;
	struct wire_method *m;

	if (start_ns < w->from_ns)
		return NULL;
	if (k) /* the number is used again: the peer will not answer the old one */
		call_unanswered(w, c, ours, k, r->entry_ns);
	m = method_of(w, c, ours, name);
	k = m && w->n_calls < MAX_CALLS ? calloc(1, sizeof(*k)) : NULL;
	if (!k) {
		w->gone.full += m != NULL;
		return NULL;
	}
	*k = (struct wire_call){.id = id,
				.method = m,
				.start_ns = start_ns,
				.timeout_ms = timeout_ms,
				.tid = (pid_t)r->h.tid};
	HASH_ADD(hh, c->call[ours], id, sizeof(k->id), k);
	m->calls++;
	m->in_flight++;
	w->n_calls++;
	return k;
}

/* The answer that came before its request was told, if there is one. */
static void take_early(struct wire *w, struct conn *c, bool ours, struct wire_call *k)
{
	unsigned kept = c->n_early < WIRE_EARLY ? c->n_early : WIRE_EARLY;

	for (unsigned i = 0; i < kept; i++) {
		struct early *e = &c->early[i];

		if (!e->ts_ns || e->id != k->id || e->sent == ours || e->ts_ns < k->start_ns)
			continue;
		call_done(w, c, ours, k, e->ts_ns, e->outcome);
		e->ts_ns = 0;
		return;
	}
}

static void answer(struct wire *w, struct conn *c, const struct payload_rec *r, uint64_t id,
		   enum outcome outcome)
{
	bool ours = !r->sent;
	struct wire_call *k = call_find(c, ours, id);

	if (k)
		call_done(w, c, ours, k, r->h.ts_ns, outcome);
	else
		c->early[c->n_early++ % WIRE_EARLY] =
			(struct early){.id = id, .ts_ns = r->h.ts_ns, .sent = r->sent, .outcome = outcome};
}

static bool is_request(const struct conn *c, const struct payload_rec *r, const struct framing_head *f)
{
	if (f->request || f->response)
		return f->request;
	if (c->server >= 0)
		return r->sent == !c->server;
	return !call_find(c, !r->sent, f->id);
}

void wire_frame(struct wire *w, struct conn *c, const struct payload_rec *r, const struct framing_head *f)
{
	struct wire_call *k;

	if (!f->has_id)
		return;
	if (!is_request(c, r, f)) {
		answer(w, c, r, f->id,
		       f->timed_out ? OUTCOME_TIMED_OUT
		       : f->error   ? OUTCOME_ERROR
				    : OUTCOME_GOOD);
		return;
	}
	k = call_begin(w, c, r, f->id, f->method, f->timeout_ms);
	if (!k)
		return;
	k->asked = true;
	take_early(w, c, r->sent, k);
}

static void h2_reset(struct wire *w, struct conn *c, const struct payload_rec *r, const struct h2_event *e)
{
	for (int ours = 0; ours < 2; ours++) {
		struct wire_call *k = call_find(c, ours, e->stream);

		if (!k)
			continue;
		if (e->sent == ours) { /* who asked has given up */
			call_unanswered(w, c, ours, k, r->h.ts_ns);
			continue;
		}
		call_done(w, c, ours, k, r->h.ts_ns, OUTCOME_ERROR);
	}
}

void wire_h2(struct wire *w, struct conn *c, const struct payload_rec *r, const struct h2_event *e)
{
	struct wire_call *k;

	switch (e->what) {
	case H2_REQUEST:
		/* trailers of a request come as headers, too */
		if (!call_find(c, e->sent, e->stream))
			call_begin(w, c, r, e->stream, e->method, e->timeout_ms);
		break;
	case H2_ASKED:
		k = call_find(c, e->sent, e->stream);
		if (!k)
			break;
		k->asked = true;
		take_early(w, c, e->sent, k);
		break;
	case H2_ANSWER:
		k = call_find(c, !e->sent, e->stream);
		if (k)
			k->answering = true;
		break;
	case H2_END:
		answer(w, c, r, e->stream,
		       e->status < 0	? OUTCOME_UNCLEAR
		       : e->status == 4 ? OUTCOME_TIMED_OUT /* DEADLINE_EXCEEDED */
		       : e->status	? OUTCOME_ERROR
					: OUTCOME_GOOD);
		break;
	case H2_RESET:
		h2_reset(w, c, r, e);
		break;
	}
}

/* Its caller does not wait any more. */
static bool is_over(const struct wire_call *k, uint64_t now_ns)
{
	return k->timeout_ms >= 0 && now_ns > k->start_ns + (uint64_t)k->timeout_ms * 1000000;
}

/* It must be answered, and in its own time. */
static bool is_pending(const struct wire *w, const struct conn *c, const struct wire_call *k, uint64_t now_ns)
{
	return k->asked && !k->answering && !is_over(k, now_ns) &&
	       (c->framing < 0 || !framing_is_longpoll(w->framing[c->framing], k->method->key.method));
}

/* The oldest request that must be answered. */
static bool oldest(const struct wire *w, const struct conn *c, bool ours, uint64_t now_ns,
		   struct wire_pending *out)
{
	const struct wire_call *k = c->call[ours], *first = NULL;
	size_t n = 0;

	for (; k; k = k->hh.next) {
		if (!is_pending(w, c, k, now_ns))
			continue;
		if (!first || k->start_ns < first->start_ns)
			first = k;
		n++;
	}
	if (!first)
		return false;
	*out = (struct wire_pending){.inode = c->inode,
				     .ours = ours,
				     .start_ns = first->start_ns,
				     .id = first->id,
				     .tid = first->tid,
				     .others = n - 1};
	memcpy(out->method, first->method->key.method, sizeof(out->method));
	for (const struct wire_method *m = w->method; m; m = m->hh.next)
		if (m->max_ns > out->slowest_ns && m->key.ours == ours && !strcmp(m->key.method, out->method))
			out->slowest_ns = m->max_ns;
	return true;
}

bool wire_oldest(const struct wire *w, uint64_t inode, bool ours, uint64_t now_ns, struct wire_pending *out)
{
	const struct conn *c;

	HASH_FIND(hh, w->conn, &inode, sizeof(inode), c);
	return c && oldest(w, c, ours, now_ns, out);
}

size_t wire_all_oldest(const struct wire *w, uint64_t now_ns, struct wire_pending *v, size_t max)
{
	size_t n = 0;

	for (const struct conn *c = w->conn; c; c = c->hh.next)
		for (int ours = 0; ours < 2 && n < max; ours++)
			n += oldest(w, c, ours, now_ns, &v[n]);
	return n;
}

bool wire_began(const struct wire *w, uint64_t after_ns, uint64_t until_ns, uint64_t now_ns)
{
	for (const struct conn *c = w->conn; c; c = c->hh.next)
		for (int ours = 0; ours < 2; ours++)
			for (const struct wire_call *k = c->call[ours]; k; k = k->hh.next)
				if (k->start_ns > after_ns && k->start_ns <= until_ns &&
				    is_pending(w, c, k, now_ns))
					return true;
	return false;
}

static void peer_text(const struct wire_method_key *k, char *buf, size_t len)
{
	char ip[INET6_ADDRSTRLEN];

	if ((k->family != AF_INET && k->family != AF_INET6) || !inet_ntop(k->family, k->peer, ip, sizeof(ip)))
		snprintf(buf, len, "unix");
	else if (!k->ours)
		snprintf(buf, len, "%s", ip);
	else
		snprintf(buf, len, k->family == AF_INET6 ? "[%s]:%u" : "%s:%u", ip, ntohs(k->port));
}

/* Of the calls in flight: the oldest, and those whose time is over. */
static void add_in_flight(const struct wire *w, const struct wire_method *m, struct rpc_line *l,
			  uint64_t now_ns)
{
	for (const struct conn *c = w->conn; c; c = c->hh.next) {
		for (const struct wire_call *k = c->call[m->key.ours]; k; k = k->hh.next) {
			uint64_t age = now_ns > k->start_ns ? now_ns - k->start_ns : 0;

			if (k->method != m)
				continue;
			if (is_over(k, now_ns)) {
				l->timed_out++;
				continue;
			}
			l->in_flight++;
			l->oldest_ns = age > l->oldest_ns ? age : l->oldest_ns;
		}
	}
}

static void line_of(const struct wire *w, const struct wire_method *m, struct rpc_line *l, uint64_t now_ns)
{
	*l = (struct rpc_line){.by = m->key.ours ? RPC_BY_WIRE_CLIENT : RPC_BY_WIRE_SERVER,
			       .calls = m->calls,
			       .unanswered = m->unanswered,
			       .errors = m->errors,
			       .unclear = m->unclear,
			       .timed_out = m->timed_out,
			       .p50_ns = rpc_quantile(m->bucket, 0.5),
			       .p99_ns = rpc_quantile(m->bucket, 0.99),
			       .max_ns = m->max_ns};
	peer_text(&m->key, l->peer, sizeof(l->peer));
	snprintf(l->method, sizeof(l->method), "%s", m->key.method[0] ? m->key.method : "?");
	l->p50_ns = l->p50_ns < l->max_ns ? l->p50_ns : l->max_ns;
	l->p99_ns = l->p99_ns < l->max_ns ? l->p99_ns : l->max_ns;
	if (m->in_flight)
		add_in_flight(w, m, l, now_ns);
}

int wire_ledger(const struct wire *w, struct rpc_ledger *l, uint64_t now_ns)
{
	size_t n = HASH_COUNT(w->method);
	struct rpc_line *more = n ? realloc(l->v, (l->n + n) * sizeof(*more)) : NULL;

	if (!n)
		return 0;
	if (!more)
		return -ENOMEM;
	l->v = more;
	for (const struct wire_method *m = w->method; m; m = m->hh.next)
		line_of(w, m, &l->v[l->n++], now_ns);
	rpc_ledger_merge(l);
	return 0;
}
